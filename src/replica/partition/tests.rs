//! A partition as producers see it while the ISR changes. The followers exist only in the
//! controller's state: none fetches.

use super::*;
use crate::env::clock::Clock;
use crate::telemetry::FlushMetrics;
use metadata::image::LeaderRecovery;
use model::{PartitionEpoch, TopicPartition, Uuid};
use records::{BatchBuilder, TimestampType};
use std::path::{Path, PathBuf};
use storage::disk::{Disk, SimDisk};
use storage::{OpenFiles, OpenLog};

const NOW: Timestamp = Timestamp(1_000);
const UPTIME: Monotonic = Monotonic(1_000);

mod durable;
mod noted;
mod transactions;

fn partition(min_insync_replicas: usize) -> Arc<Partition> {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/logs/t-0")).unwrap();
    opened(Arc::new(disk), LogConfig::default(), min_insync_replicas)
}

/// Returns a partition with an empty log that broker 1 leads, with these replicas in sync.
pub(crate) fn leading(leader_epoch: i32, isr: &[i32]) -> Arc<Partition> {
    let partition = partition(1);
    partition.lead(&state(leader_epoch, 0, isr), UPTIME).unwrap();
    partition
}

/// Returns that partition's state when only broker 1 is in sync.
pub(crate) fn alone_in_sync(leader_epoch: i32, partition_epoch: i32) -> image::Partition {
    state(leader_epoch, partition_epoch, &[1])
}

/// Opens a partition in an existing folder. If the folder has a log, this is as after a kill.
fn opened(disk: Arc<dyn Disk>, config: LogConfig, min_insync_replicas: usize) -> Arc<Partition> {
    opened_in(disk, PathBuf::from("/logs/t-0"), TopicPartition::new("t", 0), config, min_insync_replicas)
}

/// Opens a partition of this name in an existing folder, as after a kill.
pub(crate) fn open_in(disk: Arc<dyn Disk>, path: PathBuf, name: TopicPartition, config: LogConfig) -> Arc<Partition> {
    opened_in(disk, path, name, config, 1)
}

/// Returns the state of a partition that broker 1 leads, with these replicas in sync.
pub(crate) fn led_in(leader_epoch: i32, partition_epoch: i32, isr: &[i32]) -> image::Partition {
    state(leader_epoch, partition_epoch, isr)
}

/// Returns a partition of broker `node` with an empty log.
pub(in crate::replica) fn on_node(node: i32, config: LogConfig) -> Arc<Partition> {
    numbered_on_node(node, 0, config)
}

/// Returns the partition of a number of broker `node`, with an empty log.
pub(in crate::replica) fn numbered_on_node(node: i32, number: i32, config: LogConfig) -> Arc<Partition> {
    let disk = SimDisk::new();
    let path = PathBuf::from(format!("/logs/t-{number}"));
    disk.create_dir(&path).unwrap();
    opened_on(node, Arc::new(disk), path, TopicPartition::new("t", number), config, 1)
}

fn opened_in(
    disk: Arc<dyn Disk>,
    path: PathBuf,
    partition: TopicPartition,
    config: LogConfig,
    min_insync_replicas: usize,
) -> Arc<Partition> {
    opened_on(1, disk, path, partition, config, min_insync_replicas)
}

fn opened_on(
    node: i32,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    partition: TopicPartition,
    config: LogConfig,
    min_insync_replicas: usize,
) -> Arc<Partition> {
    let id = TopicIdPartition { topic_id: Uuid::ONE, partition: partition.partition };
    let options = OpenLog {
        disk,
        open_files: OpenFiles::new(8),
        path,
        partition,
        config,
        recovery_point: Offset(0),
        log_start_offset: None,
        is_clean: false,
        now: NOW,
        jitter_seed: 1,
        interrupted: Arc::default(),
    };
    let (log, _) = Log::open(options).unwrap();
    let committer = Committer::new(FlushMetrics::default(), crate::env::Env::default());
    Arc::new(Partition::new(BrokerId(node), id, false, Arc::new(log), rules(min_insync_replicas), committer))
}

pub(in crate::replica) fn rules(min_insync_replicas: usize) -> WriteRules {
    let validation = ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: None,
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: false,
    };
    WriteRules {
        validation,
        min_insync_replicas,
        replica_lag_max_ms: 30_000,
        throttled_leaders: ThrottledReplicas::None,
        throttled_followers: ThrottledReplicas::None,
    }
}

/// Returns the state of a partition with three replicas, of which these are in sync. Broker 1
/// leads.
pub(in crate::replica) fn state(leader_epoch: i32, partition_epoch: i32, isr: &[i32]) -> image::Partition {
    image::Partition {
        replicas: [1, 2, 3].map(BrokerId).to_vec(),
        directories: Vec::new(),
        isr: isr.iter().copied().map(BrokerId).collect(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader: Some(BrokerId(1)),
        leader_recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
    }
}

pub(in crate::replica) fn append(partition: &Arc<Partition>, all_replicas: bool) -> Result<AppendInfo, AppendError> {
    let mut batch = BatchBuilder::new(Offset(0));
    batch.append(NOW, None, Some(b"value"));
    let records = batch.finish().unwrap();
    partition.append_or(
        Wait::Block,
        &AppendRequest { records, all_replicas, may_write_internal: false, guard: None, now: NOW },
    )
}

fn refusal(appended: Result<AppendInfo, AppendError>) -> ErrorCode {
    match appended {
        Err(AppendError::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_one_replica_in_sync_a_write_is_replicated_at_once() {
    let partition = partition(1);
    assert_eq!(refusal(append(&partition, true)), ErrorCode::NotLeaderOrFollower);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    let appended = append(&partition, true).unwrap();
    assert_eq!((appended.epoch, appended.last_offset), (LeaderEpoch(5), Offset(0)));
    assert!(partition.is_replicated(&appended));
    assert_eq!(partition.high_watermark(), Offset(1));
}

#[test]
fn a_write_waits_for_every_replica_in_sync() {
    let partition = partition(1);
    partition.lead(&state(5, 0, &[1, 2]), UPTIME).unwrap();
    let appended = append(&partition, true).unwrap();
    assert_eq!(partition.acknowledged(&appended), None);
    assert_eq!(partition.high_watermark(), Offset(0));
    // The controller removes the other replica from the ISR.
    partition.lead(&state(5, 1, &[1]), UPTIME).unwrap();
    assert!(partition.is_replicated(&appended));
    // An older state is ignored.
    partition.lead(&state(5, 0, &[1, 2]), UPTIME).unwrap();
    assert!(partition.is_replicated(&append(&partition, true).unwrap()));
}

#[test]
fn too_few_in_sync_refuse_writes_that_want_all_and_hold_the_high_watermark() {
    let partition = partition(2);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    assert_eq!(refusal(append(&partition, true)), ErrorCode::NotEnoughReplicas);
    let appended = append(&partition, false).unwrap();
    assert_eq!(partition.high_watermark(), Offset(0));
    assert_eq!(partition.acknowledged(&appended), None);
    // A changed setting applies from the next append on.
    partition.set_config(LogConfig::default(), rules(1));
    assert!(partition.is_replicated(&append(&partition, true).unwrap()));
    assert!(partition.is_replicated(&appended));
    // More than three replicas cannot be required of three.
    partition.set_config(LogConfig::default(), rules(9));
    let Err(AppendError::Refused(error)) = append(&partition, true) else { panic!("nine are in sync") };
    let message = "The size of the current ISR : 1 is insufficient to satisfy the min.isr requirement of 3 for partition t-0, live replica(s) broker.id are : [1]";
    assert_eq!(error.message.as_deref(), Some(message));
}

/// Returns the log's errors for a client and for a coordinator that read the epoch before it ended.
fn late_appends(partition: &Arc<Partition>, epoch: LeaderEpoch) {
    let mut batch = BatchBuilder::new(Offset(0));
    batch.append(NOW, None, Some(b"late"));
    let records = batch.finish().unwrap();
    let before = partition.log().leader_epochs();
    let append = AppendRequest {
        records: records.clone(),
        all_replicas: false,
        may_write_internal: false,
        guard: None,
        now: NOW,
    };
    let refused = partition.append_in(epoch, &append, Wait::Try);
    assert!(matches!(refused, Err(AppendError::Storage(Error::EndedEpoch { .. }))), "{refused:?}");
    let refused = partition.append_state_in(epoch, &records, StateAppend::default(), None, Wait::Try);
    assert!(matches!(refused, Err(Error::EndedEpoch { .. })), "{refused:?}");
    assert_eq!((partition.log_end_offset(), partition.log().leader_epochs()), (Offset(1), before));
}

#[test]
fn an_epoch_that_ends_between_its_reading_and_the_append_refuses_the_append() {
    let partition = partition(1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    append(&partition, false).unwrap();
    let epoch = partition.epoch_to_append_in(false).unwrap();
    partition.lead(&state(6, 1, &[1]), UPTIME).unwrap();
    late_appends(&partition, epoch);
    let epoch = partition.epoch_to_append_in(false).unwrap();
    partition.resign();
    late_appends(&partition, epoch);
    partition.lead(&state(8, 2, &[1]), UPTIME).unwrap();
    assert_eq!(append(&partition, true).unwrap().epoch, LeaderEpoch(8));
}

#[test]
fn an_epoch_that_ends_wakes_the_waiters() {
    let partition = partition(1);
    partition.lead(&state(5, 0, &[1, 2]), UPTIME).unwrap();
    let appended = append(&partition, true).unwrap();
    partition.lead(&state(6, 1, &[1]), UPTIME).unwrap();
    assert_eq!(partition.acknowledged(&appended), Some(Err(ErrorCode::NotLeaderOrFollower)));
    partition.resign();
    assert_eq!(partition.acknowledged(&appended), Some(Err(ErrorCode::NotLeaderOrFollower)));
    assert_eq!(refusal(append(&partition, false)), ErrorCode::NotLeaderOrFollower);
}

#[test]
fn a_partition_that_is_offline_is_led_again_in_the_next_epoch_only() {
    let partition = leading(5, &[1]);
    partition.take_offline(LeaderEpoch(4));
    assert_eq!(partition.leader_epoch(), Some(LeaderEpoch(5)), "that leadership is over");
    partition.take_offline(LeaderEpoch(5));
    assert_eq!(partition.check_leader(None), Err(ErrorCode::KafkaStorageError));
    assert_eq!(refusal(append(&partition, true)), ErrorCode::KafkaStorageError);
    partition.lead(&state(5, 1, &[1]), UPTIME).unwrap();
    assert_eq!(partition.leader_epoch(), None);
    partition.lead(&state(6, 2, &[1]), UPTIME).unwrap();
    assert_eq!(partition.check_leader(None), Ok(LeaderEpoch(6)));
    partition.resign();
    assert_eq!(partition.check_leader(None), Err(ErrorCode::NotLeaderOrFollower));
}

//! One partition on this broker: its log, its leader, and the requests that wait for it.
//!
//! The leader's machine (`::replica::Leader`) computes the high watermark and knows whether enough
//! replicas are in sync. The log stores the high watermark.
//!
//! If `flush.messages` is 1, a batch counts once it is flushed. Until then it is not answered and
//! is not below the high watermark. The committer flushes it.
//!
//! Invariant: an answer that says "committed" was given under the leader epoch in which the records
//! were appended.

pub(super) use self::committer::Committer;
use self::flush_state::{FlushState, LogEnds};
use self::offline::OfflineEpoch;
use super::quota::ThrottledReplicas;
use super::watch::{Wake, Watch, Watchers};
use ::replica::{Leader, LeaderStart, Replica};
use arc_swap::ArcSwap;
use metadata::image;
use model::{
    BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, ProducerId, Timestamp, TopicIdPartition, TopicPartition, Uuid,
};
use parking_lot::RwLock;
use records::ValidationRules;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use storage::{Error, FileRegion, Isolation, Log, LogConfig, ProducerEntry, Wait};

pub use self::append::{AppendError, AppendInfo, AppendRequest, MarkerAppend, StateAppend, producer_error_code};
pub use self::follow::{FollowerRead, IsrChange, IsrCounts, PartitionPeers};

mod append;
mod committer;
mod flush;
mod flush_state;
mod follow;
mod offline;
mod replay;
#[cfg(test)]
pub(super) mod tests;

/// A read of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// The first offset to read.
    pub offset: Offset,
    /// The leader epoch that the reader knows.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that the reader has.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The largest number of bytes to read.
    pub max_bytes: u32,
    /// Whether to return the whole first batch even if it is larger.
    pub at_least_one_batch: bool,
    /// The end of what the reader may see.
    pub isolation: Isolation,
    /// Whether the read may block on the disk.
    pub wait: Wait,
    /// Whether only the leader may answer. A consumer that can read from followers (KIP-392) is
    /// answered by any replica.
    pub leader_only: bool,
    /// The follower that reads, if it is one. It reads to the log end, whatever `isolation` says.
    pub follower: Option<FollowerRead>,
}

/// The result of a read.
#[derive(Clone, Debug)]
pub struct ReadInfo {
    /// The position of the records.
    pub region: Option<FileRegion>,
    /// The log's offsets at that time.
    pub offsets: storage::LogOffsets,
    /// The aborted transactions among them, if the reader reads committed records only.
    pub aborted: Option<Vec<storage::AbortedTxn>>,
    /// The epoch and offset where the reader's log diverges from this one, if it does.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Why a read was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// An error for the client.
    #[error("{0}")]
    Refused(ErrorCode),
    /// An error of the log.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl From<ErrorCode> for ReadError {
    fn from(code: ErrorCode) -> Self {
        ReadError::Refused(code)
    }
}

/// The settings of a topic that concern writes and that the log does not know.
#[derive(Clone, Debug)]
pub struct WriteRules {
    /// The rules for valid batches.
    pub validation: ValidationRules,
    /// `min.insync.replicas`
    pub min_insync_replicas: usize,
    /// `replica.lag.time.max.ms`
    pub replica_lag_max_ms: u64,
    /// `leader.replication.throttled.replicas`
    pub throttled_leaders: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`
    pub throttled_followers: ThrottledReplicas,
}

/// A partition.
#[derive(Debug)]
pub struct Partition {
    id: TopicIdPartition,
    name: TopicPartition,
    is_internal: bool,
    /// Replaced when the partition moves to another log dir.
    log: ArcSwap<Log>,
    rules: ArcSwap<WriteRules>,
    /// The machine of this replica: of a leader, a follower, or none.
    replica: RwLock<Replica>,
    peers: OnceLock<Arc<dyn PartitionPeers>>,
    /// Requests that wait for the high watermark or for another role.
    watchers: Arc<Watchers>,
    /// Fetches of followers, which wait for the log end or for another role.
    end_watchers: Arc<Watchers>,
    /// Requests that wait only for a flush.
    flush_watchers: Arc<Watchers>,
    /// The committer of the log's dir.
    committer: ArcSwap<Committer>,
    /// Decides when batches count, and what the background task must flush.
    flush_state: FlushState,
    offline: OfflineEpoch,
    node_id: BrokerId,
    /// How many records below the leader's high watermark this follower lacked after its last
    /// fetch, or `UNKNOWN_LAG`.
    lag: AtomicU64,
}

/// A follower's lag before its first fetch from a leader.
const UNKNOWN_LAG: u64 = u64::MAX;

impl Partition {
    /// Creates a partition with an open log and without a leader.
    pub fn new(
        node_id: BrokerId,
        id: TopicIdPartition,
        is_internal: bool,
        log: Arc<Log>,
        rules: WriteRules,
        committer: Arc<Committer>,
    ) -> Self {
        Self {
            id,
            is_internal,
            flush_state: FlushState::new(&log.config()),
            name: log.partition().clone(),
            log: ArcSwap::new(log),
            rules: ArcSwap::from_pointee(rules),
            replica: RwLock::new(Replica::new(node_id)),
            peers: OnceLock::new(),
            watchers: Arc::default(),
            end_watchers: Arc::default(),
            flush_watchers: Arc::default(),
            committer: ArcSwap::new(committer),
            offline: OfflineEpoch::none(),
            node_id,
            lag: AtomicU64::new(UNKNOWN_LAG),
        }
    }

    /// Returns the topic id and the partition number.
    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    /// Returns the topic's name.
    pub fn topic(&self) -> &str {
        &self.name.topic
    }

    /// Returns the name, like `topic-0`.
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// Returns the current log. A change that fails with `Error::Moved` must go to the log that
    /// replaced it (`on_log`).
    pub fn log(&self) -> Arc<Log> {
        self.log.load_full()
    }

    /// Changes the current log.
    pub fn on_log<T>(&self, change: impl Fn(&Log) -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match change(&self.log.load()) {
                // Another log replaced this one meanwhile.
                Err(Error::Moved { .. }) => {}
                changed => return changed,
            }
        }
    }

    /// Replaces the log by a copy in another log dir, after the newest records are copied. Returns
    /// the folder of the old log.
    pub(super) fn move_to(
        self: &Arc<Self>,
        copy: &Arc<Log>,
        committer: Arc<Committer>,
        unique: Uuid,
        now: Timestamp,
    ) -> Result<PathBuf, Error> {
        let old = self.log();
        copy.set_config((*old.config()).clone());
        let old_folder = old.replace_with(copy, unique, now, || {
            self.log.store(copy.clone());
            self.committer.store(committer);
        })?;
        {
            // Waits until a thread that still moves the old log's high watermark has finished.
            // Later ones find the new log.
            let _replica = self.replica.write();
            copy.advance_high_watermark(old.high_watermark());
        }
        self.flushed();
        self.wake_all();
        self.note_unflushed();
        Ok(old_folder)
    }

    /// Returns the log end offset.
    pub fn log_end_offset(&self) -> Offset {
        self.log.load().log_end_offset()
    }

    /// Returns the log start offset.
    pub fn log_start_offset(&self) -> Offset {
        self.log.load().log_start_offset()
    }

    /// Returns the high watermark.
    pub fn high_watermark(&self) -> Offset {
        self.log.load().high_watermark()
    }

    /// Returns the size of the log's records.
    pub fn size_bytes(&self) -> u64 {
        self.log.load().size_bytes()
    }

    /// Returns the size of the largest batch that the topic's settings allow.
    pub fn max_batch_bytes(&self) -> usize {
        self.log.load().config().max_message_bytes as usize
    }

    /// Returns the leader epoch if this broker leads.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.replica.read().leader().map(Leader::leader_epoch)
    }

    /// Whether clients may be told the high watermark. Not yet, if this broker leads with followers
    /// and has not replicated all that it had at the start of its epoch (`Leader::has_caught_up`).
    pub fn may_tell_high_watermark(&self) -> bool {
        self.replica.read().leader().is_none_or(|leader| !leader.has_followers() || leader.has_caught_up())
    }

    /// Wakes `wake` whenever the high watermark or the role changes, until the watch is dropped.
    pub fn watch(&self, wake: &Wake) -> Watch {
        self.watchers.watch(wake)
    }

    /// Does the same, and notes `key` in `wake` each time.
    pub fn watch_as(&self, wake: &Wake, key: usize) -> Watch {
        self.watchers.watch_as(wake, key)
    }

    /// Does the same whenever the log end of a leader or the role changes, for a follower's fetch.
    pub fn watch_end_as(&self, wake: &Wake, key: usize) -> Watch {
        self.end_watchers.watch_as(wake, key)
    }

    /// Wakes all who wait for this partition, except for a flush.
    fn wake_all(&self) {
        self.watchers.wake();
        self.end_watchers.wake();
    }

    /// Changes the settings, from the next append on.
    pub fn set_config(self: &Arc<Self>, config: LogConfig, rules: WriteRules) {
        self.flush_state.set_config(&config);
        self.log.load().set_config(config);
        self.note_unflushed();
        if let Some(leader) = self.replica.write().leader_mut() {
            leader.set_min_insync_replicas(rules.min_insync_replicas);
        }
        self.rules.store(Arc::new(rules));
    }

    /// Leads the partition with this state from the controller. Errors: the log is offline.
    pub fn lead(self: &Arc<Self>, state: &image::Partition, now: Monotonic) -> Result<(), Error> {
        let is_new = self.leader_epoch().is_none_or(|old| old < state.leader_epoch);
        if is_new {
            self.on_log(|log| log.assign_epoch(state.leader_epoch))?;
            let rules = self.rules.load();
            let ends = LogEnds::of(&self.log.load());
            let (log_end_offset, own_end_offset) = (ends.log_end, self.flush_state.counting_end(ends));
            let start = LeaderStart {
                broker_id: self.node_id,
                leader_epoch: state.leader_epoch,
                partition_epoch: state.partition_epoch,
                replicas: state.replicas.clone(),
                isr: state.isr.clone(),
                min_insync_replicas: rules.min_insync_replicas,
                lag_max_ms: rules.replica_lag_max_ms,
                log_end_offset,
                own_end_offset,
                high_watermark: self.log.load().high_watermark(),
                now,
            };
            self.flush_state.begin_epoch();
            {
                let mut replica = self.replica.write();
                if self.offline.covers(state.leader_epoch) {
                    return Ok(());
                }
                let high_watermark = replica.lead(start).high_watermark();
                self.log.load().advance_high_watermark(high_watermark);
                self.offline.clear();
            }
            if own_end_offset < log_end_offset {
                // Unflushed records that a killed process left in the page cache.
                self.committer.load().add(self);
            }
        } else {
            let isr = state.isr.clone();
            self.advance(|leader| {
                leader.committed(state.partition_epoch, &state.replicas, isr, now, &|id| self.standing(id))
            });
        }
        self.wake_all();
        Ok(())
    }

    /// Stops leading, and wakes the waiters.
    pub fn resign(&self) {
        let ended = self.leave_role();
        if let Some(epoch) = ended {
            // The log refuses an append that read the epoch before it ended. An offline log refuses
            // all appends.
            let _ = self.on_log(|log| log.end_epoch(epoch));
        }
        self.wake_all();
        self.flush_watchers.wake();
    }

    /// Neither leads nor follows any more. Returns the epoch in which it did.
    fn leave_role(&self) -> Option<LeaderEpoch> {
        let mut replica = self.replica.write();
        let has_role = replica.leader().is_some() || replica.follower().is_some();
        let epoch = replica.leader_epoch().filter(|_| has_role)?;
        replica.resign(epoch);
        Some(epoch)
    }

    /// Returns the error for a request that needs a leader, if this broker does not lead.
    fn not_leading(&self) -> ErrorCode {
        if self.has_failed() { ErrorCode::KafkaStorageError } else { ErrorCode::NotLeaderOrFollower }
    }

    /// Gives the leader's machine an event that may move the high watermark. Returns whether it
    /// moved.
    fn advance(&self, event: impl FnOnce(&mut Leader) -> Option<Offset>) -> bool {
        let mut replica = self.replica.write();
        replica
            .leader_mut()
            .and_then(event)
            .is_some_and(|high_watermark| self.log.load().advance_high_watermark(high_watermark))
    }

    /// Returns the result of an append that waits for all replicas in sync, or `None` if it is not
    /// known yet. Errors: NOT_LEADER_OR_FOLLOWER if its epoch ended,
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND if too few replicas are in sync.
    pub(in crate::replica) fn acknowledged(&self, appended: &AppendInfo) -> Option<Result<(), ErrorCode>> {
        let replica = self.replica.read();
        match replica.leader().filter(|leader| leader.leader_epoch() == appended.epoch) {
            Some(leader) => leader.acknowledged(Offset(appended.last_offset.0.saturating_add(1))),
            None => Some(Err(ErrorCode::NotLeaderOrFollower)),
        }
    }

    /// Whether all replicas in sync have an append.
    pub fn is_replicated(&self, appended: &AppendInfo) -> bool {
        self.acknowledged(appended) == Some(Ok(()))
    }

    /// Whether an append is flushed, or needs no flush.
    pub fn is_flushed(&self, appended: &AppendInfo) -> bool {
        self.flush_result(appended) == Some(Ok(()))
    }

    /// Waits until all replicas in sync have an append. Errors: NOT_LEADER_OR_FOLLOWER if the epoch
    /// ends first, NOT_ENOUGH_REPLICAS_AFTER_APPEND if too few replicas are in sync.
    pub async fn until_replicated(&self, appended: &AppendInfo) -> Result<(), ErrorCode> {
        until_known(&self.watchers, || self.acknowledged(appended)).await
    }

    /// Waits until an append is flushed, if it needs a flush. Errors: KAFKA_STORAGE_ERROR if the
    /// flush failed, NOT_LEADER_OR_FOLLOWER if the epoch ends first.
    pub async fn until_flushed(&self, appended: &AppendInfo) -> Result<(), ErrorCode> {
        until_known(&self.flush_watchers, || self.flush_result(appended)).await
    }

    /// Waits until an append is flushed, if it must be, and replicated. Errors: those of both.
    pub async fn until_committed(&self, appended: &AppendInfo) -> Result<(), ErrorCode> {
        self.until_flushed(appended).await?;
        self.until_replicated(appended).await
    }

    /// Returns the leader epoch if this broker leads in the epoch that the client knows. Errors:
    /// NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR if the log is offline, FENCED_LEADER_EPOCH,
    /// UNKNOWN_LEADER_EPOCH (KIP-320).
    pub fn check_leader(&self, believed: Option<LeaderEpoch>) -> Result<LeaderEpoch, ErrorCode> {
        let epoch = self.leader_epoch().ok_or_else(|| self.not_leading())?;
        check_epoch(epoch, believed)?;
        Ok(epoch)
    }

    /// Checks that this broker has a replica, as leader or not, in the epoch that the client knows.
    /// Errors: as `check_leader`.
    fn check_replica(&self, believed: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        if self.has_failed() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let epoch = self.replica.read().leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
        check_epoch(epoch, believed)
    }

    /// Returns the follower that a consumer in a rack reads the record at an offset from, if this
    /// broker leads and another one is nearer (`Leader::preferred_read_replica`).
    pub fn preferred_read_replica(&self, offset: Offset, is_in_rack: &dyn Fn(BrokerId) -> bool) -> Option<BrokerId> {
        self.replica.read().leader()?.preferred_read_replica(offset, is_in_rack)
    }

    /// Returns the offsets for a consumer that is sent to another replica. Errors: as `read`.
    pub fn offsets_for(&self, believed: Option<LeaderEpoch>) -> Result<storage::LogOffsets, ErrorCode> {
        self.check_replica(believed)?;
        Ok(self.log.load().offsets())
    }

    /// Returns the leader epoch in which the record at an offset was appended.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.log.load().leader_epochs().epoch_of(offset)
    }

    /// Returns the state of all producers, by producer id. As in Kafka, a broker that does not lead
    /// answers too. Errors: KAFKA_STORAGE_ERROR if the partition is offline.
    pub fn producers(&self) -> Result<Vec<(ProducerId, ProducerEntry)>, ErrorCode> {
        if self.has_failed() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let mut producers = self.log.load().producers();
        producers.sort_unstable_by_key(|(id, _)| *id);
        Ok(producers)
    }

    /// Finds the position of the records from an offset on.
    pub fn read(self: &Arc<Self>, request: &ReadRequest) -> Result<ReadInfo, ReadError> {
        match request.leader_only || request.follower.is_some() {
            true => drop(self.check_leader(request.current_leader_epoch)?),
            false => self.check_replica(request.current_leader_epoch)?,
        }
        self.check_follower(request)?;
        if let Some(diverging) = self.diverging(request)? {
            let offsets = self.log.load().offsets();
            return Ok(ReadInfo { region: None, offsets, aborted: None, diverging: Some(diverging) });
        }
        let mut plan = self.log.load().read(storage::LogRead {
            offset: request.offset,
            max_bytes: request.max_bytes,
            at_least_one_batch: request.at_least_one_batch,
            isolation: if request.follower.is_some() { Isolation::LogEnd } else { request.isolation },
            wait: request.wait,
        })?;
        self.read_by_follower(request, &mut plan.offsets)?;
        // A batch that does not fit is read by the next fetch, unless one batch is required.
        let region = plan.region.filter(|_| !plan.is_first_batch_cut);
        Ok(ReadInfo { region, offsets: plan.offsets, aborted: plan.aborted, diverging: None })
    }

    /// Returns where the reader's log diverges from this one, if it does (KIP-595).
    fn diverging(&self, request: &ReadRequest) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let Some(last_fetched) = request.last_fetched_epoch else { return Ok(None) };
        // Below its start, this log has forgotten the epochs.
        if request.offset < self.log_start_offset() {
            return Ok(None);
        }
        let Some((epoch, end)) = self.log.load().end_of_epoch(last_fetched) else {
            return Err(ErrorCode::OffsetOutOfRange);
        };
        Ok((epoch < last_fetched || end < request.offset).then_some((epoch, end)))
    }
}

fn check_epoch(epoch: LeaderEpoch, believed: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
    match believed {
        Some(believed) if believed < epoch => Err(ErrorCode::FencedLeaderEpoch),
        Some(believed) if believed > epoch => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// Waits until `known` returns something. It is called again whenever the partition changes.
async fn until_known<T>(watchers: &Arc<Watchers>, known: impl Fn() -> Option<T>) -> T {
    let wake = Wake::new();
    let _watch = watchers.watch(&wake);
    loop {
        if let Some(known) = known() {
            return known;
        }
        wake.woken().await;
    }
}

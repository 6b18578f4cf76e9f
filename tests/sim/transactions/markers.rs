//! Carries out what the transaction coordinators want done: the markers travel to the leaders of
//! the partitions, which write them as `runtime::transaction::MarkerWriter` does.
//!
//! A marker of version 2 may be written twice, the second time in the middle of the producer's next
//! transaction. Below version 2 that would end the next transaction, in Kafka too, so no copy is
//! left behind there.

use super::Check;
use super::cluster::Cluster;
use crate::replica::MarkerAppend;
use crate::runtime::coordinator::{EffectFuture, EffectHandler};
use crate::runtime::transaction::outcome;
use bytes::Bytes;
use coordinator::transaction::{MarkerOutcome, TransactionMarkers, TransactionPartition, TransactionState};
use coordinator::{GroupReply, GroupRequest, TransactionEffect, TransactionEvent, TransactionTypes};
use futures_util::FutureExt;
use futures_util::future::join_all;
use model::ErrorCode;
use protocol::TransactionRecord;
use records::EndTransactionMarker;
use std::sync::{Arc, Weak};

/// How long a leader waits until a marker is replicated.
const REPLICATED_MS: i64 = 1_000;

/// Carries out the effects of one coordinator.
#[derive(Debug)]
pub(super) struct Effects {
    cluster: Weak<Cluster>,
    index: usize,
}

impl Effects {
    pub(super) fn new(cluster: Weak<Cluster>, index: usize) -> Self {
        Self { cluster, index }
    }
}

impl EffectHandler<TransactionTypes> for Effects {
    fn carry_out(&self, effect: TransactionEffect) -> EffectFuture<TransactionTypes> {
        let event = self.cluster.upgrade().and_then(|cluster| match effect {
            TransactionEffect::AllocateProducerId { token } => {
                let result = match !cluster.is_calm() && cluster.chance(10) {
                    true => Err(ErrorCode::CoordinatorLoadInProgress),
                    false => Ok(cluster.new_producer_id()),
                };
                let event = TransactionEvent::ProducerIdAllocated { token, result };
                if cluster.chance(60) {
                    return Some(event);
                }
                let (index, later) = (self.index, cluster.clone());
                cluster.spawn(async move {
                    later.travel().await;
                    later.transactions[index].tell(event);
                });
                None
            }
            TransactionEffect::WriteMarkers(markers) => write(&cluster, self.index, markers),
        });
        Box::pin(std::future::ready(event))
    }
}

/// Begins to write markers. If nothing has to wait, they are written at once, as on a broker that
/// leads all partitions.
fn write(cluster: &Arc<Cluster>, index: usize, markers: TransactionMarkers) -> Option<TransactionEvent> {
    let is_data = markers.partitions.iter().all(|it| !it.topic.starts_with("__"));
    let travels = !is_data || cluster.chance(60);
    cluster.note(|| format!("markers {markers:?} {travels}"));
    cluster.expect(check_decided(cluster, index, &markers));
    let job = written(cluster.clone(), markers, travels);
    if !travels {
        let mut job = Box::pin(job);
        if let Some(event) = job.as_mut().now_or_never() {
            return Some(event);
        }
        tell_later(cluster, index, job);
        return None;
    }
    tell_later(cluster, index, job);
    None
}

/// Checks that the decision that the markers carry out is committed.
fn check_decided(cluster: &Cluster, index: usize, markers: &TransactionMarkers) -> Check {
    let partition = cluster.led(Cluster::state_slot(index)).ok_or("markers of a coordinator that does not lead")?;
    let high_watermark = partition.high_watermark();
    let status = if markers.committed { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
    let mut is_decided = false;
    partition.replay(|_, record| {
        let (Some(key), Some(value)) = (record.key, record.value) else { return Ok(()) };
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        let decoded = TransactionRecord::decode(key, Some(value)).map_err(|error| error.to_string())?;
        if let TransactionRecord::TransactionLog(key, Some(value)) = decoded {
            is_decided |= record.offset < high_watermark
                && key.transactional_id == markers.transactional_id
                && value.transaction_status == status as i8
                && (value.producer_id, value.producer_epoch) == (markers.producer.id.0, markers.producer.epoch.0);
        }
        Ok(())
    })?;
    match is_decided {
        true => Ok(()),
        false => Err(format!("markers of a decision that is not committed: {markers:?}")),
    }
}

fn tell_later(cluster: &Arc<Cluster>, index: usize, job: impl Future<Output = TransactionEvent> + Send + 'static) {
    let later = cluster.clone();
    cluster.spawn(async move {
        let event = job.await;
        later.transactions[index].tell(event);
    });
}

async fn written(cluster: Arc<Cluster>, markers: TransactionMarkers, travels: bool) -> TransactionEvent {
    let one = |partition: TransactionPartition| {
        let (cluster, markers) = (&cluster, &markers);
        async move {
            let outcome = send(cluster, markers, &partition, travels).await;
            (partition, outcome)
        }
    };
    let outcomes = join_all(markers.partitions.iter().cloned().map(one)).await;
    TransactionEvent::MarkersWritten {
        transactional_id: markers.transactional_id,
        producer: markers.producer,
        coordinator_epoch: markers.coordinator_epoch,
        outcomes,
    }
}

async fn send(
    cluster: &Arc<Cluster>,
    markers: &TransactionMarkers,
    partition: &TransactionPartition,
    travels: bool,
) -> MarkerOutcome {
    if travels {
        cluster.travel().await;
        if cluster.is_lost() {
            return MarkerOutcome::Retry;
        }
    }
    if markers.transaction_version >= 2 && !cluster.is_calm() && cluster.chance(10) {
        let (copy, markers, partition) = (cluster.clone(), markers.clone(), partition.clone());
        cluster.spawn(async move {
            let ms = copy.random(|random| random.within(10, 3_000));
            copy.sleep(ms).await;
            let written = write_one(&copy, &markers, &partition).await;
            copy.note(|| format!("a copy of the marker of {:?} for {partition:?}: {written:?}", markers.producer));
        });
    }
    let written = write_one(cluster, markers, partition).await;
    cluster.note(|| format!("marker of {:?} for {partition:?}: {written:?}", markers.producer));
    if travels && cluster.is_lost() {
        return MarkerOutcome::Retry;
    }
    outcome(partition, written)
}

async fn write_one(
    cluster: &Arc<Cluster>,
    markers: &TransactionMarkers,
    partition: &TransactionPartition,
) -> Result<(), ErrorCode> {
    let slot = cluster.slot_of(&partition.topic, partition.partition.0);
    match partition.topic.starts_with("__") {
        true => write_to_group(cluster, markers, partition.partition.0).await,
        false => write_to_log(cluster, slot, markers).await,
    }
}

fn marker(markers: &TransactionMarkers) -> EndTransactionMarker {
    EndTransactionMarker { committed: markers.committed, coordinator_epoch: markers.coordinator_epoch.0 }
}

async fn write_to_group(cluster: &Arc<Cluster>, markers: &TransactionMarkers, index: i32) -> Result<(), ErrorCode> {
    let request = GroupRequest::EndTransaction {
        producer_id: markers.producer.id,
        producer_epoch: markers.producer.epoch,
        marker: marker(markers),
        transaction_version: markers.transaction_version,
    };
    let station = &cluster.groups[usize::try_from(index).unwrap_or_default()];
    match station.ask_now(cluster, request) {
        Err(GroupReply::EndTransaction(code)) => Err(code),
        Err(other) => panic!("{other:?}"),
        Ok(answered) => match answered.await {
            Ok(GroupReply::EndTransaction(ErrorCode::None)) => Ok(()),
            Ok(GroupReply::EndTransaction(
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable,
            ))
            | Err(_) => Err(ErrorCode::NotLeaderOrFollower),
            Ok(GroupReply::EndTransaction(code)) => Err(code),
            Ok(other) => panic!("{other:?}"),
        },
    }
}

async fn write_to_log(cluster: &Arc<Cluster>, slot: usize, markers: &TransactionMarkers) -> Result<(), ErrorCode> {
    let partition = cluster.led(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let append = MarkerAppend {
        producer_id: markers.producer.id,
        epoch: markers.producer.epoch,
        end: marker(markers),
        transaction_version: markers.transaction_version,
        leader_epoch: None,
        now: cluster.wall(),
    };
    let appended = partition.append_marker(append).await?;
    let replicated = cluster.within(REPLICATED_MS, partition.until_replicated(&appended)).await;
    replicated.unwrap_or(Err(ErrorCode::RequestTimedOut))
}

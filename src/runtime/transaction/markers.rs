//! Writes the markers that end transactions into the partitions that this broker leads.
//!
//! A marker of a partition of `__consumer_offsets` goes through the partition's group coordinator,
//! because it decides the pending offsets. Every other marker goes to the partition's log.

use crate::env::clock::Clock;
use crate::replica::{MarkerAppend, Partition, Replicas};
use crate::runtime::group::GroupCoordinators;
use arc_swap::ArcSwap;
use coordinator::{GroupReply, GroupRequest, StateTopic};
use metadata::image::Image;
use model::{ErrorCode, PartitionIndex, ProducerEpoch, ProducerId};
use records::EndTransactionMarker;
use std::sync::Arc;
use std::time::Duration;

/// A marker to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// How the transaction ends, and which coordinator decided that.
    pub end: EndTransactionMarker,
    /// The transaction version of the client that ends the transaction (KIP-1228).
    pub transaction_version: i16,
}

/// Writes markers on this broker.
#[derive(Debug)]
pub struct MarkerWriter {
    replicas: Arc<Replicas>,
    groups: Arc<GroupCoordinators>,
    image: Arc<ArcSwap<Image>>,
    /// `request.timeout.ms`: how long a marker may wait until it is replicated.
    timeout: Duration,
    clock: Clock,
}

impl MarkerWriter {
    /// Creates a writer.
    pub fn new(
        replicas: Arc<Replicas>,
        groups: Arc<GroupCoordinators>,
        image: Arc<ArcSwap<Image>>,
        timeout: Duration,
        clock: Clock,
    ) -> Self {
        Self { replicas, groups, image, timeout, clock }
    }

    /// Returns how long a marker may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Writes a marker into a partition, and waits until all replicas in sync have it. Errors:
    /// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, the errors of the
    /// producer's state (INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED), and those of the
    /// log.
    pub async fn write(&self, topic: &str, index: i32, marker: Marker) -> Result<(), ErrorCode> {
        let partition = {
            let image = self.image.load();
            let topic = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
            self.replicas.of(topic, index)?
        };
        match StateTopic::from_name(topic) {
            Some(StateTopic::ConsumerOffsets) => self.write_to_group(index, marker).await,
            Some(StateTopic::TransactionState | StateTopic::ShareGroupState) | None => {
                self.write_to_log(&partition, marker).await
            }
        }
    }

    async fn write_to_group(&self, index: i32, marker: Marker) -> Result<(), ErrorCode> {
        let request = GroupRequest::EndTransaction {
            producer_id: marker.producer_id,
            producer_epoch: marker.producer_epoch,
            marker: marker.end,
            transaction_version: marker.transaction_version,
        };
        match self.groups.ask_at(PartitionIndex(index), request).await {
            GroupReply::EndTransaction(ErrorCode::None) => Ok(()),
            // The coordinator's errors are the leader's for the one who sent the marker.
            GroupReply::EndTransaction(
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable,
            ) => Err(ErrorCode::NotLeaderOrFollower),
            GroupReply::EndTransaction(code) => Err(code),
            other => {
                tracing::error!(?other, "a group coordinator answered a marker with the reply of another request");
                Err(ErrorCode::UnknownServerError)
            }
        }
    }

    async fn write_to_log(&self, partition: &Arc<Partition>, marker: Marker) -> Result<(), ErrorCode> {
        let append = MarkerAppend {
            producer_id: marker.producer_id,
            epoch: marker.producer_epoch,
            end: marker.end,
            transaction_version: marker.transaction_version,
            leader_epoch: None,
            now: self.clock.now(),
        };
        let appended = partition.append_marker(append).await?;
        if partition.is_flushed(&appended) && partition.is_replicated(&appended) {
            return Ok(());
        }
        tokio::time::timeout(self.timeout, partition.until_committed(&appended))
            .await
            .unwrap_or(Err(ErrorCode::RequestTimedOut))
    }
}

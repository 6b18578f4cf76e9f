//! Asks the controller for changes of ISRs (AlterPartition, KIP-497 and KIP-903). One request
//! carries the proposals of many partitions.
//!
//! Invariant: only one request is in flight at a time, as in Kafka, so that the controller gets the
//! proposals of a partition in their order.

use super::controller::ActiveController;
use crate::replica::{IsrChange, Partition, PartitionPeers};
use crate::telemetry::ReplicationMetrics;
use ::replica::{BrokerStanding, CommittedIsr, IsrProposal};
use arc_swap::ArcSwap;
use indexmap::IndexMap;
use metadata::image::Image;
use model::{
    ApiError, BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicIdPartition,
};
use parking_lot::Mutex;
use protocol::messages::alter_partition_request::{AlterPartitionRequest, BrokerState, PartitionData, TopicData};
use protocol::messages::alter_partition_response::{AlterPartitionResponse, PartitionData as Answer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The largest number of partitions in one request.
const PROPOSALS_MAX: usize = 2250;
/// The wait before proposals are sent again, as in Kafka.
const RETRY: Duration = Duration::from_millis(50);

/// What the partitions of this broker ask of the cluster.
pub struct ClusterPeers {
    node_id: BrokerId,
    image: Arc<ArcSwap<Image>>,
    waiting: Mutex<IndexMap<TopicIdPartition, (Arc<Partition>, IsrProposal)>>,
    added: Notify,
}

impl std::fmt::Debug for ClusterPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterPeers").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

impl ClusterPeers {
    /// Creates it, without proposals.
    pub fn new(node_id: BrokerId, image: Arc<ArcSwap<Image>>) -> Self {
        Self { node_id, image, waiting: Mutex::default(), added: Notify::new() }
    }

    /// Takes the proposals for one request, the oldest first.
    fn take(&self) -> IndexMap<TopicIdPartition, (Arc<Partition>, IsrProposal)> {
        let waiting = &mut *self.waiting.lock();
        let rest = waiting.split_off(waiting.len().min(PROPOSALS_MAX));
        std::mem::replace(waiting, rest)
    }

    /// Returns the epoch of this broker's registration.
    fn own_epoch(&self) -> Option<BrokerEpoch> {
        self.image.load().cluster.brokers.get(&self.node_id).map(|broker| broker.epoch)
    }
}

impl PartitionPeers for ClusterPeers {
    fn standing(&self, id: BrokerId) -> Option<BrokerStanding> {
        let image = self.image.load();
        let broker = image.cluster.brokers.get(&id)?;
        Some(BrokerStanding {
            epoch: broker.epoch,
            is_fenced: broker.fenced,
            is_shutting_down: broker.in_controlled_shutdown,
        })
    }

    fn propose(&self, partition: &Arc<Partition>, proposal: IsrProposal) {
        // A partition has one proposal at a time. An older one is of an epoch that has ended.
        self.waiting.lock().insert(partition.id(), (partition.clone(), proposal));
        self.added.notify_one();
    }
}

/// Sends the proposals to the controller.
#[derive(Debug)]
pub struct IsrSender {
    /// The proposals.
    pub peers: Arc<ClusterPeers>,
    /// The controller.
    pub controller: ActiveController,
    /// Counts the changes.
    pub metrics: ReplicationMetrics,
    /// Ends the task.
    pub stopping: CancellationToken,
}

impl IsrSender {
    /// Sends proposals until the broker stops.
    pub async fn run(self) {
        let stopping = self.stopping.clone();
        let sent = async {
            loop {
                self.peers.added.notified().await;
                self.send_all().await;
            }
        };
        tokio::select! {
            biased;
            () = sent => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn send_all(&self) {
        loop {
            let proposals = self.peers.take();
            if proposals.is_empty() {
                return;
            }
            let answer = self.send(&proposals).await;
            // A proposal whose result is not known is sent again, but not at once.
            let mut has_failed = false;
            let answers = match &answer {
                Ok(response) => answers(response),
                Err(error) => {
                    debug!(%error, count = proposals.len(), "changes of ISRs could not be sent to the controller; they are sent again");
                    BTreeMap::new()
                }
            };
            for (id, (partition, proposal)) in proposals {
                // A partition that the answer lacks is one whose result is not known.
                let lacking = match &answer {
                    Ok(_) => ErrorCode::UnknownServerError,
                    Err(error) => error.code,
                };
                let answer = answers.get(&id).cloned().unwrap_or(Err(lacking));
                has_failed |= answer.is_err();
                match partition.proposal_answered(&proposal, answer) {
                    IsrChange::None => {}
                    IsrChange::Shrunk => {
                        self.metrics.isr_shrinks.inc();
                    }
                    IsrChange::Expanded => {
                        self.metrics.isr_expands.inc();
                    }
                    IsrChange::Failed => {
                        self.metrics.failed_isr_updates.inc();
                    }
                }
            }
            if has_failed {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn send(
        &self,
        proposals: &IndexMap<TopicIdPartition, (Arc<Partition>, IsrProposal)>,
    ) -> Result<AlterPartitionResponse, ApiError> {
        let epoch = self.peers.own_epoch().ok_or(ErrorCode::StaleBrokerEpoch)?;
        let proposals = proposals.iter().map(|(id, (_, proposal))| (*id, proposal));
        self.controller.request(request(self.peers.node_id, epoch, proposals)).await
    }
}

fn request<'a>(
    node_id: BrokerId,
    epoch: BrokerEpoch,
    proposals: impl Iterator<Item = (TopicIdPartition, &'a IsrProposal)>,
) -> AlterPartitionRequest {
    let mut topics: IndexMap<_, Vec<PartitionData>> = IndexMap::new();
    for (id, proposal) in proposals {
        let member = |(broker, known): &(BrokerId, Option<BrokerEpoch>)| BrokerState {
            broker_id: broker.0,
            broker_epoch: if *broker == node_id { epoch.0 } else { BrokerEpoch::to_wire(*known) },
            ..Default::default()
        };
        topics.entry(id.topic_id).or_default().push(PartitionData {
            partition_index: id.partition.0,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: proposal.isr.iter().map(member).collect(),
            partition_epoch: proposal.partition_epoch.0,
            ..Default::default()
        });
    }
    let topic = |(topic_id, partitions)| TopicData { topic_id, partitions, ..Default::default() };
    AlterPartitionRequest {
        broker_id: node_id.0,
        broker_epoch: epoch.0,
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn answers(response: &AlterPartitionResponse) -> BTreeMap<TopicIdPartition, Result<CommittedIsr, ErrorCode>> {
    let answer = |it: &Answer| match ErrorCode::from_code(it.error_code).unwrap_or(ErrorCode::UnknownServerError) {
        ErrorCode::None => Ok(CommittedIsr {
            isr: it.isr.iter().map(|id| BrokerId(*id)).collect(),
            leader_epoch: LeaderEpoch(it.leader_epoch),
            partition_epoch: PartitionEpoch(it.partition_epoch),
        }),
        code => Err(code),
    };
    let of_topic = response.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |it| {
            let partition = PartitionIndex(it.partition_index);
            (TopicIdPartition { topic_id: topic.topic_id, partition }, it)
        })
    });
    of_topic.map(|(id, it)| (id, answer(it))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uuid;

    fn id(topic: u8, partition: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: Uuid::from_random([topic; 16]), partition: PartitionIndex(partition) }
    }

    fn proposal(isr: &[(i32, Option<i64>)], partition_epoch: i32) -> IsrProposal {
        IsrProposal {
            isr: isr.iter().map(|(id, epoch)| (BrokerId(*id), epoch.map(BrokerEpoch))).collect(),
            leader_epoch: LeaderEpoch(4),
            partition_epoch: PartitionEpoch(partition_epoch),
        }
    }

    #[test]
    fn a_request_has_the_epoch_of_each_broker() {
        let proposals = [(id(1, 0), proposal(&[(1, None), (2, Some(7)), (3, None)], 8)), (id(1, 2), proposal(&[], 9))];
        let request = request(BrokerId(1), BrokerEpoch(5), proposals.iter().map(|(id, it)| (*id, it)));
        assert_eq!((request.broker_id, request.broker_epoch, request.topics.len()), (1, 5, 1));
        let partitions = &request.topics[0].partitions;
        let epochs: Vec<_> =
            partitions[0].new_isr_with_epochs.iter().map(|it| (it.broker_id, it.broker_epoch)).collect();
        assert_eq!(epochs, [(1, 5), (2, 7), (3, -1)]);
        assert_eq!((partitions[0].leader_epoch, partitions[0].partition_epoch), (4, 8));
        assert_eq!((partitions[1].partition_index, partitions[1].partition_epoch), (2, 9));
    }

    #[test]
    fn each_partition_gets_its_own_answer() {
        use protocol::messages::alter_partition_response::TopicData;
        let fenced =
            Answer { partition_index: 1, error_code: ErrorCode::FencedLeaderEpoch.code(), ..Default::default() };
        let changed = Answer { isr: vec![1, 2], leader_epoch: 4, partition_epoch: 9, ..Default::default() };
        let topic = TopicData { topic_id: id(1, 0).topic_id, partitions: vec![changed, fenced], ..Default::default() };
        let answers = answers(&AlterPartitionResponse { topics: vec![topic], ..Default::default() });
        let isr = CommittedIsr {
            isr: vec![BrokerId(1), BrokerId(2)],
            leader_epoch: LeaderEpoch(4),
            partition_epoch: PartitionEpoch(9),
        };
        assert_eq!(answers[&id(1, 0)], Ok(isr));
        assert_eq!(answers[&id(1, 1)], Err(ErrorCode::FencedLeaderEpoch));
        assert_eq!(answers.get(&id(2, 0)), None);
    }
}

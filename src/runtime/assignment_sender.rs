//! Tells the controller in which log dir each replica of this broker is (KIP-858). One request
//! carries many replicas and is retried until the controller accepts it.
//!
//! Invariant: only one request is in flight at a time, so that the controller receives the newest
//! dir of a replica last.

use super::controller::ActiveController;
use crate::env::watch;
use crate::replica::{Assignment, Assignments};
use arc_swap::ArcSwap;
use metadata::image::Image;
use model::{ApiError, BrokerId, DirectoryId, ErrorCode, PartitionIndex, TopicIdPartition};
use protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The first and the longest wait before a rejected request is sent again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Sends the assignments to log dirs that the controller does not have yet.
pub struct AssignmentSender {
    /// `node.id`.
    pub node_id: BrokerId,
    /// The assignments to send.
    pub assignments: Arc<Assignments>,
    /// The controller.
    pub controller: ActiveController,
    /// The newest published image.
    pub image: Arc<ArcSwap<Image>>,
    /// Whether the controller has unfenced this broker. Before that, it would reject the request.
    pub unfenced: watch::Receiver<bool>,
    /// Ends the task.
    pub stopping: CancellationToken,
}

impl AssignmentSender {
    /// Sends assignments until the broker stops.
    pub async fn run(mut self) {
        let stopping = self.stopping.clone();
        let told = async {
            if self.unfenced.wait_for(|unfenced| *unfenced).await.is_err() {
                return;
            }
            loop {
                self.assignments.added().await;
                self.tell_all().await;
            }
        };
        tokio::select! {
            biased;
            () = told => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn tell_all(&self) {
        let mut pause = RETRY_MIN;
        loop {
            let image = self.image.load_full();
            let batch = self.relevant(&image, self.assignments.take());
            if batch.is_empty() {
                return;
            }
            match self.tell(&image, directories(&batch)).await {
                Ok(refused) => {
                    pause = RETRY_MIN;
                    let (refused, told): (BTreeMap<_, _>, BTreeMap<_, _>) =
                        batch.into_iter().partition(|(id, _)| refused.contains(id));
                    told.into_values().filter_map(|assignment| assignment.on_known).for_each(|told| told());
                    if refused.is_empty() {
                        continue;
                    }
                    self.assignments.put_back(refused);
                }
                Err(error) => {
                    let count = batch.len();
                    warn!(%error, count, "the log dirs of replicas could not be sent to the controller; this is retried");
                    self.assignments.put_back(batch);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Removes replicas that this broker no longer has, and those whose log dirs the controller
    /// cannot know yet. The waiters of the latter are woken at once. An assignment that the image
    /// already has is sent nevertheless: the image may be older than the last request, and then the
    /// controller has another dir.
    fn relevant(
        &self,
        image: &Image,
        assignments: BTreeMap<TopicIdPartition, Assignment>,
    ) -> BTreeMap<TopicIdPartition, Assignment> {
        let knows_directories = image.features.version().has_directories();
        let mut relevant = BTreeMap::new();
        for (id, assignment) in assignments {
            let partition = image.topics.by_id(id.topic_id).and_then(|topic| topic.partition(id.partition));
            if !partition.is_some_and(|it| it.replicas.contains(&self.node_id)) {
                continue;
            }
            if knows_directories {
                relevant.insert(id, assignment);
            } else if let Some(told) = assignment.on_known {
                told();
            }
        }
        relevant
    }

    /// Sends one request. Returns the replicas that the controller rejected.
    async fn tell(
        &self,
        image: &Image,
        directories: Vec<DirectoryData>,
    ) -> Result<BTreeSet<TopicIdPartition>, ApiError> {
        let broker = image.cluster.brokers.get(&self.node_id).ok_or(ErrorCode::BrokerIdNotRegistered)?;
        let request = AssignReplicasToDirsRequest {
            broker_id: self.node_id.0,
            broker_epoch: broker.epoch.0,
            directories,
            ..Default::default()
        };
        let response = self.controller.request(request).await?;
        Ok(refused(&response))
    }
}

fn directories(batch: &BTreeMap<TopicIdPartition, Assignment>) -> Vec<DirectoryData> {
    let mut by_dir: BTreeMap<DirectoryId, BTreeMap<_, Vec<PartitionData>>> = BTreeMap::new();
    for (id, assignment) in batch {
        let partition = PartitionData { partition_index: id.partition.0, ..Default::default() };
        by_dir.entry(assignment.dir).or_default().entry(id.topic_id).or_default().push(partition);
    }
    let topics = |topics: BTreeMap<_, Vec<PartitionData>>| {
        let of = |(topic_id, partitions)| TopicData { topic_id, partitions, ..Default::default() };
        topics.into_iter().map(of).collect()
    };
    by_dir.into_iter().map(|(id, of)| DirectoryData { id, topics: topics(of), ..Default::default() }).collect()
}

fn refused(response: &AssignReplicasToDirsResponse) -> BTreeSet<TopicIdPartition> {
    let mut refused = BTreeSet::new();
    for topic in response.directories.iter().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| partition.error_code != 0) {
            let index = PartitionIndex(partition.partition_index);
            debug!(topic_id = %topic.topic_id, partition = %index, error_code = partition.error_code, "the controller rejected the log dir of a replica");
            refused.insert(TopicIdPartition { topic_id: topic.topic_id, partition: index });
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::{ASSIGNMENTS_MAX, numbered_dir, numbered_partition};
    use crate::runtime::controller::ControllerHandle;
    use metadata::{LoadedBatch, Loader};
    use model::{LeaderEpoch, Offset, Timestamp};
    use protocol::messages::feature_level_record::FeatureLevelRecord;
    use protocol::messages::partition_record::PartitionRecord;
    use protocol::messages::topic_record::TopicRecord;

    #[test]
    fn a_request_names_each_dir_and_topic_once_and_is_bounded() {
        let assignments = Assignments::default();
        for number in 0..3000 {
            assignments.add(numbered_partition(number), numbered_dir((number % 2) as u8), None);
        }
        let batch = assignments.take();
        assert_eq!((batch.len(), assignments.len()), (ASSIGNMENTS_MAX, 3000 - ASSIGNMENTS_MAX));
        let directories = directories(&batch);
        assert_eq!(directories.iter().map(|directory| directory.topics.len()).collect::<Vec<_>>(), [1, 1]);
        let count: usize = directories.iter().map(|directory| directory.topics[0].partitions.len()).sum();
        assert_eq!(count, ASSIGNMENTS_MAX);
    }

    /// A replica of this broker in `dir`, as the published image has it.
    fn published_in(dir: DirectoryId) -> Image {
        let version = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30, ..Default::default() };
        let topic = TopicRecord { name: "t".into(), topic_id: numbered_partition(0).topic_id, ..Default::default() };
        let partition = PartitionRecord {
            topic_id: numbered_partition(0).topic_id,
            partition_id: 0,
            replicas: vec![1],
            isr: vec![1],
            directories: vec![dir],
            leader: 1,
            ..Default::default()
        };
        let records = [version.into(), topic.into(), partition.into()];
        let (base_offset, timestamp, epoch) = (Offset(0), Timestamp(0), LeaderEpoch(1));
        let batch = LoadedBatch { base_offset, epoch, timestamp, records: &records, last_offset: Offset(2) };
        let mut loader = Loader::new(&Image::default());
        loader.apply(&batch).unwrap();
        loader.publish().0
    }

    #[tokio::test]
    async fn a_withdrawn_move_is_sent_although_the_image_does_not_have_the_move_yet() {
        // The controller was told dir 2 and answered at its commit. The image is published later.
        let image = published_in(numbered_dir(1));
        let assignments = Arc::new(Assignments::default());
        let sender = AssignmentSender {
            node_id: BrokerId(1),
            assignments: assignments.clone(),
            controller: ActiveController::unknown(ControllerHandle::new(crate::env::clock::Clock::default()).0),
            image: Arc::default(),
            unfenced: watch::channel(true).1,
            stopping: CancellationToken::new(),
        };
        assignments.add(numbered_partition(0), numbered_dir(1), None);
        assignments.add(numbered_partition(1), numbered_dir(1), None);
        let relevant = sender.relevant(&image, assignments.take());
        assert_eq!(relevant.keys().collect::<Vec<_>>(), [&numbered_partition(0)]);
    }
}

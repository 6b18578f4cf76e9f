//! Tells the controller in which log dir each replica of this broker is (KIP-858).
//!
//! The controller leaves the choice to a broker with several log dirs, and must know what was chosen: when a log dir fails, its replicas are those that
//! lose their leaderships. What is to be told waits here; a task sends it, many replicas with one request, and again until the controller has it.
//!
//! Invariant: one request is under way at a time, so that the newest word on a replica is the last that the controller hears.

use crate::runtime::controller::ControllerHandle;
use arc_swap::ArcSwap;
use metadata::decide;
use metadata::image::Image;
use model::{ApiError, BrokerId, DirectoryId, ErrorCode, PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;
use protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How many replicas one request names at most, as in Kafka.
const ASSIGNMENTS_MAX: usize = 2250;
/// How long a refused request waits before it is sent again: at first, and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Called when the controller knows.
pub(super) type Told = Box<dyn FnOnce() + Send>;

/// Where a replica is, for the controller to know.
struct Assignment {
    dir: DirectoryId,
    told: Option<Told>,
}

/// What the controller is yet to be told.
#[derive(Default)]
pub struct Assignments {
    waiting: Mutex<HashMap<TopicIdPartition, Assignment>>,
    added: Notify,
}

/// Who tells whom.
pub struct Telling {
    /// `node.id`
    pub node_id: BrokerId,
    /// The controller.
    pub controller: ControllerHandle,
    /// The newest published image.
    pub image: Arc<ArcSwap<Image>>,
    /// Whether the controller has let this broker in: before, it would refuse.
    pub unfenced: watch::Receiver<bool>,
    /// Ends the task.
    pub stopping: CancellationToken,
}

impl Assignments {
    /// Has the controller told. What was to be told of that replica before no longer is.
    pub(super) fn add(&self, id: TopicIdPartition, dir: DirectoryId, told: Option<Told>) {
        self.waiting.lock().insert(id, Assignment { dir, told });
        self.added.notify_one();
    }

    /// The replica is no longer on its way to where the controller was to be told it is.
    pub(super) fn forget(&self, id: TopicIdPartition) {
        self.waiting.lock().remove(&id);
    }

    /// How many the controller is yet to be told of.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self) -> HashMap<TopicIdPartition, Assignment> {
        let waiting = &mut *self.waiting.lock();
        if waiting.len() <= ASSIGNMENTS_MAX {
            return std::mem::take(waiting);
        }
        let some: Vec<TopicIdPartition> = waiting.keys().take(ASSIGNMENTS_MAX).copied().collect();
        some.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
    }

    /// What was refused waits again, unless there is a newer word on it.
    fn put_back(&self, refused: HashMap<TopicIdPartition, Assignment>) {
        let waiting = &mut *self.waiting.lock();
        for (id, assignment) in refused {
            waiting.entry(id).or_insert(assignment);
        }
    }

    /// Tells the controller whatever comes, until the broker stops.
    pub async fn run(self: Arc<Self>, mut this: Telling) {
        let stopping = this.stopping.clone();
        let told = async {
            if this.unfenced.wait_for(|unfenced| *unfenced).await.is_err() {
                return;
            }
            loop {
                self.added.notified().await;
                self.tell_all(&this).await;
            }
        };
        tokio::select! {
            () = told => {}
            () = stopping.cancelled() => {}
        }
    }

    async fn tell_all(&self, this: &Telling) {
        let mut pause = RETRY_MIN;
        loop {
            let image = this.image.load_full();
            let batch = this.relevant(&image, self.take());
            if batch.is_empty() {
                return;
            }
            match this.tell(&image, directories(&batch)).await {
                Ok(refused) => {
                    pause = RETRY_MIN;
                    let (refused, told): (HashMap<_, _>, HashMap<_, _>) =
                        batch.into_iter().partition(|(id, _)| refused.contains(id));
                    told.into_values().filter_map(|assignment| assignment.told).for_each(|told| told());
                    if refused.is_empty() {
                        continue;
                    }
                    self.put_back(refused);
                }
                Err(error) => {
                    let count = batch.len();
                    warn!(%error, count, "the controller could not be told in which log dirs replicas are; it is tried again");
                    self.put_back(batch);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

impl Telling {
    /// Leaves out what is no replica of this broker any more, and what the controller knows, or cannot know yet: whoever waits for that is told at once.
    fn relevant(
        &self,
        image: &Image,
        assignments: HashMap<TopicIdPartition, Assignment>,
    ) -> HashMap<TopicIdPartition, Assignment> {
        let knows_directories = image.features.version().has_directories();
        let mut relevant = HashMap::new();
        for (id, assignment) in assignments {
            let partition = image.topics.by_id(id.topic_id).and_then(|topic| topic.partition(id.partition));
            let Some(partition) = partition.filter(|it| it.replicas.contains(&self.node_id)) else { continue };
            if knows_directories && partition.directory(self.node_id) != Some(assignment.dir) {
                relevant.insert(id, assignment);
            } else if let Some(told) = assignment.told {
                told();
            }
        }
        relevant
    }

    /// Sends one request. Gives the replicas that the controller refused to note.
    async fn tell(
        &self,
        image: &Image,
        directories: Vec<DirectoryData>,
    ) -> Result<HashSet<TopicIdPartition>, ApiError> {
        let broker = image.cluster.brokers.get(&self.node_id).ok_or(ErrorCode::BrokerIdNotRegistered)?;
        let request = AssignReplicasToDirsRequest {
            broker_id: self.node_id.0,
            broker_epoch: broker.epoch.0,
            directories,
            ..Default::default()
        };
        let decided =
            self.controller.decide(move |view, context| decide::assign_replicas_to_dirs(view.image, context, &request));
        let response = decided.await?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => Ok(refused(&response)),
            error => Err(error.unwrap_or(ErrorCode::UnknownServerError).into()),
        }
    }
}

fn directories(batch: &HashMap<TopicIdPartition, Assignment>) -> Vec<DirectoryData> {
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

fn refused(response: &AssignReplicasToDirsResponse) -> HashSet<TopicIdPartition> {
    let mut refused = HashSet::new();
    for topic in response.directories.iter().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| partition.error_code != 0) {
            let index = PartitionIndex(partition.partition_index);
            debug!(topic_id = %topic.topic_id, partition = %index, error_code = partition.error_code, "the controller did not note a log dir");
            refused.insert(TopicIdPartition { topic_id: topic.topic_id, partition: index });
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uuid;

    fn id(number: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: Uuid::from_random([1; 16]), partition: PartitionIndex(number) }
    }

    fn dir(number: u8) -> DirectoryId {
        Uuid::from_random([number; 16])
    }

    #[test]
    fn the_newest_word_on_a_replica_counts_also_where_an_older_one_was_refused() {
        let assignments = Assignments::default();
        assignments.add(id(0), dir(1), None);
        assignments.add(id(1), dir(1), None);
        let refused = assignments.take();
        assignments.add(id(0), dir(2), None);
        assignments.put_back(refused);
        let waiting = assignments.take();
        assert_eq!((waiting[&id(0)].dir, waiting[&id(1)].dir), (dir(2), dir(1)));
    }

    #[test]
    fn a_request_names_each_dir_and_topic_once_and_is_bounded() {
        let assignments = Assignments::default();
        (0..3000).for_each(|number| assignments.add(id(number), dir((number % 2) as u8), None));
        let batch = assignments.take();
        assert_eq!((batch.len(), assignments.len()), (ASSIGNMENTS_MAX, 3000 - ASSIGNMENTS_MAX));
        let directories = directories(&batch);
        assert_eq!(directories.iter().map(|directory| directory.topics.len()).collect::<Vec<_>>(), [1, 1]);
        let count: usize = directories.iter().map(|directory| directory.topics[0].partitions.len()).sum();
        assert_eq!(count, ASSIGNMENTS_MAX);
    }
}

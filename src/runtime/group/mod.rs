//! The group coordinators of this broker: one task for each partition of `__consumer_offsets` that
//! it leads.
//!
//! `task` loads a shard and waits for events. `driver` handles the events, with the time as an
//! argument. `held` holds replies back until their records are committed. This module finds the
//! shard of a request.
//!
//! Only the task changes its shard. Metrics read it under a lock that is held for one decision or
//! one bounded read, and never across an append or an await.

mod driver;
mod held;
mod task;
#[cfg(test)]
mod tests;

use self::driver::{DriverParts, Message};
use crate::env::clock::Clock;
use crate::replica::Partition;
use arc_swap::ArcSwap;
use coordinator::{GroupConfig, GroupReply, GroupRequest, GroupShard};
use model::{ErrorCode, LeaderEpoch, PartitionIndex, TopicId};
use parking_lot::{Mutex, RwLock};
use protocol::Str;
use records::Codec;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The topic that stores groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The maximum number of requests that wait for one shard.
const INBOX: usize = 4096;

/// All group coordinators of this broker.
#[derive(Debug)]
pub struct GroupCoordinators {
    shards: RwLock<HashMap<i32, Shard>>,
    /// The number of partitions of the offsets topic; 0 if it does not exist.
    partition_count: AtomicI32,
    config: Arc<ArcSwap<GroupConfig>>,
    /// `offsets.topic.compression.codec`.
    codec: Codec,
    /// `offsets.commit.timeout.ms`.
    commit_timeout_ms: i64,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Shard {
    epoch: LeaderEpoch,
    inbox: mpsc::Sender<Message>,
    is_loaded: Arc<AtomicBool>,
    groups: Arc<Mutex<GroupShard>>,
}

/// The state of this broker's coordinators at one moment.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The number of groups of every type.
    pub group_count: usize,
    /// The number of committed offsets of all groups.
    pub offset_count: usize,
    /// The committed offsets, up to the requested maximum.
    pub offsets: Vec<Committed>,
}

/// A group's committed offset in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub group: Str,
    /// The topic.
    pub topic: Str,
    /// The partition.
    pub partition: PartitionIndex,
    /// The committed offset, as the client sent it.
    pub offset: i64,
}

impl GroupCoordinators {
    /// Creates the set of coordinators. It is empty.
    pub fn new(config: GroupConfig, codec: Codec, commit_timeout_ms: i64, clock: Clock) -> Self {
        Self {
            shards: RwLock::default(),
            partition_count: AtomicI32::new(0),
            codec,
            commit_timeout_ms,
            config: Arc::new(ArcSwap::from_pointee(config)),
            clock,
        }
    }

    /// Sets the configuration of the shards.
    pub fn set_config(&self, config: GroupConfig) {
        self.config.store(Arc::new(config));
    }

    /// Sets the number of partitions of the offsets topic.
    pub fn set_partition_count(&self, count: i32) {
        self.partition_count.store(count, Ordering::SeqCst);
    }

    /// Starts to lead a partition: loads its shard and serves it. An older leadership of the
    /// partition ends.
    pub fn lead(&self, partition: Arc<Partition>, epoch: LeaderEpoch) {
        let index = partition.id().partition.0;
        let mut shards = self.shards.write();
        if shards.get(&index).is_some_and(|shard| shard.epoch >= epoch) {
            return;
        }
        let (inbox, messages) = mpsc::channel(INBOX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let shard = Arc::new(Mutex::new(GroupShard::new()));
        shards.insert(index, Shard { epoch, inbox, is_loaded: is_loaded.clone(), groups: shard.clone() });
        let parts = DriverParts {
            partition,
            epoch,
            shard,
            config: self.config.clone(),
            codec: self.codec,
            commit_timeout_ms: self.commit_timeout_ms,
            #[cfg(test)]
            faults: tests::PlantedFaults::default(),
        };
        tokio::spawn(task::run(parts, self.clock, messages, is_loaded));
    }

    /// Stops to lead a partition.
    pub fn resign(&self, index: i32) {
        self.shards.write().remove(&index);
    }

    /// Stops to lead every partition.
    pub fn resign_all(&self) {
        self.shards.write().clear();
    }

    /// Tells every shard to delete the offsets of deleted topics.
    pub fn topics_deleted(&self, topics: &[(TopicId, Str)]) {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        for shard in shards {
            let message = Message::TopicsDeleted(topics.to_vec());
            tokio::spawn(async move { shard.inbox.send(message).await });
        }
    }

    /// Sends a request to the coordinator of the group that it names.
    pub async fn request(&self, request: GroupRequest) -> GroupReply {
        match request.group_id().cloned() {
            Some(group) => self.request_for(&group, request).await,
            None => request.refused(ErrorCode::InvalidRequest),
        }
    }

    /// Sends a request to the coordinator of a group.
    pub async fn request_for(&self, group: &str, request: GroupRequest) -> GroupReply {
        if group.is_empty() && needs_group_id(&request) {
            return request.refused(ErrorCode::InvalidGroupId);
        }
        let count = self.partition_count.load(Ordering::SeqCst);
        if count == 0 {
            return request.refused(ErrorCode::NotCoordinator);
        }
        let index = coordinator::partition_for(group, count);
        let shard = self.shards.read().get(&index.0).cloned();
        match shard {
            None => request.refused(ErrorCode::NotCoordinator),
            Some(shard) => shard.ask(request).await,
        }
    }

    /// Sends a request to every coordinator of this broker.
    pub async fn request_all(&self, request: impl Fn() -> GroupRequest) -> Vec<GroupReply> {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        futures_util::future::join_all(shards.into_iter().map(|shard| {
            let request = request();
            async move { shard.ask(request).await }
        }))
        .await
    }

    /// Returns the current state of every loaded coordinator, with at most `offsets_max` committed
    /// offsets. It waits for neither requests nor the disk.
    pub fn survey(&self, offsets_max: usize) -> Survey {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        let mut survey = Survey::default();
        for shard in shards.iter().filter(|shard| shard.is_loaded.load(Ordering::SeqCst)) {
            let groups = shard.groups.lock();
            let census = groups.census();
            survey.group_count += census.classic_groups + census.carried_groups;
            survey.offset_count += census.offsets;
            let left = offsets_max - survey.offsets.len();
            survey.offsets.extend(groups.committed_offsets().take(left).map(|(group, topic, partition, offset)| {
                Committed { group: group.clone(), topic: topic.clone(), partition: PartitionIndex(partition), offset }
            }));
        }
        survey
    }
}

impl Shard {
    async fn ask(self, request: GroupRequest) -> GroupReply {
        if self.inbox.is_closed() {
            // The leadership has ended, or the groups could not be loaded.
            return request.refused(ErrorCode::NotCoordinator);
        }
        if !self.is_loaded.load(Ordering::SeqCst) {
            return request.refused(ErrorCode::CoordinatorLoadInProgress);
        }
        let not_here = request.refused(ErrorCode::NotCoordinator);
        let (answer, answered) = oneshot::channel();
        if self.inbox.send(Message::Request(Box::new(request), answer)).await.is_err() {
            return not_here;
        }
        // A waiting request must not keep the inbox open. The shard's task ends when the inbox
        // closes, and then answers the request.
        drop(self.inbox);
        answered.await.unwrap_or(not_here)
    }
}

/// Whether a request must name a group. Commits and fetches of offsets may have an empty group id,
/// as from Kafka's simple consumers.
fn needs_group_id(request: &GroupRequest) -> bool {
    matches!(
        request,
        GroupRequest::JoinGroup { .. }
            | GroupRequest::SyncGroup(_)
            | GroupRequest::Heartbeat(_)
            | GroupRequest::LeaveGroup(_)
            | GroupRequest::OffsetDelete(_)
    )
}

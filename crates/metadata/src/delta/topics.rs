//! Records of topics and partitions.

use super::{ApplyError, Delta};
use crate::image::{ConfigResource, LeaderRecovery, MIGRATING, Partition};
use crate::planted::{Bug, is_planted};
use model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId};
use protocol::messages::partition_change_record::PartitionChangeRecord;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::remove_topic_record::RemoveTopicRecord;
use protocol::messages::topic_record::TopicRecord;

/// The value of a `PartitionChangeRecord` that does not change the leader.
const NO_LEADER_CHANGE: i32 = -2;
/// The value of a `PartitionChangeRecord` that does not change the recovery state.
const NO_RECOVERY_CHANGE: i8 = -1;

impl Delta {
    pub(super) fn create_topic(&mut self, record: &TopicRecord) -> Result<(), ApplyError> {
        let topics = &mut self.image.topics;
        if topics.by_id(record.topic_id).is_some() || topics.by_name(&record.name).is_some() {
            return Err(ApplyError::DuplicateTopic(record.name.to_string()));
        }
        topics.insert(record.topic_id, record.name.clone());
        self.changes.topics_created.insert(record.topic_id);
        Ok(())
    }

    pub(super) fn remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), ApplyError> {
        let id = record.topic_id;
        let topic = self.image.topics.remove(id).ok_or_else(|| unknown("RemoveTopicRecord", id, None))?;
        let resource = ConfigResource::topic(topic.name.clone());
        if self.image.configs.remove(&resource) {
            self.changes.configs.insert(resource);
        }
        self.changes.partitions.remove(&id);
        if !self.changes.topics_created.remove(&id) {
            self.changes.topics_deleted.insert(id, topic);
        }
        Ok(())
    }

    pub(super) fn set_partition(&mut self, record: &PartitionRecord) -> Result<(), ApplyError> {
        const NAME: &str = "PartitionRecord";
        let index = PartitionIndex(record.partition_id);
        let partition = Partition {
            replicas: brokers(&record.replicas),
            directories: directories(NAME, &record.directories, record.replicas.len())?,
            isr: brokers(&record.isr),
            removing_replicas: brokers(&record.removing_replicas),
            adding_replicas: brokers(&record.adding_replicas),
            elr: record.eligible_leader_replicas.as_deref().map(brokers).unwrap_or_default(),
            last_known_elr: record.last_known_elr.as_deref().map(brokers).unwrap_or_default(),
            leader: BrokerId::from_wire(record.leader),
            leader_recovery: recovery(NAME, record.leader_recovery_state)?,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
        };
        if !self.image.topics.set_partition(record.topic_id, index, partition) {
            return Err(unknown(NAME, record.topic_id, None));
        }
        self.changes.partition(record.topic_id, index);
        Ok(())
    }

    pub(super) fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ApplyError> {
        const NAME: &str = "PartitionChangeRecord";
        let index = PartitionIndex(record.partition_id);
        let missing = || unknown(NAME, record.topic_id, Some(index));
        let partition = self.image.topics.by_id(record.topic_id).and_then(|topic| topic.partition(index));
        let partition = partition.ok_or_else(missing)?;
        let changed = merge(partition, record)?;
        if record.leader_recovery_state == LeaderRecovery::Recovering.code() {
            self.changes.unclean_elections += 1;
        } else if BrokerId::from_wire(record.leader).is_some_and(|leader| partition.elr.contains(&leader)) {
            self.changes.elr_elections += 1;
        }
        self.image.topics.set_partition(record.topic_id, index, changed);
        self.changes.partition(record.topic_id, index);
        Ok(())
    }

    /// Forgets the eligible leader replicas of a topic, or of every topic where the name is empty.
    pub(super) fn clear_elr(&mut self, name: &str) -> Result<(), ApplyError> {
        let ids: Vec<TopicId> = if name.is_empty() {
            self.image.topics.ids().collect()
        } else {
            let missing = || ApplyError::Unknown { record: "ClearElrRecord", what: format!("topic {name}") };
            vec![self.image.topics.by_name(name).ok_or_else(missing)?.id]
        };
        for id in ids {
            let Some(topic) = self.image.topics.by_id(id) else { continue };
            let held: Vec<PartitionIndex> = topic
                .partitions
                .iter()
                .filter(|(_, partition)| !partition.elr.is_empty() || !partition.last_known_elr.is_empty())
                .map(|(index, _)| *index)
                .collect();
            for index in held {
                self.change_partition(&PartitionChangeRecord {
                    partition_id: index.0,
                    topic_id: id,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..Default::default()
                })?;
            }
        }
        Ok(())
    }
}

/// Returns a partition after a change record. Every change raises the partition epoch by one, and a
/// change that names a leader raises the leader epoch by one.
pub(crate) fn merge(partition: &Partition, record: &PartitionChangeRecord) -> Result<Partition, ApplyError> {
    const NAME: &str = "PartitionChangeRecord";
    let mut it = partition.clone();
    if let Some(replicas) = &record.replicas {
        it.replicas = brokers(replicas);
    }
    if let Some(dirs) = &record.directories {
        it.directories = directories(NAME, dirs, it.replicas.len())?;
    } else if it.directories.len() != it.replicas.len() {
        // A version without directories gave the partition other replicas.
        it.directories = it.replicas.iter().map(|id| partition.directory(*id).unwrap_or(MIGRATING)).collect();
    }
    if let Some(isr) = &record.isr {
        it.isr = brokers(isr);
    }
    if let Some(removing) = &record.removing_replicas {
        it.removing_replicas = brokers(removing);
    }
    if let Some(adding) = &record.adding_replicas {
        it.adding_replicas = brokers(adding);
    }
    if let Some(elr) = &record.eligible_leader_replicas {
        it.elr = brokers(elr);
    }
    if let Some(elr) = &record.last_known_elr {
        it.last_known_elr = brokers(elr);
    }
    if record.leader_recovery_state != NO_RECOVERY_CHANGE {
        it.leader_recovery = recovery(NAME, record.leader_recovery_state)?;
    }
    if record.leader != NO_LEADER_CHANGE {
        it.leader = BrokerId::from_wire(record.leader);
        if !is_planted(Bug::LeaderEpochNotRaised) {
            it.leader_epoch = LeaderEpoch(it.leader_epoch.0 + 1);
        }
    }
    it.partition_epoch = PartitionEpoch(it.partition_epoch.0 + 1);
    Ok(it)
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

/// Records of versions without directories hold none: all are [`MIGRATING`].
fn directories(record: &'static str, dirs: &[DirectoryId], replicas: usize) -> Result<Vec<DirectoryId>, ApplyError> {
    if dirs.is_empty() {
        return Ok(vec![MIGRATING; replicas]);
    }
    if dirs.len() != replicas {
        return Err(ApplyError::Directories(record, replicas, dirs.len()));
    }
    Ok(dirs.to_vec())
}

fn recovery(record: &'static str, code: i8) -> Result<LeaderRecovery, ApplyError> {
    let unknown = ApplyError::UnknownValue { record, field: "leaderRecoveryState", value: code.into() };
    LeaderRecovery::from_code(code).ok_or(unknown)
}

fn unknown(record: &'static str, topic: TopicId, partition: Option<PartitionIndex>) -> ApplyError {
    let what = match partition {
        Some(partition) => format!("partition {topic}:{partition}"),
        None => format!("topic id {topic}"),
    };
    ApplyError::Unknown { record, what }
}

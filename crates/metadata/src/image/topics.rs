//! Topics, each with its partitions.

use super::index::TopicIndex;
use super::partition::Partition;
use imbl::{OrdMap, OrdSet};
use model::{BrokerId, PartitionIndex, TopicId};
use protocol::Str;
use std::sync::Arc;

/// Every topic, by id and by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    by_id: OrdMap<TopicId, Arc<Topic>>,
    by_name: OrdMap<Str, TopicId>,
    index: TopicIndex,
    /// Names with a `.` or a `_`, by the form in which metrics cannot tell them apart.
    alike: OrdMap<Str, OrdSet<Str>>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: Str,
    /// Partitions by number, from 0 without gaps.
    pub partitions: OrdMap<PartitionIndex, Arc<Partition>>,
}

impl Topic {
    /// A partition by number.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Arc<Partition>> {
        self.partitions.get(&index)
    }
}

impl Topics {
    /// A topic by id.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// A topic by name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// A partition by topic name and number.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<&Arc<Partition>> {
        self.by_name(topic)?.partition(index)
    }

    /// Every topic, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// Topics from a name on, in the order of names.
    pub fn from_name<'a>(&'a self, first: &str) -> impl Iterator<Item = &'a Arc<Topic>> + use<'a> {
        self.by_name.range(Str::from(first)..).filter_map(|(_, id)| self.by_id.get(id))
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many partitions there are in all topics.
    pub fn partition_count(&self) -> usize {
        self.index.partition_count()
    }

    /// Topics of which a broker has a replica, or is in an ISR or ELR.
    pub fn of_broker(&self, broker: BrokerId) -> impl Iterator<Item = &Arc<Topic>> {
        self.index.of_broker(broker).filter_map(|id| self.by_id.get(&id))
    }

    /// How many partitions a broker leads.
    pub fn leaderships(&self, broker: BrokerId) -> usize {
        self.index.leaderships(broker)
    }

    /// Topics with partitions that have no leader.
    pub fn leaderless(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.index.leaderless().filter_map(|id| self.by_id.get(&id))
    }

    /// Topics with partitions that their preferred leader does not lead.
    pub fn imbalanced(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.index.imbalanced().filter_map(|id| self.by_id.get(&id))
    }

    /// Topics with partitions that are being reassigned.
    pub fn reassigning(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.index.reassigning().filter_map(|id| self.by_id.get(&id))
    }

    /// The name of a topic that metrics cannot tell apart from this name: a `.` is a `_` there.
    pub fn alike(&self, name: &str) -> Option<&Str> {
        self.alike.get(&collision_form(name)?)?.get_min()
    }

    /// Adds a topic that has no partitions yet.
    pub(crate) fn insert(&mut self, id: TopicId, name: Str) {
        self.by_name.insert(name.clone(), id);
        if let Some(form) = collision_form(&name) {
            self.alike.entry(form).or_default().insert(name.clone());
        }
        self.by_id.insert(id, Arc::new(Topic { id, name, partitions: OrdMap::new() }));
    }

    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        if let Some(form) = collision_form(&topic.name)
            && let Some(names) = self.alike.get_mut(&form)
        {
            names.remove(&topic.name);
            if names.is_empty() {
                self.alike.remove(&form);
            }
        }
        for partition in topic.partitions.values() {
            self.index.update(id, Some(partition), None);
        }
        Some(topic)
    }

    /// Sets a partition of a topic. Returns whether the topic exists.
    pub(crate) fn set_partition(&mut self, id: TopicId, index: PartitionIndex, partition: Partition) -> bool {
        let Some(topic) = self.by_id.get_mut(&id) else { return false };
        let partition = Arc::new(partition);
        let before = Arc::make_mut(topic).partitions.insert(index, Arc::clone(&partition));
        self.index.update(id, before.as_deref(), Some(&partition));
        true
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = TopicId> {
        self.by_id.keys().copied()
    }
}

/// The form in which two names are equal that metrics cannot tell apart. `None` for a name that
/// collides with none.
fn collision_form(name: &str) -> Option<Str> {
    name.contains(['.', '_']).then(|| name.replace('.', "_").into())
}

//! The partitions of a transaction, in the order in which Kafka writes them.

use model::{PartitionIndex, java};
use protocol::Str;
use protocol::messages::transaction_log_value::PartitionsSchema;
use std::collections::{HashMap, HashSet};

/// A partition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionPartition {
    /// The topic.
    pub topic: Str,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl TransactionPartition {
    /// Returns Java's `TopicPartition.hashCode`.
    fn java_hash(&self) -> u32 {
        let partition = self.partition.0.cast_unsigned().wrapping_add(31);
        partition.wrapping_mul(31).wrapping_add(java::string_hash(&self.topic))
    }
}

/// Lists the partitions of topics in the order given, each once.
pub(crate) fn listed<'a>(topics: impl IntoIterator<Item = (&'a Str, &'a [i32])>) -> Vec<TransactionPartition> {
    let mut seen = HashSet::new();
    let mut partitions = Vec::new();
    for (topic, indexes) in topics {
        for &index in indexes {
            if seen.insert((topic, index)) {
                partitions.push(TransactionPartition { topic: topic.clone(), partition: PartitionIndex(index) });
            }
        }
    }
    partitions
}

/// Returns those of `requested` that `partitions` lacks.
pub(crate) fn missing(
    partitions: &[TransactionPartition],
    requested: Vec<TransactionPartition>,
) -> Vec<TransactionPartition> {
    /// Below this a walk is faster than a set.
    const WALKED_MAX: usize = 16;
    if partitions.len() <= WALKED_MAX {
        return requested.into_iter().filter(|it| !partitions.contains(it)).collect();
    }
    let known: HashSet<&TransactionPartition> = partitions.iter().collect();
    requested.into_iter().filter(|it| !known.contains(it)).collect()
}

/// Returns the partitions of a transaction and those that are requested, in the order in which
/// Kafka writes them. It collects the requested ones in a `HashSet`, adds them to a copy of the
/// `HashSet` of the old ones, and groups all by topic in a `HashMap`.
pub(crate) fn joined(
    old: &[TransactionPartition],
    mut requested: Vec<TransactionPartition>,
) -> Vec<TransactionPartition> {
    let buckets = java::bucket_count(16, requested.len());
    java::hash_order(&mut requested, buckets, TransactionPartition::java_hash);
    let mut partitions: Vec<TransactionPartition> = old.to_vec();
    partitions.extend(missing(old, requested));
    // `new HashSet(collection)` of Java 17 asks for size / 0.75 + 1 buckets, and at least 16.
    let initial = (old.len() * 4 / 3 + 1).max(16);
    let buckets = java::bucket_count(initial, partitions.len());
    java::hash_order(&mut partitions, buckets, TransactionPartition::java_hash);

    let mut topics: Vec<Str> = Vec::new();
    let mut known = HashSet::new();
    for partition in &partitions {
        if known.insert(&partition.topic) {
            topics.push(partition.topic.clone());
        }
    }
    // `groupingBy` uses `computeIfAbsent`: it puts a new topic before the others of its bucket, and
    // makes room only before it inserts.
    topics.reverse();
    let buckets = java::bucket_count(16, topics.len().saturating_sub(1));
    java::hash_order(&mut topics, buckets, |topic| java::string_hash(topic));
    let rank: HashMap<&Str, usize> = topics.iter().zip(0..).collect();
    partitions.sort_by_key(|it| rank.get(&it.topic).copied().unwrap_or(usize::MAX));
    partitions
}

/// Groups neighbours of the same topic.
pub(crate) fn by_topic(partitions: &[TransactionPartition]) -> Vec<PartitionsSchema> {
    let schema = |partitions: &[TransactionPartition]| PartitionsSchema {
        topic: partitions.first().map(|it| it.topic.clone()).unwrap_or_default(),
        partition_ids: partitions.iter().map(|it| it.partition.0).collect(),
        ..Default::default()
    };
    partitions.chunk_by(|a, b| a.topic == b.topic).map(schema).collect()
}

/// Groups partitions by topic in the order in which Java iterates over their `HashSet`.
pub(crate) fn in_set_order(partitions: &[TransactionPartition]) -> Vec<(Str, Vec<i32>)> {
    let mut partitions: Vec<&TransactionPartition> = partitions.iter().collect();
    let buckets = java::bucket_count(16, partitions.len());
    java::hash_order(&mut partitions, buckets, |it| it.java_hash());
    let mut topics: Vec<(Str, Vec<i32>)> = Vec::new();
    let mut places: HashMap<&Str, usize> = HashMap::new();
    for it in partitions {
        let place = *places.entry(&it.topic).or_insert(topics.len());
        if place == topics.len() {
            topics.push((it.topic.clone(), Vec::new()));
        }
        if let Some((_, indexes)) = topics.get_mut(place) {
            indexes.push(it.partition.0);
        }
    }
    topics
}

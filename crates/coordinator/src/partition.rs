//! Which partition of `__consumer_offsets` keeps a group: Java's hash of its name, made positive,
//! modulo the number of partitions.

use model::{PartitionIndex, java};

/// The partition of the state topic that keeps `group_id`. Java's smallest integer has no positive
/// counterpart and counts as zero, as in Kafka.
pub fn partition_for(group_id: &str, partition_count: i32) -> PartitionIndex {
    let hash = java::string_hash(group_id).cast_signed();
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    PartitionIndex(positive % partition_count.max(1))
}

/// The place of a key in the order in which a Java `HashMap` of so many entries gives them out.
/// Kafka's records, its choice of a leader and its ties between protocols follow that order; keys
/// of one bucket come in the caller's.
pub(crate) fn java_map_order(entries: usize) -> impl Fn(&str) -> usize {
    let buckets = java::bucket_count(16, entries);
    move |key| java::bucket(java::string_hash(key), buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_hash_counts_as_zero() {
        assert_eq!(partition_for("polygenelubricants", 50), PartitionIndex(0));
        assert_eq!(partition_for("group", 50), PartitionIndex(47));
    }
}

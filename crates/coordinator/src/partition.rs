//! Maps a key to its partition of a state topic, a group id to one of `__consumer_offsets` and a
//! transactional id to one of `__transaction_state`: Java's hash of the key, made positive, modulo
//! the number of partitions.

use model::{PartitionIndex, java};

/// Returns the partition of the state topic that stores `key`, a group id or a transactional id.
/// Java's smallest integer has no positive counterpart and counts as zero, as in Kafka.
pub fn partition_for(key: &str, partition_count: i32) -> PartitionIndex {
    let hash = java::string_hash(key).cast_signed();
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    PartitionIndex(positive % partition_count.max(1))
}

/// Returns a key's position in the iteration order of a Java `HashMap` with `entries` entries.
/// Kafka's records, its choice of a leader and its ties between protocols follow that order. Keys
/// in the same bucket keep the caller's order.
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

//! Which partition of `__consumer_offsets` keeps a group: Java's hash of its name, made positive, modulo the number of partitions.

use model::PartitionIndex;

/// Java's `String.hashCode`: over UTF-16 code units, so that names outside the basic plane count as two.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of the state topic that keeps `group_id`. Java's smallest integer has no positive counterpart and counts as zero, as in Kafka.
pub fn partition_for(group_id: &str, partition_count: i32) -> PartitionIndex {
    let hash = java_hash(group_id);
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    PartitionIndex(positive % partition_count.max(1))
}

/// How many buckets Java's `HashMap` has once it holds so many entries.
fn java_bucket_count(entries: usize) -> usize {
    let mut buckets = 16usize;
    while entries.saturating_mul(4) > buckets * 3 {
        buckets *= 2;
    }
    buckets
}

/// The place of a key in the order in which a Java `HashMap` of so many entries gives them out. Kafka's records, its choice of a leader and its
/// ties between protocols follow that order; keys of one bucket come in the caller's.
pub(crate) fn java_map_order(entries: usize) -> impl Fn(&str) -> usize {
    let mask = java_bucket_count(entries) - 1;
    move |key| {
        let hash = java_hash(key).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are those of `jshell> "...".hashCode()`.
    #[test]
    fn hashes_as_java_does() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("group"), 98_629_247);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("\u{1F600}"), 1_772_899);
        assert_eq!(partition_for("polygenelubricants", 50), PartitionIndex(0));
        assert_eq!(partition_for("group", 50), PartitionIndex(47));
    }
}

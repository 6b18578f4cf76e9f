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

/// The order in which a Java `HashMap` of these keys gives them out: by bucket of a table that has grown with its entries, and within a bucket by
/// insertion. Kafka breaks ties between protocols this way.
pub(crate) fn java_map_order<T>(mut entries: Vec<(&str, T)>) -> Vec<(&str, T)> {
    let mut buckets = 16usize;
    while entries.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    entries.sort_by_key(|(key, _)| {
        let hash = java_hash(key).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
    entries
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

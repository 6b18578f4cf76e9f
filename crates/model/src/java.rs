//! The order in which Java's `HashMap` iterates over its entries. Where Kafka builds an answer or a
//! message from such a map, the entries have this order.

/// Returns Java's `String.hashCode`, which is computed over UTF-16 code units.
pub fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// Returns the number of buckets of a map that was created for `initial` entries (16 by default)
/// and has held `entries`.
pub fn bucket_count(initial: usize, entries: usize) -> usize {
    let mut buckets = initial.max(1).next_power_of_two();
    while entries > buckets * 3 / 4 {
        buckets *= 2;
    }
    buckets
}

/// Returns the bucket of a hash in a map with `buckets` buckets, a power of two.
pub fn bucket(hash: u32, buckets: usize) -> usize {
    (hash ^ (hash >> 16)) as usize & buckets.saturating_sub(1)
}

/// Sorts entries, given in the order of insertion, into the order of a map with `buckets` buckets,
/// a power of two.
pub fn hash_order<T>(entries: &mut [T], buckets: usize, hash: impl Fn(&T) -> u32) {
    entries.sort_by_key(|entry| bucket(hash(entry), buckets));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that `jshell` shows.
    #[test]
    fn hashes_as_java_does() {
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("group"), 98_629_247);
        assert_eq!(string_hash("polygenelubricants").cast_signed(), i32::MIN);
        assert_eq!(string_hash("\u{1F600}"), 1_772_899);
    }

    /// `new HashMap<>(2)` with two types of quota entities, and a map that grew to thirteen
    /// entries.
    #[test]
    fn walks_a_map_as_java_does() {
        let mut kinds = ["ip", "user"];
        hash_order(&mut kinds, bucket_count(2, 2), |kind| string_hash(kind));
        assert_eq!(kinds, ["user", "ip"]);
        assert_eq!([bucket_count(0, 0), bucket_count(1, 1), bucket_count(2, 1), bucket_count(3, 3)], [1, 2, 2, 4]);
        assert_eq!([bucket_count(16, 12), bucket_count(16, 13)], [16, 32]);
    }
}

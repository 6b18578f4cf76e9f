//! The newest offset of each key in the dirty part of a log.
//!
//! Keys are not stored: a slot holds a hash of 128 bits and an offset, 24 bytes as in Kafka, so
//! that `log.cleaner.dedupe.buffer.size` holds as many keys as there. Kafka hashes with MD5; this
//! map uses two SipHashes with secret keys, so that nobody can construct two keys with the same
//! hash. By chance, two of a billion keys collide once in 10^20 cleanings.
//!
//! The table is allocated once, for the largest possible number of records or for what the buffer
//! allows, whichever is less. It never gets completely full.

use model::Offset;
use std::hash::{DefaultHasher, Hasher};

/// A slot: the two hashes, and the offset plus one, which is 0 while the slot is free.
type Slot = [u64; 3];

/// Bytes of a slot.
const SLOT_BYTES: u64 = 24;

/// Newest offsets by key.
#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    entries: usize,
    entries_max: usize,
    hashers: [DefaultHasher; 2],
    latest: Offset,
}

impl OffsetMap {
    /// Creates a map for at most `records` records within `buffer_bytes`. At most the part
    /// `load_factor` of its slots is used. `seed` keys the hashes.
    pub(super) fn new(buffer_bytes: u64, load_factor: f64, records: u64, seed: [u64; 2]) -> Self {
        let slots_max = (buffer_bytes / SLOT_BYTES).max(2);
        // One slot stays free, since a search ends at a free slot.
        let entries_max = ((slots_max as f64 * load_factor) as u64).clamp(1, slots_max - 1);
        let wanted = (records.min(entries_max) as f64 / load_factor.clamp(0.1, 1.0)) as u64 + 2;
        let hashers = seed.map(|seed| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(seed);
            hasher
        });
        OffsetMap {
            slots: vec![[0; 3]; wanted.min(slots_max) as usize],
            entries: 0,
            entries_max: entries_max as usize,
            hashers,
            latest: Offset(-1),
        }
    }

    /// Whether it holds as many keys as allowed.
    pub(super) fn is_full(&self) -> bool {
        self.entries >= self.entries_max || self.entries + 1 >= self.slots.len()
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Returns the number of keys as a part of the allowed number.
    pub(super) fn utilization(&self) -> f64 {
        self.entries as f64 / self.entries_max as f64
    }

    /// Returns the offset up to which, inclusive, all is counted; -1 at first.
    pub(super) fn latest(&self) -> Offset {
        self.latest
    }

    /// Notes that all up to an offset, inclusive, is counted.
    pub(super) fn set_latest(&mut self, latest: Offset) {
        self.latest = latest;
    }

    /// Stores a key's newest offset. The map must not be full.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) {
        let hash = self.hash(key);
        let index = self.find(hash);
        self.entries += usize::from(self.slots[index][2] == 0);
        self.slots[index] = [hash[0], hash[1], offset.0 as u64 + 1];
        self.latest = offset;
    }

    /// Returns a key's newest offset.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [_, _, next] = self.slots[self.find(self.hash(key))];
        next.checked_sub(1).map(|offset| Offset(offset as i64))
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| {
            let mut hasher = hasher.clone();
            hasher.write(key);
            hasher.finish()
        })
    }

    /// Returns the slot that holds a hash, or the free slot for it.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut index = ((u128::from(hash[0]) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let [first, second, next] = self.slots[index];
            if next == 0 || [first, second] == hash {
                return index;
            }
            index += 1;
            if index == self.slots.len() {
                index = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_newest_offset_of_each_key() {
        let mut map = OffsetMap::new(24 * 1000, 0.9, u64::MAX, [1, 2]);
        for round in 0..3 {
            for key in 0..300i64 {
                map.put(&key.to_be_bytes(), Offset(round * 300 + key));
            }
        }
        assert_eq!((map.len(), map.latest()), (300, Offset(899)));
        assert!((0..300i64).all(|key| map.get(&key.to_be_bytes()) == Some(Offset(600 + key))));
        assert_eq!(map.get(b"another"), None);
        map.put(b"", Offset(0));
        assert_eq!(map.get(b""), Some(Offset(0)));
    }

    #[test]
    fn as_many_keys_fit_as_in_kafka_and_never_all_slots() {
        for (buffer, load_factor, fit) in
            [(24 * 1000, 0.9, 900), (24 * 100 + 23, 1.0, 99), (0, 0.9, 1), (24 * 50, 7.0, 49)]
        {
            let mut map = OffsetMap::new(buffer, load_factor, u64::MAX, [0, 0]);
            let mut count = 0i64;
            while !map.is_full() {
                map.put(&count.to_be_bytes(), Offset(count));
                count += 1;
            }
            assert_eq!(count, fit, "{buffer} {load_factor}");
            assert_eq!(map.get(b"not there"), None);
        }
    }

    #[test]
    fn memory_is_for_the_records_that_there_can_be() {
        let mut map = OffsetMap::new(128 << 20, 0.9, 90, [0, 0]);
        assert!(map.slots.len() <= 102);
        for key in 0..90i64 {
            assert!(!map.is_full());
            map.put(&key.to_be_bytes(), Offset(key));
        }
        assert!(OffsetMap::new(24 * 100, 0.9, u64::MAX, [0, 0]).slots.len() <= 100);
    }
}

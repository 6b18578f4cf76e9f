//! The memory of a transactional id.

use super::Harness;
use crate::TransactionShard;
use crate::transaction::request::ProducerIdAndEpoch;
use crate::transaction::soft::PendingMarkers;
use crate::transaction::state::Transaction;
use crate::{CoordinatorShard, Entry};
use model::ProducerId;
use protocol::Str;
use std::mem::size_of;

const IDS: usize = 100_000;
const BYTES_MAX: usize = 500;

/// The bytes of a `std` map: a power of two of buckets of which at most 7/8 are used, and a byte of
/// control for each.
fn map_bytes<K, V>(capacity: usize) -> usize {
    (capacity * 8 / 7).next_power_of_two() * (size_of::<(K, V)>() + 1)
}

fn heap_bytes(text: &str) -> usize {
    if text.len() > size_of::<Str>() { text.len() } else { 0 }
}

fn bytes(shard: &TransactionShard) -> usize {
    let heap = |id: &Str, it: &Transaction| {
        let partition = |it: &crate::transaction::TransactionPartition| size_of_val(it) + heap_bytes(&it.topic);
        heap_bytes(id) + it.partitions.iter().map(partition).sum::<usize>()
    };
    map_bytes::<Str, Transaction>(shard.state.transactions.capacity())
        + shard.state.transactions.iter().map(|(id, it)| heap(id, it)).sum::<usize>()
        + map_bytes::<ProducerId, ProducerIdAndEpoch>(shard.soft.before.capacity())
        + map_bytes::<Str, PendingMarkers>(shard.soft.markers.capacity())
}

/// Ids of 40 bytes do not fit into a `Str` without an allocation. Each has had a transaction of
/// version 2, so that the epoch before is kept too.
#[test]
fn a_transactional_id_needs_less_than_its_limit() {
    let mut h = Harness::new(2);
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), super::OK);
    h.end("a", it, 2, true).unwrap();
    let (at, Entry::Record { value, .. }) = h.log.last().unwrap().clone() else { panic!("a record") };
    let mut shard = TransactionShard::new();
    for index in 0..IDS {
        let name = format!("connect-cluster-with-a-long-name-{index:07}");
        let key: Vec<u8> = [&[0, 0, 0, name.len() as u8], name.as_bytes()].concat();
        shard.apply(&at, Entry::Record { key: key.into(), value: value.clone() }).unwrap();
        let id = ProducerId(index as i64);
        let before = ProducerIdAndEpoch { id, ..it };
        shard.apply_soft(vec![crate::transaction::soft::SoftChange::SetBefore(id, Some(before))]);
    }
    let each = bytes(&shard) / IDS;
    assert!(each <= BYTES_MAX, "{each} bytes for each id");
    // Nothing is kept alive of the batches that were read, and idle ids have no timers.
    assert!(shard.next_deadline().is_none());
}

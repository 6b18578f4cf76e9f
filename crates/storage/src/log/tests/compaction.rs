//! Which records and batches a cleaning keeps. `compat-tests/compaction` compares the same with
//! Kafka itself.

use super::*;
use crate::{Cleaned, CleanerLimits, CleanupPolicy, Dirt};
use records::{BatchHeader, BatchView, Codec, RecordReader, TimestampType};

pub(super) const LIMITS: CleanerLimits =
    CleanerLimits { dedupe_buffer_bytes: 1 << 20, load_factor: 0.9, io_buffer_bytes: 4096, seed: [3, 4] };
const RETENTION_MS: i64 = 100;

pub(super) fn compacted() -> LogConfig {
    LogConfig {
        verifies_transactions: false,
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        delete_retention_ms: RETENTION_MS,
        min_cleanable_dirty_ppm: 0,
        ..config()
    }
}

/// A record's offset, key and value.
pub(super) type Kept = (i64, String, Option<String>);
type Pair<'a> = (&'a str, Option<&'a str>);

pub(super) fn bytes(text: &str) -> Option<&[u8]> {
    Some(text.as_bytes())
}

/// Returns a batch with these keys and values, by a producer with a sequence if one is given.
fn pairs(records: &[Pair<'_>], codec: Codec, producer: Option<(i64, i32)>, is_transactional: bool) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), Some(sequence));
    }
    if is_transactional {
        builder = builder.transactional();
    }
    for (number, (key, value)) in records.iter().enumerate() {
        builder.append(Timestamp(10 + number as i64), bytes(key), value.and_then(bytes));
    }
    to_leader(&builder.finish().unwrap())
}

impl Bench {
    pub(super) fn compacted() -> Bench {
        Bench::new(compacted())
    }

    pub(super) fn put(&self, records: &[Pair<'_>]) {
        self.append(pairs(records, Codec::None, None, false));
    }

    fn transactional(&self, id: i64, sequence: i32, records: &[Pair<'_>]) {
        self.append(pairs(records, Codec::None, Some((id, sequence)), true));
    }

    fn end(&self, id: i64, committed: bool) {
        self.log.append_as_leader(&[marker(id, 0, committed)], at(0, 0, Origin::Coordinator)).unwrap();
        self.log.advance_high_watermark(self.log.log_end_offset());
    }

    /// Makes all records cleanable.
    pub(super) fn roll(&self) {
        let writer = &mut *self.log.writer.lock();
        self.log.roll(writer, self.log.log_end_offset(), Timestamp(0)).unwrap();
    }

    pub(super) fn dirt(&self, now: i64) -> Dirt {
        self.log.dirt(Timestamp(now)).unwrap()
    }

    pub(super) fn clean(&self, now: i64) -> Cleaned {
        let dirt = self.dirt(now);
        self.log.clean(&dirt, LIMITS, Timestamp(now), &mut |_| true).unwrap().unwrap()
    }

    /// Returns every batch, with its records' offsets, keys and values.
    pub(super) fn all(&self) -> Vec<(BatchHeader, Vec<Kept>)> {
        let mut all = Vec::new();
        let mut next = self.log.log_start_offset().0;
        while next < self.log.log_end_offset().0 {
            let plan = self.plan(next, u32::MAX, true, Isolation::LogEnd).unwrap();
            let Some(region) = plan.region else { break };
            for batch in Batches::new(&region.read().unwrap()) {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                all.push((*batch.header(), contents(&batch)));
                next = batch.header().next_offset().0;
            }
        }
        all
    }

    /// Returns offset, key and value of every record.
    pub(super) fn records(&self) -> Vec<Kept> {
        self.all().into_iter().flat_map(|(_, records)| records).collect()
    }

    fn headers(&self) -> Vec<BatchHeader> {
        self.all().into_iter().map(|(header, _)| header).collect()
    }
}

fn contents(batch: &BatchView<'_>) -> Vec<Kept> {
    let mut reader = RecordReader::new(batch).unwrap();
    let mut records = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap();
        records.push((record.offset.0, record.key.map(text).unwrap_or_default(), record.value.map(text)));
    }
    records
}

pub(super) fn record(offset: i64, key: &str, value: Option<&str>) -> Kept {
    (offset, key.to_owned(), value.map(str::to_owned))
}

#[test]
fn of_each_key_the_newest_record_stays_where_it_was() {
    for codec in Codec::ALL {
        let bench = Bench::compacted();
        let put = |records: &[Pair<'_>]| {
            bench.append(pairs(records, codec, None, false));
        };
        put(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
        put(&[("b", Some("4")), ("d", Some("5"))]);
        put(&[("e", Some("6"))]);
        bench.roll();
        put(&[("a", Some("7"))]);
        let before = bench.headers();
        let cleaned = bench.clean(0);
        assert_eq!((cleaned.up_to, bench.log.cleaned_up_to()), (Offset(6), Some(Offset(6))));
        assert_eq!((cleaned.records_read, cleaned.records_kept, cleaned.keys), (6, 5, 5));
        let remaining = [(0, "a", "1"), (2, "c", "3"), (3, "b", "4"), (4, "d", "5"), (5, "e", "6"), (6, "a", "7")];
        let remaining: Vec<_> = remaining.map(|(offset, key, value)| record(offset, key, Some(value))).into();
        assert_eq!(bench.records(), remaining, "{codec}");
        let after = bench.headers();
        // Batches that are kept completely are unchanged, with their checksums. The others keep
        // their base and last offsets.
        assert_eq!(after[1..], before[1..], "{codec}");
        assert_eq!((after[0].base_offset, after[0].last_offset()), (Offset(0), Offset(2)));
        assert_eq!((after[0].max_timestamp, after[0].partition_leader_epoch), (Timestamp(12), Some(LeaderEpoch(0))));
        assert_eq!(after[0].attributes, before[0].attributes);
        let (bench, _) = bench.reopen(false);
        assert_eq!(bench.records(), remaining);
    }
}

#[test]
fn tombstones_stay_until_the_delete_horizon_that_the_first_cleaning_sets() {
    let bench = Bench::compacted();
    bench.put(&[("a", Some("1")), ("b", Some("2"))]);
    bench.put(&[("a", None), ("c", Some("3"))]);
    bench.roll();
    bench.put(&[("d", Some("4"))]);
    bench.clean(1000);
    assert_eq!(bench.records()[..2], [record(1, "b", Some("2")), record(2, "a", None)]);
    let headers = bench.headers();
    assert_eq!((headers[0].delete_horizon(), headers[1].delete_horizon()), (None, Some(Timestamp(1100))));
    assert_eq!(headers[1].max_timestamp, Timestamp(11));
    // A later cleaning keeps the horizon, and removes the tombstone at exactly that time.
    bench.roll();
    bench.clean(1099);
    assert_eq!(bench.headers()[1], headers[1]);
    bench.put(&[("e", Some("5"))]);
    bench.roll();
    bench.clean(1100);
    let remaining = bench.records();
    assert_eq!(remaining[..2], [record(1, "b", Some("2")), record(3, "c", Some("3"))]);
    assert_eq!(bench.headers()[1].delete_horizon(), Some(Timestamp(1100)));
}

#[test]
fn the_last_batch_of_a_live_producer_stays_without_its_records() {
    let bench = Bench::compacted();
    for (id, sequence) in [(1, 0), (1, 1), (2, 0)] {
        bench.append(pairs(&[("k", Some("v"))], Codec::Lz4, Some((id, sequence)), false));
    }
    bench.put(&[("k", Some("newest"))]);
    bench.roll();
    bench.put(&[("other", Some("v"))]);
    bench.clean(0);
    assert_eq!(bench.records()[..1], [record(3, "k", Some("newest"))]);
    let of =
        |header: &BatchHeader| (header.base_offset.0, header.producer_id, header.base_sequence, header.record_count);
    let headers = bench.headers();
    let remaining: Vec<_> = headers.iter().map(of).collect();
    let (one, two) = (Some(ProducerId(1)), Some(ProducerId(2)));
    assert_eq!(remaining[..3], [(1, one, Some(1), 0), (2, two, Some(0), 0), (3, None, None, 1)]);
    assert_eq!(headers[0].attributes.codec(), Ok(Codec::None));
    assert_eq!((headers[0].base_timestamp, headers[0].max_timestamp), (Timestamp(-1), Timestamp(10)));
    // The producers are known after a kill too: a repeated batch is a duplicate.
    let (bench, _) = bench.reopen(false);
    let again = pairs(&[("k", Some("v"))], Codec::None, Some((1, 1)), false);
    let appended = bench.log.append_as_leader(&[again], at(0, 0, Origin::Client)).unwrap();
    assert!(appended.is_duplicate && appended.base_offset == Offset(1));
    // Once the producers expire, their last batches are removed.
    bench.log.set_high_watermark(Offset(5));
    bench.log.expire_producers(Timestamp(i64::MAX));
    bench.roll();
    bench.clean(0);
    assert_eq!(bench.headers()[0].base_offset, Offset(3));
}

#[test]
fn aborted_records_go_at_once_and_their_marker_once_nobody_needs_it() {
    let bench = Bench::compacted();
    bench.put(&[("a", Some("kept"))]);
    bench.transactional(1, 0, &[("a", Some("aborted")), ("b", Some("aborted"))]);
    bench.transactional(2, 0, &[("c", Some("committed"))]);
    bench.roll();
    bench.transactional(1, 2, &[("c", Some("aborted"))]);
    bench.end(1, false);
    bench.end(2, true);
    bench.roll();
    bench.put(&[("z", Some("1"))]);
    bench.log.expire_producers(Timestamp(i64::MAX));
    bench.clean(1000);
    let remaining = [record(0, "a", Some("kept")), record(3, "c", Some("committed"))];
    let data = |bench: &Bench| -> Vec<_> {
        let is_data = |(header, _): &(BatchHeader, _)| !header.is_control();
        bench.all().into_iter().filter(is_data).flat_map(|(_, records)| records).collect()
    };
    let markers = |bench: &Bench| -> Vec<_> {
        let markers = bench.headers().into_iter().filter(BatchHeader::is_control);
        markers.map(|header| (header.base_offset.0, header.delete_horizon().map(|horizon| horizon.0))).collect()
    };
    assert_eq!(data(&bench)[..2], remaining);
    // The first cleaning still saw records of the one transaction, and keeps records of the other.
    assert_eq!(markers(&bench), [(5, None), (6, None)]);
    let listed = bench.plan(0, u32::MAX, true, Isolation::Committed).unwrap().aborted.unwrap();
    assert_eq!(
        listed.iter().map(|txn| (txn.first_offset, txn.last_offset)).collect::<Vec<_>>(),
        [(Offset(1), Offset(5))]
    );
    bench.roll();
    bench.clean(2000);
    assert_eq!((data(&bench)[..2].to_vec(), markers(&bench)), (remaining.to_vec(), vec![(5, Some(2100)), (6, None)]));
    assert_eq!(bench.plan(0, u32::MAX, true, Isolation::Committed).unwrap().aborted, Some(Vec::new()));
    bench.put(&[("c", Some("newer"))]);
    bench.roll();
    bench.clean(2100);
    // Another record replaced the committed one, which this cleaning has removed.
    assert_eq!(markers(&bench), [(6, None)]);
    for (now, remaining) in [(2200, vec![(6, Some(2300))]), (2299, vec![(6, Some(2300))]), (2300, vec![])] {
        bench.put(&[("y", Some("2"))]);
        bench.roll();
        bench.clean(now);
        assert_eq!(markers(&bench), remaining);
    }
    let (bench, _) = bench.reopen(false);
    assert_eq!(data(&bench)[0], remaining[0]);
}

#[test]
fn the_last_batch_below_the_end_stays_without_its_records() {
    let bench = Bench::compacted();
    bench.put(&[("a", Some("1"))]);
    let mut keyless = BatchBuilder::new(Offset(0));
    keyless.append(Timestamp(1), None, Some(b"no key"));
    bench.append(to_leader(&keyless.finish().unwrap()));
    bench.roll();
    bench.put(&[("b", Some("2"))]);
    let cleaned = bench.clean(0);
    assert_eq!(cleaned.keyless, 1);
    let ends: Vec<_> = bench.headers().iter().map(|header| (header.last_offset().0, header.record_count)).collect();
    assert_eq!(ends, [(0, 1), (1, 0), (2, 1)]);
}

#[test]
fn segments_are_joined_as_far_as_one_may_be() {
    let bench = Bench::compacted();
    (0..60).for_each(|number| bench.put(&[(&format!("k{}", number % 7), Some("a value of some length"))]));
    bench.roll();
    bench.put(&[("z", None)]);
    let before = bench.log.segments().len();
    let cleaned = bench.clean(0);
    assert_eq!(cleaned.segments_read, before - 1);
    // They fit together only after they are cleaned.
    assert_eq!(cleaned.segments_written, before - 1);
    bench.roll();
    let cleaned = bench.clean(0);
    assert!(cleaned.segments_written < before / 2, "{cleaned:?}");
    let remaining = bench.records();
    assert_eq!(remaining.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>(), [53, 54, 55, 56, 57, 58, 59, 60]);
    for (offset, ..) in &remaining {
        assert_eq!(bench.read(*offset, 1)[0].0, *offset);
    }
    let (bench, recovery) = bench.reopen(true);
    assert_eq!((recovery, bench.records()), (Recovery::default(), remaining));
}

#[test]
fn a_map_that_is_full_ends_the_cleaning_there() {
    let bench = Bench::compacted();
    (0..40).for_each(|number| bench.put(&[(&format!("k{}", number % 20), Some("v"))]));
    bench.roll();
    bench.put(&[("z", Some("v"))]);
    let limits = CleanerLimits { dedupe_buffer_bytes: 24 * 11, load_factor: 0.9, ..LIMITS };
    let clean = || bench.log.clean(&bench.dirt(0), limits, Timestamp(0), &mut |_| true).unwrap().unwrap();
    let ends: Vec<_> = (0..5).map(|_| clean().up_to.0).collect();
    // Nine keys at a time, and repeats of them.
    assert_eq!(ends, [9, 18, 27, 36, 40]);
    assert_eq!(bench.records().len(), 21);
}

#[test]
fn what_may_be_cleaned_ends_before_what_is_active_undecided_or_young() {
    let bench = Bench::compacted();
    for _ in 0..3 {
        bench.put(&[("a", Some("1"))]);
        bench.roll();
    }
    bench.transactional(1, 0, &[("b", Some("2"))]);
    bench.put(&[("c", Some("3"))]);
    bench.roll();
    let dirt = bench.dirt(0);
    assert_eq!((dirt.from, dirt.end, dirt.clean_bytes, dirt.overdue_ms), (Offset(0), Offset(3), 0, 0));
    assert!(dirt.is_due(&compacted()) && dirt.ratio() == 1.0);
    bench.end(1, true);
    assert_eq!(bench.dirt(0).end, Offset(5));
    let segments = bench.log.segments();
    assert_eq!(bench.dirt(0).dirty_bytes, segments[..4].iter().map(|segment| u64::from(segment.size())).sum::<u64>());
    // The records have the times 10 and 11.
    bench.log.set_config(LogConfig { min_compaction_lag_ms: 50, ..compacted() });
    assert_eq!([60, 59].map(|now| bench.dirt(now).end.0), [5, 0]);
    assert!(!bench.dirt(59).is_due(&compacted()));
    bench.log.set_config(LogConfig { max_compaction_lag_ms: Some(50), ..compacted() });
    assert_eq!([60, 61, 75].map(|now| bench.dirt(now).overdue_ms), [0, 1, 15]);
    let never = LogConfig { min_cleanable_dirty_ppm: 1_000_000, ..compacted() };
    assert!(!bench.dirt(60).is_due(&never) && bench.dirt(61).is_due(&never));
    bench.clean(0);
    assert_eq!((bench.dirt(75).dirty_bytes, bench.dirt(75).overdue_ms), (0, 0));
    assert!(!bench.dirt(75).is_due(&compacted()));
}

#[test]
fn a_checkpoint_that_cannot_be_is_not_believed() {
    let bench = Bench::compacted();
    (0..10).for_each(|_| bench.put(&[("a", Some("1"))]));
    bench.roll();
    bench.log.delete_records(Offset(4)).unwrap();
    for (said, from, disbelieved) in
        [(None, 4, None), (Some(3), 4, Some(3)), (Some(4), 4, None), (Some(10), 10, None), (Some(11), 4, Some(11))]
    {
        bench.log.set_cleaned_up_to(said.map(Offset));
        let dirt = bench.dirt(0);
        assert_eq!((dirt.from, dirt.disbelieved), (Offset(from), disbelieved.map(Offset)), "{said:?}");
    }
}

#[test]
fn messages_of_old_formats_become_batches() {
    let message = |magic: u8, offset: i64, key: &str, value: Option<&str>| {
        let mut body = vec![magic, 0];
        if magic == 1 {
            body.extend(50i64.to_be_bytes());
        }
        for field in [Some(key), value] {
            body.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            body.extend(field.unwrap_or_default().as_bytes());
        }
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body) as u32;
        let mut bytes = offset.to_be_bytes().to_vec();
        bytes.extend((body.len() as i32 + 4).to_be_bytes());
        bytes.extend(crc.to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let bench = Bench::compacted();
    bench.disk.set_now(Timestamp(1));
    let old = [
        message(0, 0, "a", Some("1")),
        message(1, 1, "b", Some("2")),
        message(1, 2, "a", Some("3")),
        message(0, 3, "c", None),
    ];
    bench.log.append_as_follower(&old.concat().into(), crate::FollowerAppend { now: Timestamp(0) }).unwrap();
    bench.log.advance_high_watermark(Offset(4));
    bench.roll();
    bench.clean(1000);
    assert_eq!(bench.records(), [record(1, "b", Some("2")), record(2, "a", Some("3")), record(3, "c", None)]);
    let headers = bench.headers();
    let of = |header: &BatchHeader| (header.max_timestamp.0, header.delete_horizon().map(|horizon| horizon.0));
    assert_eq!(headers.iter().map(of).collect::<Vec<_>>(), [(50, None), (50, None), (-1, Some(1100))]);
    assert!(headers.iter().all(|header| header.timestamp_type() == TimestampType::CreateTime));
}

#[test]
fn what_is_rotten_is_left_as_it_is() {
    let bench = Bench::compacted();
    (0..20).for_each(|number| bench.put(&[("a", Some(&format!("{number}")))]));
    bench.roll();
    let segment = bench.log.segments()[0].clone();
    let path = segment.folder.file(&segment.name(names::LOG));
    let file = bench.disk.open(&path, crate::disk::OpenMode::Write).unwrap();
    file.write_at(u64::from(segment.size()) - 2, &[std::io::IoSlice::new(b"!")]).unwrap();
    bench.log.flush(bench.log.log_end_offset(), Timestamp(0)).unwrap();
    let before = bench.disk.files();
    let cleaned = bench.log.clean(&bench.dirt(0), LIMITS, Timestamp(0), &mut |_| true);
    assert!(matches!(cleaned, Err(Error::Corrupt { .. })), "{cleaned:?}");
    assert_eq!((bench.log.cleaned_up_to(), bench.disk.files()), (None, before));
}

#[test]
fn a_cleaning_is_given_up_where_it_is_told_and_where_its_ground_is_cut() {
    let filled = || {
        let bench = Bench::compacted();
        (0..40).for_each(|number| bench.put(&[("a", Some(&format!("a value of some length {number}")))]));
        bench.roll();
        bench
    };
    let bench = filled();
    let segments = bench.log.segments().len();
    assert!(segments > 3);
    for steps in 0..12 {
        let mut remaining = steps;
        let mut pace = |_| {
            remaining -= 1;
            remaining >= 0
        };
        let cleaned = bench.log.clean(&bench.dirt(0), LIMITS, Timestamp(0), &mut pace).unwrap();
        assert_eq!((cleaned, bench.log.cleaned_up_to()), (None, None));
        assert!(bench.disk.files().iter().all(|path| !path.to_string_lossy().ends_with(names::CLEANED)));
        assert_eq!(bench.records().last().unwrap(), &record(39, "a", Some("a value of some length 39")));
    }
    let bench = filled();
    let mut steps = 0;
    let mut pace = |_| {
        steps += 1;
        // At this point the keys are known. The newest record of the key is truncated, so the older
        // ones must stay.
        if steps == segments * 2 {
            bench.log.truncate_to(Offset(39), Timestamp(0)).unwrap();
        }
        true
    };
    let cleaned = bench.log.clean(&bench.dirt(0), LIMITS, Timestamp(0), &mut pace).unwrap();
    assert_eq!((cleaned, bench.log.cleaned_up_to()), (None, None));
    assert_eq!(bench.records().len(), 39);
    assert!(bench.log.fault().is_none());
    bench.roll();
    bench.clean(0);
    assert_eq!(bench.records(), [record(38, "a", Some("a value of some length 38"))]);
}

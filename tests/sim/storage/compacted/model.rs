//! The model of a compacted log, and the checks against it.

use super::{KEYS, records_from};
use crate::check::{Check, ensure};
use crate::random::Random;
use ::model::Offset;
use records::{BatchView, Batches, RecordReader};
use std::collections::{BTreeMap, BTreeSet};
use storage::{Isolation, Log, LogRead, Wait};

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: u8,
    /// The value that makes the record unique; `None` in a tombstone.
    pub(super) value: Option<u64>,
    /// The producer of its transaction.
    pub(super) producer: Option<i64>,
}

/// The result of a record's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Committed,
    Aborted,
    Open,
}

/// The appended records, and which of them must be there.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// By offset.
    pub(super) appended: BTreeMap<i64, Record>,
    /// Markers by offset: the producer, and whether its transaction was aborted.
    pub(super) markers: BTreeMap<i64, (i64, bool)>,
    /// Refused records that may be in the file, at their offset and in place of what overwrote
    /// them, until that offset is flushed.
    pub(super) ghosts: Vec<(i64, Record)>,
    pub(super) end: i64,
    pub(super) flushed: i64,
}

/// The records that a reader gets.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) records: BTreeMap<i64, Record>,
    markers: BTreeMap<i64, (i64, bool)>,
}

impl Model {
    fn fate(&self, offset: i64, record: &Record) -> Fate {
        let Some(producer) = record.producer else { return Fate::Committed };
        let marker = self.markers.range(offset..self.end).find(|(_, (id, _))| *id == producer);
        match marker {
            Some((_, (_, true))) => Fate::Aborted,
            Some((_, (_, false))) => Fate::Committed,
            None => Fate::Open,
        }
    }

    /// Checks that for every key, the newest decided record below an offset or a later one is
    /// there. After a crash, the content of the log becomes the known state.
    pub(super) fn hold(&mut self, log: &Log, kept_below: i64, was_crash: bool, random: &mut Random) -> Check {
        let found = Reading::of(log, 0, Isolation::LogEnd)?;
        for (offset, record) in &found.records {
            if self.appended.get(offset) != Some(record) {
                let is_ghost = was_crash && self.ghosts.contains(&(*offset, *record));
                ensure!(is_ghost, "{record:?} was never appended at {offset}");
                ensure!(*offset >= self.flushed, "{record:?} stands at {offset}, where something else was flushed");
                self.appended.insert(*offset, *record);
                self.markers.remove(offset);
            }
        }
        let stranger = found.markers.iter().find(|(offset, marker)| self.markers.get(offset) != Some(marker));
        ensure!(stranger.is_none(), "the marker {stranger:?} was never appended");
        let end = log.log_end_offset().0;
        ensure!(end >= kept_below, "ends at {end}, below {kept_below}");
        (0..KEYS as u8).try_for_each(|key| self.hold_key(key, &found.records, kept_below))?;
        if was_crash {
            // Records that were not flushed and are missing now are lost. Their offsets are used
            // again.
            let flushed = self.flushed;
            self.appended.retain(|offset, _| *offset < flushed || found.records.contains_key(offset));
            self.markers.retain(|offset, _| *offset < flushed || found.markers.contains_key(offset));
            self.end = end;
        }
        self.hold_committed(log, &found.records)?;
        let from = random.within(0, end);
        let expected: Vec<_> = found.records.range(from..).collect();
        let read = records_from(log, from)?;
        ensure!(expected == read.iter().collect::<Vec<_>>(), "read from {from}: {read:?} and not {expected:?}");
        Ok(())
    }

    fn hold_key(&self, key: u8, found: &BTreeMap<i64, Record>, kept_below: i64) -> Check {
        let decided = |(offset, record): (&i64, &Record)| {
            let counts = record.key == key && self.fate(*offset, record) == Fate::Committed;
            counts.then_some((*offset, record.value))
        };
        let Some((newest, Some(_))) = self.appended.range(..kept_below).rev().find_map(decided) else { return Ok(()) };
        let is_there = found.range(newest..).find_map(decided).is_some();
        let last = self.appended.range(newest..self.end.max(kept_below)).rev().find_map(decided);
        let was_deleted = last.is_some_and(|(_, value)| value.is_none());
        ensure!(
            is_there || was_deleted,
            "key {key} is lost, which was at {newest}, below {kept_below}; there is {:?}",
            found.keys().collect::<Vec<_>>()
        );
        Ok(())
    }

    /// Checks that read_committed consumers see all committed records of the log, and nothing else.
    fn hold_committed(&self, log: &Log, found: &BTreeMap<i64, Record>) -> Check {
        let stable = log.last_stable_offset().0;
        let first_open = found.iter().find(|(offset, record)| self.fate(**offset, record) == Fate::Open);
        let expected_stable = first_open.map_or(self.end, |(offset, _)| *offset);
        ensure!(stable <= expected_stable, "the last stable offset is {stable}, and {first_open:?} is open");
        let is_seen =
            |(offset, record): &(&i64, &Record)| **offset < stable && self.fate(**offset, record) == Fate::Committed;
        let expected: Vec<i64> = found.iter().filter(is_seen).map(|(offset, _)| *offset).collect();
        let seen: Vec<i64> = Reading::of(log, 0, Isolation::Committed)?.records.into_keys().collect();
        ensure!(seen == expected, "committed is {expected:?}, and readers see {seen:?}; stable up to {stable}");
        Ok(())
    }
}

impl Reading {
    /// Reads everything from an offset on. With read_committed, uses the list of aborted
    /// transactions, as consumers do.
    pub(super) fn of(log: &Log, from: i64, isolation: Isolation) -> Check<Self> {
        let end = match isolation {
            Isolation::Committed => log.last_stable_offset(),
            _ => log.log_end_offset(),
        };
        let mut next = log.log_start_offset().max(Offset(from));
        let mut found = Reading::default();
        while next < end {
            let read =
                LogRead { offset: next, max_bytes: u32::MAX, at_least_one_batch: true, isolation, wait: Wait::Block };
            let plan = log.read(read).map_err(|error| format!("read {next}: {error}"))?;
            let Some(region) = plan.region else { break };
            let bytes = region.read().map_err(|error| error.to_string())?;
            let mut aborted: Vec<(i64, i64)> = Vec::new();
            aborted.extend(plan.aborted.iter().flatten().map(|txn| (txn.first_offset.0, txn.producer_id.0)));
            aborted.sort_unstable();
            let mut aborting = BTreeSet::new();
            let before = next;
            for batch in Batches::new(&bytes) {
                let batch: BatchView<'_> = batch.map_err(|error| format!("torn: {error}"))?;
                batch.verify_crc().map_err(|error| format!("torn at {}: {error}", batch.header().base_offset))?;
                let last = batch.header().last_offset().0;
                let begun = aborted.partition_point(|(first, _)| *first <= last);
                aborting.extend(aborted.drain(..begun).map(|(_, id)| id));
                found.add(&batch, from, &mut aborting)?;
                next = batch.header().next_offset();
            }
            ensure!(next > before, "nothing whole at {next}");
        }
        Ok(found)
    }

    fn add(&mut self, batch: &BatchView<'_>, from: i64, aborting: &mut BTreeSet<i64>) -> Check {
        let header = batch.header();
        let producer = header.producer_id.map(|id| id.0);
        let is_aborted = producer.is_some_and(|id| aborting.contains(&id));
        let mut reader = RecordReader::new(batch).map_err(|error| error.to_string())?;
        while let Some(record) = reader.next_record() {
            let record = record.map_err(|error| error.to_string())?;
            let key = record.key.unwrap_or_default();
            if let (true, Some(id)) = (header.is_control(), producer) {
                let marker_aborts = key.get(3) == Some(&0);
                self.markers.insert(record.offset.0, (id, marker_aborts));
                if marker_aborts {
                    aborting.remove(&id);
                }
                continue;
            }
            if record.offset.0 < from || (header.is_transactional() && is_aborted) {
                continue;
            }
            let number = |bytes: &[u8]| bytes[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            let key = key.first().copied().unwrap_or(u8::MAX);
            let record_read = Record { key, value: record.value.map(number), producer };
            let is_new = self.records.insert(record.offset.0, record_read).is_none();
            ensure!(is_new, "{} is there twice", record.offset);
        }
        Ok(())
    }
}

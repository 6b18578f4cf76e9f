//! Compacts one log: what can be cleaned, and a cleaning (`cleaner`).

use super::Log;
use crate::cleaner::{self, Cleaned, CleanerLimits, Cleaning, Dirt, LastRecord, LogBounds, Source, Step, Stop};
use crate::error::Result;
use crate::index::Wait;
use crate::segment::{CleanedSegment, Segment};
use crate::txn_index::AbortedTxn;
use model::{Offset, ProducerId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

impl Log {
    /// Returns how far the log is clean, exclusive, if known: its entry in
    /// `cleaner-offset-checkpoint`.
    pub fn cleaned_up_to(&self) -> Option<Offset> {
        *self.cleaned_up_to.lock()
    }

    /// Sets the checkpoint's value when the log is opened.
    pub fn set_cleaned_up_to(&self, offset: Option<Offset>) {
        *self.cleaned_up_to.lock() = offset;
    }

    /// A truncated part is no longer clean: what replaces it was never cleaned.
    pub(super) fn lower_cleaned_up_to(&self, to: Offset) {
        let cleaned_up_to = &mut *self.cleaned_up_to.lock();
        *cleaned_up_to = cleaned_up_to.map(|offset| offset.min(to));
    }

    /// Returns what can be cleaned. If a compaction lag is set, reads the first batch and the
    /// newest timestamp of dirty segments.
    pub fn dirt(&self, now: Timestamp) -> Result<Dirt> {
        let config = self.config();
        self.undisturbed(Wait::Block, || {
            let truncations = self.flushed.lock().truncations;
            let offsets = self.offsets();
            let standing = LogBounds {
                log_start: offsets.log_start_offset,
                log_end: offsets.log_end_offset,
                last_stable: offsets.last_stable_offset,
                cleaned_up_to: self.cleaned_up_to(),
                truncations,
            };
            cleaner::look(&self.segments.load_full(), standing, &config, now)
        })
    }

    /// Compacts the log as far as the map of keys reaches, at most to the dirt's end. Calls `pace`
    /// with the number of bytes that it read and wrote. `pace` may wait, and stops the cleaning by
    /// returning `false`. Returns `None` if the cleaning was stopped: by `pace`, or because records
    /// were truncated or segments deleted meanwhile. Work done until then stays. Appends and reads
    /// continue meanwhile.
    pub fn clean(
        &self,
        dirt: &Dirt,
        limits: CleanerLimits,
        now: Timestamp,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Cleaned>> {
        // Two cleanings would write the same files.
        let Some(_alone) = self.cleaning.try_lock() else { return Ok(None) };
        // A record is removed because of a newer one of its key and of the marker that committed
        // that one: a power cut must lose neither.
        self.flush(self.log_end_offset(), now)?;
        let segments = self.segments.load_full();
        let config = self.config();
        let source = CleanedLog { log: self, truncations: dirt.truncations, now };
        let (folder, done) = (&self.folder, Cleaned::default());
        let mut cleaning =
            Cleaning { source: &source, folder, segments: &segments, config: &config, limits, now, pace, done };
        match cleaning.run(dirt) {
            Ok(()) => Ok(self.note_cleaned(dirt, cleaning.done)),
            Err(Stop::GivenUp) => Ok(None),
            // What was read may no longer belong to the log.
            Err(Stop::Fault(_)) if !self.still_has(&segments[cleaning.done.segments_read..], dirt) => Ok(None),
            Err(Stop::Fault(fault)) if fault.is_not_found() && self.fault().is_some() => Ok(None),
            Err(Stop::Fault(fault)) if fault.is_moved() => Ok(None),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    fn note_cleaned(&self, dirt: &Dirt, cleaned: Cleaned) -> Option<Cleaned> {
        let _writer = self.writer.lock();
        let is_whole = self.flushed.lock().truncations == dirt.truncations;
        if is_whole {
            *self.cleaned_up_to.lock() = Some(cleaned.up_to);
        }
        is_whole.then_some(cleaned)
    }

    /// Whether these segments, below the dirt's end, still belong to the log and have the same
    /// length.
    fn still_has(&self, segments: &[Arc<Segment>], dirt: &Dirt) -> bool {
        let _writer = self.writer.lock();
        let mut below_end = segments.iter().filter(|segment| segment.base_offset() < dirt.end);
        self.flushed.lock().truncations == dirt.truncations && below_end.all(|segment| self.is_current(segment))
    }

    /// Returns the aborted transactions with records from an offset on, up to another: by segment,
    /// in the order of their markers.
    fn aborted_between(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>> {
        let segments = self.segments.load_full();
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        let mut aborted = Vec::new();
        for segment in &segments[first..] {
            for txn in segment.aborted.entries()?.iter() {
                if txn.last_offset >= from && txn.first_offset < to {
                    aborted.push(*txn);
                }
                // All transactions that begin below have ended by then.
                if txn.last_stable_offset >= to {
                    return Ok(aborted);
                }
            }
        }
        Ok(aborted)
    }
}

/// A log that is being cleaned.
struct CleanedLog<'a> {
    log: &'a Log,
    truncations: u64,
    now: Timestamp,
}

impl Source for CleanedLog<'_> {
    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>> {
        self.log.aborted_between(from, to)
    }

    fn last_records(&self) -> HashMap<ProducerId, LastRecord> {
        let writer = self.log.writer.lock();
        let last = |(id, entry): (ProducerId, &crate::producer::ProducerEntry)| {
            let data = entry.batches().last().map(|batch| batch.last_offset);
            (id, LastRecord { data, epoch: entry.epoch })
        };
        writer.producers.iter().map(last).collect()
    }

    fn swap(&self, cleaned: CleanedSegment, group: &[Arc<Segment>]) -> Step<()> {
        self.log.swap_in(cleaned, group, self.truncations, self.now)
    }
}

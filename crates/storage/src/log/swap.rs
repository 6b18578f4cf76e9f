//! Replaces a group of segments by a cleaned one.
//!
//! ```text
//! base.log.cleaned …        written and synced
//! base.log.swap …           from here on the group's files are void: a start that finds these finishes what follows
//! base.log.deleted …        of each of the group, oldest first; removed after file.delete.delay.ms
//! base.log …                the new segment's files have their names
//! ```
//! Names change in this order, and the journal of a file system keeps it. A start that finds
//! `.cleaned` files undoes everything before the second step.
//!
//! **Readers.** A file region that was planned before reads from the file that it holds open, which
//! does not change. A plan made during a swap could find the records of one segment with the index
//! of the other, so such a plan is made again ([`Log::undisturbed`]).

use super::{Log, Writer};
use crate::cleaner::{Step, Stop};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::names::{self, CLEANED, DELETED, SWAP};
use crate::segment::{CleanedSegment, Segment};
use model::{Offset, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the starts and ends of swaps: odd during a swap.
#[derive(Debug, Default)]
pub(super) struct Swaps(AtomicU64);

impl Swaps {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn step(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Log {
    /// Returns what `look` finds in the segments' files while none of them is being swapped.
    pub(super) fn undisturbed<T>(&self, wait: Wait, mut look: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            let before = self.swaps.count();
            if before % 2 == 1 {
                if wait == Wait::Try {
                    return Err(Error::WouldBlock);
                }
                // The swapping thread holds it.
                drop(self.writer.lock());
                continue;
            }
            let found = look();
            if self.swaps.count() == before {
                return found;
            }
        }
    }

    /// Replaces a group of segments by a cleaned one, unless the group changed since the log had
    /// this many truncations.
    pub(super) fn swap_in(
        &self,
        cleaned: CleanedSegment,
        group: &[Arc<Segment>],
        truncations: u64,
        now: Timestamp,
    ) -> Step<()> {
        {
            let writer = &mut *self.writer.lock();
            if writer.closed || self.fault().is_some() || self.flushed.lock().truncations != truncations {
                return Err(Stop::GivenUp);
            }
            let current = self.segments.load_full();
            let Some(first) = place_of(group, &current) else { return Err(Stop::GivenUp) };
            self.rename_cleaned(&cleaned)?;
            // After a fault from here on, files and memory differ: opening the log again repairs
            // it.
            self.swaps.step();
            let put = self.put_in_place(writer, &cleaned, group, first, now);
            self.swaps.step();
            put.map_err(|error| self.go_offline(error))?;
        }
        // Appends do not wait for this. After a power cut a start finds one state or the other.
        self.folder.sync().map_err(|error| self.go_offline(error).into())
    }

    /// Renames `.cleaned` files to `.swap`. A fault undoes it.
    fn rename_cleaned(&self, cleaned: &CleanedSegment) -> Result<()> {
        let renamed = cleaned_files(cleaned)
            .try_for_each(|name| self.folder.rename_file(&format!("{name}{CLEANED}"), &format!("{name}{SWAP}")));
        let Err(fault) = renamed else { return Ok(()) };
        // One that stayed would replace later records with these at a later start.
        for name in cleaned_files(cleaned) {
            self.folder.remove_file(&format!("{name}{SWAP}")).map_err(|error| self.go_offline(error))?;
        }
        Err(fault)
    }

    fn put_in_place(
        &self,
        writer: &mut Writer,
        cleaned: &CleanedSegment,
        group: &[Arc<Segment>],
        first: usize,
        now: Timestamp,
    ) -> Result<()> {
        for segment in group {
            let mut names: Vec<String> = segment.file_names().collect();
            if segment.base_offset() != cleaned.base_offset {
                names.push(segment.name(names::SNAPSHOT));
                writer.snapshots.remove(&segment.base_offset());
            }
            self.doom_files(writer, names, now)?;
            segment.close();
        }
        for name in cleaned_files(cleaned) {
            self.folder.rename_file(&format!("{name}{SWAP}"), &name)?;
        }
        let created = group.first().map_or(now, |segment| segment.created);
        let segment = Arc::new(Segment::cleaned(self.folder.clone(), created, cleaned));
        let mut segments = self.segments.load().to_vec();
        segments.splice(first..first + group.len(), [segment]);
        self.segments.store(Arc::new(segments));
        let is_in_group = |base: Offset| group.iter().any(|segment| segment.base_offset() == base);
        let mut marks = self.marks.write();
        if marks.high_watermark.place.is_some_and(|(base, _)| is_in_group(base)) {
            marks.high_watermark.place = None;
        }
        Ok(())
    }

    /// Renames files to `.deleted`; they are removed after `file.delete.delay.ms`.
    pub(super) fn doom_files(&self, writer: &mut Writer, names: Vec<String>, now: Timestamp) -> Result<()> {
        let mut doomed = Vec::new();
        for name in names {
            let renamed = format!("{name}{DELETED}");
            match self.folder.rename_file(&name, &renamed) {
                Ok(()) => doomed.push(renamed),
                Err(error) if error.is_not_found() => {}
                // Even a longer name may take space: then the file is removed at once.
                Err(error) if error.is_refusal() => drop(self.folder.remove_file(&name)?),
                Err(error) => return Err(error),
            }
        }
        let due = Timestamp(now.0.saturating_add(self.config.load().file_delete_delay_ms));
        writer.doomed.push((due, doomed));
        Ok(())
    }
}

/// Returns where a group begins in the log's segments; `None` if it is incomplete there or contains
/// the active segment.
fn place_of(group: &[Arc<Segment>], current: &[Arc<Segment>]) -> Option<usize> {
    let first = current.iter().position(|segment| group.first().is_some_and(|it| Arc::ptr_eq(it, segment)))?;
    let there = current.get(first..first + group.len())?;
    let is_same = there.iter().zip(group).all(|(one, other)| Arc::ptr_eq(one, other));
    (is_same && first + group.len() < current.len()).then_some(first)
}

/// Returns the names of a cleaned segment's files. The records come first, as in Kafka: a start
/// takes them for the whole segment.
fn cleaned_files(cleaned: &CleanedSegment) -> impl Iterator<Item = String> + use<> {
    let (base_offset, has_aborted) = (cleaned.base_offset, cleaned.has_aborted);
    [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX]
        .into_iter()
        .filter(move |suffix| *suffix != names::TXN_INDEX || has_aborted)
        .map(move |suffix| names::segment_file(base_offset, suffix))
}

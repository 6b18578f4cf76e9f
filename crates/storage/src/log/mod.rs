//! One partition's log: its segments in order, and what is known about the records in them.
//!
//! **Locks.** Every change of a log takes `writer`, a mutex, for as long as it writes. Reads do
//! not: they take the current list of segments and the current offsets, so a read never waits for
//! an append, a roll or a flush. Offsets that belong together (log end, high watermark, last
//! stable) change together.
//!
//! **Guarantees.** An append is visible as a whole or not at all. The recovery point is never above
//! what was synced. After a fault with an unknown effect the log is offline until it is opened
//! again; in a log dir, the whole dir is. A full disk is not a fault: what could not be written
//! beside the records (indexes, epochs, producer snapshots) stays in memory or is left out, and the
//! recovery point stays below it.

mod append;
mod clean;
mod flush;
mod lookup;
mod open;
mod read;
mod recall;
mod recover;
mod relocate;
mod retention;
mod settle;
mod swap;
mod truncate;

pub use append::{AppendOutcome, FollowerAppend, LeaderAppend};
pub use flush::{Flush, SyncedFlush};
pub use lookup::TimestampAndOffset;
pub use open::{OpenLog, Recovery};
pub use read::{Isolation, LogRead, ReadPlan};
pub use retention::Expired;

use crate::checkpoints::Checkpoints;
use crate::condition::Condition;
use crate::config::LogConfig;
use crate::epochs::LeaderEpochs;
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::names;
use crate::planted::{Bug, is_planted};
use crate::producer::{ProducerEntry, Producers, Verifications};
use crate::segment::Segment;
use arc_swap::ArcSwap;
use model::{LeaderEpoch, Offset, ProducerId, Timestamp, TopicPartition};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The offsets of a log that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    /// The first offset that may be read.
    pub log_start_offset: Offset,
    /// The next offset to be written.
    pub log_end_offset: Offset,
    /// The exclusive end of what is replicated.
    pub high_watermark: Offset,
    /// The exclusive end of what read_committed consumers see.
    pub last_stable_offset: Offset,
}

/// An offset, and its place in a segment if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: Offset,
    pub(crate) place: Option<(Offset, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) log_start: Offset,
    pub(crate) log_end: Mark,
    pub(crate) high_watermark: Mark,
    /// From the producers. All transactions below it are decided.
    pub(crate) first_unstable: Option<Offset>,
    /// Completed transactions that wait for the high watermark to pass their markers.
    pub(crate) awaits_high_watermark: bool,
}

impl Marks {
    fn last_stable(&self) -> Mark {
        match self.first_unstable {
            _ if is_planted(Bug::StableOffsetFromHighWatermark) => self.high_watermark,
            Some(offset) if offset < self.high_watermark.offset => {
                Mark { offset: offset.max(self.log_start), place: None }
            }
            _ => self.high_watermark,
        }
    }

    fn offsets(&self) -> LogOffsets {
        LogOffsets {
            log_start_offset: self.log_start,
            log_end_offset: self.log_end.offset,
            high_watermark: self.high_watermark.offset,
            last_stable_offset: self.last_stable().offset,
        }
    }
}

/// The state that only the holder of the writer touches.
#[derive(Debug)]
struct Writer {
    producers: Producers,
    verifications: Verifications,
    /// Offsets of the producer snapshots in the folder.
    snapshots: BTreeSet<Offset>,
    /// Files that were renamed and are removed later, each with the time of its removal.
    doomed: Vec<(Timestamp, Vec<String>)>,
    /// The lowest epoch in which a leader may append. The log's own epochs are not enough: they
    /// hold nothing of an epoch in which another replica leads and nothing was copied yet.
    least_epoch: LeaderEpoch,
    /// A failed write may have left bytes behind the last record.
    leftovers: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Flushed {
    recovery_point: Offset,
    /// The end of the flushed records. It is above the recovery point if the segment that ends
    /// there was closed during their flush, without its indexes.
    end: Offset,
    at: Timestamp,
    /// Counts truncations, so that a flush that ran during one does not count truncated records as
    /// flushed.
    truncations: u64,
    /// The offset of the last roll. A flush that began before it did not sync the indexes of the
    /// segment that ends there.
    rolled_at: Offset,
}

/// A partition's log.
#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    folder: Arc<Folder>,
    config: ArcSwap<LogConfig>,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    marks: RwLock<Marks>,
    epochs: RwLock<LeaderEpochs>,
    /// The epoch file lacks the last changes: those of records that are not flushed, or for which
    /// the disk had no space.
    epochs_unwritten: AtomicBool,
    /// Held while the epoch file is written. Taken after the writer.
    epochs_file: Mutex<()>,
    /// Counts deletions of segments, and how many of them survive a power cut.
    deletions: AtomicU64,
    deletions_synced: AtomicU64,
    flushed: Mutex<Flushed>,
    /// Held while files are synced.
    syncing: Mutex<()>,
    fault: OnceLock<String>,
    dir: Arc<Condition>,
    /// The checkpoints of its log dir, if it is in one.
    checkpoints: Option<Arc<Checkpoints>>,
    /// Another log replaced this one (`relocate`).
    is_moved: AtomicBool,
    jitter_seed: u64,
    settling: settle::Settling,
    swaps: swap::Swaps,
    /// Held during a cleaning.
    cleaning: Mutex<()>,
    cleaned_up_to: Mutex<Option<Offset>>,
    writer: Mutex<Writer>,
    /// The holder of the writer is syncing. A caller that must not wait for a sync then does not
    /// wait for the writer.
    is_held_over_sync: AtomicBool,
}

/// While it exists, the writer is held during a sync.
struct HeldOverSync<'a>(&'a AtomicBool);

impl Drop for HeldOverSync<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Log {
    /// Returns the partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Returns the path of its folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path()
    }

    /// Returns its settings.
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Changes its settings. They apply from the next append.
    pub fn set_config(&self, config: LogConfig) {
        self.config.store(Arc::new(config));
    }

    /// Returns the four offsets, as of one moment.
    pub fn offsets(&self) -> LogOffsets {
        self.marks.read().offsets()
    }

    /// Returns the next offset to be written.
    pub fn log_end_offset(&self) -> Offset {
        self.marks.read().log_end.offset
    }

    /// Returns the first offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        self.marks.read().log_start
    }

    /// Returns the log start offset to write into the checkpoint. `None` if the first segment's
    /// name says it durably.
    pub fn log_start_to_checkpoint(&self) -> Option<Offset> {
        let is_unsure = self.deletions_synced.load(Ordering::Acquire) < self.deletions.load(Ordering::Acquire);
        let start = self.log_start_offset();
        let is_above = self.segments.load().first().is_some_and(|first| first.base_offset() < start);
        (is_above || (is_unsure && start > Offset(0))).then_some(start)
    }

    /// Makes the names of all files, and the removal of others, survive a power cut.
    fn sync_folder(&self) -> Result<()> {
        let deletions = self.deletions.load(Ordering::Acquire);
        self.folder.sync().map_err(|error| self.go_offline(error))?;
        self.deletions_synced.fetch_max(deletions, Ordering::AcqRel);
        Ok(())
    }

    /// Called by the holder of the writer before it syncs.
    fn held_over_sync(&self) -> HeldOverSync<'_> {
        self.is_held_over_sync.store(true, Ordering::Release);
        HeldOverSync(&self.is_held_over_sync)
    }

    /// Returns the exclusive end of what is replicated.
    pub fn high_watermark(&self) -> Offset {
        self.marks.read().high_watermark.offset
    }

    /// Returns the exclusive end of what read_committed consumers see.
    pub fn last_stable_offset(&self) -> Offset {
        self.marks.read().last_stable().offset
    }

    /// Returns the offset below which all is flushed.
    pub fn recovery_point(&self) -> Offset {
        self.flushed.lock().recovery_point
    }

    /// Returns the offset below which all records survive a power cut. The recovery point may be
    /// lower, never higher: a start may have to read some of these records.
    pub fn flushed_end(&self) -> Offset {
        self.flushed.lock().end
    }

    /// Returns the bytes of all segments' records.
    pub fn size_bytes(&self) -> u64 {
        self.segments.load().iter().map(|segment| u64::from(segment.size())).sum()
    }

    /// Returns the segments, oldest first. The last one is active.
    pub fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.load_full()
    }

    /// Returns the newest leader epoch.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.read().latest()
    }

    /// Returns the leader epochs and their start offsets.
    pub fn leader_epochs(&self) -> LeaderEpochs {
        self.epochs.read().clone()
    }

    /// Returns where an epoch ended in this log: the largest known epoch that is not above it, and
    /// its exclusive end (KIP-101).
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let end = self.log_end_offset();
        self.epochs.read().end_offset(epoch, end)
    }

    /// Returns the state of a producer.
    pub fn producer(&self, id: ProducerId) -> Option<ProducerEntry> {
        self.writer.lock().producers.get(id).cloned()
    }

    /// Returns the state of all producers, for DescribeProducers.
    pub fn producers(&self) -> Vec<(ProducerId, ProducerEntry)> {
        self.writer.lock().producers.iter().map(|(id, entry)| (id, entry.clone())).collect()
    }

    /// Removes producers that wrote nothing for `producer.id.expiration.ms`, and verifications that
    /// old. Returns how many producers.
    pub fn expire_producers(&self, now: Timestamp) -> usize {
        let expiration_ms = self.config.load().producer_id_expiration_ms;
        let writer = &mut *self.writer.lock();
        writer.verifications.expire(now, expiration_ms);
        writer.producers.expire(now, expiration_ms)
    }

    /// Returns why the log is offline, if it or its log dir is.
    pub fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str).or_else(|| self.dir.fault())
    }

    /// Moves the high watermark forward, not beyond the log end. Returns whether it moved.
    pub fn advance_high_watermark(&self, to: Offset) -> bool {
        let awaited = {
            let mut marks = self.marks.write();
            let to = to.min(marks.log_end.offset);
            if to <= marks.high_watermark.offset {
                return false;
            }
            marks.high_watermark = marks.mark(to);
            marks.awaits_high_watermark
        };
        if awaited {
            let mut writer = self.writer.lock();
            // Read again: the append of the markers may have changed it.
            let high_watermark = self.high_watermark();
            writer.producers.high_watermark_moved(high_watermark);
            self.publish_unstable(&writer);
        }
        true
    }

    /// Sets the high watermark to the value of a checkpoint or a leader, within the log's bounds.
    /// It may move back only before the log is served.
    pub fn set_high_watermark(&self, to: Offset) {
        let writer = &mut *self.writer.lock();
        let high_watermark = {
            let mut marks = self.marks.write();
            let to = to.clamp(marks.log_start, marks.log_end.offset);
            marks.high_watermark = marks.mark(to);
            to
        };
        writer.producers.high_watermark_moved(high_watermark);
        self.publish_unstable(writer);
    }

    /// Notes in memory, as `note_epochs` does, that this replica leads from its log end on in an
    /// epoch. From now on a leader cannot append in an earlier epoch.
    pub fn assign_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        writer.least_epoch = epoch;
        self.note_epochs(&[(epoch, self.log_end_offset())]);
        Ok(())
    }

    /// Notes that this replica no longer leads in an epoch: a later append by a leader in that
    /// epoch is refused. Errors: the log is offline, where every append is refused.
    pub fn end_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        writer.least_epoch = writer.least_epoch.max(LeaderEpoch(epoch.0.saturating_add(1)));
        Ok(())
    }

    /// Notes the epochs of records that are about to be written. The file is written with the flush
    /// of the records: a start reads the epochs of unflushed records from the records. Called by
    /// the holder of the writer.
    fn note_epochs(&self, starts: &[(LeaderEpoch, Offset)]) {
        let goes_on = |(epoch, start): &(LeaderEpoch, Offset)| self.epochs.read().goes_on(*epoch, *start);
        if starts.iter().all(goes_on) {
            return;
        }
        let mut epochs = self.epochs.write();
        for (epoch, start) in starts {
            epochs.assign(*epoch, *start);
        }
        self.epochs_unwritten.store(true, Ordering::Release);
    }

    /// Changes the epochs in the file first and then in memory. If the disk has no space, it
    /// changes them only in memory until a flush. A start ignores an epoch that a truncation
    /// removed, whatever the file says. Called by the holder of the writer.
    fn change_epochs(&self, change: impl FnOnce(&mut LeaderEpochs) -> bool) -> Result<()> {
        let _file = self.epochs_file.lock();
        let mut epochs = self.epochs.read().clone();
        if change(&mut epochs) {
            match self.write_epochs(&epochs) {
                Ok(()) => self.epochs_unwritten.store(false, Ordering::Release),
                Err(error) if error.is_refusal() => self.epochs_unwritten.store(true, Ordering::Release),
                Err(error) => return Err(error),
            }
            *self.epochs.write() = epochs;
        }
        Ok(())
    }

    /// Writes epochs that are only in memory to the file, before the recovery point passes their
    /// records.
    fn write_noted_epochs(&self) -> Result<()> {
        let _file = self.epochs_file.lock();
        // In this order: what is noted from here on belongs to records that no flush in progress
        // covers.
        if !self.epochs_unwritten.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let epochs = self.epochs.read().clone();
        self.write_epochs(&epochs).inspect_err(|_| self.epochs_unwritten.store(true, Ordering::Release))
    }

    /// Called by the holder of the epoch file's lock.
    fn write_epochs(&self, epochs: &LeaderEpochs) -> Result<()> {
        let write = |path: &Path| epochs.write(&*self.folder.disk, path, self.settling.is_begun());
        self.folder.with_file(names::LEADER_EPOCH_CHECKPOINT, write).map_err(|error| self.note_fault(error))
    }

    fn publish_unstable(&self, writer: &Writer) {
        let mut marks = self.marks.write();
        marks.first_unstable = writer.producers.first_unstable_offset();
        marks.awaits_high_watermark = writer.producers.awaits_high_watermark();
    }

    fn active(&self) -> Arc<Segment> {
        // There is always one: `open` creates it, and a deletion of all segments rolls first.
        self.segments.load().last().cloned().unwrap_or_else(|| unreachable!("a log without a segment"))
    }

    fn check_online(&self) -> Result<()> {
        if self.is_moved() {
            return Err(Error::Moved { partition: self.partition.to_string() });
        }
        match self.fault() {
            Some(reason) => Err(Error::Offline { partition: self.partition.to_string(), reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    /// Returns an error if the disk is full, so that producers may not write.
    fn check_room(&self) -> Result<()> {
        if !self.dir.is_full() {
            return Ok(());
        }
        let path = self.folder.path();
        let path = path.parent().unwrap_or(&path).to_path_buf();
        Err(Error::Full { path, partition: self.partition.to_string() })
    }

    /// Takes the log dir offline if the error means that this log's folder was removed. Returns the
    /// error. A single missing file may mean that retention or the cleaner removed it. Other errors
    /// that take the dir offline are already known to it.
    fn note_fault(&self, error: Error) -> Error {
        if error.is_not_found() && self.fault().is_none() {
            let path = self.folder.path();
            let gone = self.folder.disk.metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            if gone && self.fault().is_none() && self.folder.path() == path {
                self.dir.fail(&format!("{error}: the folder is gone"));
            }
        }
        error
    }

    /// Takes the log offline because of an error. Returns the error.
    fn go_offline(&self, error: Error) -> Error {
        let error = self.note_fault(error);
        let _ = self.fault.set(error.to_string());
        error
    }
}

impl Marks {
    /// Returns a mark at an offset, with its place if one of the marks knows it.
    fn mark(&self, offset: Offset) -> Mark {
        match offset == self.log_end.offset {
            true => self.log_end,
            false => Mark { offset, place: None },
        }
    }
}

#[cfg(test)]
mod tests;

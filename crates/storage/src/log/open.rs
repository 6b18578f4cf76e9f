//! Opens a log. After a clean stop, the open reads only the end of the last segment, as long as the
//! small files and the indexes are whole. After any other stop, it reads and checks all records of
//! the segment that holds the recovery point and of all later segments.

use super::recover::{self, Derived, Recovering, is_damage, replay_segment};
use super::settle::Settling;
use super::swap::Swaps;
use super::{Flushed, Log, Mark, Marks, Writer};
use crate::checkpoints::Checkpoints;
use crate::condition::Condition;
use crate::config::LogConfig;
use crate::disk::Disk;
use crate::epochs::LeaderEpochs;
use crate::error::{Error, Result};
use crate::files::{Folder, OpenFiles};
use crate::leftovers;
use crate::names::{self, parse_segment_file};
use crate::planted::{Bug, is_planted};
use crate::producer::{Producers, Verifications, read_snapshot, write_snapshot};
use crate::segment::Segment;
use crate::siblings::Siblings;
use arc_swap::ArcSwap;
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

/// The arguments for opening a log. An empty folder becomes a new log.
#[derive(Clone, Debug)]
pub struct OpenLog {
    /// The disk with the files.
    pub disk: Arc<dyn Disk>,
    /// The bound on open files.
    pub open_files: Arc<OpenFiles>,
    /// The partition's folder.
    pub path: PathBuf,
    /// The partition.
    pub partition: TopicPartition,
    /// Its settings.
    pub config: LogConfig,
    /// From the checkpoint; 0 if it has none.
    pub recovery_point: Offset,
    /// From the checkpoint, if it has one.
    pub log_start_offset: Option<Offset>,
    /// Whether the last stop was clean.
    pub is_clean: bool,
    /// The current time.
    pub now: Timestamp,
    /// A seed for the times at which segments are rolled.
    pub jitter_seed: u64,
    /// Set when the broker stops: recovery then ends with `Error::Interrupted`.
    pub interrupted: Arc<AtomicBool>,
}

/// What the open had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments whose records were all read and checked.
    pub segments_checked: usize,
    /// Bytes that were removed from a segment: its first bad batch and all behind it.
    pub bytes_cut: u64,
    /// Segments behind the first bad batch, which were removed.
    pub segments_dropped: usize,
}

/// A log that is being opened.
struct Opening {
    options: OpenLog,
    folder: Arc<Folder>,
    names: BTreeSet<String>,
    segments: Vec<Arc<Segment>>,
    snapshots: BTreeSet<Offset>,
    /// The only snapshot above the part that needs no check. A broker that was killed may have
    /// written it at its log end. It is not used before the records confirm it.
    doubtful: Option<Offset>,
    epochs: LeaderEpochs,
    /// The epoch file differs from `epochs`.
    epochs_unwritten: bool,
    /// The epoch file is damaged or may be old: the epochs are read from all records.
    is_without_epochs: bool,
    /// The end of a log that was closed cleanly, from its last batch.
    sure_end: Option<Offset>,
    recovery: Recovery,
    /// The open created the first segment.
    is_made: bool,
}

impl Log {
    /// Opens a log in a folder that is in no log dir.
    pub fn open(options: OpenLog) -> Result<(Log, Recovery)> {
        Self::open_among(options, Arc::default(), Arc::default(), None)
    }

    /// Opens a log in a folder of a log dir.
    pub(crate) fn open_among(
        options: OpenLog,
        siblings: Arc<Siblings>,
        dir: Arc<Condition>,
        checkpoints: Option<Arc<Checkpoints>>,
    ) -> Result<(Log, Recovery)> {
        let folder = Folder::new(options.disk.clone(), options.open_files.clone(), options.path.clone());
        let names = leftovers::settle(&folder)?;
        let mut opening = Opening {
            options,
            folder,
            names,
            segments: Vec::new(),
            snapshots: BTreeSet::new(),
            doubtful: None,
            epochs: LeaderEpochs::default(),
            epochs_unwritten: false,
            is_without_epochs: false,
            sure_end: None,
            recovery: Recovery::default(),
            is_made: false,
        };
        opening.read_epochs()?;
        opening.open_segments()?;
        let unsure_from = opening.unsure_from()?;
        let (mut producers, mut end) = opening.recover(unsure_from)?;
        let first = opening.segments.first().map_or(Offset(0), |segment| segment.base_offset());
        let log_start = opening.options.log_start_offset.unwrap_or(first).max(first);
        if end < log_start {
            // All that is left is below the log start offset and must not be read any more.
            opening.drop_segments(0)?;
            opening.create_segment(log_start)?;
            producers = Producers::at(log_start);
            end = log_start;
        }
        opening.settle_epochs(log_start, end)?;
        opening.drop_snapshots_above(end)?;
        opening.drop_needless_snapshots(end)?;
        Ok(opening.into_log(producers, log_start, end, siblings, dir, checkpoints))
    }
}

impl Opening {
    /// Reads the epoch file. It is ignored if it is damaged, and after a stop that was not clean if
    /// the log was never flushed: a power cut may then have brought back an older file.
    fn read_epochs(&mut self) -> Result<()> {
        self.is_without_epochs = !self.options.is_clean && self.options.recovery_point == Offset(0);
        if self.is_without_epochs {
            return Ok(());
        }
        match LeaderEpochs::read(&*self.folder.disk, &self.folder.file(names::LEADER_EPOCH_CHECKPOINT)) {
            Ok(epochs) => self.epochs = epochs,
            Err(error) if is_damage(&error) => self.is_without_epochs = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn open_segments(&mut self) -> Result<()> {
        let mut bases = BTreeSet::new();
        for name in &self.names {
            match parse_segment_file(name) {
                Some((base, names::LOG)) => drop(bases.insert(base)),
                Some((offset, names::SNAPSHOT)) => drop(self.snapshots.insert(offset)),
                _ => {}
            }
        }
        for name in &self.names {
            if let Some((base, names::INDEX | names::TIME_INDEX | names::TXN_INDEX)) = parse_segment_file(name)
                && !bases.contains(&base)
            {
                self.folder.remove_file(name)?;
            }
        }
        for base in bases {
            self.segments.push(Arc::new(Segment::open(self.folder.clone(), base, self.options.now)?));
        }
        self.drop_half_made()
    }

    /// Removes each segment without records whose base offset is not above the records of the
    /// segment before it. A failed roll left it, and it would hide those records. One that was
    /// removed may be back after a power cut.
    fn drop_half_made(&mut self) -> Result<()> {
        let segments = std::mem::take(&mut self.segments);
        for segment in segments {
            let is_before = |before: &Arc<Segment>| before.holds_from(segment.base_offset());
            if segment.size() == 0 && self.segments.last().is_some_and(is_before) {
                for name in segment.file_names() {
                    self.folder.remove_file(&name)?;
                    self.names.remove(&name);
                }
            } else {
                self.segments.push(segment);
            }
        }
        Ok(())
    }

    /// Returns the index of the first segment whose records must be read, or the number of segments
    /// if none must.
    fn unsure_from(&mut self) -> Result<usize> {
        let mut first = match self.options.is_clean {
            _ if self.is_without_epochs => 0,
            true => self.segments.len() - usize::from(!self.is_active_whole()?),
            false => {
                let point = self.options.recovery_point;
                self.segments.partition_point(|segment| segment.base_offset() <= point).saturating_sub(1)
            }
        };
        for (number, segment) in self.segments[..first].iter().enumerate() {
            if self.names.contains(&segment.name(names::TXN_INDEX)) {
                match segment.aborted.entries() {
                    Ok(_) => segment.aborted.close(),
                    Err(error) if is_damage(&error) => {
                        first = number;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(first)
    }

    /// Whether the last segment ends with a complete batch. A partial batch must be removed before
    /// the next append, even after a clean stop.
    fn is_active_whole(&mut self) -> Result<bool> {
        let Some(active) = self.segments.last() else { return Ok(true) };
        let (next, end) = active.end()?;
        self.sure_end = Some(next);
        Ok(end == active.size() && active.base_offset() <= next)
    }

    /// Whether a segment's indexes exist and have lengths that they can have.
    fn has_indexes(&self, segment: &Segment) -> Result<bool> {
        for (suffix, entry_bytes) in [(names::INDEX, 8), (names::TIME_INDEX, 12)] {
            let name = segment.name(suffix);
            if !self.names.contains(&name) {
                return Ok(false);
            }
            let path = self.folder.file(&name);
            let length = self.folder.disk.metadata(&path).map_err(Error::io("measure", &path))?.length;
            if length % entry_bytes != 0 || (suffix == names::TIME_INDEX && length == 0 && segment.size() > 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what must be read. Returns the producers at the log end, and the log end.
    fn recover(&mut self, unsure_from: usize) -> Result<(Producers, Offset)> {
        let flag = self.options.interrupted.clone();
        let index_interval = self.options.config.index_interval_bytes;
        let how = Recovering { index_interval, interrupted: &flag, is_active: false, before_cut: &|| Ok(()) };
        for number in 0..unsure_from {
            let segment = &self.segments[number];
            if !self.has_indexes(segment)? {
                recover::recover(segment, how, None)?;
                // No later flush syncs this segment.
                segment.sync()?;
                self.recovery.segments_checked += 1;
            }
        }
        let sure_end = match (self.segments.get(unsure_from), self.segments.last()) {
            (Some(unsure), _) => unsure.base_offset(),
            (None, Some(active)) => self.sure_end.map_or_else(|| active.next_offset(), Ok)?,
            (None, None) => {
                let start = self.options.log_start_offset.unwrap_or_default();
                self.create_segment(start)?;
                return Ok((Producers::at(start), start));
            }
        };
        let mut producers = self.producers_at(sure_end, unsure_from == self.segments.len())?;
        let mut number = unsure_from;
        let is_unsure = number < self.segments.len();
        if is_unsure {
            // From here on, the epochs are those of the records: the file may name epochs whose
            // records a power cut took.
            self.epochs.truncate_from_end(sure_end);
        }
        while let Some(segment) = self.segments.get(number).cloned() {
            if number > 0 {
                self.snapshot(&mut producers, segment.base_offset())?;
            }
            let (folder, later) = (self.folder.clone(), self.segments[number + 1..].to_vec());
            // The later segments are removed durably, and before the cut: a start after the cut
            // finds no bad batch, so it would keep the segments that are still there.
            let before_cut = || remove_segments(&folder, &later);
            let how = Recovering { is_active: later.is_empty(), before_cut: &before_cut, ..how };
            let derived = Derived { producers: &mut producers, epochs: &mut self.epochs };
            let cut = recover::recover(&segment, how, Some(derived))?;
            self.recovery.segments_checked += 1;
            self.recovery.bytes_cut += u64::from(cut);
            number += 1;
            let is_flushed = |next: &Arc<Segment>| next.base_offset() <= self.options.recovery_point;
            if self.segments.get(number).is_some_and(is_flushed) {
                segment.sync()?;
                self.folder.sync()?;
            }
            if cut > 0 {
                self.recovery.segments_dropped = self.segments.len() - number;
                // Nothing is left of a segment that a failed roll began. It is removed like one
                // that was empty before (`drop_half_made`).
                let is_inside = |before: &Arc<Segment>| before.holds_from(segment.base_offset());
                let before = number.checked_sub(2).and_then(|before| self.segments.get(before));
                if segment.size() == 0 && before.is_some_and(is_inside) {
                    number -= 1;
                }
                self.drop_segments(number)?;
            }
        }
        if let Some(last) = self.segments.last().filter(|_| is_unsure) {
            // No snapshot is written at the end, since no start needs it: after a kill the last
            // segment is read again, and its roll or a clean stop writes one.
            let end = last.next_offset()?;
            if producers.end_offset < end {
                // The segment that was just removed began below the end of this one.
                replay_segment(&mut producers, last, end)?;
            }
            producers.end_offset = end;
            self.judge_doubtful(&producers)?;
            return Ok((producers, end));
        }
        self.judge_doubtful(&producers)?;
        self.snapshot(&mut producers, sure_end)?;
        Ok((producers, sure_end))
    }

    /// Returns the producers at an offset, from the newest valid snapshot and the records after it.
    fn producers_at(&mut self, end: Offset, is_clean: bool) -> Result<Producers> {
        if !is_planted(Bug::NewerProducerSnapshotAccepted) {
            if self.snapshots.range(end.plus(1)..).count() == 1 {
                self.doubtful = self.snapshots.pop_last();
            }
            self.drop_snapshots_above(end)?;
        }
        if is_clean && self.snapshots.is_empty() {
            // Without a snapshot, Kafka does not read the whole log after a clean stop either.
            return Ok(Producers::at(end));
        }
        let first = self.segments.first().map_or(end, |segment| segment.base_offset());
        let start = self.options.log_start_offset.unwrap_or(first).max(first).min(end);
        let mut producers = Producers::at(start);
        for offset in self.snapshots.clone().into_iter().rev().take_while(|offset| *offset > start) {
            let path = self.folder.file(&names::segment_file(offset, names::SNAPSHOT));
            match read_snapshot(&*self.folder.disk, &path, offset) {
                Ok(read) => {
                    producers = read;
                    producers.expire(self.options.now, self.options.config.producer_id_expiration_ms);
                    break;
                }
                Err(error) if is_damage(&error) => {
                    self.folder.remove_file(&names::segment_file(offset, names::SNAPSHOT))?;
                    self.snapshots.remove(&offset);
                }
                Err(error) => return Err(error),
            }
        }
        let from =
            self.segments.partition_point(|segment| segment.base_offset() <= producers.end_offset).saturating_sub(1);
        for segment in &self.segments[from..] {
            if segment.base_offset() < end {
                replay_segment(&mut producers, segment, end)?;
            }
        }
        producers.end_offset = end;
        Ok(producers)
    }

    fn snapshot(&mut self, producers: &mut Producers, at: Offset) -> Result<()> {
        producers.end_offset = at;
        if self.doubtful == Some(at) {
            self.judge_doubtful(producers)?;
        }
        if self.snapshots.contains(&at) {
            return Ok(());
        }
        let path = self.folder.file(&names::segment_file(at, names::SNAPSHOT));
        match write_snapshot(&*self.folder.disk, &path, producers, false) {
            Ok(()) => drop(self.snapshots.insert(at)),
            // A snapshot makes a start read less; no start depends on it.
            Err(error) if error.is_refusal() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Keeps the unconfirmed snapshot if it agrees with the records. It does so if the broker that
    /// was killed had written nothing to this log. Otherwise removes it.
    fn judge_doubtful(&mut self, producers: &Producers) -> Result<()> {
        let Some(offset) = self.doubtful.take() else { return Ok(()) };
        self.snapshots.insert(offset);
        let path = self.folder.file(&names::segment_file(offset, names::SNAPSHOT));
        match read_snapshot(&*self.folder.disk, &path, offset) {
            Ok(read) if read.is_snapshot_of(producers) => return Ok(()),
            // It may have been removed with a segment that began there.
            Err(error) if !is_damage(&error) && !error.is_not_found() => return Err(error),
            _ => {}
        }
        self.remove_snapshots(|it| it == offset)?;
        self.folder.sync()
    }

    fn create_segment(&mut self, base: Offset) -> Result<()> {
        self.is_made = true;
        self.segments.push(Arc::new(Segment::create(self.folder.clone(), base, self.options.now)?));
        Ok(())
    }

    /// Removes the segments from an index on, so that a power cut cannot bring them back beside
    /// later ones.
    fn drop_segments(&mut self, from: usize) -> Result<()> {
        if from == self.segments.len() {
            return Ok(());
        }
        let going = self.segments.split_off(from);
        for segment in &going {
            self.snapshots.remove(&segment.base_offset());
        }
        remove_segments(&self.folder, &going)
    }

    /// Removes the snapshots above an offset, so that a power cut cannot bring them back above
    /// other records.
    fn drop_snapshots_above(&mut self, end: Offset) -> Result<()> {
        match self.remove_snapshots(|offset| offset > end)? {
            0 => Ok(()),
            _ => self.folder.sync(),
        }
    }

    /// Removes the snapshots at which no segment begins. They are correct, so they may come back.
    fn drop_needless_snapshots(&mut self, end: Offset) -> Result<()> {
        let bases: BTreeSet<Offset> = self.segments.iter().map(|segment| segment.base_offset()).collect();
        self.remove_snapshots(|offset| offset < end && !bases.contains(&offset)).map(drop)
    }

    fn remove_snapshots(&mut self, goes: impl Fn(Offset) -> bool) -> Result<usize> {
        let going: Vec<Offset> = self.snapshots.iter().copied().filter(|offset| goes(*offset)).collect();
        for offset in &going {
            self.folder.remove_file(&names::segment_file(*offset, names::SNAPSHOT))?;
            self.snapshots.remove(offset);
        }
        Ok(going.len())
    }

    /// Limits the epochs to the log. Writes the file if it is missing or damaged.
    fn settle_epochs(&mut self, log_start: Offset, end: Offset) -> Result<()> {
        let path = self.folder.file(names::LEADER_EPOCH_CHECKPOINT);
        self.epochs.truncate_from_end(end);
        self.epochs.truncate_from_start(log_start);
        match LeaderEpochs::read(&*self.folder.disk, &path) {
            Ok(before) => {
                // The next flush writes what the file lacks. Until then a start reads the same from
                // the records.
                self.epochs_unwritten = before != self.epochs;
                return Ok(());
            }
            Err(error) if !is_damage(&error) => return Err(error),
            Err(_) => {}
        }
        match self.epochs.write(&*self.folder.disk, &path, self.recovery_point(end) > Offset(0)) {
            Err(error) if error.is_refusal() => self.epochs_unwritten = true,
            written => written?,
        }
        Ok(())
    }

    /// Returns the log's recovery point, now that its end is known.
    fn recovery_point(&self, end: Offset) -> Offset {
        if self.options.is_clean { end } else { self.options.recovery_point.min(end) }
    }

    fn into_log(
        self,
        producers: Producers,
        log_start: Offset,
        end: Offset,
        siblings: Arc<Siblings>,
        dir: Arc<Condition>,
        checkpoints: Option<Arc<Checkpoints>>,
    ) -> (Log, Recovery) {
        let recovery_point = self.recovery_point(end);
        let options = self.options;
        let place = self.segments.last().map(|active| (active.base_offset(), active.size()));
        let marks = Marks {
            log_start,
            log_end: Mark { offset: end, place },
            high_watermark: Mark { offset: log_start, place: None },
            first_unstable: producers.first_unstable_offset(),
            awaits_high_watermark: producers.awaits_high_watermark(),
        };
        let settling = Settling::new(siblings, recovery_point > Offset(0));
        let flushed =
            Flushed { recovery_point, end: recovery_point, at: options.now, truncations: 0, rolled_at: Offset(0) };
        let writer = Writer {
            producers,
            verifications: Verifications::default(),
            snapshots: self.snapshots,
            doomed: Vec::new(),
            least_epoch: LeaderEpoch(0),
            leftovers: true,
            closed: false,
        };
        let log = Log {
            partition: options.partition,
            folder: self.folder,
            config: ArcSwap::from_pointee(options.config),
            segments: ArcSwap::from_pointee(self.segments),
            marks: RwLock::new(marks),
            epochs: RwLock::new(self.epochs),
            epochs_unwritten: AtomicBool::new(self.epochs_unwritten),
            epochs_file: Mutex::default(),
            is_held_over_sync: AtomicBool::new(false),
            // A power cut may take a segment that the open created, and may bring back segments
            // that a killed broker removed. 1 means so until the folder is synced.
            deletions: AtomicU64::new(u64::from(self.is_made || !options.is_clean)),
            deletions_synced: AtomicU64::new(0),
            flushed: Mutex::new(flushed),
            syncing: Mutex::new(()),
            fault: OnceLock::new(),
            dir,
            checkpoints,
            is_moved: AtomicBool::new(false),
            jitter_seed: options.jitter_seed,
            settling,
            swaps: Swaps::default(),
            cleaning: Mutex::default(),
            cleaned_up_to: Mutex::default(),
            writer: Mutex::new(writer),
        };
        (log, self.recovery)
    }
}

/// Removes the files of segments, so that a power cut cannot bring them back.
fn remove_segments(folder: &Folder, segments: &[Arc<Segment>]) -> Result<()> {
    if segments.is_empty() {
        return Ok(());
    }
    for segment in segments {
        segment.close();
        for name in segment.file_names().chain([segment.name(names::SNAPSHOT)]) {
            folder.remove_file(&name)?;
        }
    }
    folder.sync()
}

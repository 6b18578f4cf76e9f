//! Appends by a leader and by a follower, and the roll of a segment before them.

use super::{Log, Mark, Writer};
use crate::error::{Error, Result};
use crate::frames::Frame;
use crate::index::Wait;
use crate::marker;
use crate::names;
use crate::planted::{Bug, is_planted};
use crate::producer::{
    Checked, CompletedTxn, Known, Origin, ProducerAppend, ProducerBatch, VerificationStart, write_snapshot,
};
use crate::segment::{self, Segment};
use crate::txn_index::AbortedTxn;
use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerEpoch, Timestamp, VerificationGuard};
use parking_lot::MutexGuard;
use records::{BATCH_OVERHEAD, BatchError, BatchHeader, Validated};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After this many appended bytes the system is asked to begin writing them back.
const WRITE_BACK_BYTES: u32 = 8 << 20;

/// Whether the last `size` of the bytes whose write-back has not begun complete another 8 MB.
fn is_write_back_due(not_begun: u32, size: u32) -> bool {
    not_begun / WRITE_BACK_BYTES != not_begun.saturating_sub(size) / WRITE_BACK_BYTES
}

/// How a leader appends.
#[derive(Clone, Copy, Debug)]
pub struct LeaderAppend {
    /// The epoch in which it leads.
    pub leader_epoch: LeaderEpoch,
    /// Who appends.
    pub origin: Origin,
    /// The time.
    pub now: Timestamp,
    /// For transaction markers: the `transaction.version` under which they are written; 0
    /// otherwise.
    pub transaction_version: i16,
    /// For a batch that opens a transaction: the guard of its verification.
    pub guard: Option<VerificationGuard>,
}

/// How a follower appends.
#[derive(Clone, Copy, Debug)]
pub struct FollowerAppend {
    /// The time.
    pub now: Timestamp,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    /// Offset of the first record. For a duplicate: of the first record of the batch that it
    /// repeats.
    pub base_offset: Offset,
    /// Offset of the last record, inclusive.
    pub last_offset: Offset,
    /// The log start offset, which the answer contains.
    pub log_start_offset: Offset,
    /// Whether it repeats an earlier append. Then nothing was written.
    pub is_duplicate: bool,
    /// For a duplicate: the stored timestamp of the batch that it repeats.
    pub duplicate_timestamp: Option<Timestamp>,
    /// A new segment was begun at this offset: the segments before it should be flushed up to it.
    pub rolled_at: Option<Offset>,
    /// `flush.messages` or `flush.ms` requires a flush now.
    pub is_flush_due: bool,
    /// The system should begin writing back what was appended (`Log::begin_write_back`).
    pub is_write_back_due: bool,
}

/// Batches with their offsets.
#[derive(Clone, Copy)]
struct ToWrite<'a> {
    placed: &'a [segment::AppendedBatch],
    slices: &'a [IoSlice<'a>],
    /// Their leader epochs, and the start offset of each.
    epochs: &'a [(LeaderEpoch, Offset)],
}

impl Log {
    /// Assigns the next offsets to batches and writes them after the last record. Errors: among
    /// others `EndedEpoch` if the leader's epoch has ended.
    pub fn append_as_leader(&self, batches: &[Validated], how: LeaderAppend) -> Result<AppendOutcome> {
        self.append_led(&mut self.writer.lock(), batches, how, Wait::Block)
    }

    /// Does the same if it needs neither a sync nor a look at earlier batches. Errors: `WouldBlock`
    /// if a flushed segment must be rolled first, if a batch may repeat one that only the log has,
    /// or if the holder of the writer is syncing; then nothing has changed.
    pub fn try_append_as_leader(&self, batches: &[Validated], how: LeaderAppend) -> Result<AppendOutcome> {
        self.append_led(&mut *self.try_writer()?, batches, how, Wait::Try)
    }

    /// Returns the writer. Errors: `WouldBlock` if its holder is syncing.
    fn try_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.try_lock();
        if writer.is_none() && self.is_held_over_sync.load(Ordering::Acquire) {
            return Err(Error::WouldBlock);
        }
        Ok(writer.unwrap_or_else(|| self.writer.lock()))
    }

    fn append_led(
        &self,
        writer: &mut Writer,
        batches: &[Validated],
        how: LeaderAppend,
        wait: Wait,
    ) -> Result<AppendOutcome> {
        self.check_online()?;
        self.check_epoch(writer, how.leader_epoch)?;
        if how.origin == Origin::Client {
            self.check_room()?;
        }
        let mut next = self.log_end_offset();
        let mut headers = Vec::with_capacity(batches.len());
        let mut placed = Vec::with_capacity(batches.len());
        let mut producers = ProducerAppend::new(how.origin);
        for batch in batches {
            let header = BatchHeader { base_offset: next, ..*batch.header() };
            if header.last_offset() < next || header.last_offset() == Offset(i64::MAX) {
                return Err(self.invalid("its last offset is before its first, or the last there is"));
            }
            if let Some(checked) = self.checked(&header, batch.body(), how.transaction_version)? {
                if how.origin == Origin::Client
                    && let Some(known) = self.repeated(writer, (&checked, how.leader_epoch), wait)?
                {
                    return Ok(self.duplicate(known));
                }
                producers.add(self.known(writer, how.guard), &checked)?;
            }
            next = header.next_offset();
            placed.push(placed_from(&header));
            headers.push(batch.assign(header.base_offset, how.leader_epoch).0);
        }
        let Some(first) = placed.first() else { return Err(self.invalid("there is none")) };
        let epoch = (how.leader_epoch, first.base_offset);
        let slices: Vec<IoSlice<'_>> = headers
            .iter()
            .zip(batches)
            .flat_map(|(header, batch)| [IoSlice::new(header), IoSlice::new(batch.body())])
            .collect();
        let batches = ToWrite { placed: &placed, slices: &slices, epochs: &[epoch] };
        self.write(writer, &batches, producers, how.now, wait).map_err(|error| self.note_fault(error))
    }

    /// Begins the verification of a transaction with its coordinator, unless the transaction is
    /// open in this log, or returns the guard of the verification that goes on. The append of the
    /// batch must carry the guard. Errors: `ProducerError::InvalidEpoch` if a newer epoch is known;
    /// `WouldBlock` if the caller must not wait and the holder of the writer is syncing.
    pub fn begin_verification(&self, start: &VerificationStart, wait: Wait) -> Result<Option<VerificationGuard>> {
        let writer = &mut *match wait {
            Wait::Try => self.try_writer()?,
            Wait::Block => self.writer.lock(),
        };
        self.check_online()?;
        writer.producers.check_epoch(start.producer_id, start.epoch)?;
        if writer.producers.has_ongoing(start.producer_id, start.epoch) {
            return Ok(None);
        }
        Ok(Some(writer.verifications.begin(start)))
    }

    fn known<'a>(&'a self, writer: &'a Writer, guard: Option<VerificationGuard>) -> Known<'a> {
        Known {
            producers: &writer.producers,
            verifications: &writer.verifications,
            guard,
            is_guard_required: self.config.load().verifies_transactions,
            partition: &self.partition,
        }
    }

    /// Writes batches as their leader sent them. They must begin at or after the log end. A batch
    /// that is cut off at the end is ignored.
    pub fn append_as_follower(&self, batches: &Bytes, how: FollowerAppend) -> Result<Option<AppendOutcome>> {
        self.append_sent(&mut self.writer.lock(), batches, how, None, Wait::Block)
    }

    /// Does the same as a follower in a leader epoch. Batches of a later epoch, and what follows
    /// them, are ignored: the sender read them after it lost the leadership (KAFKA-18723). So is
    /// what does not fit into a segment with the batches before. If the log is empty and its start
    /// lies in the first batch, it begins with that batch. Errors: among others `EndedEpoch` if the
    /// epoch has ended.
    pub fn append_in_epoch(
        &self,
        batches: &Bytes,
        epoch: LeaderEpoch,
        how: FollowerAppend,
    ) -> Result<Option<AppendOutcome>> {
        self.append_followed(&mut self.writer.lock(), batches, epoch, how, Wait::Block)
    }

    /// Does the same if it needs no sync. Errors: `WouldBlock` as in `try_append_as_leader`; then
    /// nothing has changed.
    pub fn try_append_in_epoch(
        &self,
        batches: &Bytes,
        epoch: LeaderEpoch,
        how: FollowerAppend,
    ) -> Result<Option<AppendOutcome>> {
        self.append_followed(&mut *self.try_writer()?, batches, epoch, how, Wait::Try)
    }

    fn append_followed(
        &self,
        writer: &mut Writer,
        batches: &Bytes,
        epoch: LeaderEpoch,
        how: FollowerAppend,
        wait: Wait,
    ) -> Result<Option<AppendOutcome>> {
        self.check_online()?;
        self.check_epoch(writer, epoch)?;
        let end = self.log_end_offset();
        if self.log_start_offset() == end
            && let Ok(first) = Frame::parse(batches, 0)
            && first.base_offset < end
            && first.last_offset >= end
        {
            if wait == Wait::Try {
                return Err(Error::WouldBlock);
            }
            self.start_over(writer, first.base_offset, how.now)?;
        }
        self.append_sent(writer, batches, how, Some(epoch), wait)
    }

    /// Removes the records at and above an offset, as a follower in a leader epoch. Errors: as
    /// `truncate_to`, and `EndedEpoch` if the epoch has ended.
    pub fn truncate_in_epoch(&self, end: Offset, epoch: LeaderEpoch, now: Timestamp) -> Result<bool> {
        let writer = &mut *self.writer.lock();
        self.check_epoch(writer, epoch)?;
        self.truncate(writer, end, now)
    }

    /// Removes everything and continues at an offset, as a follower in a leader epoch. Errors: as
    /// `truncate_fully_and_start_at`, and `EndedEpoch` if the epoch has ended.
    pub fn start_in_epoch(&self, start: Offset, epoch: LeaderEpoch, now: Timestamp) -> Result<()> {
        let writer = &mut *self.writer.lock();
        self.check_epoch(writer, epoch)?;
        self.start_over(writer, start, now)
    }

    fn append_sent(
        &self,
        writer: &mut Writer,
        batches: &Bytes,
        how: FollowerAppend,
        epoch: Option<LeaderEpoch>,
        wait: Wait,
    ) -> Result<Option<AppendOutcome>> {
        self.check_online()?;
        let segment_bytes = self.config.load().segment_bytes as usize;
        let mut next = self.log_end_offset();
        let mut placed = Vec::new();
        let mut epochs = Vec::new();
        let mut producers = ProducerAppend::new(Origin::Replication);
        let mut position = 0;
        while position < batches.len() {
            let rest = &batches[position..];
            let frame = match Frame::parse(rest, position as u32) {
                Ok(frame) if frame.size as usize <= rest.len() => frame,
                Ok(_) | Err(BatchError::Incomplete { .. }) => break,
                Err(error) => return Err(self.invalid(&error.to_string())),
            };
            if frame.base_offset < next {
                let partition = self.partition.to_string();
                return Err(Error::UnexpectedOffset { partition, found: frame.base_offset, expected: next });
            }
            if !frame.continues(next) {
                return Err(self.invalid("its offsets go back, or beyond the last there is"));
            }
            let is_full = position + frame.size as usize > segment_bytes;
            if epoch.is_some() && is_full && !placed.is_empty() {
                break;
            }
            let bytes = &rest[..frame.size as usize];
            if let Some(header) = &frame.header {
                if epoch.is_some() && header.partition_leader_epoch > epoch {
                    break;
                }
                records::BatchView::parse(bytes)
                    .and_then(|view| view.verify_crc())
                    .map_err(|error| self.invalid(&error.to_string()))?;
                if let Some(checked) = self.checked(header, &bytes[BATCH_OVERHEAD..], 0)? {
                    producers.add(self.known(writer, None), &checked)?;
                }
                epochs.extend(header.partition_leader_epoch.map(|epoch| (epoch, header.base_offset)));
            }
            placed.push(segment::AppendedBatch {
                base_offset: frame.base_offset,
                last_offset: frame.last_offset,
                max_timestamp: frame.max_timestamp,
                size: frame.size,
            });
            next = frame.last_offset.plus(1);
            position += frame.size as usize;
        }
        if placed.is_empty() {
            return Ok(None);
        }
        let slices = [IoSlice::new(&batches[..position])];
        let batches = ToWrite { placed: &placed, slices: &slices, epochs: &epochs };
        let written = self.write(writer, &batches, producers, how.now, wait);
        written.map(Some).map_err(|error| self.note_fault(error))
    }

    fn write(
        &self,
        writer: &mut Writer,
        batches: &ToWrite<'_>,
        producers: ProducerAppend,
        now: Timestamp,
        wait: Wait,
    ) -> Result<AppendOutcome> {
        let ToWrite { placed, slices, epochs } = *batches;
        let (Some(first), Some(last)) = (placed.first(), placed.last()) else {
            return Err(self.invalid("there is none"));
        };
        let config = self.config.load();
        let size = placed.iter().map(|batch| u64::from(batch.size)).sum::<u64>();
        if size > u64::from(config.segment_bytes) {
            let partition = self.partition.to_string();
            return Err(Error::LargerThanSegment { size, partition, segment_bytes: config.segment_bytes });
        }
        let newest = placed.iter().map(|batch| batch.max_timestamp).max().unwrap_or(-1);
        let rolled = self.must_roll(size as u32, newest, (first.base_offset, last.last_offset), now)?;
        let rolled_at = if rolled { Some(self.roll_or(wait, writer, first.base_offset, now)?) } else { None };
        self.note_epochs(epochs);
        let active = self.active();
        if writer.leftovers {
            active.cut_leftovers()?;
            writer.leftovers = false;
        }
        if producers.completed.iter().any(|txn| txn.aborted) {
            // Read before the batches are written. After that only a disk fault can prevent the
            // note that they are aborted.
            active.aborted.entries()?;
        }
        if let Err(error) = active.append(placed, slices, config.index_interval_bytes) {
            // Part of it may be in the file and take up space there.
            writer.leftovers = active.cut_leftovers().is_err();
            return Err(error);
        }
        let next = last.last_offset.plus(1);
        self.note_producers(writer, &active, producers, next)?;
        let log_start_offset = {
            let mut marks = self.marks.write();
            marks.log_end = Mark { offset: next, place: Some((active.base_offset(), active.size())) };
            marks.first_unstable = writer.producers.first_unstable_offset();
            marks.awaits_high_watermark = writer.producers.awaits_high_watermark();
            marks.log_start
        };
        Ok(AppendOutcome {
            base_offset: first.base_offset,
            last_offset: last.last_offset,
            log_start_offset,
            is_duplicate: false,
            duplicate_timestamp: None,
            rolled_at,
            is_flush_due: self.is_flush_due(now) && !is_planted(Bug::AcknowledgedBeforeFsync),
            is_write_back_due: is_write_back_due(active.bytes_not_begun(), size as u32),
        })
    }

    /// Applies the producer state of the append after it was written.
    fn note_producers(&self, writer: &mut Writer, active: &Segment, append: ProducerAppend, end: Offset) -> Result<()> {
        let completed = append.completed.clone();
        append.verified.iter().for_each(|id| writer.verifications.end(*id));
        writer.producers.apply(append);
        for txn in &completed {
            // Without the note that they are aborted, the records would be served as committed
            // ones.
            if let Some(aborted) = note_completed(&mut writer.producers, txn) {
                active.aborted.append(aborted).map_err(|error| self.go_offline(error))?;
            }
        }
        writer.producers.end_offset = end;
        Ok(())
    }

    /// Checks that a leader or follower may write in an epoch. The caller read the epoch before it
    /// took the writer, and a newer epoch may have begun in between.
    fn check_epoch(&self, writer: &Writer, epoch: LeaderEpoch) -> Result<()> {
        let least = self.latest_epoch().map_or(writer.least_epoch, |latest| latest.max(writer.least_epoch));
        match epoch < least {
            true => Err(Error::EndedEpoch { partition: self.partition.to_string(), epoch, least }),
            false => Ok(()),
        }
    }

    fn checked(&self, header: &BatchHeader, body: &[u8], transaction_version: i16) -> Result<Option<Checked>> {
        checked(header, body, transaction_version).map_err(|reason| self.invalid(reason))
    }

    fn duplicate(&self, known: ProducerBatch) -> AppendOutcome {
        AppendOutcome {
            base_offset: known.first_offset(),
            last_offset: known.last_offset,
            log_start_offset: self.log_start_offset(),
            is_duplicate: true,
            duplicate_timestamp: Some(known.timestamp),
            rolled_at: None,
            is_flush_due: false,
            is_write_back_due: false,
        }
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::InvalidBatch { partition: self.partition.to_string(), reason: reason.to_owned() }
    }

    fn must_roll(&self, size: u32, newest: i64, offsets: (Offset, Offset), now: Timestamp) -> Result<bool> {
        let (config, active) = (self.config.load(), self.active());
        // The active segment may begin behind the log end if an append rolled it and then failed.
        if !active.can_hold(offsets.0) || !active.can_hold(offsets.1) {
            return Ok(true);
        }
        if active.size() > config.segment_bytes.saturating_sub(size) {
            return Ok(active.size() > 0);
        }
        let jitter_ms = self.jitter_ms(active.base_offset());
        let waited_ms = match active.first_timestamp()? {
            Some(first) => newest.saturating_sub(first),
            None => now.0.saturating_sub(active.created.0),
        };
        if active.size() > 0 && waited_ms > config.segment_ms.saturating_sub(jitter_ms) {
            return Ok(true);
        }
        // The time index keeps one entry free, for the one that a roll adds.
        let is_full = active.offsets.count()? >= config.segment_index_bytes / 8
            || active.times.count()? + 1 >= config.segment_index_bytes / 12;
        Ok(active.size() > 0 && is_full)
    }

    /// Returns how much earlier than `segment.ms` this segment is rolled: a random time, so that
    /// not all logs roll at once.
    fn jitter_ms(&self, base_offset: Offset) -> i64 {
        let config = self.config.load();
        match config.segment_jitter_ms.min(config.segment_ms) {
            limit if limit > 0 => {
                let mut seed = self.jitter_seed ^ base_offset.0 as u64;
                (crate::random::next_random(&mut seed) % limit as u64) as i64
            }
            _ => 0,
        }
    }

    /// Begins a new segment at an offset, or at the log end if that is above.
    pub(super) fn roll(&self, writer: &mut Writer, at: Offset, now: Timestamp) -> Result<Offset> {
        self.roll_or(Wait::Block, writer, at, now)
    }

    fn roll_or(&self, wait: Wait, writer: &mut Writer, at: Offset, now: Timestamp) -> Result<Offset> {
        let (at, rolled_before) = (at.max(self.log_end_offset()), self.flushed.lock().rolled_at);
        let rolled = self.begin_segment(writer, at, now, wait);
        if rolled.is_err() && self.active().base_offset() != at {
            // No segment ends there.
            self.flushed.lock().rolled_at = rolled_before;
        }
        rolled
    }

    fn begin_segment(&self, writer: &mut Writer, at: Offset, now: Timestamp, wait: Wait) -> Result<Offset> {
        let active = self.active();
        let mut segments = Vec::clone(&self.segments.load());
        let is_empty = active.size() == 0;
        // The segment that now ends here, if there is one.
        let before = if is_empty {
            // Nothing was written to it. It is removed for the new one, which may have the same
            // name.
            segments.pop();
            segments.last().filter(|_| at < active.base_offset()).cloned()
        } else {
            if writer.leftovers {
                active.cut_leftovers()?;
                writer.leftovers = false;
            }
            active.seal()?;
            Some(active.clone())
        };
        if let Some(before) = &before {
            self.sync_where_flushed(before, at, wait)?;
        }
        segments.push(self.create_segment(&active, at, now)?);
        if is_empty {
            active.invalidate();
        }
        writer.producers.end_offset = at;
        match self.take_snapshot(writer, false) {
            // It makes a start read less; no start depends on it.
            Err(error) if error.is_refusal() => {}
            taken => taken?,
        }
        self.segments.store(Arc::new(segments));
        if before.is_some_and(|before| !before.is_complete()) {
            self.keep_unsure(at);
        }
        let mut marks = self.marks.write();
        let was_all_replicated = marks.high_watermark.offset == marks.log_end.offset;
        marks.log_end = Mark { offset: marks.log_end.offset, place: Some((at, 0)) };
        if was_all_replicated {
            marks.high_watermark = marks.log_end;
        }
        drop(marks);
        if is_empty && active.base_offset() != at {
            self.remove_files(active.file_names().collect())?;
        }
        Ok(at)
    }

    /// Syncs the segment that ends here if its end is flushed. A start trusts a segment that ends
    /// where all is flushed, so all that was added to it must be on disk before the next segment
    /// exists. If the disk has no space for that, no next segment is created, since a checkpoint
    /// may already say that all is flushed. Errors: `WouldBlock` if the caller must not wait for a
    /// sync.
    fn sync_where_flushed(&self, before: &Segment, at: Offset, wait: Wait) -> Result<()> {
        let is_flushed = {
            let flushed = &mut *self.flushed.lock();
            flushed.rolled_at = at;
            flushed.recovery_point >= self.log_end_offset()
        };
        if is_flushed {
            if wait == Wait::Try {
                return Err(Error::WouldBlock);
            }
            let _held = self.held_over_sync();
            before.complete()?;
            before.sync().map_err(|error| self.go_offline(error))?;
            self.sync_folder()?;
        }
        Ok(())
    }

    /// Creates the segment after the active one. If that fails, none of its files stays: a start
    /// would take it for the last segment and ignore what is appended to the active one.
    fn create_segment(&self, active: &Segment, at: Offset, now: Timestamp) -> Result<Arc<Segment>> {
        match Segment::create(self.folder.clone(), at, now) {
            Ok(segment) => Ok(Arc::new(segment)),
            // They belong to the active segment, which is empty and stays empty.
            Err(error) if active.base_offset() == at => Err(error),
            Err(error) => {
                let names = [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX];
                let names = names.iter().map(|suffix| names::segment_file(at, suffix)).collect();
                match self.remove_files(names) {
                    Ok(()) => Err(error),
                    Err(_) => Err(self.go_offline(error)),
                }
            }
        }
    }

    /// Writes a snapshot of the producers at the log end, unless there is one.
    pub(super) fn take_snapshot(&self, writer: &mut Writer, sync: bool) -> Result<()> {
        let at = writer.producers.end_offset;
        // A snapshot beyond the end comes from a failed roll, and from records that were never
        // written.
        for beyond in writer.snapshots.split_off(&at.plus(1)) {
            self.folder.remove_file(&names::segment_file(beyond, names::SNAPSHOT))?;
        }
        if !writer.snapshots.contains(&at) {
            let path = self.folder.file(&names::segment_file(at, names::SNAPSHOT));
            write_snapshot(&*self.folder.disk, &path, &writer.producers, sync)?;
            writer.snapshots.insert(at);
        }
        Ok(())
    }
}

fn placed_from(header: &BatchHeader) -> segment::AppendedBatch {
    segment::AppendedBatch {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp.0,
        size: header.size_bytes() as u32,
    }
}

/// Returns what producer state needs from a batch; `None` if it has no producer.
pub(super) fn checked(
    header: &BatchHeader,
    body: &[u8],
    transaction_version: i16,
) -> std::result::Result<Option<Checked>, &'static str> {
    let Some(producer_id) = header.producer_id else { return Ok(None) };
    let marker = match header.is_control() {
        true => match marker::read(header, body, transaction_version)? {
            Some(marker) => Some(marker),
            None => return Ok(None),
        },
        false => None,
    };
    Ok(Some(Checked {
        producer_id,
        epoch: header.producer_epoch.unwrap_or(ProducerEpoch(-1)),
        base_sequence: header.base_sequence.unwrap_or(-1),
        last_sequence: header.last_sequence().unwrap_or(-1),
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        is_transactional: header.is_transactional(),
        marker,
    }))
}

/// Ends a transaction. For an aborted one, returns the entry for its segment's index.
pub(super) fn note_completed(producers: &mut crate::producer::Producers, txn: &CompletedTxn) -> Option<AbortedTxn> {
    let last_stable_offset = producers.stable_offset_after(txn);
    producers.complete(txn);
    txn.aborted.then_some(AbortedTxn {
        producer_id: txn.producer_id,
        first_offset: txn.first_offset,
        last_offset: txn.last_offset,
        last_stable_offset,
    })
}

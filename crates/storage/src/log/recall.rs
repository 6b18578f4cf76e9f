//! Looks in the log for a batch that its producer repeats, before the batches that are remembered.
//!
//! Of each producer the last five batches are remembered, as many as a client may have in flight on
//! one connection. That is not enough in two cases:
//!
//! - A snapshot has only the last batch, in Kafka's format. After a start or a truncation a client
//!   may repeat one of those before it.
//! - A client whose leader hangs has five batches in flight there. When it learns of the next
//!   leader, it sends further ones to that, and repeats the first five when their time is over.
//!
//! Without the earlier batches such a repetition looks like a gap. The log has their headers. They
//! are read when such a batch comes, not when the log is opened.
//!
//! In both cases an earlier leader took the batch. What was taken in the epoch of the leader itself
//! is not looked for: it remembers the last five, and refuses others as Kafka does.

use super::{Log, Writer};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::producer::{Checked, ProducerAppend, ProducerBatch, records_between};
use crate::segment::Segment;
use model::{LeaderEpoch, Offset};
use records::increment_sequence;

/// The most bytes of the log that a search covers. It reads the headers in them.
const RECALL_BYTES_MAX: u32 = 16 << 20;

/// The bytes that a search covers first. Each further step covers twice as many.
const RECALL_BYTES_FIRST: u32 = 256 << 10;

impl Log {
    /// Returns the earlier append that a client's batch repeats, to a leader of an epoch. Errors:
    /// `WouldBlock` if it must look into the log and the caller must not wait.
    pub(super) fn repeated(
        &self,
        writer: &mut Writer,
        (batch, leader_epoch): (&Checked, LeaderEpoch),
        wait: Wait,
    ) -> Result<Option<ProducerBatch>> {
        let known = ProducerAppend::duplicate(&writer.producers, batch);
        if known.is_some() || !self.has_earlier_leaders(leader_epoch) {
            return Ok(known);
        }
        let Some(oldest) = writer.producers.oldest_after(batch) else { return Ok(None) };
        if wait == Wait::Try {
            return Err(Error::WouldBlock);
        }
        // Others wait for the disk meanwhile, as during a sync.
        let _held = self.held_over_sync();
        let found = self.look_for((batch, leader_epoch), oldest).map_err(|error| self.note_fault(error))?;
        if found.is_none() {
            writer.producers.note_missing(batch);
        }
        Ok(found)
    }

    /// Whether the log has a record of a leader before that of an epoch.
    fn has_earlier_leaders(&self, leader_epoch: LeaderEpoch) -> bool {
        self.epochs.read().entries().first().is_some_and(|(first, _)| *first < leader_epoch)
    }

    /// Looks for the batch that `batch` repeats, before the oldest known batch of its producer and
    /// of the leader's epoch. Called by the holder of the writer, so that no segment is replaced
    /// meanwhile.
    fn look_for(
        &self,
        (batch, leader_epoch): (&Checked, LeaderEpoch),
        oldest: ProducerBatch,
    ) -> Result<Option<ProducerBatch>> {
        let segments = self.segments.load_full();
        let before = oldest.first_offset();
        let mut search = Search { wanted: *batch, leader_epoch, next: oldest };
        let (mut left, mut step) = (RECALL_BYTES_MAX, RECALL_BYTES_FIRST);
        let after = segments.partition_point(|segment| segment.base_offset() < before);
        for segment in segments[..after].iter().rev() {
            let mut end = segment.locate(before, Wait::Block)?.map_or(segment.size(), |place| place.position);
            while end > 0 {
                let from = segment.indexed_position(end.saturating_sub(step.min(left)).min(end - 1));
                // Without its index, all of a segment would be read.
                if left == 0 || end - from > RECALL_BYTES_MAX {
                    return Ok(None);
                }
                let batches = match batches_of(batch, segment, from, end, before) {
                    Ok(batches) => batches,
                    // The index is wrong. What comes before is not known.
                    Err(Error::Corrupt { .. }) => return Ok(None),
                    Err(error) => return Err(error),
                };
                match search.go_back(&batches) {
                    Searched::Further => {}
                    Searched::Found(found) => return Ok(Some(found)),
                    Searched::Missing => return Ok(None),
                }
                left = left.saturating_sub(end - from);
                (end, step) = (from, step.saturating_mul(2));
            }
        }
        Ok(None)
    }
}

/// A search from later batches to earlier ones.
struct Search {
    wanted: Checked,
    /// The epoch of the leader that searches.
    leader_epoch: LeaderEpoch,
    /// The batch that was seen last.
    next: ProducerBatch,
}

enum Searched {
    Found(ProducerBatch),
    Missing,
    Further,
}

impl Search {
    /// Looks at batches of the producer, oldest first, that lie before all others. Each must end
    /// where the next one begins: of what is between them, the cleaner removed a part.
    fn go_back(&mut self, batches: &[(Option<LeaderEpoch>, ProducerBatch)]) -> Searched {
        for (epoch, batch) in batches.iter().rev() {
            if increment_sequence(batch.last_sequence, 1) != self.next.first_sequence() {
                return Searched::Missing;
            }
            if batch.first_sequence() == self.wanted.base_sequence {
                let is_earlier_leaders = epoch.is_some_and(|epoch| epoch < self.leader_epoch);
                return match is_earlier_leaders && batch.last_sequence == self.wanted.last_sequence {
                    true => Searched::Found(*batch),
                    false => Searched::Missing,
                };
            }
            let left = records_between(self.wanted.base_sequence, self.next.first_sequence());
            if records_between(batch.first_sequence(), self.next.first_sequence()) > left {
                return Searched::Missing;
            }
            self.next = *batch;
        }
        Searched::Further
    }
}

/// Returns the batches of the producer of `batch` in its epoch, oldest first, between two positions
/// of a segment and below an offset, each with the epoch of the leader that took it.
fn batches_of(
    batch: &Checked,
    segment: &Segment,
    from: u32,
    end: u32,
    before: Offset,
) -> Result<Vec<(Option<LeaderEpoch>, ProducerBatch)>> {
    let mut found = Vec::new();
    segment.frames_from(from, |frame, _| {
        if frame.position >= end || frame.last_offset >= before {
            return Ok(false);
        }
        let Some(header) = frame.header.filter(|header| !header.is_control()) else { return Ok(true) };
        let Some(last_sequence) = header.last_sequence() else { return Ok(true) };
        if header.producer_id == Some(batch.producer_id) && header.producer_epoch == Some(batch.epoch) {
            let known = ProducerBatch {
                last_sequence,
                last_offset: frame.last_offset,
                offset_delta: (frame.last_offset.0 - frame.base_offset.0) as i32,
                timestamp: header.max_timestamp,
            };
            found.push((header.partition_leader_epoch, known));
        }
        Ok(true)
    })?;
    Ok(found)
}

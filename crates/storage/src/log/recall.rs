//! Looks for the batches of a producer that its snapshot does not hold.
//!
//! A snapshot has only the last batch of each producer, in Kafka's format. A client may have five
//! batches in flight, so after a start or a truncation it may repeat one of the four before the
//! last. The log has their headers. They are read when such a batch comes, not when the log is
//! opened: most producers never repeat one, and a start reads nothing for them. Each producer is
//! looked for at most once for each time that a snapshot is read.

use super::{Log, Writer};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::producer::{BATCHES_REMEMBERED, Checked, ProducerAppend, ProducerBatch};
use crate::segment::Segment;
use model::Offset;
use records::increment_sequence;

/// The most bytes of the log that a search covers. It reads the headers in them.
const RECALL_BYTES_MAX: u32 = 16 << 20;

/// The bytes that a search covers first. Each further step covers twice as many.
const RECALL_BYTES_FIRST: u32 = 256 << 10;

/// The batches that a client may repeat, besides the last one.
const EARLIER_BATCHES: usize = BATCHES_REMEMBERED - 1;

impl Log {
    /// Returns the earlier append that a client's batch repeats. Errors: `WouldBlock` if it must
    /// look into the log and the caller must not wait.
    pub(super) fn repeated(&self, writer: &mut Writer, batch: &Checked, wait: Wait) -> Result<Option<ProducerBatch>> {
        let known = ProducerAppend::duplicate(&writer.producers, batch);
        if known.is_some() {
            return Ok(known);
        }
        let Some(oldest) = writer.producers.oldest_before_recall(batch) else { return Ok(None) };
        if wait == Wait::Try {
            return Err(Error::WouldBlock);
        }
        // Others wait for the disk meanwhile, as during a sync.
        let _held = self.held_over_sync();
        let earlier = self.earlier_batches(batch, &oldest).map_err(|error| self.note_fault(error))?;
        writer.producers.recall(batch.producer_id, &earlier);
        Ok(ProducerAppend::duplicate(&writer.producers, batch))
    }

    /// Returns the batches that the producer of `batch` wrote before `oldest` in the same epoch,
    /// oldest first, up to four. Called by the holder of the writer, so that no segment is replaced
    /// meanwhile.
    fn earlier_batches(&self, batch: &Checked, oldest: &ProducerBatch) -> Result<Vec<ProducerBatch>> {
        let segments = self.segments.load_full();
        let before = oldest.first_offset();
        let mut found = Earlier { newest_first: Vec::new(), next: *oldest, has_gap: false };
        let (mut left, mut step) = (RECALL_BYTES_MAX, RECALL_BYTES_FIRST);
        let after = segments.partition_point(|segment| segment.base_offset() < before);
        'segments: for segment in segments[..after].iter().rev() {
            let mut end = segment.locate(before, Wait::Block)?.map_or(segment.size(), |place| place.position);
            while end > 0 {
                let from = segment.indexed_position(end.saturating_sub(step.min(left)).min(end - 1));
                // Without its index, all of a segment would be read.
                if left == 0 || end - from > RECALL_BYTES_MAX || found.is_complete() {
                    break 'segments;
                }
                match batches_of(batch, segment, from, end, before) {
                    Ok(batches) => found.add(&batches),
                    // The index is wrong. What comes before is not known.
                    Err(Error::Corrupt { .. }) => break 'segments,
                    Err(error) => return Err(error),
                }
                left = left.saturating_sub(end - from);
                (end, step) = (from, step.saturating_mul(2));
            }
        }
        found.newest_first.reverse();
        Ok(found.newest_first)
    }
}

/// The batches that were found, and the one that the next one found must precede.
struct Earlier {
    newest_first: Vec<ProducerBatch>,
    next: ProducerBatch,
    /// The one before the next one is not there any more.
    has_gap: bool,
}

impl Earlier {
    fn is_complete(&self) -> bool {
        self.has_gap || self.newest_first.len() == EARLIER_BATCHES || self.next.first_sequence() == 0
    }

    /// Adds batches, oldest first, from before all others. A batch counts only if the next one's
    /// sequence follows: of what is not next to it, the cleaner removed a part.
    fn add(&mut self, batches: &[ProducerBatch]) {
        for batch in batches.iter().rev() {
            self.has_gap |= increment_sequence(batch.last_sequence, 1) != self.next.first_sequence();
            if self.is_complete() {
                return;
            }
            self.newest_first.push(*batch);
            self.next = *batch;
        }
    }
}

/// Returns the last batches of the producer of `batch` in its epoch, oldest first, between two
/// positions of a segment and below an offset.
fn batches_of(batch: &Checked, segment: &Segment, from: u32, end: u32, before: Offset) -> Result<Vec<ProducerBatch>> {
    let mut found = Vec::new();
    segment.frames_from(from, |frame, _| {
        if frame.position >= end || frame.last_offset >= before {
            return Ok(false);
        }
        let Some(header) = frame.header.filter(|header| !header.is_control()) else { return Ok(true) };
        let Some(last_sequence) = header.last_sequence() else { return Ok(true) };
        if header.producer_id == Some(batch.producer_id) && header.producer_epoch == Some(batch.epoch) {
            if found.len() == EARLIER_BATCHES {
                found.remove(0);
            }
            found.push(ProducerBatch {
                last_sequence,
                last_offset: frame.last_offset,
                offset_delta: (frame.last_offset.0 - frame.base_offset.0) as i32,
                timestamp: header.max_timestamp,
            });
        }
        Ok(true)
    })?;
    Ok(found)
}

//! Reads a batch's records one after the other, with any codec.

use super::walk::take_length;
use super::{RecordError, RecordView};
use crate::codec::Stream;
use crate::varint::take_i32;
use crate::{BatchHeader, BatchView, Codec};

/// The largest record that is read from a compressed batch. Kafka has no such limit and would run
/// out of memory.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Reads the records of one batch in order.
///
/// The records of a compressed batch live in the reader's sliding window. That is why there is
/// [`RecordReader::next_record`] instead of an iterator. The window is as large as the largest
/// record, and at most [`RECORD_BYTES_MAX`].
pub struct RecordReader<'a> {
    header: BatchHeader,
    remaining: i32,
    source: Source<'a>,
    /// The bytes of the window that the previous record took.
    taken: usize,
    failed: bool,
}

enum Source<'a> {
    Slice(&'a [u8]),
    Stream(Box<Stream<'a>>),
}

impl<'a> RecordReader<'a> {
    /// Creates a reader at the batch's first record.
    pub fn new(batch: &BatchView<'a>) -> Result<Self, RecordError> {
        Self::of_body(batch.header(), batch.body())
    }

    /// Creates a reader at the first record of a batch whose header and body are apart, as they are
    /// before the batch has its place in a log.
    pub fn of_body(header: &BatchHeader, body: &'a [u8]) -> Result<Self, RecordError> {
        let header = *header;
        if header.record_count < 0 {
            return Err(RecordError::Count(header.record_count));
        }
        let source = match header.attributes.codec()? {
            Codec::None => Source::Slice(body),
            // Compaction leaves batches without records, and without a body.
            _ if header.record_count == 0 => Source::Slice(&[]),
            codec => Source::Stream(Box::new(Stream::open(codec, body, false).map_err(RecordError::Decompress)?)),
        };
        Ok(Self { header, remaining: header.record_count, source, taken: 0, failed: false })
    }

    /// Returns the number of records left, as the header counts them.
    pub fn remaining(&self) -> i32 {
        self.remaining
    }

    /// Returns the next record. `None` after the last one and after an error.
    pub fn next_record(&mut self) -> Option<Result<RecordView<'_>, RecordError>> {
        if self.failed || self.remaining == 0 {
            return None;
        }
        self.remaining -= 1;
        let last = self.remaining == 0;
        let fields = match &mut self.source {
            Source::Slice(rest) => next_of_slice(rest, last),
            Source::Stream(stream) => {
                stream.consume(std::mem::take(&mut self.taken));
                match next_of_stream(stream, last) {
                    Ok(length) => {
                        self.taken = length;
                        Ok(&stream.window()[..length])
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let record = fields.and_then(|fields| RecordView::parse(&self.header, fields));
        self.failed = record.is_err();
        Some(record)
    }
}

fn next_of_slice<'a>(rest: &mut &'a [u8], last: bool) -> Result<&'a [u8], RecordError> {
    let length = take_length(rest)?;
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (fields, after) = split.ok_or(RecordError::Structure)?;
    *rest = after;
    if last && !after.is_empty() { Err(RecordError::GoesOn) } else { Ok(fields) }
}

/// Moves the next record's fields to the front of the window. Returns their length.
fn next_of_stream(stream: &mut Stream<'_>, last: bool) -> Result<usize, RecordError> {
    stream.fill(5).map_err(RecordError::Decompress)?;
    let mut rest = stream.window();
    let before = rest.len();
    let claimed = take_i32(&mut rest).ok_or(RecordError::Ends)?;
    let varint_length = before - rest.len();
    stream.consume(varint_length);
    let length = usize::try_from(claimed).map_err(|_| RecordError::Structure)?;
    if length > RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge(claimed));
    }
    if !stream.fill(length).map_err(RecordError::Decompress)? {
        return Err(RecordError::Ends);
    }
    if last && stream.fill(length + 1).map_err(RecordError::Decompress)? {
        return Err(RecordError::GoesOn);
    }
    Ok(length)
}

//! Batches as slices of the bytes that hold them.

use super::BatchError;
use super::crc::crc32c;
use super::header::{BATCH_OVERHEAD, BatchHeader, check_prefix, field};

/// A whole batch within a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads the batch at the start of `bytes`. Other bytes may follow it. The checksum is not
    /// verified.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        // An invalid length is an error even if bytes are missing too, so the prefix is checked
        // first.
        check_prefix(bytes)?;
        let header = BatchHeader::parse(bytes)?;
        let needed_bytes = header.size_bytes();
        let bytes = bytes.get(..needed_bytes).ok_or(BatchError::Incomplete { needed_bytes })?;
        Ok(Self { header, bytes })
    }

    /// Takes all of `bytes` as one batch of format v2, whatever its magic and length field say.
    /// Tools use it to show damage. Returns `None` if there is no room for a header.
    pub fn unchecked(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { header: BatchHeader::read(bytes.first_chunk()?), bytes })
    }

    /// Returns the parsed header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Returns the whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the records, compressed as the header says.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[BATCH_OVERHEAD..]
    }

    /// Whether the producer id is not -1. Other negative ids have no meaning, but Kafka does not
    /// treat them as "none".
    pub(crate) fn has_producer_id(&self) -> bool {
        self.bytes[field::PRODUCER_ID..field::PRODUCER_EPOCH] != [0xff; 8]
    }

    /// Computes the checksum and compares it with the stored one.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.header.crc, crc32c(&self.bytes[field::ATTRIBUTES..]));
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }
}

/// Iterates over the batches in a slice. It ends after the first error, which is
/// [`BatchError::Incomplete`] if the slice ends within a batch.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Creates an iterator over the batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, failed: false }
    }

    /// Returns the bytes of all returned batches: the position of the next batch, or of the error.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position == self.bytes.len() {
            return None;
        }
        let batch = BatchView::parse(&self.bytes[self.position..]);
        match &batch {
            Ok(batch) => self.position += batch.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

//! Batches as slices of the bytes that hold them.

use super::header::{BATCH_OVERHEAD, BatchHeader, check_prefix, field};

/// Why bytes are not a batch. The texts are Kafka's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does: in a fetch answer or a file that is being written, not an error.
    #[error("the batch needs {needed_bytes} bytes and is cut off")]
    Incomplete {
        /// Bytes that are known to be needed, counted from the batch's first.
        needed_bytes: usize,
    },
    /// A length that no batch of any format has.
    #[error("Record size {length} is less than the minimum record overhead ({length_min})")]
    Length {
        /// What the length field says.
        length: i32,
        /// The least that is allowed.
        length_min: i32,
    },
    /// A format from the future, or garbage.
    #[error("Invalid magic found in record: {magic}")]
    Magic {
        /// What the magic field says.
        magic: i8,
    },
    /// A message set of format v0 or v1, which is read by other means.
    #[error("a message set of format v{magic}")]
    OldFormat {
        /// 0 or 1.
        magic: i8,
        /// Bytes of this message and its log overhead.
        size_bytes: usize,
    },
    /// Too short for the header of format v2.
    #[error("Record batch is corrupt (the size {size_bytes} is smaller than the minimum allowed overhead 61)")]
    TooShort {
        /// Bytes of the batch, as it says.
        size_bytes: usize,
    },
    /// The bytes are not what the writer wrote.
    #[error("Record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

impl BatchError {
    /// Whether more bytes could make it a batch.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, BatchError::Incomplete { .. })
    }
}

/// CRC-32C of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// CRC-32C of `parts`, one after the other.
pub(crate) fn crc32c_of(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}

/// A whole batch within a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch that `bytes` begin with; they may go on after it. The checksum is not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        // A batch that lacks both bytes and sense is called incomplete only once its length is known to be possible.
        check_prefix(bytes)?;
        let header = BatchHeader::parse(bytes)?;
        let needed_bytes = header.size_bytes();
        let bytes = bytes.get(..needed_bytes).ok_or(BatchError::Incomplete { needed_bytes })?;
        Ok(Self { header, bytes })
    }

    /// All of `bytes` as one batch of format v2, whatever its magic and its length field say: for tools that show damage. `None` where a header does
    /// not fit.
    pub fn unchecked(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { header: BatchHeader::read(bytes.first_chunk()?), bytes })
    }

    /// The header, read out.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records, compressed as the header says.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[BATCH_OVERHEAD..]
    }

    /// Whether the producer id is not -1; other negative ids mean nothing, but are not "none" to Kafka either.
    pub(crate) fn has_producer_id(&self) -> bool {
        self.bytes[field::PRODUCER_ID..field::PRODUCER_EPOCH] != [0xff; 8]
    }

    /// Computes the checksum and compares.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.header.crc, crc32c(&self.bytes[field::ATTRIBUTES..]));
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }
}

/// The batches in a slice, one after the other; ends after the first error, which is [`BatchError::Incomplete`] where the slice ends within a batch.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Iterates over the batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, failed: false }
    }

    /// Bytes of all the batches that were returned: where the next one begins, or where the error is.
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

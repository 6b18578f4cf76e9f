//! Why bytes are not a batch.

/// Why bytes are not a batch. The texts are Kafka's, if Kafka has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does. This is not an error in a fetch answer or in a file
    /// that is being written.
    #[error("the batch needs {needed_bytes} bytes and is cut off")]
    Incomplete {
        /// The bytes that are known to be needed, counted from the batch's first byte.
        needed_bytes: usize,
    },
    /// A length that no batch of any format has.
    #[error("Record size {length} is less than the minimum record overhead ({length_min})")]
    Length {
        /// The length field.
        length: i32,
        /// The smallest valid length.
        length_min: i32,
    },
    /// An unknown format: a later one, or garbage.
    #[error("Invalid magic found in record: {magic}")]
    Magic {
        /// The magic field.
        magic: i8,
    },
    /// A message of format v0 or v1, which [`crate::LegacyMessage`] reads.
    #[error("a message set of format v{magic}")]
    OldFormat {
        /// 0 or 1.
        magic: i8,
        /// The bytes of this message and its log overhead.
        size_bytes: usize,
    },
    /// Too short for the header of format v2.
    #[error("Record batch is corrupt (the size {size_bytes} is smaller than the minimum allowed overhead 61)")]
    TooShort {
        /// The bytes of the batch, as it claims.
        size_bytes: usize,
    },
    /// The bytes changed since they were written.
    #[error("Record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
}

impl BatchError {
    /// Whether more bytes could make it a batch.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, BatchError::Incomplete { .. })
    }
}

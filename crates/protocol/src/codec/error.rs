//! The errors of decoding and encoding.

/// Bytes that do not fit the schema. They come from outside, so each of these is an error and never
/// a panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the bytes end {0} too early")]
    Short(usize),
    /// A length that is negative or larger than the bytes left.
    #[error("a length of {0} with {1} bytes left")]
    Length(i64, usize),
    /// A variable-length number of more than five (or ten) bytes.
    #[error("a variable-length number that does not end")]
    Varint,
    /// A null in a field that cannot be null.
    #[error("{0} is null")]
    Null(&'static str),
    /// A version that the schema does not have.
    #[error("{0} has no version {1}")]
    Version(&'static str, i16),
    /// An unknown record type.
    #[error("there is no record kind {0}")]
    UnknownKind(i16),
    /// A metadata record whose frame version is not 1.
    #[error("a metadata record with frame version {0}")]
    FrameVersion(u32),
    /// Bytes after a record, where Kafka allows none.
    #[error("{0} bytes after the record")]
    Trailing(usize),
    /// The message would take far more memory than its frame. No client sends such a message.
    #[error("the message would take more memory than its frame allows")]
    Allowance,
}

/// A message that the requested version cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A version that the schema does not have.
    #[error("{0} has no version {1}")]
    Version(&'static str, i16),
    /// A field is set that the version does not have and that may not be ignored.
    #[error("{0} is set, which version {1} does not have")]
    NotInVersion(&'static str, i16),
    /// Unknown tagged fields in a version without tagged fields.
    #[error("tagged fields in version {0}, which has none")]
    TaggedFields(i16),
    /// A null in a field that cannot be null in this version.
    #[error("{0} is null")]
    Null(&'static str),
    /// A text, list or message that is too long for its length field.
    #[error("a length of {0} is too long")]
    TooLong(usize),
    /// Records are `Elsewhere`, but bytes in memory are needed.
    #[error("records that stand elsewhere")]
    Elsewhere,
}

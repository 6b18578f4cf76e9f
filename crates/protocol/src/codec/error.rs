//! Why bytes are no message, and why a message has no bytes.

/// Bytes that do not fit the schema. They come from outside, so every one of these is an answer and never a panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the bytes end {0} too early")]
    Short(usize),
    /// A length that is negative, or above what is left of the frame.
    #[error("a length of {0} with {1} bytes left")]
    Length(i64, usize),
    /// A variable-length number of more than five (or ten) bytes.
    #[error("a variable-length number that does not end")]
    Varint,
    /// A null in a field that has none.
    #[error("{0} is null")]
    Null(&'static str),
    /// A version that the schema does not have.
    #[error("{0} has no version {1}")]
    Version(&'static str, i16),
    /// A record kind that is not known.
    #[error("there is no record kind {0}")]
    UnknownKind(i16),
    /// A frame of a metadata record that is not version 1.
    #[error("a metadata record with frame version {0}")]
    FrameVersion(u32),
    /// Bytes after a record, where Kafka accepts none.
    #[error("{0} bytes after the record")]
    Trailing(usize),
    /// The message would take far more memory than the frame: no client sends such a one.
    #[error("the message would take more memory than its frame allows")]
    Allowance,
}

/// A message that has no bytes in the version that was asked for.
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
    /// A null in a field that has none in this version.
    #[error("{0} is null")]
    Null(&'static str),
    /// A text, list or message that is too long for its length field.
    #[error("a length of {0} is too long")]
    TooLong(usize),
    /// Records that stand elsewhere, where bytes in memory are needed.
    #[error("records that stand elsewhere")]
    Elsewhere,
}

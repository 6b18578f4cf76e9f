//! How values are encoded on the wire: the reader, the writer, and what generated code needs from
//! both.

mod error;
#[cfg(feature = "json")]
mod json;
mod reader;
mod tagged;
mod writer;

pub use error::{DecodeError, EncodeError};
#[cfg(feature = "json")]
pub use json::ToJsonValue;
pub use reader::Reader;
pub use tagged::UnknownTaggedFields;
pub use writer::{FramePart, Writer};

use bytes::Bytes;

/// A short text: names, ids, messages. Up to 24 bytes are stored inline, without an allocation.
pub type Str = compact_str::CompactString;

/// The record batches of one partition in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Bytes in memory: a slice of the decoded frame, or what is to be sent. They are never copied.
    Bytes(Bytes),
    /// A length whose bytes the sender supplies itself, in the order of the message's fields: a
    /// region of a segment file.
    Elsewhere {
        /// The length in bytes.
        len: u32,
    },
}

impl Records {
    /// Returns the bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Records::Bytes(bytes) => bytes.len(),
            Records::Elsewhere { len } => *len as usize,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes in memory, or `None` for `Elsewhere`.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Records::Bytes(bytes) => Some(bytes),
            Records::Elsewhere { .. } => None,
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Records::Bytes(bytes)
    }
}

/// A message of Kafka's protocol, or a record that Kafka stores. The structure carries no version:
/// decoding and encoding take it as an argument.
pub trait Message: Sized + Default + Clone + std::fmt::Debug + PartialEq {
    /// The schema's name.
    const NAME: &'static str;
    /// The API key of a request or response, or the type of a record. -1 if there is none.
    const KEY: i16;
    /// The oldest version in the schema.
    const MIN_VERSION: i16;
    /// The newest version in the schema.
    const MAX_VERSION: i16;
    /// The first version with compact lengths and tagged fields.
    const FIRST_FLEXIBLE: Option<i16>;

    /// Reads a message. Bytes after it stay in the reader, and the caller decides whether they are
    /// an error. Errors: a version out of range, bytes that do not fit the schema.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message. Errors: a version out of range; a field that is set, that the version
    /// does not have and that may not be ignored; a null where the version allows none; a text or
    /// list that is too long.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Calls `count` with every error code of a response, zeros included.
    fn errors(&self, count: &mut dyn FnMut(i16)) {
        let _ = count;
    }

    /// Returns the message as JSON in the form of Kafka's own converters.
    #[cfg(feature = "json")]
    fn to_json(&self, version: i16) -> serde_json::Value;
}

/// Reads a message from the start of `bytes`. Bytes after it are ignored, as Kafka ignores them in
/// requests.
pub fn decode_from<M: Message>(bytes: Bytes, version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(bytes), version)
}

/// Writes a message into one buffer.
pub fn encode_to_bytes<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    w.into_bytes()
}

/// Reads a stored value: its version as an int16, then the message.
pub(crate) fn decode_versioned<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.i16()?;
    M::decode(&mut r, version)
}

/// Writes what `decode_versioned` reads. `prefix` is the version or, for a key, its type.
pub fn encode_versioned<M: Message>(prefix: i16, version: i16, message: &M) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.i16(prefix);
    message.encode(&mut w, version)?;
    w.into_bytes()
}

/// What generated code uses.
pub(crate) mod prelude {
    #[cfg(feature = "json")]
    pub(crate) use super::ToJsonValue;
    pub(crate) use super::{
        DecodeError, EncodeError, Message, Reader, Records, Str, UnknownTaggedFields, Writer, encode_versioned,
    };
    pub(crate) use bytes::Bytes;
    pub(crate) use model::Uuid;

    pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, DecodeError> {
        value.ok_or(DecodeError::Null(field))
    }

    pub(crate) fn nullable_if<T>(
        nullable: bool,
        value: Option<T>,
        field: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        if nullable || value.is_some() { Ok(value) } else { Err(DecodeError::Null(field)) }
    }

    pub(crate) fn known_version<M: Message>(version: i16) -> Result<(), DecodeError> {
        if (M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
            Ok(())
        } else {
            Err(DecodeError::Version(M::NAME, version))
        }
    }

    pub(crate) fn served_version<M: Message>(version: i16) -> Result<(), EncodeError> {
        if (M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
            Ok(())
        } else {
            Err(EncodeError::Version(M::NAME, version))
        }
    }

    pub(crate) fn decode_value<M: Message>(value: Option<Bytes>) -> Result<Option<M>, DecodeError> {
        value.map(super::decode_versioned).transpose()
    }
}

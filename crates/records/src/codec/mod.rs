//! The codecs of a batch's body, and the types of its timestamps.
//!
//! | id | codec | framing |
//! | --- | --- | --- |
//! | 1 | gzip | one or several members |
//! | 2 | snappy | xerial's: `82 'SNAPPY' 00`, two versions, then blocks with a length each; a plain block is read too |
//! | 3 | lz4 | the frame format, blocks independent |
//! | 4 | zstd | frames |

mod gzip;
mod lz4;
mod read;
mod snappy;
mod stream;
mod write;

pub(crate) use read::Decompressor;
pub(crate) use stream::Stream;
pub(crate) use write::Compressor;

use std::fmt;
use std::str::FromStr;

/// The compression of a batch's records: bits 0-2 of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// The records are not compressed.
    #[default]
    None,
    /// Gzip, RFC 1952.
    Gzip,
    /// Snappy in the framing of xerial's snappy-java.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames; Kafka 2.1 and later (KIP-110).
    Zstd,
}

/// An id or a name of no codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCodec {
    /// Bits 0-2 of the attributes hold 5, 6 or 7.
    #[error("Unknown compression type id: {0}")]
    Id(u8),
    /// Not a value of `compression.type`.
    #[error("Unknown compression name: {0}")]
    Name(String),
}

impl Codec {
    /// Every codec, by id.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Returns the codec with this number in the attributes.
    pub fn from_id(id: u8) -> Result<Self, UnknownCodec> {
        Self::ALL.get(usize::from(id)).copied().ok_or(UnknownCodec::Id(id))
    }

    /// Returns its number in the attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Returns Kafka's name for it, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        let found = Self::ALL.into_iter().find(|codec| codec.name() == name);
        found.ok_or_else(|| UnknownCodec::Name(name.to_owned()))
    }
}

/// A codec to write with, and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The level on the codec's own scale, `None` for its default. Snappy has no levels, and LZ4
    /// ignores them.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self { codec, level: None }
    }
}

/// The clock of a batch's timestamps: bit 3 of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's clock. Each record has its own timestamp.
    #[default]
    CreateTime,
    /// The broker's clock at the append. The whole batch has one timestamp.
    LogAppendTime,
}

#[cfg(test)]
mod tests;

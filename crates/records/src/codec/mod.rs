//! The codecs of a batch's body, and the kinds of its timestamps.
//!
//! | id | codec | framing |
//! | --- | --- | --- |
//! | 1 | gzip | one or several members |
//! | 2 | snappy | xerial's: `82 'SNAPPY' 00`, two versions, then blocks with a length each; a plain snappy block is read too |
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

/// How a batch's records are compressed: bits 0-2 of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Records stand in the batch as they are.
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

/// An id or a name that stands for no codec.
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

    /// The codec with this number in the attributes.
    pub fn from_id(id: u8) -> Result<Self, UnknownCodec> {
        Self::ALL.get(usize::from(id)).copied().ok_or(UnknownCodec::Id(id))
    }

    /// Its number in the attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Kafka's name of it, as in `compression.type`.
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

/// A codec to write with, and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Compression {
    /// Which codec.
    pub codec: Codec,
    /// The codec's own scale; `None` for its default. Snappy has none, and LZ4 ignores it.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self { codec, level: None }
    }
}

/// Whose clock a batch's timestamps come from: bit 3 of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's, each record its own.
    #[default]
    CreateTime,
    /// The broker's at the append, one for the whole batch.
    LogAppendTime,
}

#[cfg(test)]
mod tests;

//! Compression: one writer for each codec, over the batch that is being built.

use super::snappy::SnappyWriter;
use super::{Codec, Compression};
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::{self, Write};

/// Compresses what is written to it and appends it to a buffer.
pub(crate) enum Compressor {
    /// No compression.
    None(Vec<u8>),
    /// Gzip.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// Snappy in the framing of xerial's snappy-java.
    Snappy(Box<SnappyWriter>),
    /// LZ4 frame with independent blocks of 64 KB, as Kafka's own reader requires.
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    /// Zstandard.
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Compressor {
    /// Creates a compressor that appends to `out`. Errors: the codec refuses its level, or has no
    /// memory.
    pub(crate) fn new(compression: Compression, out: Vec<u8>) -> io::Result<Self> {
        let level = compression.level;
        Ok(match compression.codec {
            Codec::None => Compressor::None(out),
            Codec::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok()).filter(|level| *level <= 9);
                let level = level.map_or(flate2::Compression::default(), flate2::Compression::new);
                Compressor::Gzip(Box::new(GzEncoder::new(out, level)))
            }
            Codec::Snappy => Compressor::Snappy(Box::new(SnappyWriter::new(out))),
            Codec::Lz4 => {
                let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
                Compressor::Lz4(Box::new(FrameEncoder::with_frame_info(frame, out)))
            }
            Codec::Zstd => {
                let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                Compressor::Zstd(Box::new(zstd::stream::write::Encoder::new(out, level)?))
            }
        })
    }

    /// Returns the bytes in the buffer so far. What the codec still holds back is not counted.
    pub(crate) fn written_bytes(&self) -> usize {
        match self {
            Compressor::None(out) => out.len(),
            Compressor::Gzip(writer) => writer.get_ref().len(),
            Compressor::Snappy(writer) => writer.written_bytes(),
            Compressor::Lz4(writer) => writer.get_ref().len(),
            Compressor::Zstd(writer) => writer.get_ref().len(),
        }
    }

    /// Ends the stream and returns the buffer. Errors: those of the codec.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Compressor::None(out) => Ok(out),
            Compressor::Gzip(writer) => writer.finish(),
            Compressor::Snappy(writer) => writer.finish(),
            Compressor::Lz4(mut writer) => {
                // A frame without content still needs its header.
                writer.write_all(&[])?;
                writer.finish().map_err(io::Error::from)
            }
            Compressor::Zstd(writer) => writer.finish(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(out) => out.write(bytes),
            Compressor::Gzip(writer) => writer.write(bytes),
            Compressor::Snappy(writer) => writer.write(bytes),
            Compressor::Lz4(writer) => writer.write(bytes),
            Compressor::Zstd(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // The bytes reach the buffer at `finish`. A flush before that would only make blocks
        // smaller.
        Ok(())
    }
}

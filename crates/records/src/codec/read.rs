//! Decompression: one reader for each codec, over the compressed records of one batch.
//!
//! The codec's window bounds the memory: 32 KB for gzip, 4 MB for lz4, and up to 128 MB if a zstd
//! frame asks for it and fills it, as in Kafka. For snappy, the bound is a small multiple of the
//! input. The length of the decompressed content has no bound here.

use super::Codec;
use super::gzip::GzipReader;
use super::lz4::Lz4Reader;
use super::snappy::SnappyReader;
use std::io::{self, Read};

/// Reads the decompressed content of a body.
pub(crate) enum Decompressor<'a> {
    /// Not compressed.
    None(&'a [u8]),
    /// Gzip.
    Gzip(Box<GzipReader<'a>>),
    /// Snappy.
    Snappy(Box<SnappyReader<'a>>),
    /// LZ4 frame.
    Lz4(Box<Lz4Reader<'a>>),
    /// Zstandard.
    Zstd(Box<zstd::stream::read::Decoder<'static, &'a [u8]>>),
}

impl<'a> Decompressor<'a> {
    /// Creates a reader of `bytes`. `magic_0` accepts the wrong checksum in the head of an LZ4
    /// frame. Errors: the head is broken.
    pub(crate) fn new(codec: Codec, bytes: &'a [u8], magic_0: bool) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Decompressor::None(bytes),
            Codec::Gzip => Decompressor::Gzip(Box::new(GzipReader::new(bytes))),
            Codec::Snappy => Decompressor::Snappy(Box::new(SnappyReader::new(bytes)?)),
            Codec::Lz4 => Decompressor::Lz4(Box::new(Lz4Reader::new(bytes, magic_0)?)),
            // Java's reader accepts empty input as empty content.
            Codec::Zstd if bytes.is_empty() => Decompressor::None(bytes),
            Codec::Zstd => Decompressor::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?)),
        })
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Decompressor::None(reader) => reader.read(out),
            Decompressor::Gzip(reader) => reader.read(out),
            Decompressor::Snappy(reader) => reader.read(out),
            Decompressor::Lz4(reader) => reader.read(out),
            Decompressor::Zstd(reader) => reader.read(out),
        }
    }
}

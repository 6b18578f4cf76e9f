//! Decompression: a reader per codec, over the compressed records of one batch.
//!
//! Memory is bounded by the codec's window (32 KB for gzip, 4 MB for lz4, up to 128 MB where a zstd frame asks for it and fills it, as in
//! Kafka), or by a small multiple of the input for snappy. The length of what comes out is not.

use super::snappy::SnappyReader;
use super::{Codec, lz4};
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, Cursor, Read};

type Lz4Source<'a> = io::Chain<io::Take<Cursor<[u8; 15]>>, &'a [u8]>;

/// Reads the content of compressed bytes.
pub(crate) enum Decompressor<'a> {
    /// Not compressed.
    None(&'a [u8]),
    /// Gzip.
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    /// Snappy.
    Snappy(Box<SnappyReader<'a>>),
    /// LZ4 frame.
    Lz4(Box<FrameDecoder<Lz4Source<'a>>>),
    /// Zstandard.
    Zstd(Box<zstd::stream::read::Decoder<'static, &'a [u8]>>),
}

impl<'a> Decompressor<'a> {
    /// A reader of `bytes`. `magic_0` forgives the wrong checksum in the head of an LZ4 frame. Errors: the head is broken.
    pub(crate) fn new(codec: Codec, bytes: &'a [u8], magic_0: bool) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Decompressor::None(bytes),
            Codec::Gzip => Decompressor::Gzip(Box::new(MultiGzDecoder::new(bytes))),
            Codec::Snappy => Decompressor::Snappy(Box::new(SnappyReader::new(bytes)?)),
            Codec::Lz4 => {
                let head = lz4::head(bytes, magic_0)?;
                let rest = head.rest;
                let (head, len) = head.into_bytes();
                Decompressor::Lz4(Box::new(FrameDecoder::new(Cursor::new(head).take(len as u64).chain(rest))))
            }
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

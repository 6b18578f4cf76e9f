//! LZ4 frames as Kafka's own reader accepts them: its rules for the head, and the wrong checksum
//! that Kafka wrote in message format 0.
//!
//! ```text
//! 04 22 4d 18   magic
//! FLG BD        version 01 in the top bits of FLG, then block independence, block checksums,
//!               content size, content checksum;
//!               the largest block in bits 4-6 of BD: 4 is 64 KB, 5 is 256 KB, 6 is 1 MB, 7 is 4 MB
//! [8 bytes]     the content size, if FLG says so
//! HC            second byte of xxHash32 over FLG..; in message format 0, over everything from the
//!               magic (KAFKA-3160)
//! blocks        length u32, little-endian, highest bit: not compressed; the bytes; a checksum
//!               if FLG says so
//! 00 00 00 00   the end; a checksum of the content if FLG says so
//! ```
//!
//! The checksums of blocks and content are skipped: the batch's own checksum covers the same bytes.
//! As in Kafka, and unlike in `lz4_flex::frame`, a frame without its end is an error, and a second
//! frame after it is not read.

use std::io::{self, Read};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const BLOCK_CHECKSUM: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const AS_IT_IS: u32 = 1 << 31;

/// Reads the content of one frame.
pub(crate) struct Lz4Reader<'a> {
    rest: &'a [u8],
    block_checksums: bool,
    block_bytes_max: usize,
    block: Vec<u8>,
    position: usize,
    ended: bool,
}

impl<'a> Lz4Reader<'a> {
    /// Creates a reader. `ignore_checksum` is for message format 0. Errors: Kafka would not read
    /// this frame.
    pub(crate) fn new(frame: &'a [u8], ignore_checksum: bool) -> io::Result<Self> {
        let &[a, b, c, d, flags, size, ..] = frame else {
            return Err(invalid("the frame ends in its head"));
        };
        if [a, b, c, d] != MAGIC {
            return Err(invalid("Stream unsupported (invalid magic bytes)"));
        }
        if flags >> 6 != 1 || flags & 0x02 != 0 || size & 0x8f != 0 || size >> 4 < 4 {
            return Err(invalid("the frame's version or block size is not supported"));
        }
        if flags & 0x20 == 0 {
            return Err(invalid("Dependent block stream is unsupported (BlockIndependence must be set)"));
        }
        let length = if flags & CONTENT_SIZE != 0 { 15 } else { 7 };
        let (head, rest) = frame.split_at_checked(length).ok_or_else(|| invalid("the frame ends in its head"))?;
        if !ignore_checksum && head[length - 1] != (xxhash32(&head[4..length - 1]) >> 8) as u8 {
            return Err(invalid("the head's checksum is wrong"));
        }
        Ok(Self {
            rest,
            block_checksums: flags & BLOCK_CHECKSUM != 0,
            block_bytes_max: 1 << (8 + 2 * (size >> 4)),
            block: Vec::new(),
            position: 0,
            ended: false,
        })
    }

    fn next_block(&mut self) -> io::Result<()> {
        let (length, rest) = self.rest.split_first_chunk().ok_or_else(|| invalid("the frame has no end"))?;
        let length = u32::from_le_bytes(*length);
        let bytes = (length & !AS_IT_IS) as usize;
        if bytes == 0 {
            self.ended = true;
            return Ok(());
        }
        if bytes > self.block_bytes_max {
            return Err(invalid("a block is larger than its frame allows"));
        }
        let (block, rest) = rest.split_at_checked(bytes).ok_or_else(|| invalid("a block is cut off"))?;
        self.rest = match self.block_checksums {
            true => rest.get(4..).ok_or_else(|| invalid("a block is cut off"))?,
            false => rest,
        };
        self.position = 0;
        if length & AS_IT_IS != 0 {
            self.block.clear();
            self.block.extend_from_slice(block);
            return Ok(());
        }
        self.block.resize(self.block_bytes_max, 0);
        let content = lz4_flex::block::decompress_into(block, &mut self.block)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.block.truncate(content);
        Ok(())
    }
}

impl Read for Lz4Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() && !self.ended {
            self.next_block()?;
        }
        let block = &self.block[self.position..];
        let count = block.len().min(out.len());
        out[..count].copy_from_slice(&block[..count]);
        self.position += count;
        Ok(count)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Computes xxHash32 with seed 0 of fewer than 16 bytes. A frame's head is never longer.
fn xxhash32(input: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
    let mut hash = PRIMES[4].wrapping_add(input.len() as u32);
    let (words, tail) = input.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]));
        hash = hash.rotate_left(17).wrapping_mul(PRIMES[3]);
    }
    for byte in tail {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIMES[4]));
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 16
}

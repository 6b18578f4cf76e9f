//! Snappy as Kafka's Java client writes and reads it: in xerial's framing. The reader also accepts
//! a single raw block without the frame's header.
//!
//! ```text
//! 0x82 "SNAPPY" 0x00, version i32, compatible i32       may be repeated between blocks, in
//!                                                       concatenated streams
//! then blocks: length i32, that many bytes of one raw snappy block
//! ```

use std::io::{self, Read, Write};

/// The header of a body in xerial's framing: magic, version 1, compatible from version 1.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The content of one block, as snappy-java cuts it.
const BLOCK_BYTES: usize = 32 * 1024;

const MAGIC: &[u8] = XERIAL_HEADER.split_at(8).0;

/// The largest expansion. No element of the format gives more than 64 bytes for 3, so no memory is
/// allocated for a larger claim.
const EXPANSION_MAX: usize = 22;

/// Reads the content of a snappy body, one block at a time.
pub(crate) struct SnappyReader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    position: usize,
}

impl<'a> SnappyReader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> io::Result<Self> {
        let framed = body.len() >= XERIAL_HEADER.len() && body.starts_with(MAGIC);
        let mut reader = Self { rest: body, framed, block: Vec::new(), position: 0 };
        if framed {
            reader.skip_header()?;
        } else if body.is_empty() {
            return Err(corrupt("an empty snappy stream"));
        }
        Ok(reader)
    }

    fn skip_header(&mut self) -> io::Result<()> {
        let (header, rest) =
            self.rest.split_at_checked(XERIAL_HEADER.len()).ok_or_else(|| corrupt("a snappy header is cut off"))?;
        if header[..MAGIC.len()] != *MAGIC {
            return Err(corrupt("not a snappy header"));
        }
        self.rest = rest;
        Ok(())
    }

    /// Decompresses the next block. Returns false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let compressed = if self.framed {
            let Some(chunk) = self.next_chunk()? else { return Ok(false) };
            chunk
        } else {
            std::mem::take(&mut self.rest)
        };
        let claimed = snap::raw::decompress_len(compressed)?;
        if claimed > compressed.len().saturating_mul(EXPANSION_MAX) {
            return Err(corrupt("a snappy block claims more bytes than it can hold"));
        }
        self.block.resize(claimed, 0);
        self.position = 0;
        snap::raw::Decoder::new().decompress(compressed, &mut self.block)?;
        Ok(true)
    }

    /// Returns the next block, or `None` at the end. A length that is cut off counts as the end.
    fn next_chunk(&mut self) -> io::Result<Option<&'a [u8]>> {
        while self.rest.starts_with(&MAGIC[..4]) {
            self.skip_header()?;
        }
        let Some((length, rest)) = self.rest.split_first_chunk() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| corrupt("a negative block length"))?;
        let (chunk, rest) = rest.split_at_checked(length).ok_or_else(|| corrupt("a snappy block is cut off"))?;
        self.rest = rest;
        Ok(Some(chunk))
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let block = &self.block[self.position..];
        let count = block.len().min(out.len());
        out[..count].copy_from_slice(&block[..count]);
        self.position += count;
        Ok(count)
    }
}

/// Compresses what is written to it, in xerial's framing.
pub(crate) struct SnappyWriter {
    out: Vec<u8>,
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl SnappyWriter {
    /// Creates a writer that appends to `out`.
    pub(crate) fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&XERIAL_HEADER);
        Self { out, block: Vec::with_capacity(BLOCK_BYTES), compressed: Vec::new() }
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.compressed.resize(snap::raw::max_compress_len(self.block.len()), 0);
        let length = snap::raw::Encoder::new().compress(&self.block, &mut self.compressed)?;
        self.out.extend_from_slice(&(length as u32).to_be_bytes());
        self.out.extend_from_slice(&self.compressed[..length]);
        self.block.clear();
        Ok(())
    }

    /// Returns the bytes in the buffer.
    pub(crate) fn written_bytes(&self) -> usize {
        self.out.len()
    }

    /// Ends the last block.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }
}

impl Write for SnappyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK_BYTES {
            self.write_block()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn corrupt(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

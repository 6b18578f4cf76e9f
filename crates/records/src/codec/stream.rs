//! Reads a body with any codec as a stream, since the content may be larger than memory.

use super::{Codec, Decompressor};
use std::io::{self, Read};

/// The bytes to decompress at a time.
const STEP_BYTES: usize = 16 * 1024;

/// A decompressed body, seen through a sliding window.
pub(crate) struct Stream<'a> {
    source: Decompressor<'a>,
    /// The bytes from `start` to `end` are decompressed and not consumed yet.
    window: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    /// Set at the end of the compressed stream. Bytes after it are ignored.
    ended: bool,
}

impl<'a> Stream<'a> {
    /// Opens a body. `magic_0` accepts the wrong checksum in the head of an LZ4 frame.
    pub(crate) fn open(codec: Codec, body: &'a [u8], magic_0: bool) -> io::Result<Self> {
        Ok(Self {
            source: Decompressor::new(codec, body, magic_0)?,
            window: vec![0; STEP_BYTES],
            start: 0,
            end: 0,
            position: 0,
            ended: false,
        })
    }

    /// Returns the bytes that are decompressed and not consumed.
    #[inline]
    pub(crate) fn window(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// Consumes bytes of the window.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        self.position += count as u64;
    }

    /// Returns the bytes consumed since the start.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Fills the window to at least `count` bytes. Returns false if the stream ends first. The
    /// window grows with the bytes that arrive, not with `count`.
    pub(crate) fn fill(&mut self, count: usize) -> io::Result<bool> {
        while self.end - self.start < count {
            if self.ended {
                return Ok(false);
            }
            if self.start > 0 {
                self.window.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.window.len() {
                self.window.resize(self.window.len() * 2, 0);
            }
            match self.source.read(&mut self.window[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Consumes `count` bytes, which may be more than the window. Returns false if the stream ends
    /// first.
    pub(crate) fn skip(&mut self, mut count: usize) -> io::Result<bool> {
        loop {
            let step = count.min(self.end - self.start);
            self.consume(step);
            count -= step;
            if count == 0 {
                return Ok(true);
            }
            if !self.fill(1)? {
                return Ok(false);
            }
        }
    }
}

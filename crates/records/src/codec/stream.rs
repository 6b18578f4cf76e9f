//! Reading a body with each codec, as a stream: what it holds may be larger than memory.

use super::{Codec, Decompressor};
use std::io::{self, Read};

/// Bytes that are decompressed at a time.
const STEP_BYTES: usize = 16 * 1024;

/// A decompressed body behind a window that slides over it.
pub(crate) struct Stream<'a> {
    source: Decompressor<'a>,
    /// Decompressed and not yet consumed from `start` to `end`.
    window: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    /// Once a stream has ended, what follows it is not looked at.
    ended: bool,
}

impl<'a> Stream<'a> {
    /// `magic_0` forgives the wrong checksum in the head of an LZ4 frame.
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

    /// What is decompressed and not consumed.
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

    /// Bytes consumed since the beginning.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Makes the window hold at least `count` bytes; false when the stream ends first. The window grows as bytes come, not as `count` claims.
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

    /// Consumes `count` bytes, which need not fit the window; false when the stream ends first.
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

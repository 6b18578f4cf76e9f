//! Reads the batches in a file one after the other, by their headers.
//!
//! Segments from before Kafka 0.11 have formats v0 and v1. Only what a log needs is read of them:
//! the end of the message, its offset (of a compressed message: the last offset inside) and its
//! timestamp.

use crate::disk::DiskFile;
use crate::index::Wait;
use model::Offset;
use records::{BATCH_OVERHEAD, BatchError, BatchHeader, LOG_OVERHEAD};
use std::io;

/// The bytes of a message of format v1 up to its timestamp: offset, length, crc, magic, attributes,
/// timestamp.
const OLD_HEADER: usize = 26;

/// What a log needs of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) position: u32,
    pub(crate) size: u32,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    /// -1 in format v0.
    pub(crate) max_timestamp: i64,
    /// `None` in formats v0 and v1.
    pub(crate) header: Option<BatchHeader>,
}

impl Frame {
    /// Whether its offsets can follow a log that ends at `next`: they rise, and an offset after
    /// them exists.
    pub(crate) fn continues(&self, next: Offset) -> bool {
        next <= self.base_offset && self.base_offset <= self.last_offset && self.last_offset < Offset(i64::MAX)
    }

    /// Reads the frame at the start of `bytes`. The body may be missing.
    pub(crate) fn parse(bytes: &[u8], position: u32) -> Result<Frame, BatchError> {
        match BatchHeader::parse(bytes) {
            Ok(header) => Ok(Frame {
                position,
                size: header.size_bytes() as u32,
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                max_timestamp: header.max_timestamp.0,
                header: Some(header),
            }),
            Err(BatchError::OldFormat { magic, size_bytes }) => {
                let needed_bytes = if magic == 0 { LOG_OVERHEAD } else { OLD_HEADER };
                let head = bytes.get(..needed_bytes).ok_or(BatchError::Incomplete { needed_bytes })?;
                let long = |at: usize| head[at..at + 8].iter().fold(0, |value, byte| value << 8 | i64::from(*byte));
                let offset = Offset(long(0));
                let max_timestamp = if magic == 0 { -1 } else { long(18) };
                Ok(Frame {
                    position,
                    size: size_bytes as u32,
                    base_offset: offset,
                    last_offset: offset,
                    max_timestamp,
                    header: None,
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// Why a scan stopped before the end of the file.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Bad { position: u32, error: BatchError },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// Reads the headers from a position, which must be a batch's first byte, to an end. A batch that
/// the end cuts off is not returned.
pub(crate) struct Scan<'a> {
    file: &'a dyn DiskFile,
    wait: Wait,
    position: u32,
    end: u32,
    window: Vec<u8>,
    window_start: u32,
}

/// Bytes that are read at once: about as many as between two index entries.
const WINDOW_BYTES: usize = 4096;

impl<'a> Scan<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, position: u32, end: u32, wait: Wait) -> Self {
        Scan { file, wait, position, end, window: Vec::new(), window_start: 0 }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Frame>, ScanError> {
        let needed = BATCH_OVERHEAD.min((self.end.saturating_sub(self.position)) as usize);
        let offset = self.position.wrapping_sub(self.window_start) as usize;
        if self.position < self.window_start || self.window.len() < offset + needed || self.window.is_empty() {
            self.fill()?;
        }
        let offset = (self.position - self.window_start) as usize;
        match Frame::parse(&self.window[offset..], self.position) {
            Ok(frame) if frame.size <= self.end - self.position => {
                self.position += frame.size;
                Ok(Some(frame))
            }
            Ok(_) | Err(BatchError::Incomplete { .. }) => Ok(None),
            Err(error) => Err(ScanError::Bad { position: self.position, error }),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let length = WINDOW_BYTES.min((self.end.saturating_sub(self.position)) as usize);
        self.window.resize(length, 0);
        self.window_start = self.position;
        let read = self.wait.read_at(self.file, u64::from(self.position), &mut self.window)?;
        self.window.truncate(read);
        Ok(())
    }
}

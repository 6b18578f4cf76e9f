//! Reads a segment from start to end in pieces that hold whole batches.

use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::frames::Frame;
use crate::index::Wait;
use crate::segment::Segment;
use records::{BatchError, LegacyMessage};
use std::sync::Arc;

/// The batches of one segment.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    segment: &'a Segment,
    file: Arc<dyn DiskFile>,
    position: u32,
    end: u32,
    buffer: Vec<u8>,
    /// The size of the buffer unless a batch is larger.
    buffer_bytes: usize,
}

impl<'a> Chunks<'a> {
    /// Creates a reader at a batch's first byte.
    pub(super) fn new(segment: &'a Segment, position: u32, buffer_bytes: usize) -> Result<Self> {
        let file = segment.file(Wait::Block)?;
        let end = segment.size();
        Ok(Chunks { segment, file, position, end, buffer: Vec::new(), buffer_bytes: buffer_bytes.max(4096) })
    }

    /// Returns the next whole batches and the position of the first; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, &[u8])>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let mut wanted = self.buffer_bytes;
        loop {
            let remaining_bytes = (self.end - self.position) as usize;
            self.buffer.resize(wanted.min(remaining_bytes), 0);
            let read =
                self.file.read_at(u64::from(self.position), &mut self.buffer).map_err(self.segment.io("read"))?;
            self.buffer.truncate(read);
            let (whole, first_size) =
                whole_batches(&self.buffer, self.position).map_err(|(at, reason)| self.corrupt(at, &reason))?;
            if whole > 0 {
                let start = self.position;
                self.position += whole as u32;
                return Ok(Some((start, &self.buffer[..whole])));
            }
            // The first batch is larger than the buffer, or the segment ends within it.
            match first_size {
                Some(size) if size <= remaining_bytes && size > wanted => wanted = size,
                _ => return Err(self.corrupt(self.position, "the segment ends within a batch")),
            }
        }
    }

    /// Returns the error for a position.
    pub(super) fn corrupt(&self, position: u32, reason: &str) -> Error {
        let path = self.segment.folder.file(&self.segment.name(crate::names::LOG));
        Error::corrupt(path, u64::from(position), reason)
    }
}

/// Returns the bytes of the whole batches at the start of `bytes`, and the size of the first, which
/// may be larger. The checksums are verified: a corrupt batch must not decide which valid records
/// are removed, nor get a new checksum.
fn whole_batches(bytes: &[u8], start: u32) -> std::result::Result<(usize, Option<usize>), (u32, String)> {
    let mut whole = 0;
    let mut first_size = None;
    loop {
        let position = start + whole as u32;
        let frame = match Frame::parse(&bytes[whole..], position) {
            Ok(frame) => frame,
            Err(BatchError::Incomplete { .. }) => return Ok((whole, first_size)),
            Err(error) => return Err((position, error.to_string())),
        };
        let size = frame.size as usize;
        first_size = first_size.or(Some(size));
        let Some(batch) = bytes.get(whole..whole + size) else { return Ok((whole, first_size)) };
        let sound = match frame.header {
            Some(_) => records::BatchView::parse(batch).and_then(|view| view.verify_crc()),
            None => LegacyMessage::parse(batch).and_then(|message| message.verify_crc()),
        };
        sound.map_err(|error| (position, error.to_string()))?;
        whole += size;
    }
}

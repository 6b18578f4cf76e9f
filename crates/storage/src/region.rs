//! A stretch of a segment's file that is part of a response.
//!
//! It holds the file open, so it outlives the segment's deletion; after a truncation below its end it is stale, and what it would read may be
//! half of something else: the connection that was promised its bytes is closed then.

use crate::disk::DiskFile;
use crate::error::Result;
use crate::index::Wait;
use crate::segment::Segment;
use std::sync::Arc;

/// Bytes of records in a file.
#[derive(Clone, Debug)]
pub struct FileRegion {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Its first byte's position in the file.
    pub position: u64,
    /// Its bytes.
    pub length: u32,
}

impl FileRegion {
    /// Whether its bytes are still what they were when it was planned. Asked after the bytes were read, and before they are believed.
    pub fn is_intact(&self) -> bool {
        self.segment.is_intact(self.position + u64::from(self.length))
    }

    /// Reads from `at`, counted from the region's first byte; `Error::WouldBlock` where `Wait::Try` finds nothing in memory. Fewer bytes than
    /// asked for only at the region's end.
    pub fn read_at(&self, at: u32, buffer: &mut [u8], wait: Wait) -> Result<usize> {
        let length = buffer.len().min(self.length.saturating_sub(at) as usize);
        let position = self.position + u64::from(at);
        wait.read_at(&*self.file, position, &mut buffer[..length]).map_err(self.segment.io("read"))
    }

    /// All of its bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        let read = self.read_at(0, &mut bytes, Wait::Block)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

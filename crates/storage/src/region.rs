//! A part of a segment's file that belongs to a response.
//!
//! It holds the file open, so it survives the segment's deletion. After a truncation below its end
//! it is stale: its bytes may be partly replaced, and the connection that was promised these bytes
//! is closed.

use crate::disk::DiskFile;
use crate::error::Result;
use crate::index::Wait;
use crate::segment::Segment;
use std::sync::Arc;

/// A range of record bytes in a file.
#[derive(Clone, Debug)]
pub struct FileRegion {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// The position of its first byte in the file.
    pub position: u64,
    /// Its length in bytes.
    pub length: u32,
}

impl FileRegion {
    /// Whether its bytes have not changed since it was planned. Call it after the bytes were read,
    /// and before they are used.
    pub fn is_intact(&self) -> bool {
        self.segment.is_intact(self.position + u64::from(self.length))
    }

    /// Reads from `at`, counted from the region's first byte. Returns fewer bytes than asked for
    /// only at the region's end. Errors: `Error::WouldBlock` if the bytes are not in memory and the
    /// caller used `Wait::Try`.
    pub fn read_at(&self, at: u32, buffer: &mut [u8], wait: Wait) -> Result<usize> {
        let length = buffer.len().min(self.length.saturating_sub(at) as usize);
        let position = self.position + u64::from(at);
        wait.read_at(&*self.file, position, &mut buffer[..length]).map_err(self.segment.io("read"))
    }

    /// Reads all of its bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        let read = self.read_at(0, &mut bytes, Wait::Block)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

//! Room that is kept for the metadata log: a file beside it, which is given up when the disk is full.
//!
//! To start, a node writes a vote and a few records: on a disk without a byte left it could not even serve what it has. Apache Kafka does not look at the file.

use crate::env::random;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, OpenMode};

/// Its name in the log dir.
const NAME: &str = ".gregor-spare-room";
/// How much it holds: ten starts, even where others take at once what is left of each.
const BYTES: u64 = 256 << 10;
/// How much of it is given up at a time.
const PART_BYTES: u64 = 16 << 10;
/// It is made where so much is free.
const FREE_LEAST: u64 = 64 * BYTES;

/// The file.
#[derive(Debug)]
pub struct SpareRoom {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl SpareRoom {
    /// That of a log dir.
    pub fn new(disk: Arc<dyn Disk>, log_dir: &Path) -> Self {
        Self { disk, path: log_dir.join(NAME) }
    }

    /// Makes the file, unless it is there or little is free.
    pub fn keep(&self) -> io::Result<()> {
        match self.disk.metadata(&self.path) {
            Ok(found) if found.length == BYTES => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        if self.disk.space(dir)?.usable_bytes < FREE_LEAST {
            return Ok(());
        }
        // Bytes that no file system can leave out.
        let bytes: Vec<u8> = (0..BYTES / 4096).flat_map(|_| random::bytes::<4096>()).collect();
        let file = self.disk.open(&self.path, OpenMode::Truncate)?;
        file.write_at(0, &[IoSlice::new(&bytes)]).and_then(|()| file.sync())
    }

    /// Gives some of the room up. Whether there was any.
    pub fn give_up(&self) -> bool {
        let cut = || -> io::Result<bool> {
            let file = self.disk.open(&self.path, OpenMode::Write)?;
            let length = file.length()?;
            file.truncate(length.saturating_sub(PART_BYTES))?;
            Ok(length > 0)
        };
        cut().unwrap_or(false)
    }
}

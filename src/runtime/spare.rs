//! Disk space reserved for the metadata log: a file beside it that is released when the disk is
//! full.
//!
//! To start, a node writes a vote and a few records. On a completely full disk it could not even
//! serve its existing data. Apache Kafka ignores the file.

use crate::env::Env;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, OpenMode};

/// The name of the file in the log dir.
const NAME: &str = ".gregor-spare-room";
/// The size of the file. It is enough for ten starts, even if other programs use up the rest of
/// each released part.
const BYTES: u64 = 256 << 10;
/// How much of the file is released at a time.
const PART_BYTES: u64 = 16 << 10;
/// The file is created only if this much space is free.
const FREE_LEAST: u64 = 64 * BYTES;

/// The file with the reserved space.
#[derive(Debug)]
pub struct SpareRoom {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    env: Env,
}

impl SpareRoom {
    /// Returns the reserved space of a log dir.
    pub fn new(disk: Arc<dyn Disk>, log_dir: &Path, env: Env) -> Self {
        Self { disk, path: log_dir.join(NAME), env }
    }

    /// Creates the file, unless it exists or little space is free.
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
        // Random bytes, which no file system can compress or leave sparse.
        let bytes: Vec<u8> = (0..BYTES / 4096).flat_map(|_| self.env.random_bytes::<4096>()).collect();
        let file = self.disk.open(&self.path, OpenMode::Truncate)?;
        file.write_at(0, &[IoSlice::new(&bytes)]).and_then(|()| file.sync())
    }

    /// Releases a part of the space. Returns whether there was any.
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

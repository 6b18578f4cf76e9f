//! `Disk`: the one seam between the store and the file system.
//!
//! Everything the store does to files goes through these two traits, so that a whole log runs in memory under the simulator, which forgets,
//! tears and refuses. Seams carry bytes and positions and know nothing of batches. Every call may block, except `try_read_at`.
//!
//! Invariants for implementations: a write that returns `Ok` is seen by every later read of any handle; only `sync` and `sync_dir` make
//! contents and names outlive a power cut.

mod overlay;
mod real;
mod sim;
mod watched;
mod write_back;

pub use overlay::Overlay;
pub use real::RealDisk;
pub use sim::{Crash, Fault, Operation, SimDisk};
pub(crate) use watched::Watched;

use crate::planted::{Bug, is_planted};
use model::Timestamp;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened. All but `Read` allow writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist, and is only read.
    Read,
    /// It must exist.
    Write,
    /// It is created when it is missing.
    Create,
    /// It is created when it is missing, and emptied when it is not.
    Truncate,
}

/// A file system, or a simulated one.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file or a folder another name, replacing a file of that name at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder, and the ones above it; none of them need be missing.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// What a folder holds, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// A file's or folder's length and age.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Makes the names in a folder outlive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a file as Java's `FileChannel.tryLock` does, creating it when it is missing; `None` while another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
    /// The process that holds a file locked, without locking or creating it; `None` while none does, and where there are no other processes.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<u32>> {
        let _ = path;
        Ok(None)
    }
    /// How much room the file system of this path has.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Positions are in bytes from its start.
pub trait DiskFile: Debug + Send + Sync {
    /// Writes all slices one after another from `position` on; an error may leave any prefix of them written.
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads what is in memory; `WouldBlock` where nothing is. It may give fewer bytes than there are.
    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Makes the contents and the length outlive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Sets when it was last written, as `Disk::metadata` tells it.
    fn set_modified(&self, modified: Timestamp) -> io::Result<()>;
    /// Asks the system to begin writing a range back, without waiting for it. A hint; doing nothing is right.
    fn start_writeback(&self, position: u64, length: u64) -> io::Result<()> {
        let _ = (position, length);
        Ok(())
    }
}

/// Held until it is dropped.
pub trait DiskLock: Debug + Send + Sync {}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the folder. Names that are not UTF-8 are none of ours and are left out of listings.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// What is known of a file or folder without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes.
    pub length: u64,
    /// When it was last written.
    pub modified: Timestamp,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What this process may still write.
    pub usable_bytes: u64,
}

/// The whole of a file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a file so that a crash leaves the old contents or the new, as Kafka does: `.tmp` beside it, fsync, rename, fsync of the folder.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, file) = write_beside(disk, path, bytes)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    if is_planted(Bug::NoDirectoryFsyncAfterRename) {
        return Ok(());
    }
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a file so that a killed process leaves the old contents or the new. A power cut may leave the name with any part of them, or neither.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, _) = write_beside(disk, path, bytes)?;
    disk.rename(&temporary, path)
}

fn write_beside(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = disk.open(&temporary, OpenMode::Truncate)?;
    if let Err(error) = file.write_at(0, &[IoSlice::new(bytes)]) {
        // On a full disk, what was written of it takes up room that others need. It is written over the next time where it cannot be removed.
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    Ok((temporary, file))
}

/// Removes a file that may already be gone.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;

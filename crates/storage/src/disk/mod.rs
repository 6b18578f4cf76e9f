//! `Disk`: the only interface between the store and the file system.
//!
//! All file operations of the store go through these two traits, so that a whole log runs in memory
//! under the simulator, which loses, tears and refuses writes. The traits carry bytes and positions
//! and know nothing about batches. Every call may block, except `try_read_at`.
//!
//! Invariants for implementations: a write that returns `Ok` is visible to every later read through
//! any handle. Only `sync` and `sync_dir` make contents and names survive a power cut.

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
    /// The file must exist, and is only read.
    Read,
    /// The file must exist.
    Write,
    /// The file is created if it is missing.
    Create,
    /// The file is created if it is missing, and emptied if it exists.
    Truncate,
}

/// A file system, or a simulated one.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file or a folder. Atomically replaces an existing file with the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and its missing parents. It is no error if they exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Lists a folder, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Returns a file's or folder's length and modification time.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Makes the names in a folder survive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a file as Java's `FileChannel.tryLock` does, and creates it if it is missing. Returns
    /// `None` while another holder has the lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
    /// Returns the process that holds the lock of a file, without locking or creating the file.
    /// `None` if there is none, or if the disk knows no other processes.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<u32>> {
        let _ = path;
        Ok(None)
    }
    /// Returns the size and free space of the path's file system.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Positions are in bytes from its start.
pub trait DiskFile: Debug + Send + Sync {
    /// Writes all slices one after another from `position` on. After an error any prefix of them
    /// may be written.
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads bytes that are in memory; `WouldBlock` if there are none. It may return fewer bytes
    /// than asked for.
    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Makes the contents and the length survive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Truncates or extends the file.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Returns the length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Sets the modification time that `Disk::metadata` returns.
    fn set_modified(&self, modified: Timestamp) -> io::Result<()>;
    /// Asks the system to begin writing back a range, without waiting for it. This is a hint; an
    /// implementation may ignore it.
    fn start_writeback(&self, position: u64, length: u64) -> io::Result<()> {
        let _ = (position, length);
        Ok(())
    }
}

/// A lock, held until it is dropped.
pub trait DiskLock: Debug + Send + Sync {}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the folder. Listings leave out names that are not UTF-8, which are never
    /// the store's.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// The attributes of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The length in bytes.
    pub length: u64,
    /// The modification time.
    pub modified: Timestamp,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total_bytes: u64,
    /// The free space that this process may use.
    pub usable_bytes: u64,
}

/// Reads a whole file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a file so that a crash leaves the old or the new contents, as Kafka does: writes `.tmp`
/// beside it, syncs it, renames it, and syncs the folder.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, file) = write_beside(disk, path, bytes)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    if is_planted(Bug::NoDirectoryFsyncAfterRename) {
        return Ok(());
    }
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a file so that a kill leaves the old or the new contents. A power cut may leave the
/// name with any part of them, or neither.
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
        // On a full disk the partial file would take up space that others need. If it cannot be
        // removed, the next replacement overwrites it.
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    Ok((temporary, file))
}

/// Removes a file that may not exist.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;

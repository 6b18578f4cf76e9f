//! The machine's file system: the only module of the store that uses `std::fs` and system calls.
//!
//! Data is synced with `fdatasync`, which also writes back a changed length. Locks are `fcntl`
//! locks over the whole file, since Java uses these and `flock` would not see them. Such a lock
//! belongs to the process, so a table of the process's locks separates two brokers in one process.

use super::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, Space, write_back};
use model::Timestamp;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::process::{Flock, FlockType};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// The most slices that one `pwritev` takes (`IOV_MAX`).
const SLICES_MAX: usize = 1024;

/// Device and inode of every file that this process has locked.
static LOCKED: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true).truncate(false),
            OpenMode::Truncate => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                // A link to a folder counts as one: operators move partitions that way.
                let kind = entry.file_type()?;
                let is_dir = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
                entries.push(DirEntry { name, is_dir });
            }
        }
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::metadata(path)?;
        let modified = Timestamp(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000);
        Ok(Metadata { length: metadata.len(), modified, is_dir: metadata.is_dir() })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        // A second `fcntl` lock of one process succeeds, and closing its file drops the first, so
        // the table is checked before the kernel. For the same reason a file in the table stays
        // open (it is leaked).
        let mut locked = LOCKED.lock();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let inode = inode(&file.metadata()?);
        if locked.contains(&inode) {
            std::mem::forget(file);
            return Ok(None);
        }
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            // The previous holder may have removed the file meanwhile: a lock on it excludes
            // nobody.
            Ok(()) if fs::metadata(path).ok().map(|metadata| self::inode(&metadata)) != Some(inode) => Ok(None),
            Ok(()) => {
                locked.insert(inode);
                Ok(Some(Box::new(RealLock { file: Some(file), inode })))
            }
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<u32>> {
        let locked = LOCKED.lock();
        let inode = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => self::inode(&metadata?),
        };
        // Closing a file that this process has locked would release the lock, so it is not opened.
        if locked.contains(&inode) {
            return Ok(Some(std::process::id()));
        }
        let file = File::open(path)?;
        let holder = rustix::process::fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?;
        Ok(holder.and_then(|lock| lock.pid).map(|pid| pid.as_raw_nonzero().get().unsigned_abs()))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let space = rustix::fs::statvfs(path)?;
        Ok(Space { total_bytes: space.f_blocks * space.f_frsize, usable_bytes: space.f_bavail * space.f_frsize })
    }
}

fn inode(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[derive(Debug)]
struct RealLock {
    file: Option<File>,
    inode: (u64, u64),
}

impl DiskLock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        let mut locked = LOCKED.lock();
        // Within the table's lock: closed later, it would release the lock of the next holder.
        self.file = None;
        locked.remove(&self.inode);
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, mut position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        if let [one] = slices {
            return self.0.write_all_at(one, position);
        }
        for group in slices.chunks(SLICES_MAX) {
            let mut group = group.to_vec();
            let mut rest = group.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.0, rest, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        position += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], position + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buffer)], position, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // Some file systems (overlays, network ones) do not support the flag: the read then
            // waits for the disk.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        let kept = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let tv_nsec = modified.0.rem_euclid(1000) * 1_000_000;
        let last_modification = Timespec { tv_sec: modified.0.div_euclid(1000), tv_nsec };
        rustix::fs::futimens(&self.0, &Timestamps { last_access: kept, last_modification }).map_err(io::Error::from)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn start_writeback(&self, position: u64, length: u64) -> io::Result<()> {
        write_back::begin(&self.0, position, length)
    }
}

//! A watched disk: it records the errors of all calls in the log dir's condition, and refuses every
//! call after a fault.
//!
//! Every call to an open log dir goes through it, so no caller can forget to classify an error.
//! Only the checks before a start read folders without it.

use super::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, Space};
use crate::condition::Condition;
use crate::error::DiskErrorKind;
use crate::planted::{Bug, is_planted};
use model::Timestamp;
use std::fmt::Display;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk of one log dir.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Disk>,
    condition: Arc<Condition>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Disk>, condition: Arc<Condition>) -> Self {
        Watched { inner, condition }
    }
}

impl Condition {
    fn watch<T>(&self, what: &str, path: &Path, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        call().inspect_err(|error| match DiskErrorKind::of(error) {
            DiskErrorKind::OutOfSpace => self.ran_full(),
            DiskErrorKind::DirFailed => self.failed(what, path, error),
            DiskErrorKind::Transient | DiskErrorKind::Name => {}
        })
    }

    /// Syncs. Any failure but a missing file takes the dir offline: nobody knows what the system
    /// still holds, and a second sync would succeed without having written anything.
    fn watch_sync(&self, path: &Path, call: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.check()?;
        let synced = call();
        let synced = if synced.is_err() && is_planted(Bug::FsyncRetried) { call() } else { synced };
        synced.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => error,
            _ => {
                self.failed("sync", path, &error);
                io::Error::other(error.to_string())
            }
        })
    }

    fn check(&self) -> io::Result<()> {
        match self.fault() {
            Some(reason) => Err(io::Error::other(format!("the log dir is offline: {reason}"))),
            None => Ok(()),
        }
    }

    fn failed(&self, what: &str, path: &Path, error: &dyn Display) {
        self.fail(&format!("cannot {what} {}: {error}", path.display()));
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.condition.watch("open", path, || self.inner.open(path, mode))?;
        Ok(Arc::new(WatchedFile { inner, condition: self.condition.clone(), path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.condition.watch("rename", from, || self.inner.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.condition.watch("remove", path, || self.inner.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.condition.watch("remove", path, || self.inner.remove_dir(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.condition.watch("create", path, || self.inner.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.condition.watch("list", path, || self.inner.list(path))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.condition.watch("measure", path, || self.inner.metadata(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.condition.watch_sync(path, || self.inner.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.condition.watch("lock", path, || self.inner.lock(path))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.condition.check()?;
        self.inner.space(path)
    }
}

/// A file of a log dir. Its path is the one under which it was opened, for the texts of errors.
#[derive(Debug)]
struct WatchedFile {
    inner: Arc<dyn DiskFile>,
    condition: Arc<Condition>,
    path: PathBuf,
}

impl DiskFile for WatchedFile {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.condition.watch("write", &self.path, || self.inner.write_at(position, slices))?;
        self.condition.took(slices.iter().map(|slice| slice.len()).sum());
        Ok(())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.condition.watch("read", &self.path, || self.inner.read_at(position, buffer))
    }

    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.condition.watch("read", &self.path, || self.inner.try_read_at(position, buffer))
    }

    fn sync(&self) -> io::Result<()> {
        self.condition.watch_sync(&self.path, || self.inner.sync())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.condition.watch("cut", &self.path, || self.inner.truncate(length))
    }

    fn length(&self) -> io::Result<u64> {
        self.condition.watch("measure", &self.path, || self.inner.length())
    }

    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        self.condition.watch("date", &self.path, || self.inner.set_modified(modified))
    }

    fn start_writeback(&self, position: u64, length: u64) -> io::Result<()> {
        self.inner.start_writeback(position, length)
    }
}

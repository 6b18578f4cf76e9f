//! The real disk, but the opening or the syncs of some files wait until the test releases them.

use model::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use storage::disk::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, RealDisk, Space};

/// The disk. All clones hold and release together.
#[derive(Clone, Debug)]
pub struct HeldDisk(Arc<Held>);

#[derive(Debug)]
struct Held {
    real: RealDisk,
    path_contains: String,
    holds_syncs: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_held: bool,
    fails: bool,
}

impl HeldDisk {
    /// Holds every open of a path that contains this text.
    pub fn new(path_contains: &str) -> Self {
        Self::with(path_contains, false, true)
    }

    /// Holds every sync of a file whose path contains this text, after a call of `hold`.
    pub fn syncs(path_contains: &str) -> Self {
        Self::with(path_contains, true, false)
    }

    fn with(path_contains: &str, holds_syncs: bool, is_held: bool) -> Self {
        Self(Arc::new(Held {
            real: RealDisk,
            path_contains: path_contains.to_owned(),
            holds_syncs,
            state: Mutex::new(State { is_held, fails: false }),
            changed: Condvar::new(),
        }))
    }

    /// Holds the calls from now on.
    pub fn hold(&self) {
        self.0.state.lock().is_held = true;
    }

    /// Releases the waiting calls, and holds no more.
    pub fn let_go(&self) {
        self.0.state.lock().is_held = false;
        self.0.changed.notify_all();
    }

    /// Releases the waiting calls with an error.
    pub fn fail(&self) {
        self.0.state.lock().fails = true;
        self.let_go();
    }
}

impl Held {
    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.is_held);
        if state.fails { Err(io::Error::other("the test's fault")) } else { Ok(()) }
    }
}

/// A file whose syncs are held.
#[derive(Debug)]
struct HeldFile {
    real: Arc<dyn DiskFile>,
    held: Arc<Held>,
}

impl DiskFile for HeldFile {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.real.write_at(position, slices)
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.real.read_at(position, buffer)
    }
    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.real.try_read_at(position, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        self.held.pass()?;
        self.real.sync()
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.real.truncate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.real.length()
    }
    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        self.real.set_modified(modified)
    }
}

impl Disk for HeldDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if !path.to_string_lossy().contains(&self.0.path_contains) {
            return self.0.real.open(path, mode);
        }
        if !self.0.holds_syncs {
            self.0.pass()?;
            return self.0.real.open(path, mode);
        }
        Ok(Arc::new(HeldFile { real: self.0.real.open(path, mode)?, held: self.0.clone() }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.real.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.real.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.real.remove_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.real.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.real.list(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.real.metadata(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.real.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.0.real.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.real.space(path)
    }
}

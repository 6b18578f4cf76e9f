//! The real disk, on which the opening of some files waits until the test lets go.

use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::Path;
use std::sync::Arc;
use storage::disk::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, RealDisk, Space};

/// The disk; clones hold and let go together.
#[derive(Clone, Debug)]
pub struct HeldDisk(Arc<Held>);

#[derive(Debug)]
struct Held {
    real: RealDisk,
    path_contains: String,
    is_held: Mutex<bool>,
    let_go: Condvar,
}

impl HeldDisk {
    /// Holds every open of a path that contains this text.
    pub fn new(path_contains: &str) -> Self {
        Self(Arc::new(Held {
            real: RealDisk,
            path_contains: path_contains.to_owned(),
            is_held: Mutex::new(true),
            let_go: Condvar::new(),
        }))
    }

    /// Lets go of what waits, and holds nothing any more.
    pub fn let_go(&self) {
        *self.0.is_held.lock() = false;
        self.0.let_go.notify_all();
    }
}

impl Disk for HeldDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if path.to_string_lossy().contains(&self.0.path_contains) {
            let mut is_held = self.0.is_held.lock();
            self.0.let_go.wait_while(&mut is_held, |is_held| *is_held);
        }
        self.0.real.open(path, mode)
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

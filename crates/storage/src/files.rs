//! A partition's folder, and the limit on open files over all folders.
//!
//! A log of a thousand segments holds no descriptor for most of them. An open file is in a slot,
//! and a clock algorithm over all slots closes the ones that were not used recently when more than
//! `OPEN_FILES_DEFAULT` (or the caller's limit) are open. Active segments take part. A slot in use
//! costs one uncontended read lock; only opening and closing touch the clock. Closing only drops
//! the slot's reference: a reader of the file still holds it.

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use parking_lot::{Mutex, RwLock};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// The default limit on open files of segments. Logs and indexes both count.
pub const OPEN_FILES_DEFAULT: usize = 4096;

trait Evict: Send + Sync {
    /// Drops the content unless it was used since the last call. Returns whether the slot is empty
    /// now.
    fn evict(&self) -> bool;
}

/// A slot for an open file, perhaps with what was read from it.
#[derive(Debug)]
pub(crate) struct Slot<T: ?Sized> {
    held: RwLock<Option<Arc<T>>>,
    used: AtomicBool,
}

impl<T: ?Sized + Send + Sync> Evict for Slot<T> {
    fn evict(&self) -> bool {
        if self.used.swap(false, Ordering::Relaxed) {
            return false;
        }
        *self.held.write() = None;
        true
    }
}

impl<T: ?Sized + Send + Sync + 'static> Slot<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Slot { held: RwLock::new(None), used: AtomicBool::new(false) })
    }

    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let held = self.held.read().clone();
        if held.is_some() && !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        held
    }

    /// Returns its content, or stores and returns what `open` returns.
    pub(crate) fn get_or_open(
        self: &Arc<Self>,
        open_files: &OpenFiles,
        open: impl FnOnce() -> Result<Arc<T>>,
    ) -> Result<Arc<T>> {
        if let Some(held) = self.get() {
            return Ok(held);
        }
        let opened = open()?;
        self.put(open_files, opened.clone());
        Ok(opened)
    }

    pub(crate) fn put(self: &Arc<Self>, open_files: &OpenFiles, opened: Arc<T>) {
        let was_empty = self.held.write().replace(opened).is_none();
        if was_empty {
            let this: Weak<dyn Evict> = Arc::downgrade(&(self.clone() as Arc<dyn Evict>));
            open_files.add(this);
        }
    }

    pub(crate) fn clear(&self) {
        *self.held.write() = None;
    }
}

/// The clock over all slots of a broker's log dirs.
pub struct OpenFiles {
    limit: usize,
    clock: Mutex<Clock>,
}

struct Clock {
    slots: Vec<Weak<dyn Evict>>,
    hand: usize,
}

impl Debug for OpenFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFiles").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl OpenFiles {
    /// Keeps at most `limit` files open.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(OpenFiles { limit: limit.max(1), clock: Mutex::new(Clock { slots: Vec::new(), hand: 0 }) })
    }

    /// Returns the number of slots that hold a file or held one that is closed now.
    pub fn count(&self) -> usize {
        self.clock.lock().slots.len()
    }

    fn add(&self, slot: Weak<dyn Evict>) {
        let mut clock = self.clock.lock();
        clock.slots.push(slot);
        // A slot that was used since the clock last passed stays for another round.
        let mut steps = 2 * clock.slots.len();
        while clock.slots.len() > self.limit && steps > 0 {
            steps -= 1;
            let hand = if clock.hand < clock.slots.len() { clock.hand } else { 0 };
            let gone = clock.slots[hand].upgrade().is_none_or(|slot| slot.evict());
            if gone {
                clock.slots.swap_remove(hand);
            }
            clock.hand = if gone { hand } else { hand + 1 };
        }
    }
}

/// A partition's folder on its disk. Its path changes when the partition is deleted or moved.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) open_files: Arc<OpenFiles>,
    path: RwLock<PathBuf>,
}

impl Folder {
    pub(crate) fn new(disk: Arc<dyn Disk>, open_files: Arc<OpenFiles>, path: PathBuf) -> Arc<Self> {
        Arc::new(Folder { disk, open_files, path: RwLock::new(path) })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.read().clone()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.read().join(name)
    }

    pub(crate) fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn DiskFile>> {
        // Read under the lock, so that the folder cannot be renamed between this and the open.
        let path = self.path.read();
        let file = path.join(name);
        self.disk.open(&file, mode).map_err(Error::io("open", &file))
    }

    pub(crate) fn rename_to(&self, to: &Path) -> Result<()> {
        let mut path = self.path.write();
        self.disk.rename(&path, to).map_err(Error::io("rename", &*path))?;
        *path = to.to_path_buf();
        Ok(())
    }

    pub(crate) fn rename_file(&self, from: &str, to: &str) -> Result<()> {
        let path = self.path.read();
        self.disk.rename(&path.join(from), &path.join(to)).map_err(Error::io("rename", path.join(from)))
    }

    /// Calls `act` with a file's path while the folder cannot be renamed.
    pub(crate) fn with_file<T>(&self, name: &str, act: impl FnOnce(&Path) -> T) -> T {
        let path = self.path.read();
        act(&path.join(name))
    }

    /// Replaces a file's contents; atomic for a kill, not for a power cut.
    pub(crate) fn replace_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.read().join(name);
        crate::disk::replace(&*self.disk, &path, bytes).map_err(Error::io("write", &path))
    }

    pub(crate) fn remove_file(&self, name: &str) -> Result<bool> {
        let path = self.file(name);
        crate::disk::remove_if_there(&*self.disk, &path).map_err(Error::io("remove", &path))
    }

    /// Makes a file's contents survive a power cut, if the file exists.
    pub(crate) fn sync_file(&self, name: &str) -> Result<()> {
        match self.open(name, OpenMode::Write) {
            Ok(file) => file.sync().map_err(Error::io("sync", self.file(name))),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let path = self.path();
        self.disk.sync_dir(&path).map_err(Error::io("sync", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn no_more_files_stay_open_than_the_limit() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let open_files = OpenFiles::new(10);
        let folder = Folder::new(disk, open_files.clone(), PathBuf::from("/"));
        let slots: Vec<Arc<Slot<dyn DiskFile>>> = (0..100).map(|_| Slot::new()).collect();
        for (index, slot) in slots.iter().enumerate() {
            slot.get_or_open(&open_files, || folder.open(&format!("f{index}"), OpenMode::Create)).unwrap();
            // The first one is in constant use and stays.
            assert!(slots[0].get().is_some());
        }
        assert_eq!(open_files.count(), 10);
        assert_eq!(slots.iter().filter(|slot| slot.held.read().is_some()).count(), 10);
        drop(slots);
        Slot::<dyn DiskFile>::new().put(&open_files, folder.open("x", OpenMode::Create).unwrap());
        assert!(open_files.count() <= 10);
    }
}

//! A disk that keeps all writes in memory, where later reads see them. It shows what a start would
//! do to a folder without changing the folder.
//!
//! Invariants: the disk below is only read. A lock is always granted, and locks nothing. Folders
//! are not renamed (no start renames one before its logs are open).

use super::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, Space};
use model::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A layer of changes over a disk.
#[derive(Debug)]
pub struct Overlay {
    beneath: Arc<dyn Disk>,
    changes: Mutex<BTreeMap<PathBuf, Change>>,
}

#[derive(Clone, Debug)]
enum Change {
    File(Arc<Layered>),
    Dir,
    Gone,
}

impl Overlay {
    /// Creates a layer without changes.
    pub fn new(beneath: Arc<dyn Disk>) -> Self {
        Self { beneath, changes: Mutex::default() }
    }

    fn change(&self, path: &Path) -> Option<Change> {
        self.changes.lock().get(path).cloned()
    }

    fn set(&self, path: &Path, change: Change) {
        self.changes.lock().insert(path.to_path_buf(), change);
    }

    /// Opens a file for writing: changes stay in memory.
    fn layered(&self, path: &Path) -> io::Result<Arc<Layered>> {
        match self.change(path) {
            Some(Change::File(file)) => return Ok(file),
            Some(Change::Gone) => return Err(io::ErrorKind::NotFound.into()),
            Some(Change::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => {}
        }
        let file = self.beneath.open(path, OpenMode::Read)?;
        let length = file.length()?;
        let modified = self.beneath.metadata(path)?.modified;
        let content =
            Content { beneath: Some(file), beneath_length: length, length, pieces: BTreeMap::new(), modified };
        let file = Arc::new(Layered(RwLock::new(content)));
        self.set(path, Change::File(file.clone()));
        Ok(file)
    }

    fn fresh(&self, path: &Path) -> Arc<Layered> {
        let file = Arc::new(Layered(RwLock::default()));
        self.set(path, Change::File(file.clone()));
        file
    }
}

impl Disk for Overlay {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        match (mode, self.change(path)) {
            (OpenMode::Read, None) => self.beneath.open(path, mode),
            (OpenMode::Truncate, _) => Ok(self.fresh(path)),
            (OpenMode::Create, _) => match self.layered(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.fresh(path)),
                file => Ok(file?),
            },
            (OpenMode::Read | OpenMode::Write, _) => Ok(self.layered(path)?),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.layered(from)?;
        self.set(to, Change::File(file));
        self.set(from, Change::Gone);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.metadata(path)?;
        self.set(path, Change::Gone);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.metadata(path).is_err() {
            self.set(path, Change::Dir);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let is_new = matches!(self.change(path), Some(Change::Dir));
        let mut entries = if is_new { Vec::new() } else { self.beneath.list(path)? };
        for (changed, change) in &*self.changes.lock() {
            let Some(name) = changed.strip_prefix(path).ok().and_then(Path::to_str).filter(|name| !name.contains('/'))
            else {
                continue;
            };
            entries.retain(|entry| entry.name != name);
            if !matches!(change, Change::Gone) && !name.is_empty() {
                entries.push(DirEntry { name: name.to_owned(), is_dir: matches!(change, Change::Dir) });
            }
        }
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        match self.change(path) {
            None => self.beneath.metadata(path),
            Some(Change::Gone) => Err(io::ErrorKind::NotFound.into()),
            Some(Change::Dir) => Ok(Metadata { length: 0, modified: Timestamp(0), is_dir: true }),
            Some(Change::File(file)) => {
                let content = file.0.read();
                Ok(Metadata { length: content.length, modified: content.modified, is_dir: false })
            }
        }
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        Ok(Some(Box::new(NoLock)))
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<u32>> {
        self.beneath.lock_holder(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.beneath.space(path)
    }
}

#[derive(Debug)]
struct NoLock;

impl DiskLock for NoLock {}

/// A file and the writes over it.
#[derive(Debug, Default)]
struct Layered(RwLock<Content>);

#[derive(Debug)]
struct Content {
    beneath: Option<Arc<dyn DiskFile>>,
    /// Bytes of the file below that are still visible.
    beneath_length: u64,
    length: u64,
    /// The writes, by position; pieces do not overlap.
    pieces: BTreeMap<u64, Vec<u8>>,
    modified: Timestamp,
}

impl Default for Content {
    fn default() -> Self {
        Self { beneath: None, beneath_length: 0, length: 0, pieces: BTreeMap::new(), modified: Timestamp(0) }
    }
}

impl Content {
    fn write(&mut self, position: u64, bytes: &[u8]) {
        let end = position + bytes.len() as u64;
        // It is merged with every piece that it overlaps.
        let mut start = position;
        let mut joined: Vec<u8> = Vec::new();
        let before = self.pieces.range(..=position).next_back().map(|(at, piece)| (*at, piece.len() as u64));
        if let Some((at, length)) = before.filter(|(at, length)| at + length >= position) {
            start = at;
            joined = self.pieces.remove(&at).unwrap_or_default();
            debug_assert_eq!(joined.len() as u64, length);
        }
        let within = usize::try_from(position - start).unwrap_or(usize::MAX).min(joined.len());
        let tail = joined.split_off(within);
        joined.extend_from_slice(bytes);
        joined.extend(tail.into_iter().skip(bytes.len()));
        while let Some((at, piece)) = self.pieces.range(start..).next().map(|(at, piece)| (*at, piece.clone()))
            && at <= end
        {
            self.pieces.remove(&at);
            let covered = usize::try_from(start + joined.len() as u64 - at).unwrap_or(0);
            joined.extend(piece.into_iter().skip(covered));
        }
        self.length = self.length.max(start + joined.len() as u64);
        self.pieces.insert(start, joined);
    }

    fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        if let Some(file) = &self.beneath {
            let seen = usize::try_from(self.beneath_length.saturating_sub(position)).unwrap_or(usize::MAX).min(count);
            file.read_at(position, &mut buffer[..seen])?;
        }
        let end = position + count as u64;
        for (at, piece) in self.pieces.range(..end) {
            let (from, to) = ((*at).max(position), (at + piece.len() as u64).min(end));
            if from < to {
                let index = |at: u64, base: u64| usize::try_from(at - base).unwrap_or_default();
                buffer[index(from, position)..index(to, position)]
                    .copy_from_slice(&piece[index(from, *at)..index(to, *at)]);
            }
        }
        Ok(count)
    }

    fn truncate(&mut self, length: u64) {
        self.beneath_length = self.beneath_length.min(length);
        self.pieces.split_off(&length);
        if let Some((at, piece)) = self.pieces.range_mut(..length).next_back() {
            piece.truncate(usize::try_from(length - at).unwrap_or(usize::MAX));
        }
        self.length = length;
    }
}

impl DiskFile for Layered {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut content = self.0.write();
        let mut at = position;
        for slice in slices {
            content.write(at, slice);
            at += slice.len() as u64;
        }
        Ok(())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read().read(position, buffer)
    }

    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(position, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.write().truncate(length);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.read().length)
    }

    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        self.0.write().modified = modified;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{RealDisk, SimDisk, read_all};
    use proptest::prelude::*;

    fn write(disk: &dyn Disk, path: &str, at: u64, bytes: &[u8]) {
        disk.open(Path::new(path), OpenMode::Create).unwrap().write_at(at, &[IoSlice::new(bytes)]).unwrap();
    }

    #[test]
    fn what_is_beneath_stays_as_it_is() {
        let beneath = Arc::new(SimDisk::new());
        beneath.create_dir(Path::new("/d")).unwrap();
        write(&*beneath, "/d/a", 0, b"0123456789");
        write(&*beneath, "/d/b", 0, b"b");
        let overlay = Overlay::new(beneath.clone());
        write(&overlay, "/d/a", 2, b"xx");
        overlay.open(Path::new("/d/a"), OpenMode::Write).unwrap().truncate(7).unwrap();
        overlay.rename(Path::new("/d/a"), Path::new("/d/c")).unwrap();
        overlay.remove_file(Path::new("/d/b")).unwrap();
        overlay.create_dir(Path::new("/d/e")).unwrap();
        write(&overlay, "/d/e/f", 1, b"f");
        assert_eq!(read_all(&overlay, Path::new("/d/c")).unwrap(), b"01xx456");
        let mut names = overlay.list(Path::new("/d")).unwrap();
        names.sort();
        let names: Vec<(&str, bool)> = names.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect();
        assert_eq!(names, [("c", false), ("e", true)]);
        assert_eq!(overlay.list(Path::new("/d/e")).unwrap().len(), 1);
        assert!(overlay.metadata(Path::new("/d/b")).is_err());
        assert!(overlay.lock(Path::new("/d/.lock")).unwrap().is_some());
        assert_eq!(read_all(&*beneath, Path::new("/d/a")).unwrap(), b"0123456789");
        assert_eq!(beneath.list(Path::new("/d")).unwrap().len(), 2);
    }

    #[test]
    fn the_holder_of_a_lock_is_told_without_taking_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        assert_eq!(RealDisk.lock_holder(&path).unwrap(), None);
        let lock = RealDisk.lock(&path).unwrap().unwrap();
        assert_eq!(RealDisk.lock_holder(&path).unwrap(), Some(std::process::id()));
        // The query did not release it.
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(lock);
        assert_eq!(RealDisk.lock_holder(&path).unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_file_reads_as_if_it_had_been_written(
            base in proptest::collection::vec(any::<u8>(), 0..40),
            steps in proptest::collection::vec((0..60_usize, proptest::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..12),
        ) {
            let beneath = Arc::new(SimDisk::new());
            write(&*beneath, "/f", 0, &base);
            let overlay = Overlay::new(beneath.clone());
            let mut wanted = base.clone();
            for (at, bytes, cuts) in steps {
                if cuts {
                    overlay.open(Path::new("/f"), OpenMode::Write).unwrap().truncate(at as u64).unwrap();
                    wanted.resize(at, 0);
                } else if !bytes.is_empty() {
                    write(&overlay, "/f", at as u64, &bytes);
                    wanted.resize(wanted.len().max(at + bytes.len()), 0);
                    wanted[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                prop_assert_eq!(&read_all(&overlay, Path::new("/f")).unwrap(), &wanted);
            }
            prop_assert_eq!(read_all(&*beneath, Path::new("/f")).unwrap(), base);
        }
    }
}

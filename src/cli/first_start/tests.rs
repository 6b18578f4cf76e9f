//! A first start that is killed after each of its writes.

use super::*;
use crate::cli::Start;
use crate::node::rules;
use model::Timestamp;
use parking_lot::Mutex;
use std::fs;
use std::io::{self, IoSlice};
use storage::disk::{DirEntry, DiskFile, Metadata, OpenMode, RealDisk, Space};

/// The real disk for a process that is killed before one of its changes: that one and all later
/// ones do not happen. Of a write, the first half happens. Syncs are counted and not made.
#[derive(Debug)]
struct KilledDisk(Arc<Mutex<usize>>);

#[derive(Debug)]
struct KilledFile(Arc<dyn DiskFile>, Arc<Mutex<usize>>);

fn killed<T>(left: &Mutex<usize>, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut left = left.lock();
    if *left == 0 {
        return Err(io::Error::other("killed"));
    }
    *left -= 1;
    change()
}

impl DiskFile for KilledFile {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let is_last = *self.1.lock() == 1;
        let written = if is_last { bytes.len() / 2 } else { bytes.len() };
        killed(&self.1, || self.0.write_at(position, &[IoSlice::new(&bytes[..written])]))?;
        if is_last { Err(io::Error::other("killed")) } else { Ok(()) }
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(position, buffer)
    }
    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read_at(position, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        killed(&self.1, || Ok(()))
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        killed(&self.1, || self.0.truncate(length))
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        killed(&self.1, || self.0.set_modified(modified))
    }
}

impl Disk for KilledDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = match mode {
            OpenMode::Read => RealDisk.open(path, mode)?,
            _ => killed(&self.0, || RealDisk.open(path, mode))?,
        };
        Ok(Arc::new(KilledFile(file, self.0.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        killed(&self.0, || RealDisk.rename(from, to))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        killed(&self.0, || RealDisk.remove_file(path))
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        killed(&self.0, || RealDisk.remove_dir(path))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        killed(&self.0, || RealDisk.create_dir(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        RealDisk.metadata(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        killed(&self.0, || RealDisk.metadata(path).map(drop))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        killed(&self.0, || RealDisk.lock(path))
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
}

/// A disk for a process that is not killed.
fn real() -> Arc<dyn Disk> {
    killed_after(usize::MAX)
}

fn killed_after(changes: usize) -> Arc<dyn Disk> {
    Arc::new(KilledDisk(Arc::new(Mutex::new(changes))))
}

fn start(data_dir: &Path) -> Start {
    Start { data_dir: data_dir.to_path_buf(), ..Start::default() }
}

/// All files and folders below a folder, sorted.
fn tree(folder: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut next = vec![folder.to_path_buf()];
    while let Some(within) = next.pop() {
        for entry in fs::read_dir(within).unwrap() {
            let path = entry.unwrap().path();
            paths.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            next.extend(path.is_dir().then_some(path));
        }
    }
    paths.sort();
    paths
}

const COMPLETE: [&str; 6] = [
    "logs",
    "logs/__cluster_metadata-0",
    "logs/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint",
    "logs/bootstrap.checkpoint",
    "logs/meta.properties",
    "server.properties",
];

/// Starts with a sound disk, and checks that the folder is complete and that a node can start on
/// it.
fn completes(data_dir: &Path, killed_after: &str) {
    let (config, _) = start(data_dir).config_on(&real()).unwrap_or_else(|error| panic!("{killed_after}: {error:#}"));
    assert_eq!(tree(data_dir), COMPLETE, "{killed_after}");
    rules::examine(&config, &RealDisk).unwrap();
    assert!(!start(data_dir).config_on(&real()).unwrap().1, "{killed_after}");
}

#[test]
fn a_first_start_that_is_killed_after_any_write_is_completed_by_the_next() {
    let home = tempfile::tempdir().unwrap();
    let mut lefts = std::collections::BTreeSet::new();
    // The second start may be killed too, while it clears what the first one left.
    for (exists, second) in [(false, None), (true, None), (true, Some(5))] {
        for first in 0.. {
            let data_dir = home.path().join(format!("{exists}-{first}-{second:?}"));
            if exists {
                fs::create_dir(&data_dir).unwrap();
            }
            let is_done = start(&data_dir).config_on(&killed_after(first)).is_ok();
            if data_dir.exists() {
                lefts.insert(tree(&data_dir));
            }
            if let Some(second) = second {
                let _ = start(&data_dir).config_on(&killed_after(second));
            }
            completes(&data_dir, &format!("{first} changes, then {second:?}"));
            if is_done {
                break;
            }
        }
    }
    // The empty folder, and then with each further name (a file's temporary name before its own).
    assert_eq!(lefts.len(), 12, "{lefts:#?}");
}

#[test]
fn only_what_a_first_start_left_is_removed() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("d");
    let refused = |named: &str| {
        let before = tree(&data_dir);
        let error = format!("{:#}", start(&data_dir).config_on(&real()).unwrap_err());
        assert!(error.contains(named) && error.lines().count() == 1, "{error}");
        assert_eq!(tree(&data_dir), before);
    };
    // Half of a folder without the marker may be somebody's.
    fs::create_dir_all(data_dir.join("logs")).unwrap();
    refused("is not empty and has no server.properties");
    fs::write(data_dir.join(MARKER), "").unwrap();
    fs::write(data_dir.join("logs/meta.properties"), "").unwrap();
    for stranger in
        ["notes.txt", "logs/t-0", "logs/__cluster_metadata-0/00000000000000000000.log", "bootstrap.checkpoint"]
    {
        let path = data_dir.join(stranger);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        refused(stranger);
        fs::remove_file(path).unwrap();
    }
    let lock = RealDisk.lock(&data_dir.join(MARKER)).unwrap();
    refused("another process is creating");
    drop(lock);
    completes(&data_dir, "the stranger's removal");
}

#[test]
fn a_first_start_that_fails_removes_what_it_made() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("a").join("b");
    let format = |folder: &NewFolder| Format {
        log_dirs: vec![folder.log_dir()],
        metadata_log_dir: folder.log_dir(),
        node_id: model::BrokerId(1),
        cluster_id: "x".into(),
        voters: crate::runtime::format::FirstVoters::None,
        version: metadata::MetadataVersion::LATEST,
        // No such feature: the format fails.
        features: [("none".to_owned(), 1)].into(),
        ignore_formatted: false,
    };
    let fails = || {
        let folder = NewFolder::find(&data_dir, &real()).unwrap().unwrap();
        let format = format(&folder);
        folder.create(&format, "").unwrap_err();
    };
    fails();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    // A folder that already existed is kept.
    fs::create_dir_all(&data_dir).unwrap();
    fails();
    assert_eq!(tree(home.path()), ["a", "a/b"]);
    // Another process fills the folder between the look and the lock.
    let folder = NewFolder::find(&data_dir, &real()).unwrap().unwrap();
    fs::write(data_dir.join("notes.txt"), "").unwrap();
    let format = format(&folder);
    let error = folder.create(&format, "").unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert!(data_dir.join("notes.txt").exists());
}

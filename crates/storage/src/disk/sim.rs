//! A file system in memory that loses data and refuses calls as a real one may.
//!
//! It knows which bytes and names were synced. A power cut keeps those. Each write that was not
//! synced is kept, lost or torn, as a seed decides, whatever happens to the writes before it. Of
//! the changes of names, the first few are kept and the others are lost, as in a journal. A kill
//! loses nothing, but may interrupt a write.
//!
//! Faults are refused calls, planned by kind of call and name, or by number. After a failed sync it
//! is unknown what of the file is on disk, and the next sync succeeds without writing it, as on
//! Linux. A crash can be planned after a number of calls: from then on, every counted call fails
//! until `crash` is called, which is the restart. The same calls with the same seeds give the same
//! results.

mod names;

use super::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, Space};
use crate::random::next_random;
use model::Timestamp;
use names::{NameChange, Names};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The kinds of calls, for faults and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is named after the call")]
pub enum Operation {
    Open,
    Rename,
    RemoveFile,
    RemoveDir,
    CreateDir,
    List,
    Metadata,
    SyncDir,
    Lock,
    Write,
    Read,
    Sync,
    Truncate,
}

/// How the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; the system continues and loses nothing.
    Process,
    /// A power cut: what was not synced is kept, dropped or torn as the seed decides.
    Power {
        /// Decides what happens to every write and name that was not synced.
        seed: u64,
    },
}

/// A planned refusal.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind of call that fails.
    pub operation: Operation,
    /// A part of the path; empty for any path.
    pub path_contains: String,
    /// The number of matching calls that succeed before.
    pub after: u64,
    /// The number of calls that then fail; `u64::MAX` for all.
    pub times: u64,
    /// The error that the call returns.
    pub error: io::ErrorKind,
    /// For a write: the number of bytes that are written anyway.
    pub written_bytes: usize,
}

/// Calls that are refused by their number, whatever their kind.
#[derive(Clone, Debug)]
struct Refusal {
    first: u64,
    last: u64,
    error: io::ErrorKind,
    written_bytes: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write(position, bytes) => {
                let start = *position as usize;
                let end = start + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[start..end].copy_from_slice(bytes);
            }
            Change::Truncate(length) => contents.resize(*length as usize, 0),
        }
    }

    /// Writes to the disk what a seed decides: everything, nothing, a prefix, or some sectors. The
    /// other sectors keep their previous content. A truncation happens completely or not at all.
    fn apply_in_part(&self, contents: &mut Vec<u8>, seed: &mut u64) {
        let Change::Write(position, bytes) = self else {
            if !next_random(seed).is_multiple_of(4) {
                self.apply(contents);
            }
            return;
        };
        match next_random(seed) % 6 {
            0 => {}
            1 => {
                let length = next_random(seed) as usize % (bytes.len() + 1);
                Change::Write(*position, bytes[..length].to_vec()).apply(contents);
            }
            2 => {
                let (mut at, end) = (*position, position + bytes.len() as u64);
                while at < end {
                    let next = (at / SECTOR_BYTES + 1).saturating_mul(SECTOR_BYTES).min(end);
                    if next_random(seed).is_multiple_of(2) {
                        let sector = &bytes[(at - position) as usize..(next - position) as usize];
                        Change::Write(at, sector.to_vec()).apply(contents);
                    }
                    at = next;
                }
            }
            _ => self.apply(contents),
        }
    }
}

/// The size that a disk writes completely or not at all.
const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Debug, Default)]
struct Inode {
    contents: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    modified: i64,
}

impl Inode {
    fn sync(&mut self) {
        std::mem::take(&mut self.unsynced).iter().for_each(|change| change.apply(&mut self.synced));
    }

    /// Does what a failed sync or a power cut does to writes that were not synced.
    fn sync_in_part(&mut self, seed: &mut u64) {
        std::mem::take(&mut self.unsynced).iter().for_each(|change| change.apply_in_part(&mut self.synced, seed));
    }
}

/// A crash keeps fewer bytes than this of the write that it interrupts, which may be all of it.
const HALF_WRITTEN_BYTES: usize = 400;

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: Names,
    durable: Names,
    unsynced_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
    counts: BTreeMap<Operation, u64>,
    calls: u64,
    refusal: Option<Refusal>,
    refusals: u64,
    has_lost_writes: bool,
    crash_at: Option<u64>,
    generation: u64,
    now: i64,
    capacity: Option<u64>,
    cold: bool,
}

/// The simulated file system. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// Creates an empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans a refusal.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().faults.push(fault);
    }

    /// Removes all planned refusals.
    pub fn heal(&self) {
        let state = &mut *self.0.lock();
        state.faults.clear();
        state.refusal = None;
    }

    /// Plans the refusal of `times` calls of any kind, after the next `after`. If the error is a
    /// lack of space, only calls that may need space are refused. Of a refused write,
    /// `written_bytes` are written anyway.
    pub fn refuse(&self, after: u64, times: u64, error: io::ErrorKind, written_bytes: usize) {
        let mut state = self.0.lock();
        let first = state.calls + after;
        state.refusal = Some(Refusal { first, last: first.saturating_add(times), error, written_bytes });
    }

    /// Plans a stop of the machine: after `calls` more calls, all calls fail.
    pub fn crash_after(&self, calls: u64) {
        let mut state = self.0.lock();
        state.crash_at = Some(state.calls + calls);
    }

    /// Takes a planned stop back, unless it has happened.
    pub fn never_crash(&self) {
        let mut state = self.0.lock();
        if !state.has_stopped() {
            state.crash_at = None;
        }
    }

    /// Stops and restarts the machine. Handles from before fail.
    pub fn crash(&self, crash: Crash) {
        self.0.lock().crash(crash);
    }

    /// Whether a planned stop has happened.
    pub fn has_stopped(&self) -> bool {
        self.0.lock().has_stopped()
    }

    /// Returns how many calls were refused, as planned or for lack of space.
    pub fn refusals(&self) -> u64 {
        self.0.lock().refusals
    }

    /// Whether a sync has failed since the machine was started: then reads may return what is not
    /// on disk, and no later sync writes it.
    pub fn has_lost_writes(&self) -> bool {
        self.0.lock().has_lost_writes
    }

    /// Returns the sum of the lengths of all files.
    pub fn used_bytes(&self) -> u64 {
        self.0.lock().used()
    }

    /// Returns the number of calls of all kinds.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Returns the number of calls of one kind.
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Sets the modification time that files get from now on.
    pub fn set_now(&self, now: Timestamp) {
        self.0.lock().now = now.0;
    }

    /// Limits the sum of the lengths of all files. A write beyond it writes what fits and returns
    /// that the disk is full.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Makes `try_read_at` find nothing in memory.
    pub fn set_cold(&self, cold: bool) {
        self.0.lock().cold = cold;
    }

    /// Returns the paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.lock().names.files.keys().cloned().collect()
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no such file: {}", path.display()))
}

impl State {
    fn call(&mut self, operation: Operation, path: &Path) -> Result<(), (io::Error, usize)> {
        let takes_room = match operation {
            Operation::CreateDir => !self.is_dir(path),
            Operation::Write | Operation::Rename => true,
            _ => false,
        };
        self.call_that(takes_room, operation, path)
    }

    fn call_that(&mut self, takes_room: bool, operation: Operation, path: &Path) -> Result<(), (io::Error, usize)> {
        self.calls += 1;
        *self.counts.entry(operation).or_default() += 1;
        if let Some(at) = self.crash_at.filter(|at| self.calls > *at) {
            // A process that is killed during a write has written some of it.
            let written =
                if self.calls == at + 1 { next_random(&mut at.clone()) as usize % HALF_WRITTEN_BYTES } else { 0 };
            return Err((io::Error::other("the machine has stopped"), written));
        }
        if let Some(refusal) = &self.refusal
            && (refusal.first + 1..=refusal.last).contains(&self.calls)
            && (refusal.error != io::ErrorKind::StorageFull || takes_room)
        {
            self.refusals += 1;
            return Err((refusal.error.into(), refusal.written_bytes));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        let text = path.to_string_lossy();
        for fault in &mut self.faults {
            if fault.operation == operation && text.contains(&fault.path_contains) && fault.times > 0 {
                if fault.after > 0 {
                    fault.after -= 1;
                } else {
                    fault.times = if fault.times == u64::MAX { u64::MAX } else { fault.times - 1 };
                    self.refusals += 1;
                    return Err((fault.error.into(), fault.written_bytes));
                }
            }
        }
        Ok(())
    }

    fn has_stopped(&self) -> bool {
        self.crash_at.is_some_and(|at| self.calls > at)
    }

    fn change_name(&mut self, change: NameChange) {
        self.names.apply(&change);
        self.unsynced_names.push(change);
    }

    fn crash(&mut self, crash: Crash) {
        self.crash_at = None;
        self.generation += 1;
        self.locks.clear();
        let Crash::Power { mut seed } = crash else { return };
        self.has_lost_writes = false;
        // Names return to their synced state plus the first few later changes: a journal keeps the
        // order of changes.
        let kept = next_random(&mut seed) as usize % (self.unsynced_names.len() + 1);
        let changes = std::mem::take(&mut self.unsynced_names);
        changes[..kept].iter().for_each(|change| self.durable.apply(change));
        self.durable.drop_unreachable();
        self.names = self.durable.clone();
        for inode in self.inodes.values_mut() {
            inode.sync_in_part(&mut seed);
            inode.contents.clone_from(&inode.synced);
        }
        let alive: BTreeSet<u64> = self.names.files.values().copied().collect();
        self.inodes.retain(|inode, _| alive.contains(inode));
    }

    fn used(&self) -> u64 {
        let alive: BTreeSet<&u64> = self.names.files.values().collect();
        self.inodes
            .iter()
            .filter(|(inode, _)| alive.contains(inode))
            .map(|(_, inode)| inode.contents.len() as u64)
            .sum()
    }

    fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || self.names.dirs.contains(path)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let is_new = !state.names.files.contains_key(path) && matches!(mode, OpenMode::Create | OpenMode::Truncate);
        state.call_that(is_new, Operation::Open, path).map_err(|(error, _)| error)?;
        let inode = match state.names.files.get(path).copied() {
            Some(inode) => inode,
            None if matches!(mode, OpenMode::Read | OpenMode::Write) => return Err(not_found(path)),
            None if !path.parent().is_some_and(|parent| state.is_dir(parent)) => return Err(not_found(path)),
            None => {
                let inode = state.inodes.last_key_value().map_or(1, |(last, _)| last + 1);
                let modified = state.now;
                state.inodes.insert(inode, Inode { modified, ..Inode::default() });
                state.change_name(NameChange::Add(path.to_path_buf(), inode));
                inode
            }
        };
        let file = SimFile { disk: self.clone(), inode, path: path.to_path_buf(), generation: state.generation };
        drop(state);
        if mode == OpenMode::Truncate {
            file.truncate(0)?;
        }
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call(Operation::Rename, from).map_err(|(error, _)| error)?;
        if !state.names.files.contains_key(from) && !state.names.dirs.contains(from) {
            return Err(not_found(from));
        }
        state.change_name(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call(Operation::RemoveFile, path).map_err(|(error, _)| error)?;
        if !state.names.files.contains_key(path) {
            return Err(not_found(path));
        }
        state.change_name(NameChange::Remove(path.to_path_buf()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call(Operation::RemoveDir, path).map_err(|(error, _)| error)?;
        if !state.names.dirs.contains(path) {
            return Err(not_found(path));
        }
        if state.names.files.keys().chain(&state.names.dirs).any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change_name(NameChange::RemoveDir(path.to_path_buf()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call(Operation::CreateDir, path).map_err(|(error, _)| error)?;
        let mut missing: Vec<PathBuf> =
            path.ancestors().take_while(|dir| !state.is_dir(dir)).map(Path::to_path_buf).collect();
        missing.reverse();
        missing.into_iter().for_each(|dir| state.change_name(NameChange::AddDir(dir)));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.0.lock();
        state.call(Operation::List, path).map_err(|(error, _)| error)?;
        if !state.is_dir(path) {
            return Err(not_found(path));
        }
        let entry = |name: &Path, is_dir| {
            let name = name.file_name()?.to_str()?.to_owned();
            Some(DirEntry { name, is_dir })
        };
        let inside = |name: &&PathBuf| name.parent() == Some(path);
        let files = state.names.files.keys().filter(inside).filter_map(|name| entry(name, false));
        let dirs = state.names.dirs.iter().filter(inside).filter_map(|name| entry(name, true));
        Ok(files.chain(dirs).collect())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut state = self.0.lock();
        state.call(Operation::Metadata, path).map_err(|(error, _)| error)?;
        if state.is_dir(path) {
            return Ok(Metadata { length: 0, modified: Timestamp(state.now), is_dir: true });
        }
        let inode =
            state.names.files.get(path).and_then(|inode| state.inodes.get(inode)).ok_or_else(|| not_found(path))?;
        Ok(Metadata { length: inode.contents.len() as u64, modified: Timestamp(inode.modified), is_dir: false })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call(Operation::SyncDir, path).map_err(|(error, _)| error)?;
        let mut rest: Vec<NameChange> = Vec::new();
        for change in std::mem::take(&mut state.unsynced_names) {
            if !change.touches(path) {
                rest.push(change);
                continue;
            }
            state.durable.apply(&change);
            // A change of a name in a folder stays with that folder, even after it was renamed.
            rest = rest.into_iter().filter_map(|earlier| earlier.after(&change)).collect();
        }
        state.unsynced_names = rest;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.open(path, OpenMode::Create)?;
        let mut state = self.0.lock();
        state.call(Operation::Lock, path).map_err(|(error, _)| error)?;
        let generation = state.generation;
        let lock =
            || Box::new(SimLock { disk: self.clone(), path: path.to_path_buf(), generation }) as Box<dyn DiskLock>;
        Ok(state.locks.insert(path.to_path_buf()).then(lock))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let state = self.0.lock();
        if !state.is_dir(path) && !state.names.files.contains_key(path) {
            return Err(not_found(path));
        }
        let total = state.capacity.unwrap_or(u64::MAX / 2);
        Ok(Space { total_bytes: total, usable_bytes: total.saturating_sub(state.used()) })
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    generation: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    path: PathBuf,
    generation: u64,
}

impl SimFile {
    fn call<R>(&self, operation: Operation, act: impl FnOnce(&mut Inode) -> R) -> io::Result<R> {
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("a handle from before the crash"));
        }
        state.call(operation, &self.path).map_err(|(error, _)| error)?;
        let inode = state.inodes.get_mut(&self.inode).ok_or_else(|| not_found(&self.path))?;
        Ok(act(inode))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("a handle from before the crash"));
        }
        let mut result = Ok(());
        if let Err((error, written)) = state.call(Operation::Write, &self.path) {
            bytes.truncate(written);
            result = Err(error);
        }
        let now = state.now;
        let used = state.capacity.map_or(0, |_| state.used());
        let free = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used));
        let State { inodes, refusals, .. } = &mut *state;
        let inode = inodes.get_mut(&self.inode).ok_or_else(|| not_found(&self.path))?;
        let room = (inode.contents.len() as u64).saturating_add(free).saturating_sub(position);
        if (bytes.len() as u64) > room {
            bytes.truncate(room as usize);
            *refusals += 1;
            result = Err(io::ErrorKind::StorageFull.into());
        }
        if !bytes.is_empty() {
            let change = Change::Write(position, bytes);
            change.apply(&mut inode.contents);
            inode.unsynced.push(change);
            inode.modified = now;
        }
        result
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(Operation::Read, |inode| {
            let start = (position as usize).min(inode.contents.len());
            let end = (start + buffer.len()).min(inode.contents.len());
            buffer[..end - start].copy_from_slice(&inode.contents[start..end]);
            end - start
        })
    }

    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.disk.0.lock().cold {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(position, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("a handle from before the crash"));
        }
        let called = state.call(Operation::Sync, &self.path).map_err(|(error, _)| error);
        let (has_stopped, mut seed) = (state.has_stopped(), state.calls);
        let inode = state.inodes.get_mut(&self.inode).ok_or_else(|| not_found(&self.path))?;
        match &called {
            Ok(()) => inode.sync(),
            Err(_) if has_stopped => {}
            Err(_) => inode.sync_in_part(&mut seed),
        }
        state.has_lost_writes |= called.is_err() && !has_stopped;
        called
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.call(Operation::Truncate, |inode| {
            inode.contents.resize(length as usize, 0);
            inode.unsynced.push(Change::Truncate(length));
        })
    }

    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        self.call(Operation::Metadata, |inode| inode.modified = modified.0)
    }

    fn length(&self) -> io::Result<u64> {
        self.call(Operation::Metadata, |inode| inode.contents.len() as u64)
    }
}

//! The sparse indexes of a segment: offset to position (`.index`) and timestamp to offset
//! (`.timeindex`).
//!
//! ```text
//! .index      offset - base offset: u32 | position of its batch: u32                 8 bytes an entry, big endian
//! .timeindex  timestamp: i64 | offset - base offset: u32                            12 bytes an entry
//! ```
//! Entries rise. An index is only an aid: one that is missing, short or wrong costs time and is
//! rebuilt when its log is opened.
//!
//! Nothing is mapped. The first entry of every 4 KB block is in memory while the file is open, so a
//! lookup is one `pread` of a block. The active segment's newest entries are in memory (`tail`)
//! until they fill a block or the segment is rolled, so an append rarely writes to an index. On a
//! full disk they stay in memory even after the segment is rolled. Lookups and appends run
//! concurrently: the lock of the tail is never held during a call to the disk.

use crate::disk::{DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::files::{Folder, Slot};
use crate::names;
use model::Offset;
use parking_lot::RwLock;
use std::fmt::Debug;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::sync::Arc;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may.
    Block,
    /// `Error::WouldBlock` when the bytes are not in memory.
    Try,
}

impl Wait {
    pub(crate) fn read_at(self, file: &dyn DiskFile, position: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wait::Block => file.read_at(position, buffer),
            // A short read may mean that the rest is not in memory. The caller could not tell this
            // from the end of the file.
            Wait::Try => match file.try_read_at(position, buffer)? {
                read if read == buffer.len() || position + read as u64 >= file.length()? => Ok(read),
                _ => Err(std::io::ErrorKind::WouldBlock.into()),
            },
        }
    }
}

/// An entry of an index.
pub(crate) trait Entry: Copy + Debug + PartialEq + Send + Sync + 'static {
    const BYTES: usize;
    fn encode(&self, bytes: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> Self;
    /// Whether this entry may come after `previous`.
    fn follows(&self, previous: &Self) -> bool;
}

/// An entry of the offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative_offset: u32,
    pub(crate) position: u32,
}

/// An entry of the time index: no record up to this offset has a later timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative_offset: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

impl Entry for OffsetEntry {
    const BYTES: usize = 8;

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.relative_offset.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        OffsetEntry { relative_offset: u32_at(bytes, 0), position: u32_at(bytes, 4) }
    }

    fn follows(&self, previous: &Self) -> bool {
        self.relative_offset > previous.relative_offset && self.position > previous.position
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = 12;

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let timestamp = i64::from(u32_at(bytes, 0)) << 32 | i64::from(u32_at(bytes, 4));
        TimeEntry { timestamp, relative_offset: u32_at(bytes, 8) }
    }

    fn follows(&self, previous: &Self) -> bool {
        self.timestamp > previous.timestamp && self.relative_offset >= previous.relative_offset
    }
}

/// The bytes of a block, which one lookup reads.
const BLOCK_BYTES: usize = 4096;

/// The part of an index that is in its file, as it is held in memory.
#[derive(Debug)]
pub(crate) struct OnFile<E> {
    file: Arc<dyn DiskFile>,
    /// Each block's first entry, with its number.
    blocks: Vec<(u32, E)>,
    count: u32,
    last: Option<E>,
}

impl<E: Entry> OnFile<E> {
    const BLOCK_ENTRIES: usize = BLOCK_BYTES / E::BYTES;

    /// Reads the file once, up to the first entry that does not follow: the zeros at the end of a
    /// preallocated file, or damage.
    fn load(file: Arc<dyn DiskFile>) -> std::io::Result<OnFile<E>> {
        let mut loaded = OnFile { file, blocks: Vec::new(), count: 0, last: None };
        let mut buffer = vec![0; Self::BLOCK_ENTRIES * E::BYTES * 16];
        loop {
            let read = loaded.file.read_at(u64::from(loaded.count) * E::BYTES as u64, &mut buffer)?;
            for bytes in buffer[..read].chunks_exact(E::BYTES) {
                let entry = E::decode(bytes);
                let sound = loaded.last.map_or(bytes.iter().any(|byte| *byte != 0), |last| entry.follows(&last));
                if !sound {
                    return Ok(loaded);
                }
                if (loaded.count as usize).is_multiple_of(Self::BLOCK_ENTRIES) {
                    loaded.blocks.push((loaded.count, entry));
                }
                loaded.last = Some(entry);
                loaded.count += 1;
            }
            if read < buffer.len() {
                return Ok(loaded);
            }
        }
    }

    fn block(&self, index: usize, wait: Wait) -> std::io::Result<Block<E>> {
        let first = self.blocks[index].0;
        let end = self.blocks.get(index + 1).map_or(self.count, |(first, _)| *first);
        let mut bytes = vec![0; (end - first) as usize * E::BYTES];
        let read = wait.read_at(&*self.file, u64::from(first) * E::BYTES as u64, &mut bytes)?;
        bytes.truncate(read);
        Ok(Block { bytes, entry: PhantomData })
    }

    /// Returns the last entry for which `before` holds and the first for which it does not.
    fn split(&self, before: impl Fn(&E) -> bool, wait: Wait) -> std::io::Result<(Option<E>, Option<E>)> {
        let after = self.blocks.partition_point(|(_, first)| before(first));
        let next_block = self.blocks.get(after).map(|(_, first)| *first);
        let Some(index) = after.checked_sub(1) else { return Ok((None, next_block)) };
        let block = self.block(index, wait)?;
        let inside = block.partition_point(before);
        Ok((inside.checked_sub(1).and_then(|last| block.get(last)), block.get(inside).or(next_block)))
    }
}

/// A block's bytes. A search decodes only the entries that it compares.
struct Block<E> {
    bytes: Vec<u8>,
    entry: PhantomData<E>,
}

impl<E: Entry> Block<E> {
    fn get(&self, index: usize) -> Option<E> {
        self.bytes.get(index * E::BYTES..(index + 1) * E::BYTES).map(E::decode)
    }

    fn partition_point(&self, before: impl Fn(&E) -> bool) -> usize {
        let (mut low, mut high) = (0, self.bytes.len() / E::BYTES);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(|entry| before(&entry)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// One index of one segment.
#[derive(Debug)]
pub(crate) struct Index<E> {
    folder: Arc<Folder>,
    base_offset: Offset,
    suffix: &'static str,
    on_file: Arc<Slot<OnFile<E>>>,
    tail: RwLock<Tail<E>>,
}

#[derive(Debug)]
struct Tail<E> {
    /// The number of entries in the file, if known: for the active segment's index.
    written: Option<u32>,
    entries: Vec<E>,
}

impl<E: Entry> Index<E> {
    pub(crate) fn new(folder: Arc<Folder>, base_offset: Offset, suffix: &'static str) -> Self {
        let tail = RwLock::new(Tail { written: None, entries: Vec::new() });
        Index { folder, base_offset, suffix, on_file: Slot::new(), tail }
    }

    fn name(&self) -> String {
        names::segment_file(self.base_offset, self.suffix)
    }

    fn io(&self, operation: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(operation, self.folder.file(&self.name()))
    }

    fn loaded(&self, wait: Wait) -> Result<Arc<OnFile<E>>> {
        if wait == Wait::Try {
            return self.on_file.get().ok_or(Error::WouldBlock);
        }
        self.on_file.get_or_open(&self.folder.open_files, || {
            // Not created: a file that was removed with its segment must not come back.
            let file = self.folder.open(&self.name(), OpenMode::Write)?;
            OnFile::load(file).map(Arc::new).map_err(self.io("read"))
        })
    }

    /// Returns the last entry for which `before` holds and the first for which it does not.
    /// `before` must hold for a prefix of all entries.
    pub(crate) fn split(&self, before: impl Fn(&E) -> bool, wait: Wait) -> Result<(Option<E>, Option<E>)> {
        let after = {
            let tail = self.tail.read();
            let inside = tail.entries.partition_point(&before);
            if let Some(last) = inside.checked_sub(1) {
                return Ok((Some(tail.entries[last]), tail.entries.get(inside).copied()));
            }
            if tail.written == Some(0) {
                return Ok((None, tail.entries.first().copied()));
            }
            tail.entries.first().copied()
        };
        let (last, next) = self.loaded(wait)?.split(before, wait).map_err(self.io("read"))?;
        Ok((last, next.or(after)))
    }

    /// Returns the newest entry.
    pub(crate) fn last(&self) -> Result<Option<E>> {
        {
            let tail = self.tail.read();
            if let Some(last) = tail.entries.last() {
                return Ok(Some(*last));
            }
            if tail.written == Some(0) {
                return Ok(None);
            }
        }
        Ok(self.loaded(Wait::Block)?.last)
    }

    /// Returns the number of entries.
    pub(crate) fn count(&self) -> Result<u32> {
        let (written, in_memory) = {
            let tail = self.tail.read();
            (tail.written, tail.entries.len() as u32)
        };
        Ok(in_memory + written.map_or_else(|| self.loaded(Wait::Block).map(|loaded| loaded.count), Ok)?)
    }

    /// Adds an entry, which must follow the last one. Writes when the tail fills a block; if the
    /// disk has no space, with the next entry.
    pub(crate) fn append(&self, entry: E) -> Result<()> {
        let full = {
            let mut tail = self.tail.write();
            tail.entries.push(entry);
            tail.entries.len().is_multiple_of(OnFile::<E>::BLOCK_ENTRIES)
        };
        if !full {
            return Ok(());
        }
        match self.write_tail() {
            Err(error) if error.is_refusal() => Ok(()),
            written => written,
        }
    }

    /// Whether all entries are in the file.
    pub(crate) fn is_written(&self) -> bool {
        self.tail.read().entries.is_empty()
    }

    /// Writes the tail to the file. Only the log's writer calls it.
    pub(crate) fn write_tail(&self) -> Result<()> {
        let entries = self.tail.read().entries.clone();
        let Some(first) = entries.first() else { return Ok(()) };
        let loaded = self.loaded(Wait::Block)?;
        let mut bytes = Vec::with_capacity(entries.len() * E::BYTES);
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let end = u64::from(loaded.count) * E::BYTES as u64;
        if let Err(error) = loaded.file.write_at(end, &[IoSlice::new(&bytes)]) {
            // A partial tail would look complete.
            loaded.file.truncate(end).map_err(self.io("cut"))?;
            return Err(self.io("write")(error));
        }
        let mut blocks = loaded.blocks.clone();
        blocks.push((loaded.count, *first));
        let count = loaded.count + entries.len() as u32;
        let grown = OnFile { file: loaded.file.clone(), blocks, count, last: entries.last().copied() };
        self.on_file.put(&self.folder.open_files, Arc::new(grown));
        // For a moment readers find the entries both in the tail and in the file.
        let mut tail = self.tail.write();
        tail.entries = Vec::new();
        tail.written = Some(count);
        Ok(())
    }

    /// Writes the tail and removes what a preallocating broker or a crash left after the last
    /// entry.
    pub(crate) fn trim(&self) -> Result<()> {
        self.write_tail()?;
        let loaded = self.loaded(Wait::Block)?;
        let length = u64::from(loaded.count) * E::BYTES as u64;
        if loaded.file.length().map_err(self.io("measure"))? != length {
            loaded.file.truncate(length).map_err(self.io("cut"))?;
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.loaded(Wait::Block)?.file.sync().map_err(self.io("sync"))
    }

    /// The number of entries whose write a kill cannot interrupt: those of a page.
    pub(crate) const FEW_ENTRIES: usize = OnFile::<E>::BLOCK_ENTRIES;

    /// Sets the index to exactly these few entries. A file that already holds them is not touched,
    /// since thousands of starts at once would give a file system thousands of small changes. With
    /// `may_wait` an empty file is not touched either until the entries are written like those of
    /// an append. Returns whether the entries are in the file or may wait; `false` if the disk has
    /// no space.
    pub(crate) fn hold(&self, entries: Vec<E>, may_wait: bool) -> Result<bool> {
        let mut bytes = Vec::with_capacity(entries.len() * E::BYTES);
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let file = self.folder.open(&self.name(), OpenMode::Create)?;
        let length = file.length().map_err(self.io("measure"))?;
        let mut found = vec![0; bytes.len()];
        let is_same = length == bytes.len() as u64
            && file.read_at(0, &mut found).map_err(self.io("read"))? == found.len()
            && found == bytes;
        if is_same {
            let blocks = entries.first().map(|first| (0, *first)).into_iter().collect();
            let (count, last) = (entries.len() as u32, entries.last().copied());
            self.on_file.put(&self.folder.open_files, Arc::new(OnFile { file, blocks, count, last }));
            *self.tail.write() = Tail { written: Some(count), entries: Vec::new() };
            return Ok(true);
        }
        if length > 0 {
            self.reset()?;
        } else {
            let empty = OnFile { file, blocks: Vec::new(), count: 0, last: None };
            self.on_file.put(&self.folder.open_files, Arc::new(empty));
        }
        self.keep(entries);
        if may_wait {
            return Ok(true);
        }
        match self.write_tail() {
            Err(error) if error.is_refusal() => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Replaces all entries atomically: a kill leaves the file empty or complete, although it can
    /// interrupt a large write. If the disk has no space, the entries stay in memory.
    pub(crate) fn replace(&self, entries: Vec<E>) -> Result<()> {
        self.reset()?;
        let count = entries.len() as u32;
        let mut bytes = Vec::with_capacity(entries.len() * E::BYTES);
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        match self.folder.replace_file(&self.name(), &bytes) {
            Err(error) if error.is_refusal() => {
                self.keep(entries);
                return Ok(());
            }
            replaced => replaced?,
        }
        // It is read again when it is needed.
        self.on_file.clear();
        *self.tail.write() = Tail { written: Some(count), entries: Vec::new() };
        Ok(())
    }

    /// Sets the entries of an index whose file is empty, only in memory.
    pub(crate) fn keep(&self, entries: Vec<E>) {
        *self.tail.write() = Tail { written: Some(0), entries };
    }

    /// Empties the index and its file.
    pub(crate) fn reset(&self) -> Result<()> {
        let file = self.folder.open(&self.name(), OpenMode::Truncate)?;
        let empty = OnFile { file, blocks: Vec::new(), count: 0, last: None };
        self.on_file.put(&self.folder.open_files, Arc::new(empty));
        *self.tail.write() = Tail { written: Some(0), entries: Vec::new() };
        Ok(())
    }

    /// Cuts the file to the entries for which `keep` holds, a prefix of all. The returned index
    /// replaces this one, with the kept entries in memory.
    pub(crate) fn cut(&self, keep: impl Fn(&E) -> bool) -> Result<Index<E>> {
        let loaded = self.loaded(Wait::Block)?;
        let mut count = 0;
        if let Some(index) = loaded.blocks.partition_point(|(_, first)| keep(first)).checked_sub(1) {
            let block = loaded.block(index, Wait::Block).map_err(self.io("read"))?;
            count = loaded.blocks[index].0 + block.partition_point(&keep) as u32;
        }
        loaded.file.truncate(u64::from(count) * E::BYTES as u64).map_err(self.io("cut"))?;
        self.on_file.clear();
        let mut entries = self.tail.read().entries.clone();
        entries.truncate(entries.partition_point(keep));
        let cut = Index::new(self.folder.clone(), self.base_offset, self.suffix);
        *cut.tail.write() = Tail { written: Some(count), entries };
        Ok(cut)
    }

    /// Drops what is in memory. Only for segments that are not active or whose tail is written.
    pub(crate) fn close(&self) {
        self.on_file.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, SimDisk, read_all};
    use crate::files::OpenFiles;
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};

    fn folder(disk: &SimDisk) -> Arc<Folder> {
        Folder::new(Arc::new(disk.clone()), OpenFiles::new(3), PathBuf::from("/"))
    }

    fn created(disk: &SimDisk) -> Index<OffsetEntry> {
        let index = Index::new(folder(disk), Offset(0), ".index");
        index.reset().unwrap();
        index
    }

    fn entry(number: u32) -> OffsetEntry {
        OffsetEntry { relative_offset: number * 10 + 5, position: number * 100 + 50 }
    }

    proptest! {
        #[test]
        fn lookups_agree_with_a_list(count in 0u32..2000, closes in proptest::collection::vec(0u32..2000, 0..4), targets in proptest::collection::vec(0u32..21_000, 20), keep in 0u32..2100) {
            let disk = SimDisk::new();
            let mut index = created(&disk);
            for number in 0..count {
                index.append(entry(number)).unwrap();
                if closes.contains(&number) {
                    index.trim().unwrap();
                    index = Index::new(folder(&disk), Offset(0), ".index");
                }
            }
            let check = |index: &Index<OffsetEntry>, count: u32| {
                for target in &targets {
                    let (last, next) = index.split(|entry| entry.relative_offset <= *target, Wait::Block).unwrap();
                    let before = (0..count).filter(|number| entry(*number).relative_offset <= *target).count() as u32;
                    assert_eq!(last, before.checked_sub(1).map(entry));
                    assert_eq!(next, (before < count).then(|| entry(before)));
                }
                assert_eq!(index.count().unwrap(), count);
                assert_eq!(index.last().unwrap(), count.checked_sub(1).map(entry));
            };
            check(&index, count);
            let kept = keep.min(count);
            let index = index.cut(|entry| entry.relative_offset < keep * 10 + 5).unwrap();
            check(&index, kept);
            index.append(entry(kept)).unwrap();
            check(&index, kept + 1);
            index.trim().unwrap();
            prop_assert_eq!(read_all(&disk, Path::new("/00000000000000000000.index")).unwrap().len(), (kept as usize + 1) * 8);
            check(&Index::new(folder(&disk), Offset(0), ".index"), kept + 1);
        }
    }

    #[test]
    fn replaced_entries_are_found_and_followed() {
        let disk = SimDisk::new();
        let index = created(&disk);
        (0..900).for_each(|number| index.append(entry(number)).unwrap());
        let entries: Vec<OffsetEntry> = (0..700).map(entry).collect();
        index.replace(entries).unwrap();
        index.append(entry(700)).unwrap();
        assert_eq!((index.count().unwrap(), index.last().unwrap()), (701, Some(entry(700))));
        assert_eq!(index.split(|entry| entry.position < 350, Wait::Block).unwrap(), (Some(entry(2)), Some(entry(3))));
        index.replace(Vec::new()).unwrap();
        assert_eq!((index.count().unwrap(), index.last().unwrap()), (0, None));
    }

    #[test]
    fn zeros_and_damage_end_an_index() {
        let disk = SimDisk::new();
        let file = disk.open(Path::new("/00000000000000000000.index"), OpenMode::Create).unwrap();
        let mut bytes = Vec::new();
        (0..700).for_each(|number| entry(number).encode(&mut bytes));
        file.write_at(0, &[IoSlice::new(&bytes)]).unwrap();
        file.truncate(10 << 20).unwrap();
        let index = Index::<OffsetEntry>::new(folder(&disk), Offset(0), ".index");
        assert_eq!(index.count().unwrap(), 700);
        index.trim().unwrap();
        assert_eq!(file.length().unwrap(), 5600);
        file.write_at(80, &[IoSlice::new(&[0; 3])]).unwrap();
        file.write_at(88, &[IoSlice::new(&[0; 8])]).unwrap();
        assert_eq!(Index::<OffsetEntry>::new(folder(&disk), Offset(0), ".index").count().unwrap(), 11);
    }

    #[test]
    fn what_is_not_in_memory_is_not_waited_for() {
        let disk = SimDisk::new();
        let index = created(&disk);
        (0..700).for_each(|number| index.append(entry(number)).unwrap());
        index.trim().unwrap();
        let lookup = || index.split(|entry| entry.relative_offset <= 100, Wait::Try);
        assert_eq!(lookup().unwrap().0, Some(entry(9)));
        disk.set_cold(true);
        assert!(matches!(lookup(), Err(Error::WouldBlock)));
        index.close();
        disk.set_cold(false);
        assert!(matches!(lookup(), Err(Error::WouldBlock)));
    }
}

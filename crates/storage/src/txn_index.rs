//! Aborted transactions of a segment (`.txnindex`), in the order of their markers.
//!
//! ```text
//! version: i16 (0) | producer id: i64 | first offset: i64 | last offset: i64 (of the marker) | last stable offset: i64     34 bytes an entry
//! ```
//! The file exists only if a transaction was aborted. It is small, and stays in memory after its
//! first use and while the disk has no space for all of it.

use crate::disk::{self, OpenMode};
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::names;
use model::{Offset, ProducerId};
use parking_lot::RwLock;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A transaction whose records read_committed consumers skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Its producer.
    pub producer_id: ProducerId,
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of its marker.
    pub last_offset: Offset,
    /// The last stable offset after it ended.
    pub last_stable_offset: Offset,
}

const ENTRY_BYTES: usize = 34;

impl AbortedTxn {
    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let fields = [self.producer_id.0, self.first_offset.0, self.last_offset.0, self.last_stable_offset.0];
        for (field, chunk) in fields.iter().zip(bytes[2..].chunks_exact_mut(8)) {
            chunk.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| bytes[at..at + 8].iter().fold(0, |value, byte| value << 8 | i64::from(*byte));
        let txn = AbortedTxn {
            producer_id: ProducerId(long(2)),
            first_offset: Offset(long(10)),
            last_offset: Offset(long(18)),
            last_stable_offset: Offset(long(26)),
        };
        (bytes[..2] == [0, 0] && txn.first_offset <= txn.last_offset).then_some(txn)
    }
}

/// The aborted transactions of one segment.
#[derive(Debug)]
pub(crate) struct TxnIndex {
    folder: Arc<Folder>,
    base_offset: Offset,
    held: RwLock<LoadedEntries>,
    /// Whether the file was changed since the last sync.
    is_unsynced: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct LoadedEntries {
    /// All entries, once they were read.
    entries: Option<Arc<Vec<AbortedTxn>>>,
    /// How many of them are in the file.
    written: usize,
    /// The file has other content, and the disk had no space to replace it.
    is_other: bool,
}

impl LoadedEntries {
    fn new(entries: Vec<AbortedTxn>, written: usize) -> LoadedEntries {
        LoadedEntries { entries: Some(Arc::new(entries)), written, is_other: false }
    }

    fn unwritten(&self) -> &[AbortedTxn] {
        self.entries.as_ref().map_or(&[], |entries| &entries[self.written..])
    }
}

impl TxnIndex {
    pub(crate) fn new(folder: Arc<Folder>, base_offset: Offset) -> Self {
        TxnIndex { folder, base_offset, held: RwLock::default(), is_unsynced: AtomicBool::new(false) }
    }

    fn name(&self) -> String {
        names::segment_file(self.base_offset, names::TXN_INDEX)
    }

    /// Returns all entries. Errors: `Error::Corrupt` if the file is damaged; then the segment's
    /// producers must be read again.
    pub(crate) fn entries(&self) -> Result<Arc<Vec<AbortedTxn>>> {
        if let Some(entries) = &self.held.read().entries {
            return Ok(entries.clone());
        }
        let path = self.folder.file(&self.name());
        let bytes = match disk::read_all(&*self.folder.disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        for (index, chunk) in bytes.chunks(ENTRY_BYTES).enumerate() {
            let position = (index * ENTRY_BYTES) as u64;
            let entry = (chunk.len() == ENTRY_BYTES).then(|| AbortedTxn::decode(chunk)).flatten();
            let sound = entry.filter(|entry| entry.last_offset >= self.base_offset);
            entries.push(sound.ok_or_else(|| Error::corrupt(&path, position, "no aborted transaction"))?);
        }
        let mut held = self.held.write();
        // The writer may have changed it meanwhile.
        if held.entries.is_none() {
            let written = entries.len();
            *held = LoadedEntries::new(entries, written);
        }
        Ok(held.entries.clone().unwrap_or_default())
    }

    /// Adds an entry: to the file, or in memory while the disk has no space.
    pub(crate) fn append(&self, txn: AbortedTxn) -> Result<()> {
        let mut entries = Vec::clone(&*self.entries()?);
        entries.push(txn);
        {
            let mut held = self.held.write();
            *held = LoadedEntries { entries: Some(Arc::new(entries)), ..*held };
        }
        match self.write_rest() {
            Err(error) if error.is_refusal() => Ok(()),
            written => written,
        }
    }

    /// Whether all entries are in the file.
    pub(crate) fn is_written(&self) -> bool {
        self.held.read().unwritten().is_empty()
    }

    /// Writes the entries that are only in memory.
    pub(crate) fn write_rest(&self) -> Result<()> {
        let held = self.held.read().clone();
        if held.is_other {
            let entries = held.entries.unwrap_or_default();
            self.write_whole(&entries)?;
            *self.held.write() = LoadedEntries::new(Vec::clone(&entries), entries.len());
            return Ok(());
        }
        let bytes: Vec<u8> = held.unwritten().iter().flat_map(AbortedTxn::encode).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let file = self.folder.open(&self.name(), OpenMode::Create)?;
        let end = (held.written * ENTRY_BYTES) as u64;
        let at = |operation| Error::io(operation, self.folder.file(&self.name()));
        let written = file.write_at(end, &[IoSlice::new(&bytes)]);
        // After the write: a sync that clears the flag then covers the entries. A power cut may
        // keep a part of a failed write, although it was cut off.
        self.is_unsynced.store(true, Ordering::Release);
        if let Err(error) = written {
            file.truncate(end).map_err(at("cut"))?;
            return Err(at("write")(error));
        }
        self.held.write().written += bytes.len() / ENTRY_BYTES;
        Ok(())
    }

    /// Sets the index to exactly these entries, which were read from the records. A file that
    /// already holds them is not touched. Another one is replaced at once and durably, since an
    /// index that is too short looks complete. If the disk has no space, the entries stay in
    /// memory.
    pub(crate) fn replace(&self, entries: Vec<AbortedTxn>) -> Result<()> {
        *self.held.write() = LoadedEntries::default();
        match self.entries() {
            Ok(found) if *found == entries => {
                // A process that wrote or removed the file may have been killed before the sync.
                self.is_unsynced.store(true, Ordering::Release);
                return Ok(());
            }
            Err(error) if !matches!(error, Error::Corrupt { .. }) => return Err(error),
            _ => {}
        }
        if entries.is_empty() {
            return self.reset();
        }
        match self.write_whole(&entries) {
            Err(error) if error.is_refusal() => {
                let entries = Some(Arc::new(entries));
                *self.held.write() = LoadedEntries { entries, written: 0, is_other: true };
            }
            written => {
                written?;
                let count = entries.len();
                *self.held.write() = LoadedEntries::new(entries, count);
            }
        }
        Ok(())
    }

    fn write_whole(&self, entries: &[AbortedTxn]) -> Result<()> {
        let bytes: Vec<u8> = entries.iter().flat_map(AbortedTxn::encode).collect();
        let path = self.folder.file(&self.name());
        disk::write_atomically(&*self.folder.disk, &path, &bytes).map_err(Error::io("write", &path))
    }

    /// Removes transactions whose marker is at or above an offset. The returned index replaces this
    /// one.
    pub(crate) fn cut(&self, end: Offset) -> Result<TxnIndex> {
        let mut entries = Vec::clone(&*self.entries()?);
        entries.retain(|txn| txn.last_offset < end);
        let (before, is_other) = {
            let held = self.held.read();
            (held.written, held.is_other)
        };
        let written = before.min(entries.len());
        if is_other && entries.is_empty() {
            self.folder.remove_file(&self.name())?;
        } else if written < before {
            let file = self.folder.open(&self.name(), OpenMode::Write)?;
            let length = (written * ENTRY_BYTES) as u64;
            file.truncate(length).map_err(Error::io("cut", self.folder.file(&self.name())))?;
        }
        let cut = TxnIndex::new(self.folder.clone(), self.base_offset);
        let is_unsynced = is_other || written < before || self.is_unsynced.load(Ordering::Acquire);
        cut.is_unsynced.store(is_unsynced, Ordering::Release);
        if written < entries.len() {
            *cut.held.write() = LoadedEntries { is_other, ..LoadedEntries::new(entries, written) };
        }
        Ok(cut)
    }

    /// Makes its entries survive a power cut, unless they do already. Unlike the other indexes it
    /// is not only an aid, and one that is too short looks complete.
    pub(crate) fn sync(&self) -> Result<()> {
        if !self.is_unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.folder.sync_file(&self.name())?;
        // It is synced after its segment's other files, whose names are on disk by then.
        self.folder.sync()
    }

    pub(crate) fn reset(&self) -> Result<()> {
        if self.folder.remove_file(&self.name())? {
            self.is_unsynced.store(true, Ordering::Release);
        }
        *self.held.write() = LoadedEntries::new(Vec::new(), 0);
        Ok(())
    }

    /// Drops from memory what can be read again.
    pub(crate) fn close(&self) {
        let mut held = self.held.write();
        if held.unwritten().is_empty() {
            *held = LoadedEntries::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, Disk, SimDisk};
    use crate::files::OpenFiles;
    use std::path::{Path, PathBuf};

    fn txn(first: i64, last: i64, stable: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(6),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn a_power_cut_after_a_sync_leaves_nothing_of_an_entry_that_found_no_room() {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let folder = Folder::new(Arc::new(disk.clone()), OpenFiles::new(3), PathBuf::from("/"));
            let index = TxnIndex::new(folder.clone(), Offset(40));
            index.append(txn(41, 42, 43)).unwrap();
            index.sync().unwrap();
            disk.refuse(0, 4, io::ErrorKind::StorageFull, 10);
            index.append(txn(51, 52, 53)).unwrap();
            assert!(!index.is_written());
            index.sync().unwrap();
            disk.crash(Crash::Power { seed });
            assert_eq!(*TxnIndex::new(folder, Offset(40)).entries().unwrap(), [txn(41, 42, 43)]);
        }
    }

    #[test]
    fn entries_are_kafkas_bytes() {
        let disk = SimDisk::new();
        let folder = Folder::new(Arc::new(disk.clone()), OpenFiles::new(3), PathBuf::from("/"));
        let index = TxnIndex::new(folder.clone(), Offset(40));
        index.reset().unwrap();
        index.append(txn(0x29, 0x51, 0x52)).unwrap();
        index.append(txn(0xa4, 0xcc, 0xcd)).unwrap();
        let path = Path::new("/00000000000000000040.txnindex");
        let bytes = disk::read_all(&disk, path).unwrap();
        // From a file written by Kafka 4.3.1.
        let golden = "00000000000000000006000000000000002900000000000000510000000000000052";
        assert_eq!(bytes[..34].iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
        index.close();
        assert_eq!(*index.entries().unwrap(), [txn(0x29, 0x51, 0x52), txn(0xa4, 0xcc, 0xcd)]);
        index.cut(Offset(0xcc)).unwrap();
        assert_eq!(disk::read_all(&disk, path).unwrap().len(), 34);
        disk.open(path, OpenMode::Write).unwrap().truncate(20).unwrap();
        assert!(matches!(TxnIndex::new(folder, Offset(40)).entries(), Err(Error::Corrupt { .. })));
    }
}

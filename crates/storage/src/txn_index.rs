//! Aborted transactions of a segment (`.txnindex`), in the order of their markers.
//!
//! ```text
//! version: i16 (0) | producer id: i64 | first offset: i64 | last offset: i64 (of the marker) | last stable offset: i64     34 bytes an entry
//! ```
//! The file exists only where there was an abort. It is small and is kept in memory once it was asked for.

use crate::disk::{self, OpenMode};
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::names;
use model::{Offset, ProducerId};
use parking_lot::RwLock;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A transaction whose records readers of committed records skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset once it was over.
    pub last_stable_offset: Offset,
}

const ENTRY_BYTES: usize = 34;

impl AbortedTxn {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
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
    entries: RwLock<Option<Arc<Vec<AbortedTxn>>>>,
}

impl TxnIndex {
    pub(crate) fn new(folder: Arc<Folder>, base_offset: Offset) -> Self {
        TxnIndex { folder, base_offset, entries: RwLock::new(None) }
    }

    fn name(&self) -> String {
        names::segment_file(self.base_offset, names::TXN_INDEX)
    }

    /// All entries. `Error::Corrupt` when the file is damaged: the segment's producers must be read again then.
    pub(crate) fn entries(&self) -> Result<Arc<Vec<AbortedTxn>>> {
        if let Some(entries) = &*self.entries.read() {
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
        let entries = Arc::new(entries);
        *self.entries.write() = Some(entries.clone());
        Ok(entries)
    }

    pub(crate) fn append(&self, txn: AbortedTxn) -> Result<()> {
        let mut entries = Vec::clone(&*self.entries()?);
        let file = self.folder.open(&self.name(), OpenMode::Create)?;
        let position = (entries.len() * ENTRY_BYTES) as u64;
        file.write_at(position, &[IoSlice::new(&txn.encode())])
            .map_err(Error::io("write", self.folder.file(&self.name())))?;
        entries.push(txn);
        *self.entries.write() = Some(Arc::new(entries));
        Ok(())
    }

    /// Forgets transactions whose marker is at or above an offset.
    pub(crate) fn truncate(&self, end: Offset) -> Result<()> {
        let mut entries = Vec::clone(&*self.entries()?);
        let before = entries.len();
        entries.retain(|txn| txn.last_offset < end);
        if entries.len() < before {
            let file = self.folder.open(&self.name(), OpenMode::Write)?;
            let length = (entries.len() * ENTRY_BYTES) as u64;
            file.truncate(length).map_err(Error::io("cut", self.folder.file(&self.name())))?;
            *self.entries.write() = Some(Arc::new(entries));
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        match self.folder.open(&self.name(), OpenMode::Write) {
            Ok(file) => file.sync().map_err(Error::io("sync", self.folder.file(&self.name()))),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn has_entries(&self) -> bool {
        self.entries.read().as_ref().is_some_and(|entries| !entries.is_empty())
    }

    pub(crate) fn reset(&self) -> Result<()> {
        self.folder.remove_file(&self.name())?;
        *self.entries.write() = Some(Arc::default());
        Ok(())
    }

    pub(crate) fn close(&self) {
        *self.entries.write() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, SimDisk};
    use crate::files::OpenFiles;
    use std::path::{Path, PathBuf};

    #[test]
    fn entries_are_kafkas_bytes() {
        let disk = SimDisk::new();
        let folder = Folder::new(Arc::new(disk.clone()), OpenFiles::new(3), PathBuf::from("/"));
        let index = TxnIndex::new(folder.clone(), Offset(40));
        index.reset().unwrap();
        let txn = |first: i64, last: i64, stable: i64| AbortedTxn {
            producer_id: ProducerId(6),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        };
        index.append(txn(0x29, 0x51, 0x52)).unwrap();
        index.append(txn(0xa4, 0xcc, 0xcd)).unwrap();
        let path = Path::new("/00000000000000000040.txnindex");
        let bytes = disk::read_all(&disk, path).unwrap();
        // From a file of Kafka 4.3.1.
        let golden = "00000000000000000006000000000000002900000000000000510000000000000052";
        assert_eq!(bytes[..34].iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
        index.close();
        assert_eq!(*index.entries().unwrap(), [txn(0x29, 0x51, 0x52), txn(0xa4, 0xcc, 0xcd)]);
        index.truncate(Offset(0xcc)).unwrap();
        assert_eq!(disk::read_all(&disk, path).unwrap().len(), 34);
        disk.open(path, OpenMode::Write).unwrap().truncate(20).unwrap();
        assert!(matches!(TxnIndex::new(folder, Offset(40)).entries(), Err(Error::Corrupt { .. })));
    }
}

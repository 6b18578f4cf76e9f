//! `<offset>.snapshot`: the producers at an offset.
//!
//! ```text
//! version: i16 (1) | crc: u32 (CRC-32C of all that follows) | count: i32, and for each producer, in 46 bytes:
//! producer id: i64 | epoch: i16 | last sequence: i32 | last offset: i64 | offset delta: i32 | timestamp: i64 |
//! coordinator epoch: i32 | first offset of the open transaction: i64                                        (-1: none)
//! ```
//! Only the last batch of each producer is stored. The file is written in place; its checksum shows
//! whether it is complete.

use super::{ProducerBatch, ProducerEntry, Producers};
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Error, Result};
use model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::io::IoSlice;
use std::path::Path;

const VERSION: i16 = 1;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Writes the snapshot, and syncs it if `sync` is set.
pub(crate) fn write_snapshot(disk: &dyn Disk, path: &Path, producers: &Producers, sync: bool) -> Result<()> {
    let mut entries: Vec<_> = producers.iter().collect();
    entries.sort_by_key(|(id, _)| *id);
    let mut body = Vec::with_capacity(4 + entries.len() * ENTRY_BYTES);
    body.extend((entries.len() as i32).to_be_bytes());
    for (id, entry) in entries {
        let last = entry.batches().last();
        body.extend(id.0.to_be_bytes());
        body.extend(ProducerEpoch::to_wire(entry.epoch).to_be_bytes());
        body.extend(last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
        body.extend(last.map_or(-1, |batch| batch.last_offset.0).to_be_bytes());
        body.extend(last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        body.extend(entry.last_timestamp.0.to_be_bytes());
        body.extend(entry.coordinator_epoch.unwrap_or(-1).to_be_bytes());
        body.extend(Offset::to_wire(entry.txn_first_offset).to_be_bytes());
    }
    let mut head = VERSION.to_be_bytes().to_vec();
    head.extend(crc32c(&body).to_be_bytes());
    let file = disk.open(path, OpenMode::Truncate).map_err(Error::io("create", path))?;
    if let Err(error) = file.write_at(0, &[IoSlice::new(&head), IoSlice::new(&body)]) {
        // The checksum shows that it is incomplete, but on a full disk it would still take up
        // space.
        let _ = disk.remove_file(path);
        return Err(Error::io("write", path)(error));
    }
    if sync { file.sync().map_err(Error::io("sync", path)) } else { Ok(()) }
}

/// Reads a snapshot of the state at `offset`. Errors: `Error::Corrupt` if it is incomplete.
pub(crate) fn read_snapshot(disk: &dyn Disk, path: &Path, offset: Offset) -> Result<Producers> {
    let bytes = disk::read_all(disk, path).map_err(Error::io("read", path))?;
    parse(&bytes, offset).map_err(|reason| Error::corrupt(path, 0, reason))
}

fn parse(bytes: &[u8], offset: Offset) -> std::result::Result<Producers, String> {
    let mut fields = Fields(bytes);
    let version = fields.take(2).ok_or("no version")? as i16;
    if version != VERSION {
        return Err(format!("Snapshot contained an unknown file version {version}"));
    }
    let stored = fields.take(4).ok_or("no checksum")? as u32;
    let computed = crc32c(fields.0);
    if stored != computed {
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        ));
    }
    let count = fields.take(4).ok_or("no count")? as i32;
    if usize::try_from(count).ok() != Some((bytes.len() - HEADER_BYTES) / ENTRY_BYTES) {
        return Err(format!("{count} producers announced in {} bytes", bytes.len()));
    }
    let mut producers = Producers::at(offset);
    for _ in 0..count {
        let (id, entry) = entry(&mut fields).ok_or("an entry is cut off")?;
        producers.load(id, entry);
    }
    Ok(producers)
}

fn entry(fields: &mut Fields<'_>) -> Option<(ProducerId, ProducerEntry)> {
    let id = ProducerId(fields.take(8)?);
    let mut entry =
        ProducerEntry { epoch: ProducerEpoch::from_wire(fields.take(2)? as i16), ..ProducerEntry::default() };
    let last_sequence = fields.take(4)? as i32;
    let last_offset = Offset(fields.take(8)?);
    let offset_delta = fields.take(4)? as i32;
    entry.last_timestamp = Timestamp(fields.take(8)?);
    entry.coordinator_epoch = Some(fields.take(4)? as i32).filter(|epoch| *epoch >= 0);
    entry.txn_first_offset = Offset::from_wire(fields.take(8)?);
    if last_offset.0 >= 0 {
        entry.push(ProducerBatch { last_sequence, last_offset, offset_delta, timestamp: entry.last_timestamp });
    }
    Some((id, entry))
}

/// Big-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// Returns the next number of `bytes` bytes. The caller's cast extends the sign.
    fn take(&mut self, bytes: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(head.iter().fold(0, |value, byte| value << 8 | i64::from(*byte)))
    }
}

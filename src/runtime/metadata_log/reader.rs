//! Reads the folder of the metadata log, `__cluster_metadata-0`, and changes nothing in it.
//!
//! `gregor check` and the checks before a start read a folder as it is found.
//! [`super::MetadataLog`] reads it after recovery.

use super::synced::SyncedEnd;
use super::{LogFault, METADATA_TOPIC};
use bytes::Bytes;
use metadata::image::{Image, Provenance};
use metadata::{LoadedBatch, Loader};
use model::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};
use protocol::MetadataRecord;
use raft::batch::parse_batch;
use raft::snapshot::retention::StoredSnapshot;
use raft::snapshot::{SnapshotPart, SnapshotReader, batch_len, read_snapshot};
use raft::{ControlRecord, ElectionState, QUORUM_STATE_FILE, SnapshotId, configured_voters};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use storage::disk::{DirEntry, Disk, DiskFile, OpenMode, read_all};
use storage::names;

/// The most bytes read at a time. A larger batch is read whole.
pub(super) const READ_BYTES: u32 = 1 << 20;
/// The first batch of a snapshot is rarely larger: header, `kraft.version` and voters.
const HEADER_BATCH_BYTES: usize = 4096;

/// A batch of the log, decoded.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) timestamp: Timestamp,
    pub(super) size_bytes: u64,
    records: Vec<MetadataRecord>,
    control: Vec<(Offset, ControlRecord)>,
}

impl ReadBatch {
    /// The batch as the loader takes it.
    pub fn loaded(&self) -> LoadedBatch<'_> {
        LoadedBatch {
            base_offset: self.base,
            epoch: self.epoch,
            timestamp: self.timestamp,
            records: &self.records,
            last_offset: self.last,
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, LogFault> {
        let size_bytes = bytes.len() as u64;
        let batch = parse_batch(bytes).map_err(raft::Fault::Batch)?;
        let mut records = Vec::new();
        if !batch.is_control {
            let mut offset = batch.base;
            for value in batch.values() {
                records.push(MetadataRecord::decode(value).map_err(|error| LogFault::Record { offset, error })?.0);
                offset = offset.plus(1);
            }
        }
        Ok(Self {
            base: batch.base,
            last: batch.last,
            epoch: batch.epoch,
            timestamp: batch.max_timestamp,
            size_bytes,
            control: batch.control_records().map_err(raft::Fault::Control)?,
            records,
        })
    }
}

/// Decodes the whole batches at the start of these bytes, and stops before a batch that is cut off.
pub(super) fn whole_batches(mut bytes: Bytes) -> impl Iterator<Item = Result<ReadBatch, LogFault>> {
    std::iter::from_fn(move || {
        let len = batch_len(&bytes).filter(|len| *len <= bytes.len())?;
        Some(ReadBatch::decode(bytes.split_to(len)))
    })
}

/// A folder of the metadata log.
pub struct MetadataFolder<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
}

/// The metadata that a folder holds.
#[derive(Clone, Debug)]
pub struct FolderContents {
    /// The image with all records of the log, committed or not.
    pub image: Image,
    /// The voters that the log names. Where it names none: the voters of `quorum-state` and of the
    /// last leader. Empty in a folder that never had a leader.
    pub voters: BTreeSet<BrokerId>,
    /// Whether the log names the voters (KIP-853), so that the configuration's do not count.
    pub voters_are_in_the_log: bool,
}

/// The control records of a folder. `None` stands for a snapshot that covers no offset.
pub(super) type ControlRecords = Vec<(Option<Offset>, ControlRecord)>;

impl<'a> MetadataFolder<'a> {
    /// The folder in a log dir. It may be missing.
    pub fn new(disk: &'a dyn Disk, log_dir: &Path) -> Self {
        Self { disk, path: log_dir.join(TopicPartition::new(METADATA_TOPIC, 0).to_string()) }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the newest snapshot and the log after it, up to the first batch that is not whole:
    /// recovery cuts the rest. A missing folder reads as an empty one.
    pub fn contents(&self) -> Result<FolderContents, LogFault> {
        let mut control = ControlRecords::new();
        let (mut loader, applied) = match self.newest_snapshot()? {
            Some(id) => (self.load_snapshot(id, &mut control)?, id.end),
            None => (Loader::new(&Image::default()), Offset(0)),
        };
        self.read_batches(applied, |batch| {
            loader.apply(&batch.loaded())?;
            control.extend(batch.control.into_iter().map(|(offset, record)| (Some(offset), record)));
            Ok(())
        })?;
        let voters = voters(&control, &self.configured_voters()?);
        let voters_are_in_the_log = control.iter().any(|(_, record)| matches!(record, ControlRecord::Voters(_)));
        Ok(FolderContents { image: loader.uncommitted_image().clone(), voters, voters_are_in_the_log })
    }

    /// Reads the control records of the log's batches from an offset on. Returns the end of the
    /// last whole batch.
    pub(super) fn read_control_records(&self, from: Offset, control: &mut ControlRecords) -> Result<Offset, LogFault> {
        let mut end = from;
        self.read_batches(from, |batch| {
            end = batch.last.plus(1);
            control.extend(batch.control.into_iter().map(|(offset, record)| (Some(offset), record)));
            Ok(())
        })?;
        Ok(end)
    }

    /// Checks that the log is whole up to where it was synced, as far as this is known. Errors:
    /// [`LogFault::Rotten`].
    pub fn check_synced(&self) -> Result<(), LogFault> {
        let Some(synced) = SyncedEnd::read(self.disk, &self.path)? else { return Ok(()) };
        if self.election()?.is_none_or(|state| state.epoch != synced.epoch) {
            return Ok(());
        }
        // What a snapshot covers does not count.
        let end = self.newest_snapshot()?.map_or(Offset(0), |id| id.end).max(self.whole_end()?);
        if end < synced.end {
            return Err(LogFault::Rotten { folder: self.path.clone(), end, synced: synced.end });
        }
        Ok(())
    }

    /// Returns the end of the log before the first batch that is not whole. It reads the whole log,
    /// as recovery does.
    fn whole_end(&self) -> Result<Offset, LogFault> {
        let mut end = Offset(0);
        for base in self.segment_bases()? {
            end = end.max(base);
            let path = self.path.join(names::segment_file(base, names::LOG));
            let is_whole = self.read_segment(&path, &mut |bytes| {
                end = parse_batch(bytes).map_err(raft::Fault::Batch)?.last.plus(1);
                Ok(())
            })?;
            if !is_whole {
                break;
            }
        }
        Ok(end)
    }

    /// The base offsets of the segments, in their order.
    fn segment_bases(&self) -> Result<Vec<Offset>, LogFault> {
        let mut bases: Vec<Offset> = self.list()?.iter().filter_map(|entry| segment_base(&entry.name)).collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// Gives each batch that ends at an offset or after it to `take`, up to the first batch that is
    /// not whole.
    fn read_batches(
        &self,
        from: Offset,
        mut take: impl FnMut(ReadBatch) -> Result<(), LogFault>,
    ) -> Result<(), LogFault> {
        let bases = self.segment_bases()?;
        let first = bases.partition_point(|base| *base <= from).saturating_sub(1);
        for base in &bases[first..] {
            let path = self.path.join(names::segment_file(*base, names::LOG));
            let mut take = |bytes| {
                let batch = ReadBatch::decode(bytes)?;
                if batch.last < from { Ok(()) } else { take(batch) }
            };
            if !self.read_segment(&path, &mut take)? {
                break;
            }
        }
        Ok(())
    }

    /// Gives each batch of a segment to `take`. Returns whether all batches are whole.
    fn read_segment(&self, path: &Path, take: &mut dyn FnMut(Bytes) -> Result<(), LogFault>) -> Result<bool, LogFault> {
        let at = |error| LogFault::File { path: path.to_path_buf(), error };
        let file = self.disk.open(path, OpenMode::Read).map_err(at)?;
        let length = file.length().map_err(at)?;
        let (mut position, mut wanted) = (0, READ_BYTES as usize);
        while position < length {
            let chunk = read_range(&*file, position, wanted).map_err(at)?;
            let mut used = 0;
            while let Some(len) = batch_len(&chunk[used..]).filter(|len| used + len <= chunk.len()) {
                match take(chunk.slice(used..used + len)) {
                    Err(LogFault::Raft(raft::Fault::Batch(_))) => return Ok(false),
                    taken => taken?,
                }
                used += len;
            }
            if used == 0 {
                match batch_len(&chunk) {
                    Some(len) if len > wanted && len as u64 <= length - position => wanted = len,
                    _ => return Ok(false),
                }
            } else {
                wanted = READ_BYTES as usize;
            }
            position += used as u64;
        }
        Ok(true)
    }

    /// The newest complete snapshot.
    pub(super) fn newest_snapshot(&self) -> Result<Option<SnapshotId>, LogFault> {
        Ok(self.snapshot_ids()?.last().copied())
    }

    /// The complete snapshots, oldest first.
    pub(super) fn snapshot_ids(&self) -> Result<Vec<SnapshotId>, LogFault> {
        let mut ids: Vec<_> = self.list()?.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The complete snapshots, oldest first. Only the first batch of each is read.
    pub(super) fn stored_snapshots(&self) -> Result<Vec<StoredSnapshot>, LogFault> {
        let mut stored = Vec::new();
        for entry in self.list()? {
            let Some(id) = SnapshotId::from_file_name(&entry.name) else { continue };
            let (bytes, last_contained_log_timestamp) = snapshot_facts(self.disk, &self.path.join(&entry.name))?;
            stored.push(StoredSnapshot { id, bytes, last_contained_log_timestamp });
        }
        stored.sort_by_key(|snapshot| snapshot.id);
        Ok(stored)
    }

    /// Loads the image of a snapshot, and adds its control records.
    pub(super) fn load_snapshot(&self, id: SnapshotId, control: &mut ControlRecords) -> Result<Loader, LogFault> {
        let path = self.path.join(id.file_name());
        match self.load_snapshot_file(&path, id, &Image::default(), control) {
            Err(LogFault::Record { error, .. }) => Err(LogFault::Corrupt { path, reason: error.to_string() }),
            loaded => loaded,
        }
    }

    /// Loads the image of a snapshot from a file, with the changes since `image`, and adds its
    /// control records. Errors: `Corrupt` if the file is damaged or incomplete.
    pub(super) fn load_snapshot_file(
        &self,
        path: &Path,
        id: SnapshotId,
        image: &Image,
        control: &mut ControlRecords,
    ) -> Result<Loader, LogFault> {
        let corrupt = |reason: String| LogFault::Corrupt { path: path.to_path_buf(), reason };
        let bytes = match read_all(self.disk, path) {
            Err(error) => return Err(LogFault::File { path: path.to_path_buf(), error }),
            Ok(bytes) => Bytes::from(bytes),
        };
        let timestamp = snapshot_timestamp(&bytes).map_err(&corrupt)?;
        let parts = read_snapshot(bytes).map_err(|error| corrupt(error.to_string()))?;
        let since = Offset::from_wire(id.end.0 - 1);
        let mut records = Vec::new();
        for part in parts {
            match part {
                SnapshotPart::Control(found) => control.extend(found.into_iter().map(|record| (since, record))),
                SnapshotPart::Data(values) => {
                    for value in values {
                        let offset = since.unwrap_or_default();
                        let read = MetadataRecord::decode(value).map_err(|error| LogFault::Record { offset, error });
                        records.push(read?.0);
                    }
                }
            }
        }
        let provenance = Provenance { last_offset: since, epoch: id.epoch, last_timestamp: timestamp };
        Ok(Loader::from_snapshot(image, provenance, &records)?)
    }

    /// Reads `quorum-state`. `None` where the file is missing.
    pub(super) fn election(&self) -> Result<Option<ElectionState>, LogFault> {
        self.quorum_state(ElectionState::decode)
    }

    /// The voters that `quorum-state` names, which it does under `kraft.version` 0.
    fn configured_voters(&self) -> Result<Vec<BrokerId>, LogFault> {
        Ok(self.quorum_state(configured_voters)?.unwrap_or_default())
    }

    fn quorum_state<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, raft::QuorumStateError>,
    ) -> Result<Option<T>, LogFault> {
        let path = self.path.join(QUORUM_STATE_FILE);
        match read_all(self.disk, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogFault::File { path, error }),
            Ok(bytes) => match decode(&bytes) {
                Ok(state) => Ok(Some(state)),
                Err(error) => Err(LogFault::Corrupt { path, reason: error.to_string() }),
            },
        }
    }

    /// Lists the folder's files. A missing folder has none.
    pub(super) fn list(&self) -> Result<Vec<DirEntry>, LogFault> {
        match self.disk.list(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(LogFault::File { path: self.path.clone(), error }),
            Ok(entries) => Ok(entries),
        }
    }
}

/// The base offset of a segment, by its file's name.
fn segment_base(name: &str) -> Option<Offset> {
    names::parse_segment_file(name).filter(|(_, suffix)| *suffix == names::LOG).map(|(base, _)| base)
}

fn voters(control: &[(Option<Offset>, ControlRecord)], configured: &[BrokerId]) -> BTreeSet<BrokerId> {
    let newest_first = || control.iter().rev().map(|(_, record)| record);
    let in_log = newest_first().find_map(|record| match record {
        ControlRecord::Voters(voters) => Some(voters.ids().collect()),
        _ => None,
    });
    let of_leader = newest_first().find_map(|record| match record {
        ControlRecord::LeaderChange(change) => Some(change.voters.as_slice()),
        _ => None,
    });
    in_log.unwrap_or_else(|| configured.iter().chain(of_leader.unwrap_or_default()).copied().collect())
}

/// Reads a snapshot's size and the timestamp in its header. It reads the first batch and no more.
fn snapshot_facts(disk: &dyn Disk, path: &Path) -> Result<(u64, Timestamp), LogFault> {
    let at = |error| LogFault::File { path: path.to_path_buf(), error };
    let corrupt = |reason: String| LogFault::Corrupt { path: path.to_path_buf(), reason };
    let file = disk.open(path, OpenMode::Read).map_err(at)?;
    let mut first = read_range(&*file, 0, HEADER_BATCH_BYTES).map_err(at)?;
    if let Some(len) = batch_len(&first).filter(|len| *len > first.len()) {
        first = read_range(&*file, 0, len).map_err(at)?;
    }
    let timestamp = snapshot_timestamp(&first).map_err(corrupt)?;
    Ok((file.length().map_err(at)?, timestamp))
}

/// Reads up to `most` bytes from a position on, fewer at the end of the file.
fn read_range(file: &dyn DiskFile, position: u64, most: usize) -> std::io::Result<Bytes> {
    let left = file.length()?.saturating_sub(position);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(most)];
    let read = file.read_at(position, &mut bytes)?;
    bytes.truncate(read);
    Ok(Bytes::from(bytes))
}

/// The timestamp in a snapshot's header.
fn snapshot_timestamp(bytes: &Bytes) -> Result<Timestamp, String> {
    let mut reader = SnapshotReader::new();
    let len = batch_len(bytes).filter(|len| *len <= bytes.len()).ok_or("it is cut off")?;
    reader.batch(bytes.slice(..len)).map_err(|error| error.to_string())?;
    reader.last_contained_log_timestamp().ok_or_else(|| "it has no header".to_owned())
}

#[cfg(test)]
mod tests;

//! What replication does to the metadata log: it truncates the log, downloads and installs
//! snapshots, and reads what other replicas fetch.

use super::reader::ControlRecords;
use super::{LogFault, MetadataLog};
use bytes::{Bytes, BytesMut};
use metadata::Loader;
use metadata::image::Image;
use model::{ErrorCode, Offset, Timestamp};
use raft::snapshot::batch_len;
use raft::{ControlRecord, SnapshotId};
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use storage::disk::OpenMode;
use storage::{Isolation, LogRead, Wait};
use tracing::{info, warn};

/// The most bytes of one answer to another replica, unless its first batch alone is larger.
const FETCH_BYTES_MAX: u32 = 8 * 1024 * 1024;

impl MetadataLog {
    /// Removes the records from an offset on.
    pub fn truncate(&self, end: Offset, now: Timestamp) -> Result<(), LogFault> {
        info!(%end, log_end = %self.log.log_end_offset(), "truncating the metadata log to where it agrees with the leader's");
        self.synced.lower(end)?;
        self.log.truncate_to(end, now)?;
        Ok(())
    }

    /// Writes a piece of a snapshot that is downloaded. A piece at position 0 begins the file anew.
    pub fn write_snapshot_piece(&self, id: SnapshotId, position: u64, bytes: &[u8]) -> Result<(), LogFault> {
        let path = self.folder.join(id.partial_file_name());
        let mode = if position == 0 { OpenMode::Truncate } else { OpenMode::Write };
        let written = self.disk.open(&path, mode).and_then(|file| file.write_at(position, &[IoSlice::new(bytes)]));
        written.map_err(|error| LogFault::File { path, error })
    }

    /// Fsyncs a downloaded snapshot and reads all of it. Returns its image, which notes the changes
    /// since `image`, and its control records. `None` if it is damaged or incomplete. Errors: this
    /// node cannot read its records.
    pub fn check_snapshot(
        &self,
        id: SnapshotId,
        image: &Image,
    ) -> Result<Option<(Loader, Vec<ControlRecord>)>, LogFault> {
        let path = self.folder.join(id.partial_file_name());
        let synced = self.disk.open(&path, OpenMode::Write).and_then(|file| file.sync());
        synced.map_err(|error| LogFault::File { path: path.clone(), error })?;
        let mut control = ControlRecords::new();
        match self.stored().load_snapshot_file(&path, id, image, &mut control) {
            Ok(loader) => Ok(Some((loader, control.into_iter().map(|(_, record)| record).collect()))),
            Err(fault @ LogFault::Corrupt { .. }) => {
                warn!(snapshot = %id, error = %fault, "a downloaded snapshot of the metadata is not usable");
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Puts a checked snapshot into place, and lets the log begin and end where it ends.
    pub fn install_snapshot(&self, id: SnapshotId, now: Timestamp) -> Result<(), LogFault> {
        let (partial, path) = (self.folder.join(id.partial_file_name()), self.folder.join(id.file_name()));
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| LogFault::File { path, error }
        };
        info!(snapshot = %id, "installing a snapshot of the metadata from the leader");
        self.synced.lower(id.end)?;
        self.disk.rename(&partial, &path).map_err(at(&path))?;
        self.disk.sync_dir(&self.folder).map_err(at(&self.folder))?;
        self.log.truncate_fully_and_start_at(id.end, now)?;
        for older in self.stored().snapshot_ids()?.into_iter().filter(|older| *older < id) {
            let path = self.folder.join(older.file_name());
            self.disk.remove_file(&path).map_err(|error| LogFault::File { path, error })?;
        }
        Ok(())
    }

    /// Reads whole batches for another replica: as many as `max_bytes` allow, and at least one. The
    /// limit is [`FETCH_BYTES_MAX`] where `max_bytes` is larger.
    pub fn read_bytes(&self, from: Offset, end: Offset, max_bytes: u32) -> Result<Bytes, LogFault> {
        let max_bytes = max_bytes.min(FETCH_BYTES_MAX);
        let mut bytes = BytesMut::new();
        let mut next = from;
        while next < end {
            let left = max_bytes.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            let read = LogRead {
                offset: next,
                max_bytes: left,
                at_least_one_batch: bytes.is_empty(),
                isolation: Isolation::LogEnd,
                wait: Wait::Block,
            };
            let Some(region) = self.log.read(read)?.region.filter(|region| region.length > 0) else { break };
            let read = Bytes::from(region.read()?);
            let Some((whole, after)) = whole_batches_of(&read) else { break };
            bytes.extend_from_slice(&read[..whole]);
            next = after;
        }
        Ok(bytes.freeze())
    }

    /// Reads a piece of a snapshot for another replica. Returns also the size of its file. Errors:
    /// the code for a snapshot that is gone, a position that is not below the size, or a disk that
    /// cannot be read.
    pub fn read_snapshot_piece(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: u32,
    ) -> Result<(u64, Bytes), ErrorCode> {
        let path = self.folder.join(id.file_name());
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => ErrorCode::SnapshotNotFound,
            _ => {
                warn!(snapshot = %id, %error, "a snapshot of the metadata cannot be read");
                ErrorCode::UnknownServerError
            }
        };
        let file = self.disk.open(&path, OpenMode::Read).map_err(failed)?;
        let size = file.length().map_err(failed)?;
        if position >= size {
            return Err(ErrorCode::PositionOutOfRange);
        }
        let most = u64::from(max_bytes.min(FETCH_BYTES_MAX)).min(size - position);
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
        let read = file.read_at(position, &mut bytes).map_err(failed)?;
        bytes.truncate(read);
        Ok((size, Bytes::from(bytes)))
    }
}

/// Returns the length of the whole batches at the start of these bytes, and the offset after them.
/// `None` if there is no whole batch.
fn whole_batches_of(bytes: &Bytes) -> Option<(usize, Offset)> {
    let (mut position, mut after) = (0, None);
    while let Some(len) = batch_len(&bytes[position..]).filter(|len| position + len <= bytes.len()) {
        let batch = raft::batch::parse_batch(bytes.slice(position..position + len)).ok()?;
        position += len;
        after = Some(batch.last.plus(1));
    }
    after.map(|after| (position, after))
}

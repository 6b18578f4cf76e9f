//! The metadata log on disk: `__cluster_metadata-0` with its segments, `quorum-state` and
//! snapshots.
//!
//! Every write here is fsynced before it counts, whatever `flush.*` says. A fault ends the node.

mod reader;
mod replication;
mod synced;

pub use self::reader::{FolderContents, MetadataFolder, ReadBatch};
use self::reader::{READ_BYTES, whole_batches};
use self::synced::SyncedFile;
use super::spare::SpareRoom;
use crate::env::Env;
use bytes::Bytes;
use metadata::image::Image;
use metadata::{ApplyError, Loader};
use model::{Now, Offset, Timestamp, TopicId, TopicPartition, Uuid};
use raft::snapshot::retention::{Limits, deletion};
use raft::snapshot::{PARTIAL_SUFFIX, SnapshotSchedule, SnapshotWriter};
use raft::{ElectionState, LogFacts, QUORUM_STATE_FILE, Raft, SnapshotId, Stored};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, OpenMode, write_atomically};
use storage::{
    DiskErrorKind, FollowerAppend, Isolation, Log, LogConfig, LogRead, OpenFiles, OpenLog, Wait, names,
    read_partition_metadata, write_partition_metadata,
};
use tracing::{info, warn};

pub use model::METADATA_TOPIC;
/// The id that this topic has everywhere.
pub const METADATA_TOPIC_ID: TopicId = Uuid::ONE;

/// A fault of the metadata log. It ends the node.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A file beside the log.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The machine.
    #[error(transparent)]
    Raft(#[from] raft::Fault),
    /// A record contradicts the records before it.
    #[error("the metadata log cannot be applied: {0}")]
    Apply(#[from] ApplyError),
    /// Bytes are no record of a known kind and version.
    #[error("the record at offset {offset} of the metadata log is not readable: {error}")]
    Record {
        /// Where.
        offset: Offset,
        /// Why.
        error: protocol::DecodeError,
    },
    /// A file has wrong contents.
    #[error("{path}: {reason}", path = path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The log is not whole up to where it was synced: its disk lost or changed a part of it.
    #[error(
        "{folder}: the metadata log was synced up to offset {synced}, and only what is before offset {end} can be read: the disk \
         lost or changed a part of it, and this node must not act without it. Restore the folder from a copy. Where other controllers \
         have the metadata, this node copies it again from them if you remove every file of the folder except quorum-state. To go on \
         without what is lost, remove the file {file} in it",
        folder = folder.display(),
        file = synced::FILE
    )]
    Rotten {
        /// The log's folder.
        folder: PathBuf,
        /// The end of what is whole.
        end: Offset,
        /// The end that was synced.
        synced: Offset,
    },
    /// An error that cannot happen by Kafka's rules.
    #[error("{0}")]
    Unexpected(String),
}

impl LogFault {
    /// Whether the disk had no room and is otherwise sound: the operation did not happen and may be
    /// tried again.
    pub fn is_refusal(&self) -> bool {
        match self {
            LogFault::Storage(error) => error.is_refusal(),
            LogFault::File { error, .. } => {
                matches!(DiskErrorKind::of(error), DiskErrorKind::OutOfSpace | DiskErrorKind::Transient)
            }
            _ => false,
        }
    }

    /// Makes a fault of an error that no input can cause.
    pub fn unexpected(error: impl std::fmt::Display) -> Self {
        LogFault::Unexpected(error.to_string())
    }
}

/// When snapshots are made.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotLimits {
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub max_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for no limit.
    pub max_interval_ms: u64,
}

/// The open log.
#[derive(Debug)]
pub struct MetadataLog {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    folder: PathBuf,
    log: Log,
    schedule: SnapshotSchedule,
    spare: SpareRoom,
    synced: SyncedFile,
}

/// The opened log, and what a start found on disk.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: MetadataLog,
    /// What the raft machine starts from.
    pub stored: Stored,
    /// The newest snapshot's image; empty without one.
    pub loader: Loader,
    /// The offset from which the log is applied to it.
    pub applied: Offset,
}

impl MetadataLog {
    /// Opens and recovers the log in a log dir.
    pub fn open(
        disk: Arc<dyn Disk>,
        open_files: Arc<OpenFiles>,
        log_dir: &Path,
        config: LogConfig,
        limits: SnapshotLimits,
        env: Env,
    ) -> Result<Opened, LogFault> {
        let clock = env.clock();
        let stored = MetadataFolder::new(&*disk, log_dir);
        let folder = stored.path().to_path_buf();
        // A log dir that was formatted for voters in the configuration has no folder yet.
        let at = |error| LogFault::File { path: folder.clone(), error };
        if disk.metadata(&folder).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            disk.create_dir(&folder).map_err(at)?;
            disk.sync_dir(log_dir).map_err(at)?;
        }
        remove_partial_snapshots(&*disk, &stored)?;
        let election = stored.election()?;
        let snapshot = stored.newest_snapshot()?;
        let synced = SyncedFile::open(disk.clone(), &folder, election.as_ref().map(|state| state.epoch))?;
        let (log, recovery) = Log::open(OpenLog {
            disk: disk.clone(),
            open_files,
            path: folder.clone(),
            partition: TopicPartition::new(METADATA_TOPIC, 0),
            config,
            recovery_point: Offset(0),
            log_start_offset: None,
            // The log's end is always checked, whatever the log dir's marker says. The log is
            // short, and it is written to before the marker is removed.
            is_clean: false,
            now: clock.now(),
            jitter_seed: 0,
            interrupted: Arc::default(),
        })?;
        let identity = folder.join(names::PARTITION_METADATA);
        match read_partition_metadata(&*disk, &identity) {
            Ok(Some(_)) => {}
            // The id is the same everywhere, so a damaged file loses nothing.
            Ok(None) | Err(storage::Error::Corrupt { .. }) => {
                match write_partition_metadata(&*disk, &identity, METADATA_TOPIC_ID, true) {
                    // A later start writes it.
                    Err(error) if error.is_refusal() => {}
                    written => written?,
                }
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(id) = snapshot.filter(|id| !reaches(&log, *id)) {
            // The node was killed while it installed this snapshot.
            info!(snapshot = %id, "the metadata log begins again at the end of a snapshot that was installed");
            synced.lower(id.end)?;
            log.truncate_fully_and_start_at(id.end, clock.now())?;
        }
        if recovery.bytes_cut > 0 {
            info!(bytes = recovery.bytes_cut, "cut what was not whole off the metadata log");
        }
        let mut control_records = Vec::new();
        let loader = match snapshot {
            Some(id) => stored.load_snapshot(id, &mut control_records)?,
            None => Loader::new(&Image::default()),
        };
        let applied = snapshot.map_or(Offset(0), |id| id.end).max(log.log_start_offset());
        let read_to = stored.read_control_records(applied, &mut control_records)?;
        if read_to < log.log_end_offset() {
            let reason = format!("there is no readable batch at offset {read_to}");
            return Err(LogFault::Corrupt { path: folder, reason });
        }
        let facts = LogFacts {
            start: log.log_start_offset(),
            end: log.log_end_offset(),
            epochs: log.leader_epochs().entries().to_vec(),
            snapshots: stored.snapshot_ids()?,
        };
        let schedule = SnapshotSchedule::new(limits.max_bytes, limits.max_interval_ms, clock.monotonic());
        let spare = SpareRoom::new(disk.clone(), log_dir, env);
        let log_dir = log_dir.to_path_buf();
        let stored = Stored { election, log: facts, control_records };
        Ok(Opened { log: Self { disk, log_dir, folder, log, schedule, spare, synced }, stored, loader, applied })
    }

    fn stored(&self) -> MetadataFolder<'_> {
        MetadataFolder::new(&*self.disk, &self.log_dir)
    }

    /// The spare room: it is given up where a write meets a full disk.
    pub fn spare_room(&self) -> &SpareRoom {
        &self.spare
    }

    /// Appends a batch unchanged.
    pub fn append(&self, batch: &Bytes, now: Timestamp) -> Result<(), LogFault> {
        self.log.append_as_follower(batch, FollowerAppend { now })?;
        Ok(())
    }

    /// Fsyncs all appended batches.
    pub fn flush(&self, now: Timestamp) -> Result<(), LogFault> {
        let end = self.log.log_end_offset();
        self.log.flush(end, now)?;
        self.synced.raise(end, self.log.latest_epoch());
        Ok(())
    }

    /// Replaces `quorum-state` and fsyncs it.
    pub fn write_quorum_state(&self, content: &[u8]) -> Result<(), LogFault> {
        let path = self.folder.join(QUORUM_STATE_FILE);
        write_atomically(&*self.disk, &path, content).map_err(|error| LogFault::File { path, error })?;
        self.synced.set_epoch(ElectionState::decode(content).map_err(LogFault::unexpected)?.epoch);
        Ok(())
    }

    /// Reads the batches between two offsets.
    pub fn read(&self, from: Offset, to: Offset) -> Result<Vec<ReadBatch>, LogFault> {
        let mut batches = Vec::new();
        let mut next = from;
        while next < to {
            let read = LogRead {
                offset: next,
                max_bytes: READ_BYTES,
                at_least_one_batch: true,
                isolation: Isolation::LogEnd,
                wait: Wait::Block,
            };
            let Some(region) = self.log.read(read)?.region else { break };
            let before = next;
            for batch in whole_batches(Bytes::from(region.read()?)) {
                let batch = batch?;
                next = batch.last.plus(1);
                batches.push(batch);
                if next >= to {
                    break;
                }
            }
            if next == before {
                let reason = format!("there is no whole batch at offset {next}");
                return Err(LogFault::Corrupt { path: self.folder.clone(), reason });
            }
        }
        Ok(batches)
    }

    /// Commits the log up to an offset: old segments may be deleted when a snapshot covers them.
    pub fn committed(&self, high_watermark: Offset) {
        self.log.advance_high_watermark(high_watermark);
    }

    /// Writes a snapshot of the loader's image after a batch, if one is due.
    pub fn snapshot_if_due(
        &mut self,
        loader: &Loader,
        batch: &ReadBatch,
        raft: &Raft,
        now: Now,
    ) -> Result<Option<SnapshotId>, LogFault> {
        let is_open = loader.open_transaction().is_some();
        let Some(reason) = self.schedule.applied(batch.size_bytes, is_open, now.monotonic) else { return Ok(None) };
        let id = SnapshotId { end: batch.last.plus(1), epoch: batch.epoch };
        info!(snapshot = %id, %reason, "writing a snapshot of the metadata");
        match self.write_snapshot(id, loader.image(), batch.timestamp, raft, now.wall) {
            // The log has all that the snapshot would hold. The next snapshot is made when it is
            // due.
            Err(fault) if fault.is_refusal() => {
                warn!(snapshot = %id, error = %fault, "there is no room for a snapshot of the metadata");
                let _ = self.disk.remove_file(&self.folder.join(id.partial_file_name()));
                Ok(None)
            }
            written => written.map(|()| Some(id)),
        }
    }

    fn write_snapshot(
        &self,
        id: SnapshotId,
        image: &Image,
        timestamp: Timestamp,
        raft: &Raft,
        now: Timestamp,
    ) -> Result<(), LogFault> {
        let (mut writer, first) = SnapshotWriter::begin(id, timestamp, raft.quorum_at(id.end), now)?;
        let mut pieces = vec![first];
        for record in image.snapshot_records() {
            let value = record.encode().map_err(raft::Fault::Encode)?;
            pieces.extend(writer.record(value, now)?);
        }
        pieces.extend(writer.finish(now)?);
        let partial = self.folder.join(id.partial_file_name());
        let path = self.folder.join(id.file_name());
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| LogFault::File { path, error }
        };
        let file = self.disk.open(&partial, OpenMode::Truncate).map_err(at(&partial))?;
        let mut position = 0;
        for piece in &pieces {
            file.write_at(position, &[IoSlice::new(piece)]).map_err(at(&partial))?;
            position += piece.len() as u64;
        }
        file.sync().map_err(at(&partial))?;
        self.disk.rename(&partial, &path).map_err(at(&path))?;
        self.disk.sync_dir(&self.folder).map_err(at(&self.folder))
    }

    /// Deletes snapshots that are too old or too many, and the log before the oldest snapshot that
    /// stays. Returns the new log start, if it moved.
    pub fn delete_old(&self, limits: Limits, now: Timestamp) -> Result<Option<Offset>, LogFault> {
        let mut moved = None;
        loop {
            let snapshots = self.stored().stored_snapshots()?;
            let Some(deletion) = deletion(&snapshots, self.log.size_bytes(), limits, now) else { return Ok(moved) };
            info!(oldest_kept = %deletion.oldest_kept, reason = ?deletion.reason, "deleting old snapshots of the metadata");
            if self.log.delete_records(deletion.oldest_kept.end)? {
                moved = Some(deletion.oldest_kept.end);
            }
            self.log.delete_old_segments(now)?;
            for snapshot in snapshots.iter().filter(|snapshot| snapshot.id < deletion.oldest_kept) {
                let path = self.folder.join(snapshot.id.file_name());
                self.disk.remove_file(&path).map_err(|error| LogFault::File { path, error })?;
            }
        }
    }

    /// Removes the files of deleted segments whose delay is over.
    pub fn remove_deleted(&self, now: Timestamp) -> Result<(), LogFault> {
        self.log.remove_deleted_files(now)?;
        Ok(())
    }

    /// Closes the log cleanly.
    pub fn close(&self, now: Timestamp) -> Result<(), LogFault> {
        Ok(self.log.close(now)?)
    }
}

/// Whether a log has the records that a snapshot covers, or could have had them: it ends at the
/// snapshot's end or later, with an epoch that is not lower.
fn reaches(log: &Log, snapshot: SnapshotId) -> bool {
    let is_empty = log.log_start_offset() == log.log_end_offset();
    log.log_end_offset() >= snapshot.end && (is_empty || log.latest_epoch().is_none_or(|epoch| epoch >= snapshot.epoch))
}

/// Removes snapshots that were not completed.
fn remove_partial_snapshots(disk: &dyn Disk, folder: &MetadataFolder<'_>) -> Result<(), LogFault> {
    for entry in folder.list()?.iter().filter(|entry| entry.name.ends_with(PARTIAL_SUFFIX)) {
        let path = folder.path().join(&entry.name);
        disk.remove_file(&path).map_err(|error| LogFault::File { path, error })?;
    }
    Ok(())
}

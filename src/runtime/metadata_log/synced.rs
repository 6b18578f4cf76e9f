//! `synced-end`: a file of the metadata log that says up to where the log was synced.
//!
//! A batch that is not whole may be a torn write, which nobody was promised, or rot in what was
//! synced. The first is cut off. The second must not be: where the voters are in the log, a node
//! that loses their records acts by the voters before, and a lone voter forgets what it
//! acknowledged. Only this file tells the two apart.
//!
//! Invariants:
//! - The end in the file is never above what is synced. It is written after a sync, and lowered and
//!   synced before the log is truncated. Without its own sync it may be too low after a power loss,
//!   which only means that less is checked.
//! - The file counts only in the epoch of `quorum-state` in which it was written. Apache Kafka does
//!   not know the file and may truncate the log, but it does so only in a later epoch: within an
//!   epoch, what a replica got from the leader stays.
//!
//! The format: the end (i64), the epoch (i32), and the CRC-32C of these 12 bytes (u32), big-endian.

use super::LogFault;
use model::{LeaderEpoch, Offset};
use parking_lot::Mutex;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, DiskFile, OpenMode, read_all};
use tracing::debug;

/// The file's name. Apache Kafka ignores it.
pub(super) const FILE: &str = "synced-end";

const CHECKED_BYTES: usize = 12;
const BYTES: usize = 16;

/// How far the log was synced, and in which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyncedEnd {
    pub end: Offset,
    pub epoch: LeaderEpoch,
}

impl SyncedEnd {
    /// Reads the file of a folder. `None` if it is missing or was torn.
    pub fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Self>, LogFault> {
        let path = folder.join(FILE);
        match read_all(disk, &path) {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogFault::File { path, error }),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; BYTES] = bytes.try_into().ok()?;
        let (end, rest) = bytes.split_first_chunk()?;
        let (epoch, crc) = rest.split_first_chunk()?;
        let is_whole = crc == checksum(&bytes[..CHECKED_BYTES]);
        is_whole.then(|| Self { end: Offset(i64::from_be_bytes(*end)), epoch: LeaderEpoch(i32::from_be_bytes(*epoch)) })
    }

    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.end.0.to_be_bytes());
        bytes[8..CHECKED_BYTES].copy_from_slice(&self.epoch.0.to_be_bytes());
        let crc = checksum(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc);
        bytes
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    (crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32).to_be_bytes()
}

/// The open file.
#[derive(Debug)]
pub(super) struct SyncedFile {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    file: Option<Arc<dyn DiskFile>>,
    /// The epoch of `quorum-state`.
    epoch: Option<LeaderEpoch>,
    /// The file's content. `None` if there is none, or a write failed.
    written: Option<SyncedEnd>,
    /// The highest end that the file may have.
    highest: Offset,
}

impl SyncedFile {
    /// Opens the file of a folder. `epoch` is that of `quorum-state`.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, epoch: Option<LeaderEpoch>) -> Result<Self, LogFault> {
        let written = SyncedEnd::read(&*disk, folder)?;
        let highest = written.map_or(Offset(0), |synced| synced.end);
        let state = FileState { file: None, epoch, written, highest };
        Ok(Self { disk, folder: folder.to_path_buf(), state: Mutex::new(state) })
    }

    /// Notes a new epoch of `quorum-state`.
    pub fn set_epoch(&self, epoch: LeaderEpoch) {
        self.state.lock().epoch = Some(epoch);
    }

    /// Notes that the log is synced up to an offset, with a last batch of this epoch. Where this
    /// fails, the file stays too low.
    pub fn raise(&self, end: Offset, last: Option<LeaderEpoch>) {
        let state = &mut *self.state.lock();
        // Batches of an earlier epoch may differ from those of the leader.
        let Some(epoch) = state.epoch.filter(|epoch| last == Some(*epoch)) else { return };
        let synced = SyncedEnd { end, epoch };
        if state.written == Some(synced) {
            return;
        }
        // The first one of an epoch is synced, so that a power loss leaves one that counts.
        let is_first = state.written.is_none_or(|written| written.epoch != epoch);
        if let Err(error) = self.write(state, synced, is_first) {
            debug!(%error, "the end of the metadata log that was synced could not be noted");
        }
    }

    /// Lowers the end before the log is truncated.
    pub fn lower(&self, end: Offset) -> Result<(), LogFault> {
        let state = &mut *self.state.lock();
        if state.highest <= end {
            return Ok(());
        }
        let epoch = state.written.map(|written| written.epoch).or(state.epoch).unwrap_or_default();
        let written = self.write(state, SyncedEnd { end, epoch }, true);
        written.map_err(|error| LogFault::File { path: self.folder.join(FILE), error })?;
        state.highest = end;
        Ok(())
    }

    fn write(&self, state: &mut FileState, synced: SyncedEnd, is_synced: bool) -> io::Result<()> {
        let is_new = state.written.take().is_none();
        state.highest = state.highest.max(synced.end);
        let file = match &state.file {
            Some(file) => file.clone(),
            None => self.disk.open(&self.folder.join(FILE), OpenMode::Create)?,
        };
        file.write_at(0, &[IoSlice::new(&synced.encode())])?;
        if is_synced {
            file.sync()?;
        }
        if is_new {
            self.disk.sync_dir(&self.folder)?;
        }
        (state.file, state.written) = (Some(file), Some(synced));
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! One log dir of this broker: the unopened logs in it, its checkpoints, and the folders to remove
//! later.
//!
//! `Replicas` knows which partitions are in it. Invariant: the checkpoints have an entry for every
//! partition of the dir, from its open log or from the checkpoint read at start.

use super::opening::OpenQueue;
use super::partition::Committer;
use super::unopened::{LogFolder, UnopenedLogs};
use model::{DirectoryId, Offset, Timestamp, TopicId, TopicPartition};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use storage::{CheckpointedOffsets, Log, LogDir, OffsetCheckpoint};
use tracing::{error, warn};

/// Returns the open logs of a dir at the time of the call.
pub(super) type OpenLogs<'a> = &'a dyn Fn() -> Vec<Arc<Log>>;

/// A log dir.
pub struct Dir {
    id: DirectoryId,
    pub(crate) log_dir: LogDir,
    pub(super) unopened: Mutex<UnopenedLogs>,
    /// Logs whose folders exist and that wait to be opened.
    pub(super) queue: OpenQueue,
    /// Flushes batches that appends wait for.
    pub(super) committer: Arc<Committer>,
    /// The number of partition folders that exist here or are about to be created. New partitions
    /// go to the dir with the fewest.
    partition_count: AtomicUsize,
    /// Whether it takes no new partitions (KIP-1066).
    is_cordoned: AtomicBool,
    /// Folders to remove, each with its due time.
    folders_to_remove: Mutex<Vec<(Timestamp, PathBuf)>>,
    /// Whether the full disk was logged.
    pub(super) is_full_logged: AtomicBool,
    /// The content of the cleaner's checkpoint file.
    cleaned: Mutex<OffsetCheckpoint>,
}

impl std::fmt::Debug for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dir").field("id", &self.id).field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Dir {
    /// Reads a log dir and opens nothing yet. Errors: it cannot be read.
    pub(super) fn read(log_dir: LogDir, id: DirectoryId, committer: Arc<Committer>) -> Result<Self, storage::Error> {
        let unopened = match UnopenedLogs::read(&log_dir) {
            // The log dir is offline from the start.
            Err(_) if log_dir.fault().is_some() => UnopenedLogs::default(),
            read => read?,
        };
        let cleaned = unopened.offsets.cleaned.clone();
        Ok(Self {
            id,
            log_dir,
            partition_count: AtomicUsize::new(unopened.folders.len() + unopened.copies.len()),
            is_cordoned: AtomicBool::new(false),
            unopened: Mutex::new(unopened),
            queue: OpenQueue::default(),
            committer,
            folders_to_remove: Mutex::default(),
            is_full_logged: AtomicBool::new(false),
            cleaned: Mutex::new(cleaned),
        })
    }

    /// Returns its id (KIP-858).
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.log_dir.path()
    }

    /// Returns the space on its disk.
    pub fn space(&self) -> std::io::Result<storage::disk::Space> {
        self.log_dir.disk().space(self.path())
    }

    /// Returns the number of partitions here.
    pub fn partition_count(&self) -> usize {
        self.partition_count.load(Ordering::SeqCst)
    }

    /// Whether it takes no new partitions (`cordoned.log.dirs`, KIP-1066).
    pub fn is_cordoned(&self) -> bool {
        self.is_cordoned.load(Ordering::SeqCst)
    }

    pub(super) fn set_cordoned(&self, is_cordoned: bool) {
        self.is_cordoned.store(is_cordoned, Ordering::SeqCst);
    }

    /// Counts a partition that is about to be created here.
    pub(super) fn count_one_more(&self) {
        self.partition_count.fetch_add(1, Ordering::SeqCst);
    }

    /// Uncounts a partition that is removed.
    pub(super) fn count_one_less(&self) {
        self.partition_count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the last shutdown was clean here.
    pub(super) fn was_clean(&self) -> bool {
        self.unopened.lock().is_clean
    }

    /// Whether the broker stops.
    pub(super) fn is_interrupted(&self) -> bool {
        self.log_dir.is_interrupted()
    }

    /// Returns the folder of a partition of a topic that was found here at start.
    pub(super) fn folder_of(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        self.unopened.lock().folders.get(name).filter(|folder| folder.is_of(topic_id)).cloned()
    }

    /// Returns the number of bytes that must be read and checked before the log in a folder is
    /// served. If that is unknown, returns 0, so that the log is opened early and fails early.
    pub(super) fn cost_of(&self, name: &TopicPartition, folder: &LogFolder) -> u64 {
        let point = {
            let unopened = self.unopened.lock();
            if unopened.is_clean {
                return 0;
            }
            unopened.offsets.recovery_points.get(name).copied().unwrap_or_default()
        };
        self.log_dir.bytes_to_check(&folder.path, point).unwrap_or_default()
    }

    /// Renames a folder that belongs to no partition of this broker, as Kafka does.
    pub(super) fn set_aside(&self, name: &TopicPartition) -> Result<(), storage::Error> {
        let Some(folder) = self.unopened.lock().take(name) else { return Ok(()) };
        self.count_one_less();
        let path = self.log_dir.set_aside(name, &folder.path, self.committer.env().uuid())?;
        let topic_id = folder.topic_id.map(|id| id.to_string());
        warn!(partition = %name, topic_id, path = %path.display(), "set aside a folder that belongs to no partition of this broker");
        Ok(())
    }

    /// Renames the folder of a deleted topic whose log was never opened. Returns the new path.
    pub(super) fn delete_unopened(&self, name: &TopicPartition) -> Result<Option<PathBuf>, storage::Error> {
        let Some(folder) = self.unopened.lock().take(name) else { return Ok(None) };
        self.count_one_less();
        self.log_dir.rename_deleted(name, &folder.path, self.committer.env().uuid()).map(Some)
    }

    /// Notes that a log that is being opened is flushed to a lower offset than the checkpoint says.
    pub(super) fn lower_recovery_point(&self, name: &TopicPartition, to: Offset) {
        self.unopened.lock().offsets.recovery_points.insert(name.clone(), to);
    }

    /// Returns the unfinished copy of a topic's partition that was found here at start.
    pub(super) fn copy_of(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        self.unopened.lock().copies.get(name).filter(|copy| copy.topic_id == Some(topic_id)).cloned()
    }

    /// Takes an unfinished copy, to resume or to remove it. Also forgets its checkpoint entries.
    pub(super) fn take_copy(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        let copy = self.copy_of(name, topic_id)?;
        let unopened = &mut *self.unopened.lock();
        unopened.copies.remove(name);
        unopened.forget(name);
        Some(copy)
    }

    /// Renames an unfinished copy to the partition's own name, if no log dir has the original.
    pub(super) fn adopt_copy<'a>(
        &self,
        name: &TopicPartition,
        topic_id: TopicId,
        all: impl Iterator<Item = &'a Arc<Dir>>,
    ) -> Result<(), storage::Error> {
        let Some(copy) = self.copy_of(name, topic_id) else { return Ok(()) };
        let path = self.log_dir.adopt_future(name, &copy.path, all.map(|dir| &dir.log_dir))?;
        warn!(partition = %name, path = %path.display(), "took over a copy of a partition whose own folder is gone");
        let unopened = &mut *self.unopened.lock();
        unopened.copies.remove(name);
        unopened.folders.insert(name.clone(), LogFolder { path, ..copy });
        Ok(())
    }

    /// Schedules the folder of an unfinished copy for removal.
    pub(super) fn remove_copy(&self, name: &TopicPartition, path: &Path, now: Timestamp) {
        self.count_one_less();
        match self.log_dir.rename_deleted(name, path, self.committer.env().uuid()) {
            Ok(path) => self.remove_later(now, path),
            Err(fault) => error!(partition = %name, error = %fault, "the folder of a copy could not be renamed"),
        }
    }

    /// Renames the copies that nobody resumes, except those of the `kept` partitions.
    pub(super) fn set_aside_copies(&self, kept: &BTreeSet<TopicPartition>) {
        let copies: Vec<_> = self.unopened.lock().copies.extract_if(.., |name, _| !kept.contains(name)).collect();
        for (name, copy) in copies {
            self.count_one_less();
            match self.log_dir.set_aside(&name, &copy.path, self.committer.env().uuid()) {
                Ok(path) => {
                    warn!(partition = %name, path = %path.display(), "set aside a copy that belongs to no partition of this broker")
                }
                Err(fault) => {
                    error!(partition = %name, error = %fault, "a copy that belongs to no partition of this broker could not be renamed")
                }
            }
        }
    }

    /// Writes the four checkpoint files.
    pub(super) fn write_checkpoints(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        self.write_recovery_points(open)?;
        self.write_log_start_offsets(open)?;
        self.write_high_watermarks(open)?;
        self.write_cleaned(open)
    }

    pub(super) fn write_recovery_points(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let collect = || self.offsets(open, |unopened| &unopened.recovery_points, |log| Some(log.recovery_point()));
        self.log_dir.write_recovery_points(collect)
    }

    pub(super) fn write_log_start_offsets(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let collect = || self.offsets(open, |unopened| &unopened.log_start_offsets, Log::log_start_to_checkpoint);
        self.log_dir.write_log_start_offsets(collect)
    }

    pub(super) fn write_high_watermarks(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let collect = || self.offsets(open, |unopened| &unopened.high_watermarks, |log| Some(log.high_watermark()));
        self.log_dir.write_high_watermarks(collect)
    }

    /// Writes the cleaner's offsets, if they changed.
    pub(super) fn write_cleaned(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        // Held while the file is replaced, so that the newest content is written last.
        let written = &mut *self.cleaned.lock();
        let cleaned = self.offsets(open, |unopened| &unopened.cleaned, Log::cleaned_up_to);
        if *written != cleaned {
            self.log_dir.write_cleaner_offsets(&cleaned)?;
            *written = cleaned;
        }
        Ok(())
    }

    /// Returns a checkpoint's content: from the open logs, and from the checkpoint read at start
    /// for other logs.
    fn offsets(
        &self,
        open: OpenLogs<'_>,
        kept: impl Fn(&CheckpointedOffsets) -> &OffsetCheckpoint,
        of: impl Fn(&Log) -> Option<Offset>,
    ) -> OffsetCheckpoint {
        // In this order: a log that is opened in between is in both, and its own offset overwrites
        // the older one.
        let mut offsets = kept(&self.unopened.lock().offsets).clone();
        offsets.extend(open().iter().filter_map(|log| Some((log.partition().clone(), of(log)?))));
        offsets
    }

    /// Schedules a folder for removal.
    pub(super) fn remove_later(&self, from: Timestamp, path: PathBuf) {
        self.folders_to_remove.lock().push((from, path));
    }

    /// Removes the folders that are due.
    pub(super) fn remove_due_folders(&self, now: Timestamp) {
        let due: Vec<_> = self.folders_to_remove.lock().extract_if(.., |(due, _)| *due <= now).collect();
        for (_, path) in due {
            if let Err(fault) = self.log_dir.remove_folder(&path) {
                error!(path = %path.display(), error = %fault, "a deleted partition could not be removed");
            }
        }
    }
}

//! One log dir of this broker: what the last run left in it, its checkpoints, and the folders that are removed later.
//!
//! Which partitions are in it, `Replicas` knows. Invariant: the checkpoints have every partition of the dir, from its open log or from what the last run
//! said of it.

use super::opening::OpenQueue;
use super::partition::Committer;
use super::unopened::{LogFolder, UnopenedLogs};
use crate::env::random;
use model::{DirectoryId, Offset, Timestamp, TopicId, TopicPartition};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use storage::{Log, LogDir, OffsetCheckpoint, Offsets};
use tracing::{error, warn};

/// Gives the logs that are open in a dir, as of now.
pub(super) type OpenLogs<'a> = &'a dyn Fn() -> Vec<Arc<Log>>;

/// A log dir.
pub struct Dir {
    id: DirectoryId,
    pub(crate) log_dir: LogDir,
    pub(super) unopened: Mutex<UnopenedLogs>,
    /// Logs whose folders are there and that wait to be opened.
    pub(super) queue: OpenQueue,
    /// Flushes what appends wait for.
    pub(super) committer: Arc<Committer>,
    /// How many partitions' folders are here, or are about to be: new ones go where there are the fewest.
    partition_count: AtomicUsize,
    /// Takes no new partitions (KIP-1066).
    is_cordoned: AtomicBool,
    /// Folders that are removed later, with the time from which on.
    folders_to_remove: Mutex<Vec<(Timestamp, PathBuf)>>,
    /// It was said in the log that the disk is full.
    pub(super) is_full_logged: AtomicBool,
    /// Held while a checkpoint file is replaced, so that the newest word comes last.
    checkpoints: Mutex<()>,
    /// What the cleaner's checkpoint file holds.
    cleaned: Mutex<OffsetCheckpoint>,
}

impl std::fmt::Debug for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dir").field("id", &self.id).field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Dir {
    /// Looks at what is in a log dir; nothing is opened yet. Errors: it cannot be read.
    pub(super) fn read(log_dir: LogDir, id: DirectoryId, committer: Arc<Committer>) -> Result<Self, storage::Error> {
        let unopened = match UnopenedLogs::read(&log_dir) {
            // It is offline from its start.
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
            checkpoints: Mutex::default(),
            cleaned: Mutex::new(cleaned),
        })
    }

    /// Its id (KIP-858).
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.log_dir.path()
    }

    /// The room on its disk.
    pub fn space(&self) -> std::io::Result<storage::disk::Space> {
        self.log_dir.disk().space(self.path())
    }

    /// How many partitions are here.
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

    /// One more partition is about to be here.
    pub(super) fn count_one_more(&self) {
        self.partition_count.fetch_add(1, Ordering::SeqCst);
    }

    /// A partition is here no more.
    pub(super) fn count_one_less(&self) {
        self.partition_count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the last run ended cleanly here.
    pub(super) fn was_clean(&self) -> bool {
        self.unopened.lock().is_clean
    }

    /// Whether the broker stops.
    pub(super) fn is_interrupted(&self) -> bool {
        self.log_dir.is_interrupted()
    }

    /// The folder of a topic's partition that the last run left here.
    pub(super) fn folder_of(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        self.unopened.lock().folders.get(name).filter(|folder| folder.is_of(topic_id)).cloned()
    }

    /// How many bytes are read and checked before the log in a folder is served. Where that cannot be told it comes early, and fails early.
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

    /// Renames a folder that no partition of this broker has, as Kafka does.
    pub(super) fn set_aside(&self, name: &TopicPartition) -> Result<(), storage::Error> {
        let Some(folder) = self.unopened.lock().take(name) else { return Ok(()) };
        self.count_one_less();
        let path = self.log_dir.set_aside(name, &folder.path, random::uuid())?;
        let topic_id = folder.topic_id.map(|id| id.to_string());
        warn!(partition = %name, topic_id, path = %path.display(), "set aside a folder that belongs to no partition of this broker");
        Ok(())
    }

    /// Renames a folder that a deleted topic leaves, whose log was never opened. Gives its new path.
    pub(super) fn delete_unopened(&self, name: &TopicPartition) -> Result<Option<PathBuf>, storage::Error> {
        let Some(folder) = self.unopened.lock().take(name) else { return Ok(None) };
        self.count_one_less();
        self.log_dir.rename_deleted(name, &folder.path, random::uuid()).map(Some)
    }

    /// Notes that less of a log that is being opened is flushed than the checkpoint says.
    pub(super) fn lower_recovery_point(&self, name: &TopicPartition, to: Offset) {
        self.unopened.lock().offsets.recovery_points.insert(name.clone(), to);
    }

    /// The unfinished copy of a topic's partition that the last run left here.
    pub(super) fn copy_of(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        self.unopened.lock().copies.get(name).filter(|copy| copy.topic_id == Some(topic_id)).cloned()
    }

    /// Takes it, for someone to go on with or to remove. What the checkpoints say of it is forgotten.
    pub(super) fn take_copy(&self, name: &TopicPartition, topic_id: TopicId) -> Option<LogFolder> {
        let copy = self.copy_of(name, topic_id)?;
        let unopened = &mut *self.unopened.lock();
        unopened.copies.remove(name);
        unopened.forget(name);
        Some(copy)
    }

    /// Gives an unfinished copy, of which there is no original in any of all log dirs, the partition's own name.
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

    /// Has the folder of an unfinished copy removed.
    pub(super) fn remove_copy(&self, name: &TopicPartition, path: &Path, now: Timestamp) {
        self.count_one_less();
        match self.log_dir.rename_deleted(name, path, random::uuid()) {
            Ok(path) => self.remove_later(now, path),
            Err(fault) => error!(partition = %name, error = %fault, "the folder of a copy could not be renamed"),
        }
    }

    /// Renames the copies that nobody goes on with, but those of some partitions.
    pub(super) fn set_aside_copies(&self, kept: &HashSet<TopicPartition>) {
        let copies: Vec<_> = self.unopened.lock().copies.extract_if(|name, _| !kept.contains(name)).collect();
        for (name, copy) in copies {
            self.count_one_less();
            match self.log_dir.set_aside(&name, &copy.path, random::uuid()) {
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
        let _alone = self.checkpoints.lock();
        let points = self.offsets(open, |unopened| &unopened.recovery_points, |log| Some(log.recovery_point()));
        self.log_dir.write_recovery_points(&points)
    }

    pub(super) fn write_log_start_offsets(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let _alone = self.checkpoints.lock();
        self.log_dir.write_log_start_offsets(&self.offsets(
            open,
            |unopened| &unopened.log_start_offsets,
            Log::log_start_to_checkpoint,
        ))
    }

    pub(super) fn write_high_watermarks(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let _alone = self.checkpoints.lock();
        let marks = self.offsets(open, |unopened| &unopened.high_watermarks, |log| Some(log.high_watermark()));
        self.log_dir.write_high_watermarks(&marks)
    }

    /// Writes how far the cleaner has come, where that has changed.
    pub(super) fn write_cleaned(&self, open: OpenLogs<'_>) -> Result<(), storage::Error> {
        let _alone = self.checkpoints.lock();
        let cleaned = self.offsets(open, |unopened| &unopened.cleaned, Log::cleaned_up_to);
        let written = &mut *self.cleaned.lock();
        if *written != cleaned {
            self.log_dir.write_cleaner_offsets(&cleaned)?;
            *written = cleaned;
        }
        Ok(())
    }

    /// A checkpoint's contents: what the open logs say, and of logs that are not open what the checkpoint said before.
    fn offsets(
        &self,
        open: OpenLogs<'_>,
        kept: impl Fn(&Offsets) -> &OffsetCheckpoint,
        of: impl Fn(&Log) -> Option<Offset>,
    ) -> OffsetCheckpoint {
        // In this order: a log that is opened in between is in both, and its own word comes last.
        let mut offsets = kept(&self.unopened.lock().offsets).clone();
        offsets.extend(open().iter().filter_map(|log| Some((log.partition().clone(), of(log)?))));
        offsets
    }

    /// Has a folder removed once a time has come.
    pub(super) fn remove_later(&self, from: Timestamp, path: PathBuf) {
        self.folders_to_remove.lock().push((from, path));
    }

    /// Removes the folders whose time has come.
    pub(super) fn remove_due_folders(&self, now: Timestamp) {
        let due: Vec<_> = self.folders_to_remove.lock().extract_if(.., |(due, _)| *due <= now).collect();
        for (_, path) in due {
            if let Err(fault) = self.log_dir.remove_folder(&path) {
                error!(path = %path.display(), error = %fault, "a deleted partition could not be removed");
            }
        }
    }
}

//! One entry of `log.dirs`: the lock, the files that cover all of its partitions, and the
//! partitions' folders.
//!
//! ```text
//! .lock                             held while a broker runs (fcntl, as Java locks)
//! meta.properties                   cluster, node and directory id
//! .kafka_cleanshutdown              exists after a clean stop; removed when the logs are opened
//! recovery-point-offset-checkpoint  log-start-offset-checkpoint  replication-offset-checkpoint  cleaner-offset-checkpoint
//! <topic>-<partition>/              partition.metadata  leader-epoch-checkpoint  segments' files
//! ```
//! Other files and folders are not touched.

use crate::checkpoint::{self, CleanShutdown, MetaProperties, OffsetCheckpoint};
use crate::checkpoints::Checkpoints;
use crate::condition::{Condition, OnFault};
use crate::config::LogConfig;
use crate::disk::{self, Disk, DiskLock, Space, Watched};
use crate::error::{Error, Result};
use crate::files::OpenFiles;
use crate::log::{Log, OpenLog, Recovery};
use crate::names::{self, Folder};
use crate::siblings::Siblings;
use model::{BrokerEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The checkpoints, with the offsets of every partition's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointedOffsets {
    /// Recovery points: all below is flushed.
    pub recovery_points: OffsetCheckpoint,
    /// Log start offsets that are above their first segment's base offset.
    pub log_start_offsets: OffsetCheckpoint,
    /// High watermarks.
    pub high_watermarks: OffsetCheckpoint,
    /// The ends of what the cleaner has cleaned, exclusive.
    pub cleaned: OffsetCheckpoint,
}

/// A partition's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFolder {
    /// What its name says it is.
    pub folder: Folder,
    /// Its path.
    pub path: PathBuf,
    /// From `partition.metadata`; `None` if that is missing or damaged.
    pub topic_id: Option<TopicId>,
}

/// A log dir that this process has locked.
#[derive(Debug)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    /// The same disk, unwatched: for the lock, which is released after a fault too.
    unwatched: Arc<dyn Disk>,
    condition: Arc<Condition>,
    checkpoints: Arc<Checkpoints>,
    open_files: Arc<OpenFiles>,
    path: PathBuf,
    siblings: Arc<Siblings>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
    jitter_seed: u64,
    interrupted: Arc<AtomicBool>,
}

impl LogDir {
    /// Locks a folder, and creates it if it is missing. Errors: `Error::Locked` while another
    /// process holds the lock.
    pub fn open(disk: Arc<dyn Disk>, open_files: Arc<OpenFiles>, path: PathBuf, jitter_seed: u64) -> Result<LogDir> {
        disk.create_dir(&path).map_err(Error::io("create", &path))?;
        let lock_file = path.join(".lock");
        let Some(lock) = disk.lock(&lock_file).map_err(Error::io("lock", &lock_file))? else {
            return Err(Error::Locked { path });
        };
        let condition = Arc::<Condition>::default();
        let watched: Arc<dyn Disk> = Arc::new(Watched::new(disk.clone(), condition.clone()));
        Ok(LogDir {
            disk: watched.clone(),
            unwatched: disk,
            condition,
            checkpoints: Arc::new(Checkpoints::new(watched, path.clone())),
            open_files,
            path,
            siblings: Arc::default(),
            lock: Mutex::new(Some(lock)),
            jitter_seed,
            interrupted: Arc::default(),
        })
    }

    /// Returns why the dir is offline, if it is: its first fault. From then on every call to its
    /// disk fails, until the process ends.
    pub fn fault(&self) -> Option<&str> {
        self.condition.fault()
    }

    /// Takes it offline, with all logs in it.
    pub fn fail(&self, reason: &str) {
        self.condition.fail(reason);
    }

    /// Sets the callback for the fault, which is called once: at once if the dir is already
    /// offline.
    pub fn on_fault(&self, tell: OnFault) {
        self.condition.on_fault(tell);
    }

    /// Whether the disk is full, so that producers are refused.
    pub fn is_full(&self) -> bool {
        self.condition.is_full()
    }

    /// Asks the disk for its free space. Producers are refused while it is less than `reserve`
    /// returns for the total. Called at intervals and after files were removed; appends only use
    /// the result. A missing dir takes itself offline.
    pub fn check_space(&self, reserve: impl FnOnce(&Space) -> u64) -> Result<Space> {
        let space = self.disk.space(&self.path).map_err(Error::io("measure the room of", &self.path));
        match space {
            Ok(space) => {
                self.condition.note_space(space.usable_bytes, reserve(&space));
                Ok(space)
            }
            Err(error) => {
                if error.is_not_found() {
                    self.fail(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its disk for all users of the dir: the dir notices every fault of this disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Reads `meta.properties`; `None` if the dir was never formatted.
    pub fn meta_properties(&self) -> Result<Option<MetaProperties>> {
        MetaProperties::read(&*self.disk, &self.path.join(checkpoint::META_PROPERTIES))
    }

    /// Replaces `meta.properties`.
    pub fn write_meta_properties(&self, meta: &MetaProperties) -> Result<()> {
        meta.write(&*self.disk, &self.path.join(checkpoint::META_PROPERTIES))
    }

    /// Whether the last stop was clean. The marker stays until `forget_clean_shutdown`.
    pub fn clean_shutdown(&self) -> Result<Option<CleanShutdown>> {
        checkpoint::read_clean_shutdown(&*self.disk, &self.path.join(checkpoint::CLEAN_SHUTDOWN))
    }

    /// Removes the marker of the last clean stop. Called once the logs are open and before anything
    /// is appended.
    pub fn forget_clean_shutdown(&self) -> Result<()> {
        let path = self.path.join(checkpoint::CLEAN_SHUTDOWN);
        disk::remove_if_there(&*self.disk, &path).map_err(Error::io("remove", &path))?;
        // Synced even if it does not exist: a start that was killed may have removed it, and a
        // power cut would bring it back.
        self.sync()
    }

    /// Writes the marker of a clean stop. Called when all logs are closed and the checkpoints are
    /// written.
    pub fn write_clean_shutdown(&self, broker_epoch: Option<BrokerEpoch>) -> Result<()> {
        checkpoint::write_clean_shutdown(&*self.disk, &self.path.join(checkpoint::CLEAN_SHUTDOWN), broker_epoch)
    }

    /// Reads the checkpoints. A damaged one counts as empty: then everything is recovered, or
    /// cleaned, from its start. See [`LogDir::damaged_checkpoints`].
    pub fn read_offsets(&self) -> Result<CheckpointedOffsets> {
        let read = |name: &str| match checkpoint::read_offsets(&*self.disk, &self.path.join(name)) {
            Err(Error::Corrupt { .. }) => Ok(OffsetCheckpoint::new()),
            other => other,
        };
        Ok(CheckpointedOffsets {
            recovery_points: read(checkpoint::RECOVERY_POINT)?,
            log_start_offsets: read(checkpoint::LOG_START)?,
            high_watermarks: read(checkpoint::REPLICATION)?,
            cleaned: read(checkpoint::CLEANER)?,
        })
    }

    /// Returns an error for each damaged checkpoint, for the log. If the log start offsets are
    /// damaged, deleted records are back.
    pub fn damaged_checkpoints(&self) -> Vec<Error> {
        let names = [checkpoint::RECOVERY_POINT, checkpoint::LOG_START, checkpoint::REPLICATION, checkpoint::CLEANER];
        let read = |name: &str| checkpoint::read_offsets(&*self.disk, &self.path.join(name)).err();
        names.into_iter().filter_map(read).filter(|error| matches!(error, Error::Corrupt { .. })).collect()
    }

    /// Replaces the recovery points with those that `collect` returns. It must read them from the
    /// logs: a log that truncates waits for it, or has lowered them before. It must not truncate.
    pub fn write_recovery_points(&self, collect: impl FnOnce() -> OffsetCheckpoint) -> Result<()> {
        self.checkpoints.replace(checkpoint::RECOVERY_POINT, collect)
    }

    /// Replaces the log start offsets. Only those above their first segment's base offset are
    /// needed.
    pub fn write_log_start_offsets(&self, collect: impl FnOnce() -> OffsetCheckpoint) -> Result<()> {
        self.checkpoints.replace(checkpoint::LOG_START, collect)
    }

    /// Replaces the high watermarks.
    pub fn write_high_watermarks(&self, collect: impl FnOnce() -> OffsetCheckpoint) -> Result<()> {
        self.checkpoints.replace(checkpoint::REPLICATION, collect)
    }

    /// Replaces how far each log is cleaned.
    pub fn write_cleaner_offsets(&self, offsets: &OffsetCheckpoint) -> Result<()> {
        checkpoint::write_offsets(&*self.disk, &self.path.join(checkpoint::CLEANER), offsets)
    }

    /// Returns every partition's folder, by name, `__cluster_metadata-0` included. Damage affects
    /// one folder alone: its topic id is `None`. Errors: the dir or a topic id cannot be read,
    /// which is a disk fault.
    pub fn partitions(&self) -> Result<Vec<PartitionFolder>> {
        find_partitions(&*self.disk, &self.path)
    }

    /// Creates a partition's folder, with the topic id in it, and its log. An existing folder is
    /// opened unchanged. Nothing is synced: until the log's first flush a power cut may remove any
    /// part of it, and a start recreates what is missing (`log::settle`).
    pub fn create(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Log> {
        let path = self.path.join(partition.to_string());
        self.create_at(path, partition, topic_id, config, now)
    }

    /// Creates a copy of a partition whose log is in another log dir. `Log::follow` fills it. As
    /// with `create`, nothing is synced.
    pub fn create_future(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        unique: Uuid,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Log> {
        let path = self.path.join(names::future_folder(partition, unique));
        self.create_at(path, partition, Some(topic_id), config, now)
    }

    fn create_at(
        &self,
        path: PathBuf,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Log> {
        self.disk.create_dir(&path).map_err(Error::io("create", &path))?;
        if let Some(topic_id) = topic_id {
            let metadata = path.join(names::PARTITION_METADATA);
            checkpoint::write_partition_metadata(&*self.disk, &metadata, topic_id, false)?;
        }
        self.open_log(partition, path, config, &CheckpointedOffsets::default(), false, now).map(|(log, _)| log)
    }

    /// Opens an unfinished copy of an earlier run. What was not flushed is removed, unless the last
    /// stop was clean: a crash may have removed records between others, and nobody would copy them
    /// again.
    pub fn open_future(
        &self,
        partition: &TopicPartition,
        path: PathBuf,
        config: LogConfig,
        offsets: &CheckpointedOffsets,
        is_clean: bool,
        now: Timestamp,
    ) -> Result<Log> {
        let (log, _) = self.open_log(partition, path, config, offsets, is_clean, now)?;
        log.truncate_to(log.recovery_point(), now)?;
        Ok(log)
    }

    /// Gives a copy the partition's own name if no folder has it, after a crash between the two
    /// renames of `Log::replace_with`. Returns its new path. Syncs the log dirs that may have held
    /// the log: a power cut must not bring it back beside this one.
    pub fn adopt_future<'a>(
        &self,
        partition: &TopicPartition,
        path: &Path,
        all: impl IntoIterator<Item = &'a LogDir>,
    ) -> Result<PathBuf> {
        all.into_iter().try_for_each(LogDir::sync)?;
        let own = self.path.join(partition.to_string());
        self.disk.rename(path, &own).map_err(Error::io("rename", path))?;
        self.sync()?;
        Ok(own)
    }

    /// Opens a partition's log and recovers it unless the last stop was clean. Its high watermark
    /// is the checkpoint's, or its start.
    pub fn open_log(
        &self,
        partition: &TopicPartition,
        path: PathBuf,
        config: LogConfig,
        offsets: &CheckpointedOffsets,
        is_clean: bool,
        now: Timestamp,
    ) -> Result<(Log, Recovery)> {
        self.open_log_until(partition, path, config, offsets, is_clean, now, self.interrupted.clone())
    }

    /// Does what `open_log` does, with a separate flag that interrupts the recovery.
    #[expect(clippy::too_many_arguments, reason = "what `open_log` takes, and one more")]
    pub fn open_log_until(
        &self,
        partition: &TopicPartition,
        path: PathBuf,
        config: LogConfig,
        offsets: &CheckpointedOffsets,
        is_clean: bool,
        now: Timestamp,
        interrupted: Arc<AtomicBool>,
    ) -> Result<(Log, Recovery)> {
        let options = OpenLog {
            disk: self.disk.clone(),
            open_files: self.open_files.clone(),
            path,
            partition: partition.clone(),
            config,
            recovery_point: offsets.recovery_points.get(partition).copied().unwrap_or(Offset(0)),
            log_start_offset: offsets.log_start_offsets.get(partition).copied(),
            is_clean,
            now,
            jitter_seed: self.jitter_seed,
            interrupted,
        };
        let (log, recovery) =
            Log::open_among(options, self.siblings.clone(), self.condition.clone(), Some(self.checkpoints.clone()))?;
        if let Some(high_watermark) = offsets.high_watermarks.get(partition) {
            log.set_high_watermark(*high_watermark);
        }
        log.set_cleaned_up_to(offsets.cleaned.get(partition).copied());
        Ok((log, recovery))
    }

    /// Returns how many bytes of records a start after a crash reads and checks in a partition's
    /// folder: those of the segment with the recovery point, and of all later ones.
    pub fn bytes_to_check(&self, path: &Path, recovery_point: Offset) -> Result<u64> {
        let mut lengths = std::collections::BTreeMap::new();
        for entry in self.disk.list(path).map_err(Error::io("list", path))? {
            if let Some((base, names::LOG)) = names::parse_segment_file(&entry.name) {
                let file = path.join(&entry.name);
                lengths.insert(base, self.disk.metadata(&file).map_err(Error::io("measure", &file))?.length);
            }
        }
        let first = lengths.range(..=recovery_point).next_back().map_or(Offset(0), |(base, _)| *base);
        Ok(lengths.range(first..).map(|(_, length)| length).sum())
    }

    /// Interrupts recoveries and refuses to open further logs, because the broker stops.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether `interrupt` was called.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Renames a folder that belongs to no partition of this broker, as Kafka does, and keeps its
    /// content. Returns its new path.
    pub fn set_aside(&self, partition: &TopicPartition, path: &Path, unique: Uuid) -> Result<PathBuf> {
        let aside = self.path.join(names::stray_folder(partition, unique));
        self.disk.rename(path, &aside).map_err(Error::io("rename", path))?;
        self.sync()?;
        Ok(aside)
    }

    /// Renames the folder of a deleted partition whose log is not open, as `Log::delete` does.
    /// Returns its new path.
    pub fn rename_deleted(&self, partition: &TopicPartition, path: &Path, unique: Uuid) -> Result<PathBuf> {
        let renamed = self.path.join(names::deleted_folder(partition, unique));
        self.disk.rename(path, &renamed).map_err(Error::io("rename", path))?;
        Ok(renamed)
    }

    /// Makes the names of all folders survive a power cut. Called once for all logs that
    /// `Log::delete` renamed.
    pub fn sync(&self) -> Result<()> {
        self.disk.sync_dir(&self.path).map_err(Error::io("sync", &self.path))
    }

    /// Removes a folder and all files in it: one that `Log::delete` renamed, or that was found at
    /// start.
    pub fn remove_folder(&self, path: &Path) -> Result<()> {
        let entries = match self.disk.list(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", path)(error)),
        };
        for entry in entries {
            let inner = path.join(entry.name);
            match entry.is_dir {
                true => self.remove_folder(&inner)?,
                false => self.disk.remove_file(&inner).map_err(Error::io("remove", &inner))?,
            }
        }
        self.disk.remove_dir(path).map_err(Error::io("remove", path))
    }

    /// Releases the lock and removes its file, as Kafka does. The dir must not be changed
    /// afterwards.
    pub fn unlock(&self) -> Result<()> {
        let Some(lock) = self.lock.lock().take() else { return Ok(()) };
        let path = self.path.join(".lock");
        let removed = disk::remove_if_there(&*self.unwatched, &path).map_err(Error::io("remove", &path));
        drop(lock);
        removed.map(|_| ())
    }
}

/// Returns every partition's folder in a log dir that need not be locked, like
/// [`LogDir::partitions`].
pub fn find_partitions(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<PartitionFolder>> {
    let mut found = Vec::new();
    let mut entries = disk.list(log_dir).map_err(Error::io("list", log_dir))?;
    entries.sort();
    for entry in entries.into_iter().filter(|entry| entry.is_dir) {
        let Some(folder) = Folder::parse(&entry.name) else { continue };
        let path = log_dir.join(entry.name);
        let topic_id = match folder {
            // A folder that waits for its removal may lack anything.
            Folder::Deleted(_) | Folder::Stray(_) => None,
            _ => match checkpoint::read_partition_metadata(disk, &path.join(names::PARTITION_METADATA)) {
                // A damaged file has no topic id. One that cannot be read is a fault: its topic may
                // have been deleted.
                Err(Error::Corrupt { .. }) => None,
                read => read?,
            },
        };
        found.push(PartitionFolder { folder, path, topic_id });
    }
    Ok(found)
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod relocation;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn open(disk: &SimDisk) -> Result<LogDir> {
        LogDir::open(Arc::new(disk.clone()), OpenFiles::new(10), PathBuf::from("/data"), 0)
    }

    #[test]
    fn a_dir_has_one_owner() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        assert!(matches!(open(&disk), Err(Error::Locked { .. })));
        dir.unlock().unwrap();
        assert!(disk.files().is_empty());
        open(&disk).unwrap();
    }

    #[test]
    fn a_damaged_checkpoint_counts_as_empty_and_is_told_of() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let offsets: OffsetCheckpoint = [(TopicPartition::new("t", 0), Offset(7))].into();
        dir.write_recovery_points(|| offsets.clone()).unwrap();
        dir.write_log_start_offsets(|| offsets.clone()).unwrap();
        assert!(dir.damaged_checkpoints().is_empty(), "one that is missing is not damaged");
        disk::write_atomically(&disk, Path::new("/data/log-start-offset-checkpoint"), b"0\n2\nt 0 7\n").unwrap();
        let damaged = dir.damaged_checkpoints();
        assert!(matches!(&damaged[..], [Error::Corrupt { path, .. }] if path.ends_with("log-start-offset-checkpoint")));
        assert_eq!(
            dir.read_offsets().unwrap(),
            CheckpointedOffsets { recovery_points: offsets, ..CheckpointedOffsets::default() }
        );
    }

    #[test]
    fn where_the_cleaners_checkpoint_is_damaged_a_log_is_cleaned_from_its_start() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let (partition, now) = (TopicPartition::new("t", 0), Timestamp(0));
        let cleaned: OffsetCheckpoint = [(partition.clone(), Offset(7))].into();
        dir.write_cleaner_offsets(&cleaned).unwrap();
        let config = LogConfig::default();
        drop(dir.create(&partition, None, config.clone(), now).unwrap());
        let path = dir.path().join("t-0");
        let open = |offsets: &CheckpointedOffsets| {
            dir.open_log(&partition, path.clone(), config.clone(), offsets, false, now).unwrap().0
        };
        assert_eq!(open(&dir.read_offsets().unwrap()).cleaned_up_to(), Some(Offset(7)));
        for damaged in ["0\n2\nt 0 7\n", "0\n1\nt 0 x\n", "7\n1\nt 0 7\n"] {
            disk::write_atomically(&disk, Path::new("/data/cleaner-offset-checkpoint"), damaged.as_bytes()).unwrap();
            let offsets = dir.read_offsets().unwrap();
            assert_eq!(
                (&offsets, open(&offsets).cleaned_up_to()),
                (&CheckpointedOffsets::default(), None),
                "{damaged:?}"
            );
            let damaged = dir.damaged_checkpoints();
            assert!(
                matches!(&damaged[..], [Error::Corrupt { path, .. }] if path.ends_with("cleaner-offset-checkpoint"))
            );
        }
        dir.write_cleaner_offsets(&cleaned).unwrap();
        assert!(dir.damaged_checkpoints().is_empty());
    }

    #[test]
    fn a_marker_of_a_clean_stop_that_a_killed_start_removed_does_not_come_back() {
        for seed in 0..20 {
            let disk = SimDisk::new();
            disk.create_dir(Path::new("/data")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            open(&disk).unwrap().write_clean_shutdown(None).unwrap();
            disk.crash(disk::Crash::Process);
            let dir = open(&disk).unwrap();
            disk.crash_after(1);
            assert!(dir.forget_clean_shutdown().is_err());
            disk.crash(disk::Crash::Process);
            open(&disk).unwrap().forget_clean_shutdown().unwrap();
            disk.crash(disk::Crash::Power { seed });
            assert_eq!(open(&disk).unwrap().clean_shutdown().unwrap(), None, "seed {seed}");
        }
    }

    #[test]
    fn what_nobody_owns_is_set_aside_with_all_that_is_in_it() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let partition = TopicPartition::new("lost", 4);
        dir.create(&partition, None, LogConfig::default(), Timestamp(0)).unwrap();
        let path = dir.path().join("lost-4");
        let files = disk.list(&path).unwrap().len();
        let aside = dir.set_aside(&partition, &path, TopicId::from_random([7; 16])).unwrap();
        assert_eq!(disk.list(&aside).unwrap().len(), files);
        let found = dir.partitions().unwrap();
        assert_eq!(found, [PartitionFolder { folder: Folder::Stray(partition), path: aside, topic_id: None }]);
    }

    #[test]
    fn what_a_recovery_reads_is_known_before_it() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let path = Path::new("/data/t-0");
        disk.create_dir(path).unwrap();
        for (base, length) in [(0, 100), (50, 200), (90, 30)] {
            let file = path.join(names::segment_file(Offset(base), names::LOG));
            disk.open(&file, disk::OpenMode::Create).unwrap().truncate(length).unwrap();
        }
        let bytes = |point| dir.bytes_to_check(path, Offset(point)).unwrap();
        assert_eq!([bytes(0), bytes(49), bytes(50), bytes(90), bytes(1000)], [330, 330, 230, 30, 30]);
        assert!(dir.bytes_to_check(Path::new("/data/u-0"), Offset(0)).is_err());
    }

    #[test]
    fn a_folder_that_was_never_opened_is_renamed_as_a_deleted_one() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let partition = TopicPartition::new("t", 4);
        drop(dir.create(&partition, None, LogConfig::default(), Timestamp(0)).unwrap());
        let path = dir.rename_deleted(&partition, &dir.path().join("t-4"), TopicId::from_random([7; 16])).unwrap();
        let folder = Folder::Deleted(partition);
        assert_eq!(dir.partitions().unwrap(), [PartitionFolder { folder, path, topic_id: None }]);
    }

    #[test]
    fn partitions_are_created_found_and_removed() {
        let disk = SimDisk::new();
        let dir = open(&disk).unwrap();
        let (kept, gone) = (TopicPartition::new("a.b_c-d", 3), TopicPartition::new("gone", 0));
        let id = TopicId::from_random([5; 16]);
        let now = Timestamp(0);
        let log = dir.create(&kept, Some(id), LogConfig::default(), now).unwrap();
        let other = dir.create(&gone, None, LogConfig::default(), now).unwrap();
        disk.create_dir(Path::new("/data/lost+found")).unwrap();
        let path = other.delete(TopicId::from_random([6; 16])).unwrap();
        let found = dir.partitions().unwrap();
        let folder = |found: &PartitionFolder| found.folder.clone();
        assert_eq!(
            found.iter().map(folder).collect::<Vec<_>>(),
            [Folder::Partition(kept.clone()), Folder::Deleted(gone)]
        );
        assert_eq!(found[0].topic_id, Some(id));
        dir.remove_folder(&path).unwrap();
        dir.remove_folder(&path).unwrap();
        assert_eq!(dir.partitions().unwrap().len(), 1);
        log.truncate_fully_and_start_at(Offset(7), now).unwrap();
        log.close(now).unwrap();
        let offsets = CheckpointedOffsets {
            high_watermarks: [(kept.clone(), Offset(7))].into(),
            ..CheckpointedOffsets::default()
        };
        dir.write_high_watermarks(|| offsets.high_watermarks.clone()).unwrap();
        dir.write_clean_shutdown(Some(BrokerEpoch(4))).unwrap();
        assert_eq!(dir.read_offsets().unwrap(), offsets);
        assert_eq!(dir.clean_shutdown().unwrap(), Some(CleanShutdown { broker_epoch: Some(BrokerEpoch(4)) }));
        let (log, _) = dir.open_log(&kept, found[0].path.clone(), LogConfig::default(), &offsets, true, now).unwrap();
        assert_eq!((log.log_start_offset(), log.high_watermark()), (Offset(7), Offset(7)));
        dir.forget_clean_shutdown().unwrap();
        assert_eq!(dir.clean_shutdown().unwrap(), None);
    }
}

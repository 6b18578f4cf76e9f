//! What a broker does with its log dir, in the broker's order: opens the logs, writes checkpoints,
//! deletes topics, stops cleanly.

use crate::partition::{Partition, Pending};
use model::{Offset, Timestamp, TopicId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use storage::disk::SimDisk;
use storage::names::Folder;
use storage::{
    CheckpointedOffsets, GroupCommit, Log, LogDir, OffsetCheckpoint, OpenFiles, PartitionFolder, Recovery, Result,
};

/// The limit of open files: low, so that logs lose their slots.
const OPEN_FILES: usize = 6;

/// A running node.
#[derive(Debug)]
pub struct Node {
    pub dir: LogDir,
    /// By partition; `None` between the deletion of a topic and the creation of the next one.
    pub logs: Vec<Option<Arc<Log>>>,
    /// Batches that wait for a flush before they are acknowledged.
    pub commits: GroupCommit<Log>,
    /// Folders that wait for removal.
    pub doomed: Vec<PathBuf>,
}

/// The result of a start.
#[derive(Debug)]
pub struct Started {
    pub node: Node,
    pub is_clean: bool,
    pub offsets: CheckpointedOffsets,
    pub recoveries: Vec<Recovery>,
}

/// Returns the path of the log dir.
pub fn log_dir() -> PathBuf {
    PathBuf::from("/data")
}

impl Node {
    /// Opens a log dir with all its partitions. `unique` names renamed folders.
    pub fn start(disk: &SimDisk, partitions: &[Partition], now: Timestamp, unique: u8) -> Result<Started> {
        let dir = LogDir::open(Arc::new(disk.clone()), OpenFiles::new(OPEN_FILES), log_dir(), 7)?;
        let mut offsets = dir.read_offsets()?;
        let read = offsets.clone();
        let is_clean = dir.clean_shutdown()?.is_some();
        let mut folders = BTreeMap::new();
        for found in dir.partitions()? {
            match found.folder.clone() {
                Folder::Partition(name) => drop(folders.insert(name, found)),
                Folder::Deleted(_) => dir.remove_folder(&found.path)?,
                Folder::Future(_) | Folder::Stray(_) => {}
            }
        }
        forget_stale(&dir, partitions, &folders, &mut offsets)?;
        dir.forget_clean_shutdown()?;
        let (mut logs, mut recoveries) = (Vec::new(), Vec::new());
        for partition in partitions {
            let found = folders.get(&partition.name).filter(|found| is_of(found, partition));
            let (log, recovery) = match found {
                Some(found) => open(&dir, partition, found, &mut offsets, is_clean, now)?,
                None => {
                    if let Some(found) = folders.get(&partition.name) {
                        dir.set_aside(&partition.name, &found.path, TopicId::from_random([unique; 16]))?;
                    }
                    let log = dir.create(&partition.name, Some(partition.topic_id()), partition.config.clone(), now)?;
                    (log, Recovery::default())
                }
            };
            logs.push(Some(Arc::new(log)));
            recoveries.push(recovery);
        }
        let node = Node { dir, logs, commits: GroupCommit::default(), doomed: Vec::new() };
        Ok(Started { node, is_clean, offsets: read, recoveries })
    }

    /// Returns the open logs.
    pub fn open_logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter().flatten().map(|log| &**log)
    }

    /// Returns the log of a partition.
    pub fn log(&self, index: usize) -> Option<&Log> {
        self.logs[index].as_deref()
    }

    /// Returns the recovery points to write.
    pub fn recovery_points(&self) -> OffsetCheckpoint {
        self.open_logs().map(|log| (log.partition().clone(), log.recovery_point())).collect()
    }

    /// Returns the log start offsets to write.
    pub fn log_start_offsets(&self) -> OffsetCheckpoint {
        let of = |log: &Log| Some((log.partition().clone(), log.log_start_to_checkpoint()?));
        self.open_logs().filter_map(of).collect()
    }

    /// Returns the high watermarks to write.
    pub fn high_watermarks(&self) -> OffsetCheckpoint {
        self.open_logs().map(|log| (log.partition().clone(), log.high_watermark())).collect()
    }
}

/// Returns whether a folder may belong to the topic of the metadata log.
fn is_of(found: &PartitionFolder, partition: &Partition) -> bool {
    match found.topic_id {
        Some(topic_id) => topic_id == partition.topic_id(),
        // A folder without a topic id has only a name. If it belongs to an older topic that was
        // never flushed, a start cannot detect this. The course does not count this as a fault of
        // the store.
        None => partition.pending != Pending::Recreate { was_settled: false },
    }
}

/// Removes checkpoint entries of an older topic, on disk too, before a log of the same name is
/// created.
fn forget_stale(
    dir: &LogDir,
    partitions: &[Partition],
    folders: &BTreeMap<model::TopicPartition, PartitionFolder>,
    offsets: &mut CheckpointedOffsets,
) -> Result<()> {
    let mut is_stale = false;
    for partition in partitions {
        if folders.get(&partition.name).is_some_and(|found| is_of(found, partition)) {
            continue;
        }
        let CheckpointedOffsets { recovery_points, log_start_offsets, high_watermarks, .. } = offsets;
        for checkpoint in [recovery_points, log_start_offsets, high_watermarks] {
            is_stale |= checkpoint.remove(&partition.name).is_some();
        }
    }
    if is_stale {
        dir.write_recovery_points(|| offsets.recovery_points.clone())?;
        dir.write_log_start_offsets(|| offsets.log_start_offsets.clone())?;
        dir.write_high_watermarks(|| offsets.high_watermarks.clone())?;
    }
    Ok(())
}

fn open(
    dir: &LogDir,
    partition: &Partition,
    found: &PartitionFolder,
    offsets: &mut CheckpointedOffsets,
    is_clean: bool,
    now: Timestamp,
) -> Result<(Log, Recovery)> {
    let (log, recovery) =
        dir.open_log(&partition.name, found.path.clone(), partition.config.clone(), offsets, is_clean, now)?;
    // If a checkpoint is ahead of the log, records appended from now on would count as flushed.
    let known = offsets.recovery_points.get(&partition.name).copied().unwrap_or(Offset(0));
    if log.recovery_point() < known {
        offsets.recovery_points.insert(partition.name.clone(), log.recovery_point());
        dir.write_recovery_points(|| offsets.recovery_points.clone())?;
    }
    if found.topic_id.is_none() {
        log.restore_topic_id(partition.topic_id())?;
    }
    Ok((log, recovery))
}

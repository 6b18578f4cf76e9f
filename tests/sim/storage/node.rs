//! What a broker does with its log dir, in its order: opens what is there, writes checkpoints, deletes topics, ends cleanly.

use crate::partition::{Partition, Pending};
use model::{Offset, Timestamp, TopicId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use storage::disk::SimDisk;
use storage::names::Folder;
use storage::{Found, GroupCommit, Log, LogDir, OffsetCheckpoint, Offsets, OpenFiles, Recovery, Result};

/// Files that stay open: few, so that slots are taken away.
const OPEN_FILES: usize = 6;

/// A running node.
#[derive(Debug)]
pub struct Node {
    pub dir: LogDir,
    /// By partition; `None` from the deletion of one topic's to the creation of the next one's.
    pub logs: Vec<Option<Arc<Log>>>,
    /// Batches that are acknowledged once they are on disk.
    pub commits: GroupCommit<Log>,
    /// Folders that wait for their removal.
    pub doomed: Vec<PathBuf>,
}

/// What a start found.
#[derive(Debug)]
pub struct Started {
    pub node: Node,
    pub is_clean: bool,
    pub offsets: Offsets,
    pub recoveries: Vec<Recovery>,
}

/// Where the log dir is.
pub fn log_dir() -> PathBuf {
    PathBuf::from("/data")
}

impl Node {
    /// Opens a log dir with all its partitions. `unique` names folders that are renamed.
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

    /// The logs that are open.
    pub fn open_logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter().flatten().map(|log| &**log)
    }

    /// The log of a partition.
    pub fn log(&self, index: usize) -> Option<&Log> {
        self.logs[index].as_deref()
    }

    /// The recovery points as they would be written.
    pub fn recovery_points(&self) -> OffsetCheckpoint {
        self.open_logs().map(|log| (log.partition().clone(), log.recovery_point())).collect()
    }

    /// The log start offsets as they would be written.
    pub fn log_start_offsets(&self) -> OffsetCheckpoint {
        let of = |log: &Log| Some((log.partition().clone(), log.log_start_to_checkpoint()?));
        self.open_logs().filter_map(of).collect()
    }

    /// The high watermarks as they would be written.
    pub fn high_watermarks(&self) -> OffsetCheckpoint {
        self.open_logs().map(|log| (log.partition().clone(), log.high_watermark())).collect()
    }
}

/// Whether a folder may be of the topic that the metadata log has.
fn is_of(found: &Found, partition: &Partition) -> bool {
    match found.topic_id {
        Some(topic_id) => topic_id == partition.topic_id(),
        // Of a folder that lost its topic id only its name is known: that it is an older topic's, which was never flushed, nobody can tell. The course
        // does not count that against the store.
        None => partition.pending != Pending::Recreate { was_settled: false },
    }
}

/// What checkpoints say of an older topic is forgotten, on disk too, before the log is created that would be taken for its.
fn forget_stale(
    dir: &LogDir,
    partitions: &[Partition],
    folders: &BTreeMap<model::TopicPartition, Found>,
    offsets: &mut Offsets,
) -> Result<()> {
    let mut is_stale = false;
    for partition in partitions {
        if folders.get(&partition.name).is_some_and(|found| is_of(found, partition)) {
            continue;
        }
        let Offsets { recovery_points, log_start_offsets, high_watermarks, .. } = offsets;
        for checkpoint in [recovery_points, log_start_offsets, high_watermarks] {
            is_stale |= checkpoint.remove(&partition.name).is_some();
        }
    }
    if is_stale {
        dir.write_recovery_points(&offsets.recovery_points)?;
        dir.write_log_start_offsets(&offsets.log_start_offsets)?;
        dir.write_high_watermarks(&offsets.high_watermarks)?;
    }
    Ok(())
}

fn open(
    dir: &LogDir,
    partition: &Partition,
    found: &Found,
    offsets: &mut Offsets,
    is_clean: bool,
    now: Timestamp,
) -> Result<(Log, Recovery)> {
    let (log, recovery) =
        dir.open_log(&partition.name, found.path.clone(), partition.config.clone(), offsets, is_clean, now)?;
    // A checkpoint that is ahead of the log would count as flushed what is appended from now on.
    let known = offsets.recovery_points.get(&partition.name).copied().unwrap_or(Offset(0));
    if log.recovery_point() < known {
        offsets.recovery_points.insert(partition.name.clone(), log.recovery_point());
        dir.write_recovery_points(&offsets.recovery_points)?;
    }
    if found.topic_id.is_none() {
        log.restore_topic_id(partition.topic_id())?;
    }
    Ok((log, recovery))
}

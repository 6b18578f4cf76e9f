//! What was found in a log dir at start: the partitions' folders and the checkpoints. Entries stay
//! until each log is opened.
//!
//! Invariant: the checkpoint entry of a partition is kept, and written again, until its log is
//! open. So a stop during a recovery, or a log that cannot be opened now, loses no entry.

use model::{METADATA_TOPIC, Offset, TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use storage::{CheckpointedOffsets, LogDir, OffsetCheckpoint, names::Folder};
use tracing::warn;

/// A partition's folder.
#[derive(Clone, Debug)]
pub(super) struct LogFolder {
    pub(super) path: PathBuf,
    /// From its `partition.metadata`. `None` if the file is missing or damaged.
    pub(super) topic_id: Option<TopicId>,
}

impl LogFolder {
    /// Whether it may belong to this topic.
    pub(super) fn is_of(&self, topic_id: TopicId) -> bool {
        self.topic_id.is_none_or(|found| found == topic_id)
    }
}

/// The logs that are not open yet.
#[derive(Debug, Default)]
pub(super) struct UnopenedLogs {
    pub(super) folders: BTreeMap<TopicPartition, LogFolder>,
    /// Unfinished copies of partitions in other log dirs.
    pub(super) copies: BTreeMap<TopicPartition, LogFolder>,
    pub(super) offsets: CheckpointedOffsets,
    /// Whether the last shutdown was clean.
    pub(super) is_clean: bool,
}

impl UnopenedLogs {
    /// Reads a log dir. Folders that waited for removal are removed.
    pub(super) fn read(dir: &LogDir) -> Result<Self, storage::Error> {
        let mut unopened = UnopenedLogs {
            offsets: dir.read_offsets()?,
            is_clean: dir.clean_shutdown()?.is_some(),
            ..UnopenedLogs::default()
        };
        for damage in dir.damaged_checkpoints() {
            warn!(error = %damage, "a checkpoint is damaged and counts as empty: logs that were not closed are read from their start, compacted ones are cleaned from there, and records that DeleteRecords took may be there again");
        }
        for found in dir.partitions()? {
            match found.folder {
                Folder::Partition(partition) if METADATA_TOPIC == &*partition.topic => {}
                Folder::Partition(partition) => {
                    unopened.folders.insert(partition, LogFolder { path: found.path, topic_id: found.topic_id });
                }
                Folder::Deleted(_) => {
                    if let Err(fault) = dir.remove_folder(&found.path) {
                        warn!(path = %found.path.display(), error = %fault, "a deleted partition could not be removed");
                    }
                }
                Folder::Future(partition) => {
                    unopened.copies.insert(partition, LogFolder { path: found.path, topic_id: found.topic_id });
                }
                // Gregor does not touch stray folders.
                Folder::Stray(_) => {}
            }
        }
        Ok(unopened)
    }

    /// Returns the checkpoint entries of one partition.
    pub(super) fn offsets_of(&self, name: &TopicPartition) -> CheckpointedOffsets {
        let of = |offsets: &BTreeMap<TopicPartition, Offset>| {
            offsets.get(name).map(|offset| (name.clone(), *offset)).into_iter().collect()
        };
        CheckpointedOffsets {
            recovery_points: of(&self.offsets.recovery_points),
            log_start_offsets: of(&self.offsets.log_start_offsets),
            high_watermarks: of(&self.offsets.high_watermarks),
            cleaned: of(&self.offsets.cleaned),
        }
    }

    /// Takes a partition's folder and forgets its checkpoint entries: its log is open, or its
    /// folder belongs to no partition.
    pub(super) fn take(&mut self, name: &TopicPartition) -> Option<LogFolder> {
        self.forget(name);
        self.folders.remove(name)
    }

    /// Forgets the checkpoint entries of one partition. Returns whether there were any.
    pub(super) fn forget(&mut self, name: &TopicPartition) -> bool {
        self.checkpoints().into_iter().filter_map(|offsets| offsets.remove(name)).count() > 0
    }

    /// Forgets the checkpoint entries of all partitions except `kept`. Returns whether there were
    /// any.
    pub(super) fn forget_all_but(&mut self, kept: &BTreeSet<TopicPartition>) -> bool {
        self.checkpoints().into_iter().fold(false, |any, offsets| {
            let before = offsets.len();
            offsets.retain(|name, _| kept.contains(name));
            any || offsets.len() < before
        })
    }

    fn checkpoints(&mut self) -> [&mut OffsetCheckpoint; 4] {
        let CheckpointedOffsets { recovery_points, log_start_offsets, high_watermarks, cleaned } = &mut self.offsets;
        [recovery_points, log_start_offsets, high_watermarks, cleaned]
    }
}

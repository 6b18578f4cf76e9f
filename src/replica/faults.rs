//! How disk errors are handled. If a log dir fails, its partitions go offline, as in Kafka, and
//! other log dirs continue. If a disk is full, producers are refused until there is space, and then
//! logs that could not be opened are opened.
//!
//! Invariant: a partition that may be in a failed log dir is not created again in another one,
//! where it would start without its records.

use super::{Dir, HostedPartition, Replicas};
use metadata::image::Topic;
use model::{DirectoryId, TopicIdPartition, TopicPartition};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::Error;
use tracing::{error, info, warn};

/// A partition that is not served.
#[derive(Clone, Debug)]
pub(super) struct OfflinePartition {
    pub(super) name: TopicPartition,
    reason: OfflineReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfflineReason {
    /// Its log dir failed. It stays offline until the broker restarts.
    DirFailed,
    /// Its log could not be opened on a full disk. It is opened when there is space.
    NoRoom,
    /// Its log could not be opened. The next change of the partition tries again.
    CannotOpen,
}

/// The bytes of a disk that producers may not use, unless a setting says otherwise: 1% of the disk,
/// at most this. On a small disk this leaves most of the space to records. On a large disk, the
/// writes that continue while producers are refused (metadata, group offsets, checkpoints,
/// compaction) need no more.
const RESERVE_MOST: u64 = 1 << 30;

impl Dir {
    /// Returns why it is offline, if it is.
    pub fn fault(&self) -> Option<&str> {
        self.log_dir.fault()
    }

    /// Whether producers are refused because its disk is full.
    pub fn is_full(&self) -> bool {
        self.log_dir.is_full()
    }

    /// Logs an error, unless it concerns the whole dir: it is full or offline.
    pub(super) fn log_error(&self, fault: &Error, what: &str) {
        if self.fault().is_none() && !fault.is_disk_full() {
            error!(log_dir = %self.path().display(), error = %fault, "{what}");
        }
    }

    /// Checks the space on the disk, and logs when it becomes too little or enough. Returns whether
    /// there is enough.
    fn check_room(&self, reserve_bytes: Option<u64>) -> bool {
        let was_refused = self.is_full();
        let mut reserve = 0;
        let checked = self.log_dir.check_space(|space| {
            reserve = reserve_bytes.unwrap_or((space.total_bytes / 100).min(RESERVE_MOST));
            reserve
        });
        let (free, path) = match checked {
            Ok(space) => (space.usable_bytes, self.path().display()),
            Err(fault) => {
                self.log_error(&fault, "the room of a log dir's disk is not known");
                return false;
            }
        };
        let is_full = self.is_full();
        if (is_full || was_refused) && !self.is_full_logged.swap(true, Ordering::SeqCst) {
            warn!(log_dir = %path, free, reserve, "the disk is full: producers are refused until there is room");
        } else if !is_full && !was_refused && self.is_full_logged.swap(false, Ordering::SeqCst) {
            info!(log_dir = %path, free, reserve, "the disk has room again");
        }
        !is_full
    }
}

impl Replicas {
    /// Returns the log dirs that are not offline.
    pub fn online_dirs(&self) -> impl Iterator<Item = &Arc<Dir>> {
        self.dirs.iter().filter(|dir| dir.fault().is_none())
    }

    /// Returns the ids of the log dirs that went offline since the start.
    pub fn offline_dir_ids(&self) -> Vec<DirectoryId> {
        self.dirs.iter().filter(|dir| dir.fault().is_some()).map(|dir| dir.id()).collect()
    }

    /// Returns the log dirs that could not be used at start.
    pub fn lost_dirs(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Returns the paths of the offline log dirs.
    pub fn offline_dirs(&self) -> Vec<&Path> {
        let failed = self.dirs.iter().filter(|dir| dir.fault().is_some()).map(|dir| dir.path());
        failed.chain(self.lost.iter().map(PathBuf::as_path)).collect()
    }

    /// Takes all partitions of a failed log dir offline.
    pub fn take_offline(&self, dir: &Arc<Dir>) {
        let _image_lock = self.image_lock.lock();
        let image = self.image.load_full();
        for id in dir.queue.drain() {
            if let Some(topic) = image.topics.by_id(id.topic_id) {
                self.note_offline(topic, id, OfflineReason::DirFailed);
            }
        }
        self.end_moves_of(dir);
        let gone: Vec<HostedPartition> = {
            let mut partitions = self.partitions.write();
            partitions.extract_if(.., |_, hosted| hosted.is_in(dir)).map(|(_, hosted)| hosted).collect()
        };
        let mut offline = self.offline.write();
        for hosted in &gone {
            let name = hosted.partition.log().partition().clone();
            offline.insert(hosted.partition.id(), OfflinePartition { name, reason: OfflineReason::DirFailed });
        }
        drop(offline);
        for HostedPartition { partition, .. } in &gone {
            partition.resign();
            self.notify_leadership_listener(partition);
        }
    }

    /// Whether a partition is in a log dir that failed.
    pub(super) fn is_lost(&self, id: TopicIdPartition) -> bool {
        self.offline.read().get(&id).is_some_and(|offline| offline.reason == OfflineReason::DirFailed)
    }

    /// Whether a partition without a folder in the online log dirs may have one in an offline log
    /// dir. It does not if it is new, or if it is assigned to an online log dir.
    pub(super) fn may_be_offline(&self, topic: &Topic, id: TopicIdPartition) -> bool {
        let Some(state) = topic.partition(id.partition) else { return false };
        let is_online = |assigned| self.online_dirs().any(|dir| dir.id() == assigned);
        if self.offline_dirs().is_empty() || state.directory(self.node_id).is_some_and(is_online) {
            return false;
        }
        let is_assigned_offline =
            state.directory(self.node_id).is_some_and(|assigned| self.offline_dir_ids().contains(&assigned));
        let was_there_before = !self.is_loaded() || state.leader_epoch.0 > 0 || state.partition_epoch.0 > 0;
        is_assigned_offline || was_there_before
    }

    pub(super) fn cannot_open(&self, topic: &Topic, id: TopicIdPartition, fault: &Error) {
        let is_dirs = match fault {
            Error::Offline { .. } => true,
            Error::Io { .. } => !self.offline_dir_ids().is_empty(),
            _ => false,
        };
        let reason = match fault {
            fault if fault.is_refusal() => OfflineReason::NoRoom,
            _ if is_dirs => OfflineReason::DirFailed,
            _ => OfflineReason::CannotOpen,
        };
        if reason != OfflineReason::DirFailed {
            error!(topic = %topic.name, partition = %id.partition, error = %fault, "a partition's log could not be opened");
        }
        self.note_offline(topic, id, reason);
    }

    fn note_offline(&self, topic: &Topic, id: TopicIdPartition, reason: OfflineReason) {
        let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
        self.offline.write().insert(id, OfflinePartition { name, reason });
    }

    /// Whether this broker has the partition and does not serve it: its log could not be opened, or
    /// its log dir, its log or its coordinator has failed.
    pub fn is_offline(&self, id: TopicIdPartition) -> bool {
        let is_hosted_offline = self.partitions.read().get(&id).is_some_and(|it| it.partition.has_failed());
        is_hosted_offline || self.offline.read().contains_key(&id)
    }

    /// Returns how many of this broker's partitions are offline.
    pub fn offline_count(&self) -> usize {
        let partitions = self.partitions.read();
        let failed = partitions.values().filter(|it| it.partition.has_failed()).count();
        let offline = self.offline.read();
        failed + offline.keys().filter(|id| !partitions.contains_key(id)).count()
    }

    /// Returns the names of the partitions that are not served.
    pub(super) fn offline_names(&self) -> BTreeSet<TopicPartition> {
        self.offline.read().values().map(|offline| offline.name.clone()).collect()
    }

    /// Whether a log could not be opened for another reason than a failed log dir.
    pub(super) fn has_unopenable(&self) -> bool {
        self.offline.read().values().any(|offline| offline.reason != OfflineReason::DirFailed)
    }

    /// Checks the space on all disks. If there is enough, opens the partitions that a full disk
    /// kept closed.
    pub fn check_room(self: &Arc<Self>) {
        let rooms: Vec<bool> = self.online_dirs().map(|dir| dir.check_room(self.reserve_bytes)).collect();
        let has_room = rooms.into_iter().any(|has_room| has_room);
        if has_room && self.offline.read().values().any(|offline| offline.reason == OfflineReason::NoRoom) {
            self.open_refused();
        }
    }

    fn open_refused(self: &Arc<Self>) {
        let image_lock = self.image_lock.lock();
        let image = self.image.load_full();
        let refused: Vec<TopicIdPartition> = {
            let offline = self.offline.read();
            offline.iter().filter(|(_, it)| it.reason == OfflineReason::NoRoom).map(|(id, _)| *id).collect()
        };
        let of = |id: &TopicIdPartition| Some((image.topics.by_id(id.topic_id)?.clone(), id.partition));
        let new = self.queue_existing(refused.iter().filter_map(of).collect());
        for (topic, index) in &new {
            self.apply_partition(&image, topic, *index);
        }
        drop(image_lock);
        self.open_queued();
    }
}

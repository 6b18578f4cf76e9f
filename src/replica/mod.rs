//! The partitions on this broker: which there are, whom they belong to, and the log dir that holds them.
//!
//! The publisher alone adds and removes partitions and changes who leads them, always by an image; requests look them up.

mod left;
mod maintenance;
mod partition;
pub mod session;
mod watch;

pub use partition::{Append, AppendError, Appended, Found, Partition, ReadError, ReadRequest, WriteRules};
pub use watch::{Wake, Watch};

use self::left::{Left, LeftFolder, Progress};
use crate::runtime::clock::Clock;
use crate::runtime::{blocking, random};
use metadata::Changes;
use metadata::image::{Image, ResourceType, Topic};
use model::{
    BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionIndex, Timestamp, TopicId, TopicIdPartition, TopicPartition,
};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{Log, LogConfig, LogDir};
use tracing::{error, info, warn};

/// How many logs are closed at a time at least. Each waits for syncs and for little else, and a file system serves syncs that wait together with one
/// write of its journal.
const CLOSING_THREADS: usize = 16;

/// What a topic's settings are, as an image has them.
pub type TopicSettings = Box<dyn Fn(&Image, &str) -> (LogConfig, WriteRules) + Send + Sync>;

/// All partitions of this broker.
pub struct Replicas {
    node_id: BrokerId,
    dir: LogDir,
    settings: TopicSettings,
    clock: Clock,
    recovery_threads: usize,
    partitions: RwLock<HashMap<TopicIdPartition, Arc<Partition>>>,
    /// Partitions whose logs could not be opened.
    offline: RwLock<HashMap<TopicIdPartition, TopicPartition>>,
    left: Mutex<Left>,
    /// Folders that are removed later, with the time from which on.
    doomed: Mutex<Vec<(Timestamp, PathBuf)>>,
    /// Held while a checkpoint file is replaced, so that the newest word comes last.
    checkpoints: Mutex<()>,
    is_loaded: AtomicBool,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").field("dir", &self.dir.path()).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Looks at what is in a log dir; nothing is opened yet. Errors: the log dir cannot be read.
    pub fn new(
        node_id: BrokerId,
        dir: LogDir,
        settings: TopicSettings,
        recovery_threads: usize,
        clock: Clock,
    ) -> Result<Self, storage::Error> {
        let left = Left::read(&dir)?;
        Ok(Self {
            node_id,
            dir,
            settings,
            clock,
            recovery_threads: recovery_threads.max(1),
            partitions: RwLock::default(),
            offline: RwLock::default(),
            left: Mutex::new(left),
            doomed: Mutex::default(),
            checkpoints: Mutex::default(),
            is_loaded: AtomicBool::new(false),
        })
    }

    /// Whether the last run ended cleanly.
    pub fn was_clean(&self) -> bool {
        self.left.lock().is_clean
    }

    /// The log dir's path.
    pub fn log_dir_path(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    /// The room on the log dir's disk.
    pub fn space(&self) -> std::io::Result<storage::disk::Space> {
        self.dir.disk().space(self.dir.path())
    }

    /// Every partition, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// How many partitions there are.
    pub fn len(&self) -> usize {
        self.partitions.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every partition that the first image named has been opened.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::SeqCst)
    }

    /// A partition of a topic that the image has. Errors: UNKNOWN_TOPIC_OR_PARTITION where the topic has no such partition, KAFKA_STORAGE_ERROR where
    /// its log cannot be opened, NOT_LEADER_OR_FOLLOWER where it is not here, or not yet.
    pub fn of(&self, topic: &Topic, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let id = TopicIdPartition { topic_id: topic.id, partition: PartitionIndex(index) };
        if let Some(partition) = self.partitions.read().get(&id) {
            return Ok(partition.clone());
        }
        if topic.partition(id.partition).is_none() {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let is_offline = self.offline.read().contains_key(&id);
        Err(if is_offline { ErrorCode::KafkaStorageError } else { ErrorCode::NotLeaderOrFollower })
    }

    /// A partition by id, where it is here.
    pub fn get(&self, id: TopicIdPartition) -> Option<Arc<Partition>> {
        self.partitions.read().get(&id).cloned()
    }

    /// Makes an image this broker's: topics that are gone are deleted, new partitions created, leaderships taken and given up, settings changed.
    pub fn apply(&self, image: &Image, changes: &Changes) {
        self.delete_all(changes);
        let mut mine = Vec::new();
        for (topic_id, indexes) in &changes.partitions {
            let Some(topic) = image.topics.by_id(*topic_id) else { continue };
            let is_mine = |index: &&PartitionIndex| {
                topic.partition(**index).is_some_and(|state| state.replicas.contains(&self.node_id))
            };
            mine.extend(indexes.iter().filter(is_mine).map(|index| (topic.clone(), *index)));
        }
        self.forget_stale(&mine);
        let is_first = !self.is_loaded();
        // From here on logs change: an end without a new marker is not clean.
        if is_first && let Err(fault) = self.dir.forget_clean_shutdown() {
            error!(error = %fault, "the clean shutdown marker could not be removed");
        }
        let progress = Progress::new(mine.len(), self.clock);
        blocking::for_each(self.recovery_threads, mine, |(topic, index)| {
            self.settle(image, topic, *index);
            if is_first {
                progress.step();
            }
        });
        self.change_settings(image, changes);
        if is_first && !self.dir.is_interrupted() {
            self.loaded();
        }
    }

    /// Everything that the first image named is open, or offline: what is left belongs to nobody.
    fn loaded(&self) {
        let offline: HashSet<TopicPartition> = self.offline.read().values().cloned().collect();
        let stray: Vec<TopicPartition> =
            self.left.lock().folders.keys().filter(|name| !offline.contains(name)).cloned().collect();
        for name in stray {
            if let Err(fault) = self.set_aside(&name) {
                error!(partition = %name, error = %fault, "a folder that belongs to no partition of this broker could not be renamed");
            }
        }
        // Also of partitions of which there is no folder: a new topic of that name must not begin where an old one ended.
        if self.left.lock().forget_all_but(&offline) {
            self.write_checkpoints_or_say();
        }
        self.is_loaded.store(true, Ordering::SeqCst);
        let count = self.len();
        if count > 0 {
            info!(partitions = count, "all partitions are open");
        }
    }

    /// What checkpoints say of an older topic of the same name is forgotten, on disk too, before there is a new log: a kill would have it begin where
    /// the old one ended.
    fn forget_stale(&self, mine: &[(Arc<Topic>, PartitionIndex)]) {
        let is_stale = {
            let left = &mut *self.left.lock();
            mine.iter().fold(false, |any, (topic, index)| {
                let name = TopicPartition::new(topic.name.as_str(), index.0);
                let is_open = self.get(TopicIdPartition { topic_id: topic.id, partition: *index }).is_some();
                let is_its = left.folders.get(&name).is_some_and(|folder| folder.is_of(topic.id));
                (!is_open && !is_its && left.forget(&name)) || any
            })
        };
        if is_stale {
            self.write_checkpoints_or_say();
        }
    }

    fn write_checkpoints_or_say(&self) {
        if let Err(fault) = self.write_checkpoints() {
            error!(error = %fault, "the checkpoints could not be written");
        }
    }

    /// Renames a folder that no partition of this broker has, as Kafka does.
    fn set_aside(&self, name: &TopicPartition) -> Result<(), storage::Error> {
        let Some(folder) = self.left.lock().take(name) else { return Ok(()) };
        let path = self.dir.set_aside(name, &folder.path, random::uuid())?;
        let topic_id = folder.topic_id.map(|id| id.to_string());
        warn!(partition = %name, topic_id, path = %path.display(), "set aside a folder that belongs to no partition of this broker");
        Ok(())
    }

    /// Gives up opening logs: the broker stops, and what is not open yet is left as the last run left it.
    pub fn interrupt(&self) {
        self.dir.interrupt();
    }

    /// Lets go of the log dir: another process may have it.
    pub fn unlock(&self) {
        if let Err(fault) = self.dir.unlock() {
            error!(error = %fault, "the lock of the log dir could not be removed");
        }
    }

    /// Brings one partition to where the image wants it.
    fn settle(&self, image: &Image, topic: &Topic, index: PartitionIndex) {
        let Some(state) = topic.partition(index) else { return };
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        if self.dir.is_interrupted() {
            return;
        }
        let partition = match self.get(id).map_or_else(|| self.open(image, topic, id, state.leader_epoch), Ok) {
            Ok(partition) => partition,
            Err(storage::Error::Interrupted) => return,
            Err(fault) => {
                error!(topic = %topic.name, partition = %index, error = %fault, "a partition's log could not be opened");
                self.offline.write().insert(id, TopicPartition::new(topic.name.as_str(), index.0));
                return;
            }
        };
        if state.leader == Some(self.node_id) {
            if let Err(fault) = partition.lead(state, self.clock.now()) {
                error!(partition = %partition.name(), error = %fault, "a leadership could not be taken");
            }
        } else {
            partition.resign();
        }
    }

    fn open(
        &self,
        image: &Image,
        topic: &Topic,
        id: TopicIdPartition,
        epoch: LeaderEpoch,
    ) -> Result<Arc<Partition>, storage::Error> {
        let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
        let (config, rules) = (self.settings)(image, &topic.name);
        let now = self.clock.now();
        let folder = self.left.lock().folders.get(&name).cloned();
        let found = match folder {
            Some(folder) if folder.is_of(topic.id) => {
                self.open_found(&name, folder, topic.id, epoch, config.clone(), now)?
            }
            _ => None,
        };
        let log = match found {
            Some(log) => log,
            None => {
                // If there is one, it is an older topic's of the same name.
                self.set_aside(&name)?;
                self.dir.create(&name, Some(topic.id), config, now)?
            }
        };
        let is_internal = is_internal(&topic.name);
        let partition = Arc::new(Partition::new(self.node_id, id, is_internal, Arc::new(log), rules));
        self.partitions.write().insert(id, partition.clone());
        // In this order: a checkpoint that is written meanwhile has the partition from the one or the other.
        self.left.lock().take(&name);
        self.offline.write().remove(&id);
        Ok(partition)
    }

    /// Opens the log in a folder of this partition's name. A folder without a readable topic id gets it from the metadata log: it was half made, or lost
    /// it since. `None` where it cannot be this topic's, since its records are of a later leader epoch than the topic has had.
    fn open_found(
        &self,
        name: &TopicPartition,
        folder: LeftFolder,
        topic_id: TopicId,
        epoch: LeaderEpoch,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Option<Log>, storage::Error> {
        let (offsets, is_clean) = {
            let left = self.left.lock();
            (left.offsets_of(name), left.is_clean)
        };
        let (log, recovery) = self.dir.open_log(name, folder.path, config, &offsets, is_clean, now)?;
        if recovery.bytes_cut > 0 || recovery.segments_dropped > 0 {
            warn!(partition = %name, bytes = recovery.bytes_cut, segments = recovery.segments_dropped, "cut what was not whole off a log");
        }
        if folder.topic_id.is_none() {
            if log.latest_epoch().is_some_and(|latest| latest > epoch) {
                log.close(now)?;
                return Ok(None);
            }
            log.restore_topic_id(topic_id)?;
            let records = log.log_end_offset().0 - log.log_start_offset().0;
            warn!(partition = %name, %topic_id, records, "partition.metadata was missing or damaged: wrote it anew as the metadata log has it");
        }
        Ok(Some(log))
    }

    /// Renames what deleted topics leave, and forgets them on disk before a topic of the same name can be created: neither folder nor checkpoint may
    /// pass for the new topic's after a crash.
    fn delete_all(&self, changes: &Changes) {
        if changes.topics_deleted.is_empty() {
            return;
        }
        for topic in changes.topics_deleted.values() {
            self.delete(topic);
        }
        if let Err(fault) = self.dir.sync() {
            error!(error = %fault, "the names of deleted partitions' folders could not be synced");
        }
        self.write_checkpoints_or_say();
    }

    fn delete(&self, topic: &Topic) {
        for index in topic.partitions.keys() {
            let id = TopicIdPartition { topic_id: topic.id, partition: *index };
            let Some(partition) = self.partitions.write().remove(&id) else {
                if let Some(name) = self.offline.write().remove(&id)
                    && let Err(fault) = self.set_aside(&name)
                {
                    error!(partition = %name, error = %fault, "a deleted partition's folder could not be renamed");
                }
                continue;
            };
            partition.resign();
            let delay = partition.log().config().file_delete_delay_ms;
            match partition.log().delete(random::uuid()) {
                Ok(path) => self.doomed.lock().push((Timestamp(self.clock.now().0.saturating_add(delay)), path)),
                Err(fault) => {
                    error!(partition = %partition.name(), error = %fault, "a deleted partition's folder could not be renamed")
                }
            }
        }
    }

    fn change_settings(&self, image: &Image, changes: &Changes) {
        let all = changes.configs.iter().any(|resource| resource.kind == ResourceType::Broker);
        let topics: BTreeSet<&str> = changes
            .configs
            .iter()
            .filter(|resource| resource.kind == ResourceType::Topic)
            .map(|resource| resource.name.as_str())
            .collect();
        if !all && topics.is_empty() {
            return;
        }
        for partition in self.all() {
            if all || topics.contains(partition.topic()) {
                let (config, rules) = (self.settings)(image, partition.topic());
                partition.set_config(config, rules);
            }
        }
    }

    /// Ends cleanly: every log is flushed and closed, the checkpoints and the marker are written. Errors are logged. As in Kafka, the marker is written when
    /// all went well and every log is known to be whole: since the last stop was clean, or since all were recovered.
    pub fn close(&self, broker_epoch: Option<BrokerEpoch>) {
        let now = self.clock.now();
        let failed = AtomicBool::new(false);
        let partitions = self.all();
        blocking::for_each(self.recovery_threads.max(CLOSING_THREADS), partitions, |partition: &Arc<Partition>| {
            partition.resign();
            if let Err(fault) = partition.log().close(now) {
                error!(partition = %partition.name(), error = %fault, "a log could not be closed");
                failed.store(true, Ordering::SeqCst);
            }
        });
        let written = self.write_checkpoints().and_then(|()| {
            let is_whole = self.was_clean() || (self.is_loaded() && self.offline.read().is_empty());
            match is_whole && !failed.load(Ordering::SeqCst) {
                true => self.dir.write_clean_shutdown(broker_epoch),
                false => Ok(()),
            }
        });
        if let Err(fault) = written {
            error!(error = %fault, "the checkpoints could not be written");
        }
    }
}

/// Whether a topic is one of those in which coordinators keep their state.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

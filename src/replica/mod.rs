//! The partitions on this broker, who leads them, and the log dirs that hold them.
//!
//! Only the publisher adds and removes partitions and changes who leads them, always from an image.
//! Requests look partitions up. If a partition's folder exists at start, a thread of its log dir
//! opens the log (`opening`), and then the newest image is applied to it. Whoever applies an image
//! to the partitions holds `image_lock`. It is never held over a recovery.

mod apply;
mod assignments;
pub mod cleaner;
mod dir;
mod disk_errors;
mod faults;
pub mod fetcher;
pub mod fetchers;
mod maintenance;
mod moves;
mod open;
mod opening;
mod partition;
mod quota;
pub mod session;
mod throttle;
mod unopened;
mod watch;
mod write_back;

#[cfg(test)]
pub(crate) use assignments::ASSIGNMENTS_MAX;
pub(crate) use assignments::Assignment;
pub use assignments::Assignments;
#[cfg(test)]
pub(crate) use assignments::tests::{numbered_dir, numbered_partition};
pub use dir::Dir;
pub use opening::OpeningProgress;
#[cfg(test)]
pub(crate) use partition::tests::{alone_in_sync, leading, led_in, open_in};
pub use partition::{
    AppendError, AppendInfo, AppendRequest, FollowerRead, IsrChange, IsrCounts, MarkerAppend, Partition,
    PartitionPeers, ReadError, ReadInfo, ReadRequest, StateAppend, WriteRules, producer_error_code,
};
pub use quota::{QuotaWindows, ReplicationQuota, ReplicationQuotas, ThrottledReplicas};
pub use watch::{Wake, Watch};

use self::faults::OfflinePartition;
use self::moves::Moves;
use self::partition::Committer;
use crate::env::Env;
use crate::env::blocking::ThreadHandle;
use crate::env::clock::Clock;
use crate::env::watch::{Receiver, Sender};
use crate::telemetry::FlushMetrics;
use arc_swap::ArcSwap;
use coordinator::StateTopic;
use metadata::image::{Image, Topic};
use model::{BrokerEpoch, BrokerId, DirectoryId, ErrorCode, PartitionIndex, TopicIdPartition};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use storage::{Log, LogConfig, LogDir};
use tracing::error;

/// The least number of threads that close logs. Each close mostly waits for syncs, and a file
/// system serves syncs that wait together with one write of its journal.
const CLOSING_THREADS: usize = 16;

/// Returns a topic's settings in an image.
pub type TopicSettings = Box<dyn Fn(&Image, &str) -> (LogConfig, WriteRules) + Send + Sync>;

/// Called for a partition whose leadership may have changed: it leads, leads in another epoch, or
/// has resigned. For one partition, calls come one at a time and in order.
pub type LeadershipListener = Box<dyn Fn(&Arc<Partition>) + Send + Sync>;

/// Called after an image was applied to a partition whose leader may be another broker
/// (`Fetchers::update`). For one partition, calls come one at a time and in order.
pub type FollowListener = Box<dyn Fn(&Arc<Partition>) + Send + Sync>;

/// What `Replicas` is made of.
pub struct ReplicasParts {
    /// `node.id`
    pub node_id: BrokerId,
    /// The log dirs with their ids, in the order of `log.dirs`.
    pub dirs: Vec<(LogDir, DirectoryId)>,
    /// Log dirs that could not be used at start.
    pub lost: Vec<PathBuf>,
    /// `gregor.log.dir.reserve.bytes`
    pub reserve_bytes: Option<u64>,
    /// Returns a topic's settings.
    pub settings: TopicSettings,
    /// The newest published image.
    pub image: Arc<ArcSwap<Image>>,
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads: usize,
    /// Counts flushes.
    pub flushes: FlushMetrics,
    /// `num.replica.alter.log.dirs.threads`
    pub move_threads: usize,
    /// The environment.
    pub env: Env,
}

/// What each heartbeat tells the controller about the log dirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirStates {
    /// The log dirs that went offline since the start.
    pub offline: Vec<DirectoryId>,
    /// The log dirs that take no new partitions (KIP-1066), in the order of `log.dirs`.
    pub cordoned: Vec<DirectoryId>,
}

/// A partition and its log dir.
#[derive(Clone, Debug)]
struct HostedPartition {
    partition: Arc<Partition>,
    dir: Arc<Dir>,
}

/// How partitions follow their leaders.
pub struct Following {
    /// `replica.fetch.backoff.ms`
    pub backoff_ms: i64,
    /// Called for each partition whose leader may be another broker.
    pub listener: FollowListener,
    /// Sets the number of fetchers for each leader.
    pub set_fetcher_count: Box<dyn Fn(usize) + Send + Sync>,
}

/// All partitions of this broker.
pub struct Replicas {
    /// Cleans compacted logs.
    pub cleaner: cleaner::Cleaner,
    /// The replication quotas.
    pub quotas: Arc<ReplicationQuotas>,
    node_id: BrokerId,
    dirs: Vec<Arc<Dir>>,
    lost: Vec<PathBuf>,
    reserve_bytes: Option<u64>,
    dir_states: Sender<DirStates>,
    assignments: Arc<Assignments>,
    moves: Moves,
    move_threads: usize,
    settings: TopicSettings,
    image: Arc<ArcSwap<Image>>,
    env: Env,
    clock: Clock,
    recovery_threads: usize,
    partitions: RwLock<BTreeMap<TopicIdPartition, HostedPartition>>,
    /// Partitions that are not served: their logs could not be opened, or their log dirs failed.
    offline: RwLock<BTreeMap<TopicIdPartition, OfflinePartition>>,
    image_lock: Mutex<()>,
    /// Held while a log dir is chosen for a new partition.
    placement_lock: Mutex<()>,
    leadership_listener: OnceLock<LeadershipListener>,
    /// With it, partitions that other brokers lead follow them. Nothing sets it yet.
    following: OnceLock<Following>,
    threads: Mutex<Vec<ThreadHandle>>,
    /// Whether an image was applied.
    is_begun: AtomicBool,
    /// Whether partitions get no role yet.
    are_roles_held: AtomicBool,
    is_loaded: AtomicBool,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").field("dirs", &self.dirs).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Reads the log dirs and opens nothing yet. Errors: a log dir cannot be read.
    pub fn new(parts: ReplicasParts) -> Result<Self, storage::Error> {
        let committer = || Committer::new(parts.flushes.clone(), parts.env);
        let read = |(log_dir, id)| Dir::read(log_dir, id, committer()).map(Arc::new);
        Ok(Self {
            cleaner: cleaner::Cleaner::default(),
            quotas: Arc::default(),
            node_id: parts.node_id,
            dirs: parts.dirs.into_iter().map(read).collect::<Result<_, _>>()?,
            lost: parts.lost,
            reserve_bytes: parts.reserve_bytes,
            dir_states: Sender::default(),
            assignments: Arc::default(),
            moves: Moves::default(),
            move_threads: parts.move_threads.max(1),
            settings: parts.settings,
            image: parts.image,
            env: parts.env,
            clock: parts.env.clock(),
            recovery_threads: parts.recovery_threads.max(1),
            partitions: RwLock::default(),
            offline: RwLock::default(),
            image_lock: Mutex::default(),
            placement_lock: Mutex::default(),
            leadership_listener: OnceLock::new(),
            following: OnceLock::new(),
            threads: Mutex::default(),
            is_begun: AtomicBool::new(false),
            are_roles_held: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
        })
    }

    /// Sets the listener for changes of leadership. It can be set once, before the first image.
    pub fn set_leadership_listener(&self, leadership_listener: LeadershipListener) {
        let _ = self.leadership_listener.set(leadership_listener);
    }

    /// Lets partitions follow their leaders on other brokers. It can be set once, before the first
    /// image. Without it, a partition that another broker leads has no role.
    pub fn set_following(&self, following: Following) {
        let _ = self.following.set(following);
    }

    /// Sets the number of fetchers for each leader (`num.replica.fetchers`).
    pub fn set_fetcher_count(&self, count: usize) {
        if let Some(following) = self.following.get() {
            (following.set_fetcher_count)(count);
        }
    }

    /// Returns the log dirs, in the order of `log.dirs`.
    pub fn dirs(&self) -> &[Arc<Dir>] {
        &self.dirs
    }

    /// Returns the states of the log dirs for the controller, with later changes.
    pub fn dir_states(&self) -> Receiver<DirStates> {
        self.dir_states.subscribe()
    }

    /// Returns the log dirs of replicas that the controller does not know yet.
    pub fn assignments(&self) -> &Arc<Assignments> {
        &self.assignments
    }

    /// Cordons the log dirs with these paths, or all of them if one path is `*`. Uncordons the
    /// others.
    pub fn set_cordoned(&self, paths: &[String]) {
        let is_cordoned = |dir: &Dir| paths.iter().any(|path| path == "*" || Path::new(path) == dir.path());
        self.dirs.iter().for_each(|dir| dir.set_cordoned(is_cordoned(dir)));
        self.publish_dir_states();
    }

    /// Publishes the states of the log dirs for the controller, if they changed.
    pub fn publish_dir_states(&self) {
        let cordoned = self.dirs.iter().filter(|dir| dir.is_cordoned()).map(|dir| dir.id()).collect();
        let now = DirStates { offline: self.offline_dir_ids(), cordoned };
        self.dir_states.send_if_modified(|states| {
            let is_new = *states != now;
            *states = now;
            is_new
        });
    }

    /// Returns all partitions, unordered.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().map(|hosted| hosted.partition.clone()).collect()
    }

    /// Returns all partitions in a log dir, unordered.
    pub fn all_in(&self, dir: &Dir) -> Vec<Arc<Partition>> {
        let partitions = self.partitions.read();
        partitions.values().filter(|hosted| hosted.is_in(dir)).map(|hosted| hosted.partition.clone()).collect()
    }

    /// Returns all copies that are being made in a log dir, each with its partition.
    pub fn copies_in(&self, dir: &Dir) -> Vec<(Arc<Partition>, Arc<Log>)> {
        self.moves.copies_in(dir)
    }

    /// Returns the number of partitions.
    pub fn len(&self) -> usize {
        self.partitions.read().len()
    }

    /// Whether there are no partitions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every partition of the first image was opened.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::SeqCst)
    }

    /// Returns how many logs that were found at start are open, in all log dirs.
    pub fn progress(&self) -> OpeningProgress {
        let add = |sum: OpeningProgress, dir: &Arc<Dir>| {
            let of = dir.queue.progress();
            OpeningProgress {
                total: sum.total + of.total,
                opened: sum.opened + of.opened,
                bytes_left: sum.bytes_left + of.bytes_left,
            }
        };
        self.dirs.iter().fold(OpeningProgress::default(), add)
    }

    /// Returns a partition of a topic in the image. Errors: UNKNOWN_TOPIC_OR_PARTITION if the topic
    /// has no such partition, KAFKA_STORAGE_ERROR if its log cannot be opened,
    /// NOT_LEADER_OR_FOLLOWER if this broker does not have it, or has not opened it yet. In the
    /// last case it is opened before others.
    pub fn of(&self, topic: &Topic, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let id = TopicIdPartition { topic_id: topic.id, partition: PartitionIndex(index) };
        if let Some(hosted) = self.partitions.read().get(&id) {
            return Ok(hosted.partition.clone());
        }
        if topic.partition(id.partition).is_none() {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        if self.offline.read().contains_key(&id) {
            return Err(ErrorCode::KafkaStorageError);
        }
        if !self.is_loaded() {
            self.dirs.iter().for_each(|dir| dir.queue.prioritize(id));
        }
        Err(ErrorCode::NotLeaderOrFollower)
    }

    /// Returns a partition by id, if this broker has it.
    pub fn get(&self, id: TopicIdPartition) -> Option<Arc<Partition>> {
        self.partitions.read().get(&id).map(|hosted| hosted.partition.clone())
    }

    /// Returns the log dir of a partition, if this broker has the partition.
    pub fn dir_of(&self, id: TopicIdPartition) -> Option<Arc<Dir>> {
        self.partitions.read().get(&id).map(|hosted| hosted.dir.clone())
    }

    fn logs_in(&self, dir: &Dir) -> Vec<Arc<Log>> {
        let copies = self.moves.copies_in(dir).into_iter().map(|(_, copy)| copy);
        self.all_in(dir).iter().map(|partition| partition.log()).chain(copies).collect()
    }

    /// Stops opening logs, since the broker stops. Logs that are not open yet stay as they are.
    pub fn interrupt(&self) {
        for dir in &self.dirs {
            dir.log_dir.interrupt();
            dir.queue.give_up_all();
        }
    }

    /// Unlocks the log dirs, so that another process may use them.
    pub fn unlock(&self) {
        for dir in &self.dirs {
            if let Err(fault) = dir.log_dir.unlock() {
                error!(error = %fault, "the lock of a log dir could not be removed");
            }
        }
    }

    /// Shuts down cleanly: flushes and closes every log, then writes the checkpoints and the clean
    /// shutdown markers. Errors are logged. As in Kafka, a log dir gets its marker only if nothing
    /// failed there and every log in it is known to be whole. That holds if the last stop was clean
    /// or if all logs were recovered.
    pub fn close(&self, broker_epoch: Option<BrokerEpoch>) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(|thread| drop(thread.join()));
        let _image_lock = self.image_lock.lock();
        for dir in self.online_dirs() {
            self.close_dir(dir, broker_epoch);
        }
    }

    fn close_dir(&self, dir: &Dir, broker_epoch: Option<BrokerEpoch>) {
        dir.committer.stop();
        let now = self.clock.now();
        let failed = AtomicBool::new(false);
        for (partition, copy) in self.moves.copies_in(dir) {
            if let Err(fault) = copy.close(now) {
                error!(partition = %partition.name(), error = %fault, "a copy could not be closed");
                failed.store(true, Ordering::SeqCst);
            }
        }
        let partitions = self.all_in(dir);
        self.env.for_each(self.recovery_threads.max(CLOSING_THREADS), partitions, |partition: &Arc<Partition>| {
            partition.resign();
            if let Err(fault) = partition.log().close(now) {
                error!(partition = %partition.name(), error = %fault, "a log could not be closed");
                failed.store(true, Ordering::SeqCst);
            }
        });
        let written = dir.write_checkpoints(&|| self.logs_in(dir)).and_then(|()| {
            let is_whole = dir.was_clean() || (self.is_loaded() && !self.has_unopenable());
            match is_whole && !failed.load(Ordering::SeqCst) {
                true => dir.log_dir.write_clean_shutdown(broker_epoch),
                false => Ok(()),
            }
        });
        if let Err(fault) = written {
            error!(error = %fault, "the checkpoints could not be written");
        }
    }
}

impl HostedPartition {
    fn is_in(&self, dir: &Dir) -> bool {
        std::ptr::eq(&*self.dir, dir)
    }
}

/// Whether coordinators keep their state in this topic.
pub fn is_internal(topic: &str) -> bool {
    StateTopic::from_name(topic).is_some()
}

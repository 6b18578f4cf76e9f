//! Moves of partitions between the log dirs of this broker (AlterReplicaLogDirs, KIP-113).
//!
//! ```text
//! copying      a thread copies the log step by step to `<topic>-<partition>.<unique>-future` in
//!              the other log dir
//! announcing   all is copied; the controller is told the new log dir (KIP-858), so that it knows
//!              which replicas a failed log dir has
//! announced    newer records are copied, and the copy replaces the log; the old folder is removed
//!              like a deleted one
//! ```
//! Producers and consumers continue. They are delayed only at the end, while the last batches are
//! copied and flushed.
//!
//! Invariants: a partition has at most one move. Whether a move is still valid is checked under
//! `image_lock` before anything is renamed.

use super::dir::Dir;
use super::throttle::{THROTTLE_WINDOW, Throttle, WAIT_MIN};
use super::unopened::LogFolder;
use super::{HostedPartition, Partition, Replicas};
use metadata::image::{self, Topic};
use model::{DirectoryId, ErrorCode, PartitionIndex, Timestamp, TopicId, TopicIdPartition, TopicPartition};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use storage::Log;
use storage::names;
use tracing::{error, info, warn};

/// The bytes of a partition that are copied before another partition is copied.
const COPY_STEP_BYTES: u64 = 8 << 20;
/// The longest name of a copy's folder, as in Kafka. The name becomes the partition's and is never
/// shortened.
const FOLDER_NAME_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MoveStage {
    Copying,
    Announcing,
    Announced,
}

/// The move of one partition.
#[derive(Debug)]
pub(super) struct Move {
    partition: Arc<Partition>,
    to: Arc<Dir>,
    /// The copy.
    log: Arc<Log>,
    stage: Mutex<MoveStage>,
    /// Whether it is cancelled or finished.
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct MoveQueue {
    waiting: VecDeque<Arc<Move>>,
    workers: usize,
}

/// All moves of a broker.
#[derive(Debug, Default)]
pub(super) struct Moves {
    all: RwLock<BTreeMap<TopicIdPartition, Arc<Move>>>,
    queue: Mutex<MoveQueue>,
    /// The bytes per second that all moves together copy, 0 for no limit.
    bytes_per_second: AtomicU64,
    throttle: Mutex<Throttle>,
    rate_changed: Condvar,
}

/// The result of one copy step.
enum CopyStep {
    /// There is more to copy.
    Incomplete,
    /// Nothing more to do for this thread.
    Done,
}

impl Move {
    fn id(&self) -> TopicIdPartition {
        self.partition.id()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

impl Moves {
    fn get(&self, id: TopicIdPartition) -> Option<Arc<Move>> {
        self.all.read().get(&id).cloned()
    }

    fn end(&self, id: TopicIdPartition) -> Option<Arc<Move>> {
        let ended = self.all.write().remove(&id)?;
        ended.is_over.store(true, Ordering::SeqCst);
        Some(ended)
    }

    fn contains(&self, id: TopicIdPartition) -> bool {
        self.all.read().contains_key(&id)
    }

    /// Returns the copies that are being made in a log dir.
    pub(super) fn copies_in(&self, dir: &Dir) -> Vec<(Arc<Partition>, Arc<Log>)> {
        let is_to = |one: &&Arc<Move>| std::ptr::eq(&*one.to, dir);
        self.all.read().values().filter(is_to).map(|one| (one.partition.clone(), one.log.clone())).collect()
    }

    /// Returns all copies.
    pub(super) fn copies(&self) -> Vec<Arc<Log>> {
        self.all.read().values().map(|one| one.log.clone()).collect()
    }

    /// Whether a replica is being moved to this log dir, and the controller is told so.
    pub(super) fn announces(&self, id: TopicIdPartition, dir: DirectoryId) -> bool {
        self.get(id).is_some_and(|one| one.to.id() == dir && *one.stage.lock() != MoveStage::Copying)
    }

    /// Takes the next move from the queue. Returns `None` if there is none, and then the calling
    /// thread no longer counts as a worker.
    fn take(&self) -> Option<Arc<Move>> {
        let queue = &mut *self.queue.lock();
        let next = queue.waiting.pop_front();
        queue.workers -= usize::from(next.is_none());
        next
    }
}

impl Replicas {
    /// Starts to move a partition to the log dir with this path. If the partition is there already,
    /// cancels a move that is in progress. Errors: as in Kafka.
    pub fn alter_log_dir(
        self: &Arc<Self>,
        topic: Option<&Arc<Topic>>,
        name: &TopicPartition,
        path: &Path,
    ) -> Result<(), ErrorCode> {
        if names::future_folder(name, self.env.uuid()).len() > FOLDER_NAME_MAX {
            return Err(ErrorCode::InvalidTopicException);
        }
        let is_lost = self.lost_dirs().iter().any(|lost| lost == path);
        let not_found = if is_lost { ErrorCode::KafkaStorageError } else { ErrorCode::LogDirNotFound };
        let to = self.dirs().iter().find(|dir| dir.path() == path).ok_or(not_found)?;
        if to.fault().is_some() {
            return Err(ErrorCode::KafkaStorageError);
        }
        if to.is_cordoned() {
            return Err(ErrorCode::InvalidReplicaAssignment);
        }
        let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let _image_lock = self.image_lock.lock();
        self.of(topic, name.partition.0).map_err(|code| match code {
            ErrorCode::NotLeaderOrFollower => ErrorCode::ReplicaNotAvailable,
            other => other,
        })?;
        let id = TopicIdPartition { topic_id: topic.id, partition: name.partition };
        let hosted = self.partitions.read().get(&id).cloned().ok_or(ErrorCode::ReplicaNotAvailable)?;
        if hosted.dir.fault().is_some() || hosted.partition.log().fault().is_some() {
            // It is about to be taken offline.
            return Err(ErrorCode::KafkaStorageError);
        }
        match self.moves.get(id) {
            Some(one) if Arc::ptr_eq(&one.to, to) => return Ok(()),
            Some(_) => self.cancel_move(id, &hosted.dir),
            None => {}
        }
        if hosted.is_in(to) {
            return Ok(());
        }
        let log = hosted.partition.log();
        let config = (*log.config()).clone();
        match to.log_dir.create_future(name, topic.id, self.env.uuid(), config, self.clock.now()) {
            Ok(copy) => {
                // What is clean in the log now is clean in the copy, even if the log is cleaned
                // meanwhile.
                copy.set_cleaned_up_to(log.cleaned_up_to());
                to.count_one_more();
                self.begin_move(&hosted, to, copy);
                Ok(())
            }
            Err(fault) => {
                error!(partition = %name, log_dir = %to.path().display(), error = %fault, "a copy of a partition could not be made");
                Err(ErrorCode::KafkaStorageError)
            }
        }
    }

    fn begin_move(self: &Arc<Self>, hosted: &HostedPartition, to: &Arc<Dir>, copy: Log) {
        let (partition, from) = (hosted.partition.clone(), hosted.dir.path().display());
        info!(partition = %partition.name(), %from, to = %to.path().display(), copied_up_to = %copy.log_end_offset(), "moving a partition to another log dir");
        let one = Arc::new(Move {
            partition,
            to: to.clone(),
            log: Arc::new(copy),
            stage: Mutex::new(MoveStage::Copying),
            is_over: AtomicBool::new(false),
        });
        self.moves.all.write().insert(one.id(), one.clone());
        self.queue_move(one);
    }

    /// Queues a move and starts a thread if there are too few.
    fn queue_move(self: &Arc<Self>, one: Arc<Move>) {
        {
            let queue = &mut *self.moves.queue.lock();
            queue.waiting.push_back(one);
            if self.dirs().iter().any(|dir| dir.is_interrupted()) || queue.workers >= self.move_threads {
                return;
            }
            queue.workers += 1;
        }
        let this = self.clone();
        match self.env.thread("alter-log-dirs", move || this.work_on_moves()) {
            Ok(thread) => {
                let threads = &mut *self.threads.lock();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(fault) => {
                // The next move that is queued tries again, and its thread does this one too.
                self.moves.queue.lock().workers -= 1;
                warn!(error = %fault, "a thread that moves partitions could not be started");
            }
        }
    }

    fn work_on_moves(self: &Arc<Self>) {
        while let Some(one) = self.moves.take() {
            if one.is_over() || self.dirs().iter().any(|dir| dir.is_interrupted()) {
                continue;
            }
            let size_before = one.log.size_bytes();
            match self.copy_step(&one) {
                Ok(CopyStep::Incomplete) => {
                    let copied = one.log.size_bytes().saturating_sub(size_before);
                    self.moves.queue.lock().waiting.push_back(one);
                    self.wait_after(copied);
                }
                Ok(CopyStep::Done) => {}
                Err(fault) => self.fail_move(&one, &fault),
            }
        }
    }

    /// Sets how many bytes per second all moves together copy
    /// (`replica.alter.log.dirs.io.max.bytes.per.second`).
    pub fn set_move_rate(&self, bytes_per_second: Option<u64>) {
        let rate = bytes_per_second.map_or(0, |rate| rate.max(1));
        self.moves.bytes_per_second.store(rate, Ordering::SeqCst);
        self.moves.rate_changed.notify_all();
    }

    fn move_rate(&self) -> Option<u64> {
        Some(self.moves.bytes_per_second.load(Ordering::SeqCst)).filter(|rate| *rate > 0)
    }

    /// Waits as long as copying `bytes` should have taken, in short steps, since the rate may
    /// change and the broker may stop.
    fn wait_after(&self, mut bytes: u64) {
        if !self.env.threads_may_wait() {
            return;
        }
        let mut throttle = self.moves.throttle.lock();
        while let Some(rate) = self.move_rate() {
            let owed = throttle.owed(std::mem::take(&mut bytes), rate as f64, self.clock);
            if owed < WAIT_MIN || self.dirs().iter().any(|dir| dir.is_interrupted()) {
                return;
            }
            self.moves.rate_changed.wait_for(&mut throttle, owed.min(THROTTLE_WINDOW));
        }
    }

    fn copy_step(self: &Arc<Self>, one: &Arc<Move>) -> Result<CopyStep, storage::Error> {
        if one.to.is_full() && *one.stage.lock() == MoveStage::Copying {
            // Producers must not wait for space that a copy takes.
            let (path, partition) = (one.to.path().to_path_buf(), one.partition.name());
            return Err(storage::Error::Full { path, partition });
        }
        let bytes_max = self.move_rate().map_or(COPY_STEP_BYTES, |rate| rate.min(COPY_STEP_BYTES));
        let is_all = one.log.follow(&one.partition.log(), bytes_max, self.clock.now())?;
        // Closed segments are flushed at once. So a restart resumes from there, and the end of the
        // move has little to flush.
        let full_up_to = one.log.segments().last().map(|active| active.base_offset());
        one.log.flush(full_up_to.unwrap_or_default(), self.clock.now())?;
        if !is_all {
            return Ok(CopyStep::Incomplete);
        }
        let stage = *one.stage.lock();
        match stage {
            MoveStage::Copying => self.announce(one),
            MoveStage::Announcing => {}
            MoveStage::Announced => self.finish_move(one)?,
        }
        Ok(CopyStep::Done)
    }

    /// Tells the controller the new log dir, and continues when the controller knows it.
    fn announce(self: &Arc<Self>, one: &Arc<Move>) {
        *one.stage.lock() = MoveStage::Announcing;
        let (this, announced) = (Arc::downgrade(self), one.clone());
        let when_known = move || {
            if let Some(this) = this.upgrade() {
                *announced.stage.lock() = MoveStage::Announced;
                this.queue_move(announced);
            }
        };
        self.assignments.add(one.id(), one.to.id(), Some(Box::new(when_known)));
        if one.is_over() {
            // Cancelled meanwhile, when there was no assignment to withdraw yet.
            if let Some(dir) = self.dir_of(one.id()) {
                self.assignments.add(one.id(), dir.id(), None);
            }
        }
    }

    /// Replaces the log by the copy.
    fn finish_move(&self, one: &Arc<Move>) -> Result<(), storage::Error> {
        // Flushes most of it while nobody waits.
        one.log.flush(one.log.log_end_offset(), self.clock.now())?;
        let _image_lock = self.image_lock.lock();
        let hosted = self.partitions.read().get(&one.id()).cloned();
        let Some(hosted) = hosted.filter(|_| !one.is_over()) else { return Ok(()) };
        // A start needs these checkpoints if it finds the copy without the log.
        self.write_checkpoints_or_log(&one.to);
        let now = self.clock.now();
        let old_folder = one.partition.move_to(&one.log, one.to.committer.clone(), self.env.uuid(), now)?;
        if let Some(hosted) = self.partitions.write().get_mut(&one.id()) {
            hosted.dir = one.to.clone();
        }
        self.moves.end(one.id());
        hosted.dir.count_one_less();
        hosted.dir.remove_later(Timestamp(now.0.saturating_add(one.log.config().file_delete_delay_ms)), old_folder);
        // In this order: the partition is in a checkpoint at any time.
        self.write_checkpoints_or_log(&one.to);
        self.write_checkpoints_or_log(&hosted.dir);
        let (from, to) = (hosted.dir.path().display(), one.to.path().display());
        info!(partition = %one.partition.name(), %from, %to, "moved a partition to another log dir");
        Ok(())
    }

    /// Handles a failed move: the partition stays where it is. If a log dir failed, the next start
    /// resumes the move.
    fn fail_move(&self, one: &Arc<Move>, fault: &storage::Error) {
        let _image_lock = self.image_lock.lock();
        let Some(dir) = self.dir_of(one.id()).filter(|_| !one.is_over()) else { return };
        if let Some(failed) = [&one.to, &dir].into_iter().find(|dir| dir.fault().is_some()) {
            return self.end_moves_of(failed);
        }
        error!(partition = %one.partition.name(), to = %one.to.path().display(), error = %fault, "a partition could not be moved to another log dir and stays where it is");
        self.cancel_move(one.id(), &dir);
    }

    /// Cancels the move of a partition, if it has one, and removes the copy. The caller holds
    /// `image_lock`.
    pub(super) fn cancel_move(&self, id: TopicIdPartition, stays_in: &Dir) {
        let Some(one) = self.moves.end(id) else { return };
        let was_announced = *one.stage.lock() != MoveStage::Copying;
        self.assignments.forget(id);
        if was_announced {
            self.assignments.add(id, stays_in.id(), None);
        }
        one.to.count_one_less();
        match one.log.delete(self.env.uuid()) {
            Ok(path) => one.to.remove_later(self.clock.now(), path),
            Err(fault) => {
                error!(partition = %one.partition.name(), error = %fault, "the folder of a copy could not be renamed");
            }
        }
    }

    /// Ends the moves from and to a failed log dir. Copies of partitions in it are kept for the
    /// next start. The caller holds `image_lock`.
    pub(super) fn end_moves_of(&self, failed: &Arc<Dir>) {
        let moves: Vec<Arc<Move>> = self.moves.all.read().values().cloned().collect();
        for one in moves {
            let Some(dir) = self.dir_of(one.id()) else { continue };
            if !Arc::ptr_eq(&one.to, failed) && !Arc::ptr_eq(&dir, failed) {
                continue;
            }
            self.moves.end(one.id());
            self.assignments.forget(one.id());
            // The controller uses this when it learns which log dir failed.
            if *one.stage.lock() != MoveStage::Copying {
                self.assignments.add(one.id(), dir.id(), None);
            }
            // Closed here, because a clean shutdown marker says that every folder is whole.
            if !Arc::ptr_eq(&one.to, failed)
                && let Err(fault) = one.log.close(self.clock.now())
            {
                one.to.log_error(&fault, "a copy could not be closed");
            }
            warn!(partition = %one.partition.name(), to = %one.to.path().display(), "a partition is not moved: a log dir failed");
        }
    }

    /// Opens an unfinished copy of a partition that was found in another log dir at start. A copy
    /// that cannot be opened is removed.
    pub(super) fn open_copy(&self, name: &TopicPartition, topic_id: TopicId, log: &Log) -> Option<(Arc<Dir>, Log)> {
        let (to, found) = self.dirs().iter().find_map(|dir| Some((dir, dir.copy_of(name, topic_id)?)))?;
        let (offsets, is_clean) = {
            let unopened = to.unopened.lock();
            (unopened.offsets_of(name), unopened.is_clean)
        };
        let (config, now) = ((*log.config()).clone(), self.clock.now());
        let opened = to.log_dir.open_future(name, found.path, config, &offsets, is_clean, now);
        match opened.and_then(|copy| self.note_damage(to, &copy, &offsets).map(|()| copy)) {
            Ok(copy) => Some((to.clone(), copy)),
            Err(storage::Error::Interrupted) => None,
            Err(fault) => {
                warn!(partition = %name, error = %fault, "an unfinished copy of a partition could not be opened and is removed");
                self.remove_copies(name, topic_id);
                None
            }
        }
    }

    /// Whether a partition is being moved, or will be when its log is open. As in Kafka, its log is
    /// not cleaned meanwhile: the copy could keep a record from before a cleaning and miss the
    /// tombstone that the next cleaning removes.
    pub(super) fn is_moving(&self, id: TopicIdPartition, name: &TopicPartition) -> bool {
        self.moves.contains(id) || self.dirs().iter().any(|dir| dir.copy_of(name, id.topic_id).is_some())
    }

    /// Resumes a move that was begun before the start. The caller holds `image_lock`.
    pub(super) fn resume_move(self: &Arc<Self>, hosted: &HostedPartition, (to, copy): (Arc<Dir>, Log)) {
        let id = hosted.partition.id();
        if hosted.is_in(&to) {
            return self.remove_copies(copy.partition(), id.topic_id);
        }
        let name = copy.partition().clone();
        self.begin_move(hosted, &to, copy);
        // In this order: a checkpoint that is written meanwhile has the copy's entry from one or
        // the other. Any other copy is removed.
        to.take_copy(&name, id.topic_id);
        self.remove_copies(&name, id.topic_id);
    }

    /// Removes the unfinished copies of a partition that were found at start.
    pub(super) fn remove_copies(&self, name: &TopicPartition, topic_id: TopicId) {
        for dir in self.dirs() {
            if let Some(copy) = dir.take_copy(name, topic_id) {
                dir.remove_copy(name, &copy.path, self.clock.now());
            }
        }
    }

    /// Renames a copy that was found without its log to the partition's name. Either a crash came
    /// between the two renames at the end of a move, or the log's folder is lost. If the controller
    /// names another log dir that is not online, the copy is not renamed. Returns the folder.
    /// Errors: the copy could not be renamed; then the partition must not be created beside it.
    pub(super) fn adopt_copy(
        &self,
        topic: &Topic,
        index: PartitionIndex,
    ) -> Result<Option<(Arc<Dir>, LogFolder)>, storage::Error> {
        let (name, topic_id) = (TopicPartition::new(topic.name.as_str(), index.0), topic.id);
        let known = topic.partition(index).and_then(|state| state.directory(self.node_id));
        let is_elsewhere = known.is_some_and(|known| {
            !image::is_reserved_directory(known) && self.online_dirs().all(|dir| dir.id() != known)
        });
        if is_elsewhere {
            return Ok(None);
        }
        let Some(dir) = self.online_dirs().find(|dir| dir.copy_of(&name, topic_id).is_some()) else { return Ok(None) };
        dir.adopt_copy(&name, topic_id, self.online_dirs())?;
        Ok(self.unopened_folder(topic, index))
    }
}

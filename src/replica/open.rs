//! Opens logs: new ones at once, and existing ones on threads of their log dirs.

use super::unopened::LogFolder;
use super::{Dir, HostedPartition, OpeningProgress, Partition, Replicas, is_internal};
use metadata::image::{Image, Topic};
use model::{DirectoryId, LeaderEpoch, TopicId, TopicIdPartition, TopicPartition};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{CheckpointedOffsets, Log, LogConfig};
use tracing::{error, info, warn};

/// An existing log that a thread opened while images were applied.
pub(super) struct OpenedLog {
    topic: Arc<Topic>,
    /// `None` if it cannot be this topic's.
    log: Result<Option<Log>, storage::Error>,
    /// An unfinished copy of it in another log dir.
    copy: Option<(Arc<Dir>, Log)>,
}

impl Replicas {
    /// Starts threads that open the queued logs. If nothing is queued, all logs are open.
    pub(super) fn open_queued(self: &Arc<Self>) {
        let waiting = self.progress();
        if self.is_loaded() && waiting.total == waiting.opened {
            return;
        }
        if waiting.total == waiting.opened {
            return self.finish_loading_if_opened();
        }
        let is_unclean = self.dirs.iter().any(|dir| !dir.was_clean());
        if waiting.opened == 0 && self.threads.lock().is_empty() {
            let (partitions, bytes) = (waiting.total, waiting.bytes_left);
            info!(partitions, bytes_to_check = bytes, is_unclean, "opening partitions");
        }
        for dir in &self.dirs {
            while dir.queue.begin_worker(self.recovery_threads) {
                let (this, of) = (self.clone(), dir.clone());
                match self.env.thread("open-logs", move || this.open_all_of(&of)) {
                    Ok(thread) => self.threads.lock().push(thread),
                    // Then this thread opens them, if later.
                    Err(fault) => {
                        error!(error = %fault, "a thread that opens logs could not be started");
                        self.open_all_of(dir);
                    }
                }
            }
        }
    }

    fn open_all_of(self: &Arc<Self>, dir: &Arc<Dir>) {
        while let Some((id, given_up)) = dir.queue.take() {
            let opened = self.open(dir, id, &given_up);
            self.take_over(dir, id, opened, &given_up);
        }
        self.finish_loading_if_opened();
    }

    /// The thread that opens the last log sets aside the folders that belong to no partition.
    fn finish_loading_if_opened(&self) {
        let _image_lock = self.image_lock.lock();
        let OpeningProgress { total, opened, .. } = self.progress();
        if total == opened && !self.is_loaded() && !self.dirs.iter().any(|dir| dir.is_interrupted()) {
            self.finish_loading();
        }
    }

    /// Opens one existing log. Returns `None` if its topic was deleted.
    pub(super) fn open(&self, dir: &Dir, id: TopicIdPartition, given_up: &Arc<AtomicBool>) -> Option<OpenedLog> {
        let image = self.image.load_full();
        let topic = image.topics.by_id(id.topic_id)?.clone();
        let state = topic.partition(id.partition)?;
        let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
        let folder = dir.folder_of(&name, topic.id)?;
        let (config, _) = (self.settings)(&image, &topic.name);
        let log = self.open_existing(dir, &name, folder, (topic.id, state.leader_epoch), config, given_up);
        let opened = log.as_ref().ok().and_then(Option::as_ref);
        let copy = opened.and_then(|log| self.open_copy(&name, topic.id, log));
        Some(OpenedLog { topic, log, copy })
    }

    /// Applies the current image to a log that was opened. An image finds either the queued log or
    /// the partition here, since both change under one `image_lock`.
    pub(super) fn take_over(
        self: &Arc<Self>,
        dir: &Arc<Dir>,
        id: TopicIdPartition,
        opened: Option<OpenedLog>,
        given_up: &AtomicBool,
    ) {
        let _image_lock = self.image_lock.lock();
        if let Some(opened) = opened {
            self.host_opened(dir, id, opened, given_up);
        }
        dir.queue.done(id, self.clock);
    }

    fn host_opened(self: &Arc<Self>, dir: &Arc<Dir>, id: TopicIdPartition, opened: OpenedLog, given_up: &AtomicBool) {
        let OpenedLog { topic, log, copy } = opened;
        let image = self.image.load_full();
        let log = match log {
            Err(storage::Error::Interrupted) => return,
            Ok(_) if dir.fault().is_some() => {
                let fault = dir.fault().unwrap_or_default().to_owned();
                let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
                let fault = storage::Error::Offline { partition: name.to_string(), reason: fault };
                return self.cannot_open(&topic, id, &fault);
            }
            Err(fault) => return self.cannot_open(&topic, id, &fault),
            Ok(log) => log,
        };
        if given_up.load(Ordering::SeqCst) || dir.is_interrupted() || image.topics.by_id(id.topic_id).is_none() {
            // The thread that gave it up handles the folder.
            return;
        }
        // The newest image may have taken the partition from this broker. It is hosted then too:
        // the thread that applies that image waits for `image_lock`, and deletes what it finds.
        let hosted = match log {
            Some(log) => Ok(self.host(dir, &image, &topic, id, log)),
            None => self.create(&image, &topic, id),
        };
        let state = image.topics.by_id(id.topic_id).and_then(|topic| topic.partition(id.partition).cloned());
        match (hosted, state) {
            (Ok(hosted), Some(state)) => {
                if let Some(copy) = copy {
                    self.resume_move(&hosted, copy);
                }
                self.apply_leadership(&hosted, &state);
            }
            (Ok(_), None) => {}
            (Err(fault), _) => self.cannot_open(&topic, id, &fault),
        }
    }

    /// Opens the log in a folder of a partition's name. A folder without a readable topic id gets
    /// it from the metadata log: it was not created completely, or lost the id since. Returns
    /// `None` if the log cannot be this topic's, because it has records of a later leader epoch
    /// than the topic.
    fn open_existing(
        &self,
        dir: &Dir,
        name: &TopicPartition,
        folder: LogFolder,
        (topic_id, epoch): (TopicId, LeaderEpoch),
        config: LogConfig,
        given_up: &Arc<AtomicBool>,
    ) -> Result<Option<Log>, storage::Error> {
        let now = self.clock.now();
        let (offsets, is_clean) = {
            let unopened = dir.unopened.lock();
            (unopened.offsets_of(name), unopened.is_clean)
        };
        let opened = dir.log_dir.open_log_until(name, folder.path, config, &offsets, is_clean, now, given_up.clone());
        let (log, recovery) = opened?;
        if recovery.bytes_cut > 0 || recovery.segments_dropped > 0 {
            warn!(partition = %name, bytes = recovery.bytes_cut, segments = recovery.segments_dropped, "cut what was not whole off a log");
        }
        self.note_damage(dir, &log, &offsets)?;
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

    /// Lowers a checkpoint that is ahead of a log after damage was cut off. Otherwise later appends
    /// would count as flushed.
    pub(super) fn note_damage(&self, dir: &Dir, log: &Log, known: &CheckpointedOffsets) -> Result<(), storage::Error> {
        let checkpoint = known.recovery_points.get(log.partition()).copied().unwrap_or_default();
        if log.recovery_point() < checkpoint {
            dir.lower_recovery_point(log.partition(), log.recovery_point());
            dir.write_recovery_points(&|| self.logs_in(dir))?;
        }
        Ok(())
    }

    /// Creates a partition's log. An existing folder of its name belongs to an older topic.
    pub(super) fn create(
        &self,
        image: &Image,
        topic: &Topic,
        id: TopicIdPartition,
    ) -> Result<HostedPartition, storage::Error> {
        let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
        if self.may_be_offline(topic, id) {
            let reason = "a log dir that it may be in is offline".to_owned();
            return Err(storage::Error::Offline { partition: name.to_string(), reason });
        }
        self.online_dirs().try_for_each(|dir| dir.set_aside(&name))?;
        let assigned = topic.partition(id.partition).and_then(|state| state.directory(self.node_id));
        let Some(dir) = self.dir_for_new(assigned) else {
            let reason = "every log dir is offline".to_owned();
            return Err(storage::Error::Offline { partition: name.to_string(), reason });
        };
        let (config, _) = (self.settings)(image, &topic.name);
        match dir.log_dir.create(&name, Some(topic.id), config, self.clock.now()) {
            Ok(log) => Ok(self.host(&dir, image, topic, id, log)),
            Err(fault) => {
                dir.count_one_less();
                Err(fault)
            }
        }
    }

    /// Chooses the log dir for a new partition, as Kafka does: the one that the controller
    /// assigned, or the one with the fewest partitions among those that are not cordoned. If all
    /// are cordoned, takes the first. Counts the partition there.
    fn dir_for_new(&self, assigned: Option<DirectoryId>) -> Option<Arc<Dir>> {
        let _alone = self.placement_lock.lock();
        let is_assigned = |dir: &&Arc<Dir>| Some(dir.id()) == assigned;
        let fewest = || self.online_dirs().filter(|dir| !dir.is_cordoned()).min_by_key(|dir| dir.partition_count());
        let dir = self.online_dirs().find(is_assigned).or_else(fewest).or_else(|| self.online_dirs().next())?;
        dir.count_one_more();
        Some(dir.clone())
    }

    /// Serves a partition whose log is open.
    fn host(&self, dir: &Arc<Dir>, image: &Image, topic: &Topic, id: TopicIdPartition, log: Log) -> HostedPartition {
        let (config, rules) = (self.settings)(image, &topic.name);
        log.set_config(config);
        let name = log.partition().clone();
        let (is_internal, log, committer) = (is_internal(&topic.name), Arc::new(log), dir.committer.clone());
        let partition = Arc::new(Partition::new(self.node_id, id, is_internal, log, rules, committer));
        let hosted = HostedPartition { partition, dir: dir.clone() };
        hosted.partition.note_unflushed();
        self.partitions.write().insert(id, hosted.clone());
        // In this order: a checkpoint that is written meanwhile has the partition's entry from one
        // or the other.
        dir.unopened.lock().take(&name);
        self.offline.write().remove(&id);
        hosted
    }
}

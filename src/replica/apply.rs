//! Applies an image to the partitions: deletes those of deleted topics and those that a
//! reassignment took from this broker, creates new ones, starts and ends leaderships, changes
//! settings.
//!
//! Only a change of a partition that this broker had takes its log away. A folder that the first
//! image does not explain is only set aside, as in Kafka: that image may be older than the folder.

use super::opening::OpenPriority;
use super::unopened::LogFolder;
use super::{Dir, HostedPartition, Partition, Replicas, is_internal};
use metadata::Changes;
use metadata::image::{self, Image, ResourceType, Topic};
use model::{PartitionIndex, Timestamp, TopicId, TopicIdPartition, TopicPartition};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing::{error, info};

impl Replicas {
    /// Applies an image to this broker. Threads open existing logs later; everything else is done
    /// when this returns.
    pub fn apply(self: &Arc<Self>, image: &Image, changes: &Changes) {
        let of_image = |topic_id: &TopicId| image.topics.by_id(*topic_id);
        let changed = changes.partitions.iter().filter_map(|(id, indexes)| Some((of_image(id)?, indexes)));
        let changed = changed.flat_map(|(topic, indexes)| indexes.iter().map(|index| (topic.clone(), *index)));
        let (mine, others): (Vec<_>, Vec<_>) = changed.partition(|(topic, index)| self.is_replica(topic, *index));
        let deleted = changes.topics_deleted.values().flat_map(|topic| ids(topic).map(|id| (topic.clone(), id)));
        let gone: Vec<_> = deleted.chain(others.into_iter().filter_map(|it| self.taken_away(it))).collect();
        // Before `image_lock` is taken, since a thread that opens a log takes it at the end.
        if !gone.is_empty() {
            let ids: Vec<TopicIdPartition> = gone.iter().map(|(_, id)| *id).collect();
            self.dirs.iter().for_each(|dir| dir.queue.give_up(&ids));
        }
        let image_lock = self.image_lock.lock();
        self.delete_all(&gone);
        let is_first = !self.is_begun.swap(true, Ordering::SeqCst);
        // Logs change from here on, so a stop without a new marker is unclean.
        if is_first {
            self.forget_clean_shutdown();
        }
        let new = self.queue_existing(mine);
        self.forget_stale(&new);
        self.env.for_each(self.recovery_threads, new, |(topic, index)| self.apply_partition(image, topic, *index));
        self.change_settings(image, changes);
        drop(image_lock);
        self.open_queued();
    }

    /// Gives partitions no role before [`Self::begin_roles`]. Images that a process reads before
    /// its registration speak of an earlier process on these log dirs. That one may have had
    /// records that a loss of power took: what it led and had in sync may not be claimed.
    pub fn hold_roles(&self) {
        self.are_roles_held.store(true, Ordering::SeqCst);
    }

    /// Gives partitions their roles in this image, if they were held, and from now on in every one.
    pub fn begin_roles(&self, image: &Image) {
        let _image_lock = self.image_lock.lock();
        if !self.are_roles_held.swap(false, Ordering::SeqCst) {
            return;
        }
        let hosted: Vec<HostedPartition> = self.partitions.read().values().cloned().collect();
        for hosted in &hosted {
            let id = hosted.partition.id();
            let topic = image.topics.by_id(id.topic_id);
            if let Some(state) = topic.and_then(|topic| topic.partition(id.partition)) {
                self.apply_leadership(hosted, state);
            }
        }
    }

    pub(super) fn is_replica(&self, topic: &Topic, index: PartitionIndex) -> bool {
        topic.partition(index).is_some_and(|state| state.replicas.contains(&self.node_id))
    }

    /// Returns the id of a partition that this broker had and is no replica of any more.
    fn taken_away(&self, (topic, index): (Arc<Topic>, PartitionIndex)) -> Option<(Arc<Topic>, TopicIdPartition)> {
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let had = self.partitions.read().contains_key(&id)
            || self.offline.read().contains_key(&id)
            || self.dirs.iter().any(|dir| dir.queue.contains(id));
        had.then_some((topic, id))
    }

    fn forget_clean_shutdown(&self) {
        for dir in self.online_dirs() {
            if let Err(fault) = dir.log_dir.forget_clean_shutdown() {
                dir.log_error(&fault, "the clean shutdown marker could not be removed");
            }
        }
    }

    /// Queues the partitions that have folders, and returns the others.
    pub(super) fn queue_existing(&self, mine: Vec<(Arc<Topic>, PartitionIndex)>) -> Vec<(Arc<Topic>, PartitionIndex)> {
        let found = mine.into_iter().filter_map(|(topic, index)| {
            let id = TopicIdPartition { topic_id: topic.id, partition: index };
            let folder = match self.get(id) {
                Some(_) => Ok(None),
                None => self
                    .unopened_folder(&topic, index)
                    .map_or_else(|| self.adopt_copy(&topic, index), |it| Ok(Some(it))),
            };
            match folder {
                Ok(folder) => Some((topic, index, folder)),
                Err(fault) => {
                    self.cannot_open(&topic, id, &fault);
                    None
                }
            }
        });
        let (there, new): (Vec<_>, Vec<_>) = found.partition(|(.., folder)| folder.is_some());
        self.env.for_each(self.recovery_threads, there, |(topic, index, folder)| {
            let Some((dir, folder)) = folder else { return };
            let class = if is_internal(&topic.name) { OpenPriority::COORDINATOR } else { OpenPriority::DATA };
            let cost_bytes = dir.cost_of(&TopicPartition::new(topic.name.as_str(), index.0), folder);
            dir.queue
                .add(TopicIdPartition { topic_id: topic.id, partition: *index }, OpenPriority { class, cost_bytes });
        });
        new.into_iter().map(|(topic, index, _)| (topic, index)).collect()
    }

    /// Returns the folder of a partition that was found at start, with its log dir.
    pub(super) fn unopened_folder(&self, topic: &Topic, index: PartitionIndex) -> Option<(Arc<Dir>, LogFolder)> {
        let name = TopicPartition::new(topic.name.as_str(), index.0);
        self.online_dirs().find_map(|dir| Some((dir.clone(), dir.folder_of(&name, topic.id)?)))
    }

    /// Forgets the checkpoint entries of an older topic with the same name, on disk too, before the
    /// new log is created. Otherwise, after a kill, the new log would start where the old one
    /// ended.
    fn forget_stale(&self, new: &[(Arc<Topic>, PartitionIndex)]) {
        for dir in &self.dirs {
            let is_stale = {
                let unopened = &mut *dir.unopened.lock();
                new.iter().fold(false, |any, (topic, index)| {
                    let id = TopicIdPartition { topic_id: topic.id, partition: *index };
                    let is_open = self.partitions.read().contains_key(&id);
                    (!is_open && unopened.forget(&TopicPartition::new(topic.name.as_str(), index.0))) || any
                })
            };
            if is_stale {
                self.write_checkpoints_or_log(dir);
            }
        }
    }

    pub(super) fn write_checkpoints_or_log(&self, dir: &Dir) {
        if let Err(fault) = dir.write_checkpoints(&|| self.logs_in(dir)) {
            dir.log_error(&fault, "the checkpoints could not be written");
        }
    }

    /// Brings one partition to its state in the image, unless its log is still to be opened.
    pub(super) fn apply_partition(&self, image: &Image, topic: &Topic, index: PartitionIndex) {
        let Some(state) = topic.partition(index) else { return };
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        if self.is_lost(id) || self.dirs.iter().any(|dir| dir.queue.contains(id)) {
            return;
        }
        let hosted = self.partitions.read().get(&id).cloned();
        // A broker that stops creates no more logs, but gives away what it leads.
        if hosted.is_none() && self.dirs.iter().any(|dir| dir.is_interrupted()) {
            return;
        }
        match hosted.map_or_else(|| self.create(image, topic, id), Ok) {
            Ok(hosted) => self.apply_leadership(&hosted, state),
            Err(fault) => self.cannot_open(topic, id, &fault),
        }
    }

    /// Leads or resigns as the partition's state says, and notifies the leadership listener.
    pub(super) fn apply_leadership(&self, hosted: &HostedPartition, state: &image::Partition) {
        self.lead_or_resign(hosted, state);
        self.notify_leadership_listener(&hosted.partition);
    }

    pub(super) fn notify_leadership_listener(&self, partition: &Arc<Partition>) {
        if let Some(following) = self.following.get() {
            (following.listener)(partition);
        }
        if let Some(listener) = self.leadership_listener.get() {
            listener(partition);
        }
    }

    fn lead_or_resign(&self, hosted: &HostedPartition, state: &image::Partition) {
        let partition = &hosted.partition;
        let id = partition.id();
        let is_wrong = |known| known != hosted.dir.id() && !self.moves.announces(id, known);
        if state.directory(self.node_id).is_some_and(is_wrong) {
            self.assignments.add(id, hosted.dir.id(), None);
        }
        if self.are_roles_held.load(Ordering::SeqCst) {
            return;
        }
        let taken = match (state.leader, self.following.get()) {
            (Some(leader), _) if leader == self.node_id => partition.lead(state, self.clock.monotonic()),
            (Some(leader), Some(following)) if state.replicas.contains(&self.node_id) => {
                partition.follow(leader, state.leader_epoch, following.backoff_ms)
            }
            _ => return partition.resign(),
        };
        if let Err(fault) = taken {
            error!(partition = %partition.name(), error = %fault, "a partition could not take its role");
        }
    }

    /// Renames the folders of deleted partitions and removes their checkpoint entries on disk,
    /// before a partition of the same name can be created. After a crash, neither may be taken for
    /// the new partition's.
    fn delete_all(&self, gone: &[(Arc<Topic>, TopicIdPartition)]) {
        if gone.is_empty() {
            return;
        }
        gone.iter().for_each(|(topic, id)| self.delete(topic, *id));
        for dir in self.online_dirs() {
            if let Err(fault) = dir.log_dir.sync() {
                dir.log_error(&fault, "the names of deleted partitions' folders could not be synced");
            }
            self.write_checkpoints_or_log(dir);
        }
    }

    fn delete(&self, topic: &Topic, id: TopicIdPartition) {
        self.offline.write().remove(&id);
        let name = TopicPartition::new(topic.name.as_str(), id.partition.0);
        let Some(HostedPartition { partition, dir }) = self.partitions.write().remove(&id) else {
            self.remove_copies(&name, id.topic_id);
            return self.delete_unopened(topic, id, &name);
        };
        self.cancel_move(id, &dir);
        self.assignments.forget(id);
        partition.resign();
        self.notify_leadership_listener(&partition);
        dir.count_one_less();
        let delay = partition.log().config().file_delete_delay_ms;
        match partition.log().delete(self.env.uuid()) {
            Ok(path) => dir.remove_later(Timestamp(self.clock.now().0.saturating_add(delay)), path),
            Err(fault) => cannot_rename(&name, &fault),
        }
    }

    /// A folder without a readable topic id may be another topic's, so it is only set aside.
    fn delete_unopened(&self, topic: &Topic, id: TopicIdPartition, name: &TopicPartition) {
        let Some((dir, folder)) = self.unopened_folder(topic, id.partition) else { return };
        let renamed = match folder.topic_id {
            Some(_) => dir.delete_unopened(name),
            None => dir.set_aside(name).map(|()| None),
        };
        match renamed {
            Ok(Some(path)) => {
                let delay = (self.settings)(&self.image.load(), &topic.name).0.file_delete_delay_ms;
                dir.remove_later(Timestamp(self.clock.now().0.saturating_add(delay)), path);
            }
            Ok(None) => {}
            Err(fault) => cannot_rename(name, &fault),
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
        for copy in self.moves.copies() {
            if all || topics.contains(&*copy.partition().topic) {
                copy.set_config((self.settings)(image, &copy.partition().topic).0);
            }
        }
        for partition in self.all() {
            if all || topics.contains(partition.topic()) {
                let (config, rules) = (self.settings)(image, partition.topic());
                partition.set_config(config, rules);
            }
        }
    }

    /// Every partition of the first image is open or offline now, so other folders belong to no
    /// partition. The caller holds `image_lock`.
    pub(super) fn finish_loading(&self) {
        let offline = self.offline_names();
        for dir in self.online_dirs() {
            let stray: Vec<TopicPartition> =
                dir.unopened.lock().folders.keys().filter(|name| !offline.contains(name)).cloned().collect();
            for name in stray {
                if let Err(fault) = dir.set_aside(&name) {
                    error!(partition = %name, error = %fault, "a folder that belongs to no partition of this broker could not be renamed");
                }
            }
            dir.set_aside_copies(&offline);
            // Also for partitions without a folder: a new topic of that name must not start where
            // an old one ended.
            if dir.unopened.lock().forget_all_but(&offline) {
                self.write_checkpoints_or_log(dir);
            }
        }
        self.is_loaded.store(true, Ordering::SeqCst);
        let count = self.len();
        if count > 0 {
            info!(partitions = count, "all partitions are open");
        }
    }
}

fn cannot_rename(name: &TopicPartition, fault: &storage::Error) {
    error!(partition = %name, error = %fault, "a deleted partition's folder could not be renamed");
}

fn ids(topic: &Topic) -> impl Iterator<Item = TopicIdPartition> + '_ {
    topic.partitions.keys().map(|index| TopicIdPartition { topic_id: topic.id, partition: *index })
}

#[cfg(test)]
mod tests;

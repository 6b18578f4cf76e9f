//! Compaction: which log is cleaned next, how many at the same time, and how fast.
//!
//! As in Kafka, one task looks for the dirtiest log and gives it to the blocking pool, up to
//! `log.cleaner.threads` at the same time. If none is due, the task sleeps for
//! `log.cleaner.backoff.ms` or until the settings change. The map of keys exists only during a
//! cleaning. The offset that a log is clean up to belongs to the log, and is written to its dir's
//! checkpoint after every cleaning. A log that cannot be cleaned is logged once, shown in the
//! metrics, and skipped until the next start.

use super::throttle::{THROTTLE_WINDOW, Throttle, WAIT_MIN};
use super::{Dir, Partition, Replicas};
use crate::config::BrokerSettings;
use crate::env::Env;
use crate::env::clock::Moment;
use model::TopicIdPartition;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use storage::{Cleaned, CleanerLimits, Dirt, Log};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Returns the current settings.
pub type CleanerSettings = Arc<dyn Fn() -> Arc<BrokerSettings> + Send + Sync>;

/// The state of the cleaning of this broker's logs.
#[derive(Debug, Default)]
pub struct Cleaner {
    wake: Notify,
    /// The partitions that are being cleaned.
    busy: Mutex<BTreeSet<TopicIdPartition>>,
    uncleanable: Mutex<BTreeSet<TopicIdPartition>>,
    throttle: Mutex<Throttle>,
    figures: Mutex<CleanerFigures>,
}

/// What the cleaner did, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct CleanerFigures {
    /// The number of finished cleanings.
    pub cleanings: u64,
    /// The bytes of records read by all cleanings.
    pub bytes_read: u64,
    /// The bytes of records kept by all cleanings.
    pub bytes_written: u64,
    /// The last cleaning.
    pub last: Cleaned,
    /// The duration of the last cleaning.
    pub last_took: Duration,
    /// The largest ratio of dirty bytes of any log, when the cleaner last looked.
    pub dirty_ratio_max: f64,
    /// The largest time by which a log was over `max.compaction.lag.ms` then.
    pub overdue_ms_max: i64,
    /// When the cleaner last looked.
    pub looked: Option<Moment>,
}

/// Logs of one dir that cannot be cleaned.
#[derive(Clone, Debug)]
pub struct Uncleanable {
    /// The path of the dir.
    pub log_dir: String,
    /// The number of partitions.
    pub partitions: usize,
    /// The bytes in them that wait to be cleaned.
    pub bytes: u64,
}

/// A log to clean.
struct CleaningJob {
    partition: Arc<Partition>,
    log: Arc<Log>,
    dirt: Dirt,
}

impl Cleaner {
    /// Wakes the cleaner, since the settings changed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns the figures for the metrics.
    pub fn figures(&self) -> CleanerFigures {
        *self.figures.lock()
    }
}

/// Cleans logs until the broker stops.
pub async fn keep_clean(replicas: Arc<Replicas>, settings: CleanerSettings, stopping: CancellationToken) {
    let mut workers = JoinSet::new();
    loop {
        let now = settings();
        let threads = usize::try_from(now.log_cleaner_threads).unwrap_or(0);
        while now.log_cleaner_enable && workers.len() < threads {
            let this = replicas.clone();
            let Ok(Some(job)) = replicas.env.run(move || this.next_to_clean()).await else { break };
            let (this, settings, stopping) = (replicas.clone(), settings.clone(), stopping.clone());
            workers.spawn(replicas.env.run(move || this.clean(job, &settings, &stopping)));
        }
        let backoff = Duration::from_millis(u64::try_from(now.log_cleaner_backoff_ms).unwrap_or(0).max(1));
        let is_idle = workers.is_empty();
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            // Looks for the next log at once, unless this cleaning did nothing.
            Some(ended) = workers.join_next(), if !is_idle => {
                if matches!(ended, Ok(Ok(true))) {
                    continue;
                }
            }
            () = replicas.cleaner.wake.notified() => continue,
            () = tokio::time::sleep(backoff) => continue,
        }
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            () = replicas.cleaner.wake.notified() => {}
            () = tokio::time::sleep(backoff) => {}
        }
    }
    while workers.join_next().await.is_some() {}
}

impl Replicas {
    /// Returns the logs that cannot be cleaned, by log dir.
    pub fn uncleanable(&self) -> Vec<Uncleanable> {
        let marked = self.cleaner.uncleanable.lock().clone();
        let now = self.clock.now();
        let of = |dir: &Arc<Dir>| {
            let partitions: Vec<_> = self.all_in(dir).into_iter().filter(|it| marked.contains(&it.id())).collect();
            let bytes = |partition: &Arc<Partition>| partition.log().dirt(now).map_or(0, |dirt| dirt.dirty_bytes);
            Uncleanable {
                log_dir: dir.path().display().to_string(),
                partitions: partitions.len(),
                bytes: partitions.iter().map(bytes).sum(),
            }
        };
        self.dirs().iter().map(of).collect()
    }

    /// Returns the dirtiest of the logs that are due, and marks it as being cleaned. Also deletes
    /// old segments of compacted logs, as Kafka's cleaner does.
    fn next_to_clean(&self) -> Option<CleaningJob> {
        let now = self.clock.now();
        let mut figures = CleanerFigures {
            looked: Some(self.clock.instant()),
            dirty_ratio_max: 0.0,
            overdue_ms_max: 0,
            ..self.cleaner.figures()
        };
        let mut dirtiest: Option<CleaningJob> = None;
        for partition in self.all() {
            let log = partition.log().clone();
            let config = log.config();
            if !config.cleanup_policy.compact || log.fault().is_some() || self.is_left_alone(&partition) {
                continue;
            }
            if let Err(fault) = log.delete_old_segments(now).map(drop).or_else(unless_moved) {
                error!(partition = %partition.name(), error = %fault, "retention failed");
            }
            let dirt = match log.dirt(now) {
                Ok(dirt) => dirt,
                Err(_) if log.is_moved() => continue,
                Err(fault) => {
                    self.cannot_clean(&partition, &log, &fault);
                    continue;
                }
            };
            if let Some(said) = dirt.disbelieved {
                self.reset_checkpoint(&partition, &log, said.0, &dirt);
            }
            figures.dirty_ratio_max = figures.dirty_ratio_max.max(dirt.ratio());
            figures.overdue_ms_max = figures.overdue_ms_max.max(dirt.overdue_ms);
            let is_dirtier = dirtiest.as_ref().is_none_or(|job| dirt.ratio() > job.dirt.ratio());
            if dirt.is_due(&config) && is_dirtier && self.has_room(&partition, &dirt, config.segment_bytes) {
                dirtiest = Some(CleaningJob { partition, log, dirt });
            }
        }
        *self.cleaner.figures.lock() = figures;
        if let Some(job) = &dirtiest {
            self.cleaner.busy.lock().insert(job.partition.id());
        }
        dirtiest
    }

    fn is_left_alone(&self, partition: &Partition) -> bool {
        let id = partition.id();
        let is_left = self.cleaner.busy.lock().contains(&id) || self.cleaner.uncleanable.lock().contains(&id);
        is_left || self.is_moving(id, partition.log().partition())
    }

    /// Whether the disk has space for the largest segment that may be written. Without it,
    /// producers would be refused too until the segment is removed.
    fn has_room(&self, partition: &Partition, dirt: &Dirt, segment_bytes: u32) -> bool {
        let needed = (dirt.clean_bytes + dirt.dirty_bytes).min(u64::from(segment_bytes));
        let space = self.dir_of(partition.id()).map(|dir| dir.space());
        space.is_none_or(|space| space.is_ok_and(|space| space.usable_bytes > needed))
    }

    fn reset_checkpoint(&self, partition: &Partition, log: &Log, said: i64, dirt: &Dirt) {
        if !log.config().cleanup_policy.delete {
            warn!(partition = %partition.name(), checkpoint = said, from = dirt.from.0, "the cleaner's checkpoint cannot be: the log is cleaned from its start");
        }
        log.set_cleaned_up_to(Some(dirt.from));
        self.write_cleaned(partition);
    }

    /// Cleans one log. Returns whether it did something.
    fn clean(&self, job: CleaningJob, settings: &CleanerSettings, stopping: &CancellationToken) -> bool {
        let CleaningJob { partition, log, dirt } = job;
        let started = self.clock.instant();
        let wait = |owed| {
            !self.env.threads_may_wait()
                || Handle::current().block_on(async { tokio::time::timeout(owed, stopping.cancelled()).await.is_err() })
        };
        let mut pace = |bytes| {
            let is_wanted = || log.config().cleanup_policy.compact && !self.is_moving(partition.id(), log.partition());
            let goes_on = || !stopping.is_cancelled() && log.fault().is_none() && is_wanted();
            let mut owed = self.owed(bytes, settings);
            while goes_on() && owed >= WAIT_MIN && wait(owed.min(THROTTLE_WINDOW)) {
                owed = self.owed(0, settings);
            }
            goes_on()
        };
        let cleaned = log.clean(&dirt, limits(&settings(), self.env), self.clock.now(), &mut pace);
        let came_of_it = match cleaned {
            Ok(Some(cleaned)) => {
                self.cleaned(&partition, &dirt, cleaned, started.elapsed());
                true
            }
            Ok(None) => false,
            Err(fault) => {
                self.cannot_clean(&partition, &log, &fault);
                false
            }
        };
        self.cleaner.busy.lock().remove(&partition.id());
        came_of_it
    }

    fn cleaned(&self, partition: &Partition, dirt: &Dirt, cleaned: Cleaned, took: Duration) {
        info!(
            partition = %partition.name(),
            from = dirt.from.0,
            up_to = cleaned.up_to.0,
            bytes_before = cleaned.bytes_read,
            bytes_after = cleaned.bytes_written,
            records_before = cleaned.records_read,
            records_after = cleaned.records_kept,
            segments_before = cleaned.segments_read,
            segments_after = cleaned.segments_written,
            took_ms = took.as_millis(),
            "compacted a log"
        );
        if cleaned.keyless > 0 {
            warn!(partition = %partition.name(), records = cleaned.keyless, "dropped records without a key from a compacted log");
        }
        {
            let figures = &mut *self.cleaner.figures.lock();
            figures.cleanings += 1;
            figures.bytes_read += cleaned.bytes_read;
            figures.bytes_written += cleaned.bytes_written;
            (figures.last, figures.last_took) = (cleaned, took);
        }
        self.write_cleaned(partition);
    }

    fn write_cleaned(&self, partition: &Partition) {
        let Some(dir) = self.dir_of(partition.id()) else { return };
        if let Err(fault) = dir.write_cleaned(&|| self.logs_in(&dir)) {
            error!(log_dir = %dir.path().display(), error = %fault, "the checkpoint of the cleaner could not be written");
        }
    }

    /// Handles a log that could not be cleaned. After a full disk it is tried again, and an offline
    /// log is logged elsewhere. Any other log is skipped from now on.
    fn cannot_clean(&self, partition: &Partition, log: &Log, fault: &storage::Error) {
        if log.fault().is_some() {
            return;
        }
        if fault.is_refusal() {
            warn!(partition = %partition.name(), error = %fault, "a log could not be compacted now");
            return;
        }
        let uncleanable = &mut *self.cleaner.uncleanable.lock();
        uncleanable.retain(|id| self.get(*id).is_some());
        if uncleanable.insert(partition.id()) {
            error!(partition = %partition.name(), error = %fault, "a log cannot be compacted and is left as it is until the next start");
        }
    }

    /// Returns how long to wait after `bytes` bytes.
    fn owed(&self, bytes: u64, settings: &CleanerSettings) -> Duration {
        let per_second = settings().log_cleaner_io_max_bytes_per_second;
        self.cleaner.throttle.lock().owed(bytes, per_second, self.clock)
    }
}

/// A log that another one replaced is looked at the next time.
fn unless_moved(fault: storage::Error) -> Result<(), storage::Error> {
    if fault.is_moved() { Ok(()) } else { Err(fault) }
}

/// Returns the limits of one cleaning, its share of what all may use.
fn limits(settings: &BrokerSettings, env: Env) -> CleanerLimits {
    let threads = u64::try_from(settings.log_cleaner_threads).unwrap_or(1).max(1);
    let io_buffer = u64::try_from(settings.log_cleaner_io_buffer_size).unwrap_or(0);
    CleanerLimits {
        // Kafka's map is one array, which cannot be larger.
        dedupe_buffer_bytes: (u64::try_from(settings.log_cleaner_dedupe_buffer_size).unwrap_or(0) / threads)
            .min(i32::MAX as u64),
        load_factor: settings.log_cleaner_io_buffer_load_factor,
        // One half to read into, one half to write from.
        io_buffer_bytes: usize::try_from(io_buffer / threads / 2).unwrap_or(0),
        seed: [env.random_number(), env.random_number()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_part_of_the_buffers() {
        let required = [("process.roles", "broker"), ("node.id", "1"), ("controller.listener.names", "C")];
        let properties = [required.as_slice(), &[("log.cleaner.threads", "2")]].concat();
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let limits = limits(&BrokerSettings::new(&crate::config::BROKER.parse(&properties).unwrap()), <_>::default());
        assert_eq!((limits.dedupe_buffer_bytes, limits.io_buffer_bytes), (64 << 20, 128 << 10));
    }
}

//! Periodic work on logs: checkpoints, flushes, retention, removal of deleted files. A background
//! task runs each as one pass over all partitions. Flushes look only at noted partitions.

use super::dir::OpenLogs;
use super::disk_errors::log_partition_error;
use super::{Dir, Replicas};
use tracing::info;

impl Replicas {
    /// Writes the recovery points (`log.flush.offset.checkpoint.interval.ms`).
    pub fn write_recovery_points(&self) {
        self.write_each("recovery points", Dir::write_recovery_points);
    }

    /// Writes the log start offsets (`log.flush.start.offset.checkpoint.interval.ms`).
    pub fn write_log_start_offsets(&self) {
        self.write_each("log start offsets", Dir::write_log_start_offsets);
    }

    /// Writes the high watermarks (`replica.high.watermark.checkpoint.interval.ms`).
    pub fn write_high_watermarks(&self) {
        self.write_each("high watermarks", Dir::write_high_watermarks);
    }

    fn write_each(&self, what: &str, write: impl Fn(&Dir, OpenLogs<'_>) -> Result<(), storage::Error>) {
        for dir in self.online_dirs() {
            if let Err(fault) = write(dir, &|| self.logs_in(dir)) {
                dir.log_error(&fault, &format!("the checkpoint of {what} could not be written"));
            }
        }
    }

    /// Removes the state of producers that were silent too long
    /// (`producer.id.expiration.check.interval.ms`).
    pub fn expire_producers(&self) {
        let now = self.clock.now();
        for partition in self.all() {
            partition.log().expire_producers(now);
        }
    }

    /// Removes old segments (`log.retention.check.interval.ms`).
    pub fn retain(&self) {
        let now = self.clock.now();
        for partition in self.all() {
            let log = partition.log();
            match log.delete_old_segments(now) {
                Ok(expired) if expired.segments > 0 => {
                    // The active segment may have been closed.
                    partition.note_unflushed();
                    info!(partition = %partition.name(), segments = expired.segments, bytes = expired.bytes, "deleted old segments");
                }
                Ok(_) => {}
                Err(fault) if fault.is_moved() => {}
                Err(fault) => log_partition_error(&fault, partition.name(), "retention failed"),
            }
        }
    }

    /// Looks for followers of the partitions that this broker leads that lag behind them
    /// (`replica.lag.time.max.ms`).
    pub fn check_lag(&self) {
        let now = self.clock.monotonic();
        for partition in self.all() {
            partition.check_lag(now);
        }
    }

    /// Removes the files of segments and partitions whose deletion is due.
    pub fn remove_deleted(&self) {
        let now = self.clock.now();
        for partition in self.all() {
            if let Err(fault) = partition.log().remove_deleted_files(now) {
                log_partition_error(&fault, partition.name(), "a deleted segment could not be removed");
            }
        }
        self.online_dirs().for_each(|dir| dir.remove_due_folders(now));
    }

    /// Flushes what is due by `flush.ms`, and closed segments that are not flushed yet.
    pub fn flush_due(&self) {
        let now = self.clock.now();
        self.dirs.iter().for_each(|dir| dir.committer.flush_noted(now));
    }
}

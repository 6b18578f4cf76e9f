//! What is done to logs from time to time: checkpoints, flushes, retention, removal of what was deleted. Each is one pass over all partitions, run by a
//! background task.

use super::Replicas;
use model::Offset;
use storage::{OffsetCheckpoint, Offsets};
use tracing::{error, info};

impl Replicas {
    /// Writes the three checkpoint files.
    pub fn write_checkpoints(&self) -> Result<(), storage::Error> {
        self.write_recovery_points()?;
        self.write_log_start_offsets()?;
        self.write_high_watermarks()
    }

    /// Writes the recovery points (`log.flush.offset.checkpoint.interval.ms`).
    pub fn write_recovery_points(&self) -> Result<(), storage::Error> {
        let _alone = self.checkpoints.lock();
        self.dir.write_recovery_points(&self.offsets(|left| &left.recovery_points, |log| Some(log.recovery_point())))
    }

    /// Writes the log start offsets (`log.flush.start.offset.checkpoint.interval.ms`).
    pub fn write_log_start_offsets(&self) -> Result<(), storage::Error> {
        let above_first_segment = |log: &storage::Log| {
            let start = log.log_start_offset();
            log.segments().first().filter(|first| first.base_offset() < start).map(|_| start)
        };
        let _alone = self.checkpoints.lock();
        self.dir.write_log_start_offsets(&self.offsets(|left| &left.log_start_offsets, above_first_segment))
    }

    /// Writes the high watermarks (`replica.high.watermark.checkpoint.interval.ms`).
    pub fn write_high_watermarks(&self) -> Result<(), storage::Error> {
        let _alone = self.checkpoints.lock();
        self.dir.write_high_watermarks(&self.offsets(|left| &left.high_watermarks, |log| Some(log.high_watermark())))
    }

    /// A checkpoint's contents: what the open logs say, and of logs that are not open what the checkpoint said before.
    fn offsets(
        &self,
        kept: impl Fn(&Offsets) -> &OffsetCheckpoint,
        of: impl Fn(&storage::Log) -> Option<Offset>,
    ) -> OffsetCheckpoint {
        // In this order: a log that is opened in between is in both, and its own word comes last.
        let mut offsets = kept(&self.left.lock().offsets).clone();
        let partitions = self.all();
        offsets.extend(partitions.iter().filter_map(|it| Some((it.log().partition().clone(), of(it.log())?))));
        offsets
    }

    /// Forgets producers that have been silent (`producer.id.expiration.check.interval.ms`).
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
                    info!(partition = %partition.name(), segments = expired.segments, bytes = expired.bytes, "deleted old segments");
                }
                Ok(_) => {}
                Err(fault) => error!(partition = %partition.name(), error = %fault, "retention failed"),
            }
        }
    }

    /// Removes the files of segments and partitions that were deleted long enough ago.
    pub fn remove_deleted(&self) {
        let now = self.clock.now();
        for partition in self.all() {
            if let Err(fault) = partition.log().remove_deleted_files(now) {
                error!(partition = %partition.name(), error = %fault, "a deleted segment could not be removed");
            }
        }
        let due: Vec<_> = self.doomed.lock().extract_if(.., |(due, _)| *due <= now).collect();
        for (_, path) in due {
            if let Err(fault) = self.dir.remove_folder(&path) {
                error!(path = %path.display(), error = %fault, "a deleted partition could not be removed");
            }
        }
    }

    /// Flushes what `flush.ms` says is due, and closed segments that are not on disk yet.
    pub fn flush_due(&self) {
        let now = self.clock.now();
        for partition in self.all() {
            let log = partition.log();
            let rolled = log.segments().last().map(|active| active.base_offset());
            let up_to = if log.is_flush_due(now) { Some(log.log_end_offset()) } else { rolled };
            let Some(up_to) = up_to.filter(|up_to| *up_to > log.recovery_point()) else { continue };
            if let Err(fault) = log.flush(up_to, now) {
                error!(partition = %partition.name(), error = %fault, "a flush failed");
            }
        }
    }
}

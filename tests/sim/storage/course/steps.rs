//! The steps of a course that do not append.

use super::{Checkpoint, Course};
use crate::batch::Batch;
use crate::check::{Check, ensure};
use crate::partition::Pending;
use model::{LeaderEpoch, Offset, TopicId};
use std::sync::Arc;
use storage::Log;

impl Course {
    /// Runs one random step on a partition.
    pub(super) fn step(&mut self, index: usize) -> Check {
        let is_up = self.log(index).is_some_and(|log| log.fault().is_none());
        if !is_up || self.partitions[index].pending != Pending::Nothing {
            // The partition waits for the next start; the others go on.
            return Ok(());
        }
        match self.random.below(100) {
            0..40 => self.append(index),
            40..48 => self.append_marker(index),
            48..58 => self.append_as_follower(index),
            58..61 => self.append_again(index),
            61..63 => self.append_out_of_order(index),
            63..65 => self.append_unverified(index),
            65..68 => self.flush(index),
            68..72 => self.truncate(index),
            72..74 => self.start_anew(index),
            74..78 => self.delete_records(index),
            78..82 => self.retain(index),
            82..84 => self.remove_deleted(index),
            84..87 => self.lead(index),
            87..89 => self.recreate(index),
            89..91 => {
                self.advance(index);
                Ok(())
            }
            91..93 => self.commit(),
            93..95 => self.write_checkpoint(Checkpoint::RecoveryPoints, None).map(drop),
            95..98 => self.write_checkpoint(Checkpoint::LogStarts, None).map(drop),
            _ => self.write_checkpoint(Checkpoint::HighWatermarks, None).map(drop),
        }
    }

    pub(super) fn log(&self, index: usize) -> Option<&Log> {
        self.node.as_ref().and_then(|node| node.log(index))
    }

    /// Writes a checkpoint file, without the entry of a deleted partition. Returns whether it was
    /// written.
    pub(super) fn write_checkpoint(&mut self, which: Checkpoint, without: Option<usize>) -> Check<bool> {
        let Some(node) = &self.node else { return Ok(false) };
        let mut offsets = match which {
            Checkpoint::RecoveryPoints => node.recovery_points(),
            Checkpoint::LogStarts => node.log_start_offsets(),
            Checkpoint::HighWatermarks => node.high_watermarks(),
        };
        if let Some(without) = without {
            offsets.remove(&self.partitions[without].name);
        }
        let written = match which {
            Checkpoint::RecoveryPoints => node.dir.write_recovery_points(|| offsets.clone()),
            Checkpoint::LogStarts => node.dir.write_log_start_offsets(|| offsets.clone()),
            Checkpoint::HighWatermarks => node.dir.write_high_watermarks(|| offsets.clone()),
        };
        let is_written = self.judge("checkpoint", written)?.is_some();
        self.note(|_| format!("{which:?} {offsets:?} {is_written}"));
        let known = &mut self.checkpoints[which as usize];
        if is_written {
            known.clear();
        }
        known.push(offsets);
        if let (true, Checkpoint::LogStarts, Some(node)) = (is_written, which, &self.node) {
            for (index, partition) in self.partitions.iter_mut().enumerate() {
                if let (Some(log), Pending::Nothing) = (node.log(index), partition.pending) {
                    partition.start_durable = log.log_start_offset().0;
                }
            }
        }
        Ok(is_written)
    }

    fn flush(&mut self, index: usize) -> Check {
        let end = self.partitions[index].end;
        let any = self.random.within(0, end + 3);
        let Some(log) = self.log(index) else { return Ok(()) };
        let active = log.segments().last().map_or(0, |active| active.base_offset().0);
        let up_to = match any % 3 {
            0 => any,
            1 => active,
            _ => end,
        };
        let flushed = self.judge("flush", log.flush(Offset(up_to), self.now()))?.is_some();
        self.note(|_| format!("{index}: flush to {up_to} of {end}: {flushed}"));
        if flushed {
            self.partitions[index].flushed_to(up_to.min(end));
        }
        Ok(())
    }

    /// Truncates as a follower whose leader has different records.
    fn truncate(&mut self, index: usize) -> Check {
        let partition = &self.partitions[index];
        let ends: Vec<i64> =
            partition.from(partition.start).iter().map(Batch::next).filter(|end| *end < partition.end).collect();
        if ends.is_empty() {
            return Ok(());
        }
        let to = self.random.pick(&ends[ends.len().saturating_sub(12)..]);
        self.partitions[index].leader_epoch += 1;
        self.partitions[index].pending = Pending::Truncate(to);
        let Some(log) = self.log(index) else { return Ok(()) };
        let truncated = self.judge("truncate", log.truncate_to(Offset(to), self.now()))?;
        self.lowered(index, to, truncated.is_some());
        self.note(|_| format!("{index}: truncate to {to}: {truncated:?}"));
        let Some(truncated) = truncated else { return Ok(()) };
        ensure!(truncated, "nothing was cut at {to}");
        let partition = &mut self.partitions[index];
        partition.truncated(to);
        partition.pending = Pending::Nothing;
        Ok(())
    }

    /// A log was told to end at an offset: its entries in the checkpoints are lowered, or may be.
    fn lowered(&mut self, index: usize, to: i64, is_done: bool) {
        let name = &self.partitions[index].name;
        for known in &mut self.checkpoints {
            let mut lowered = known.clone();
            let entries = lowered.iter_mut().filter_map(|offsets| offsets.get_mut(name));
            entries.for_each(|entry| *entry = Offset(entry.0.min(to)));
            match is_done {
                true => *known = lowered,
                false => known.extend(lowered),
            }
        }
    }

    /// Starts again as a follower whose leader has none of its records any more.
    fn start_anew(&mut self, index: usize) -> Check {
        let start = self.partitions[index].end + self.random.within(0, 30);
        self.partitions[index].leader_epoch += 1;
        self.partitions[index].pending = Pending::StartAnew;
        let Some(log) = self.log(index) else { return Ok(()) };
        let done = self.judge("start anew", log.truncate_fully_and_start_at(Offset(start), self.now()))?.is_some();
        self.lowered(index, start, done);
        self.note(|_| format!("{index}: start anew at {start}: {done}"));
        if done {
            self.partitions[index].started_anew(start);
            self.partitions[index].pending = Pending::Nothing;
        }
        Ok(())
    }

    fn delete_records(&mut self, index: usize) -> Check {
        let partition = &self.partitions[index];
        let before = self.random.within(partition.start, partition.high_watermark);
        self.begin_later_start(index, before);
        let Some(log) = self.log(index) else { return Ok(()) };
        let done = self.judge("delete records", log.delete_records(Offset(before)))?;
        self.note(|_| format!("{index}: delete records before {before}: {done:?}"));
        self.moved_start(index, done.is_some())
    }

    fn retain(&mut self, index: usize) -> Check {
        self.begin_later_start(index, self.partitions[index].high_watermark);
        let Some(log) = self.log(index) else { return Ok(()) };
        let expired = self.judge("retention", log.delete_old_segments(self.now()))?;
        self.note(|_| format!("{index}: retention: {expired:?}"));
        self.moved_start(index, expired.is_some())
    }

    /// From here on, state from below may be forgotten.
    fn begin_later_start(&mut self, index: usize, to: i64) {
        let partition = &mut self.partitions[index];
        partition.pending = Pending::LaterStart;
        partition.start_high = partition.start_high.max(to);
    }

    fn moved_start(&mut self, index: usize, is_done: bool) -> Check {
        let Some(start) = self.log(index).filter(|_| is_done).map(Log::log_start_offset) else { return Ok(()) };
        let partition = &mut self.partitions[index];
        ensure!(
            (partition.start..=partition.high_watermark).contains(&start.0),
            "the log start moved from {} to {start}; high watermark {}",
            partition.start,
            partition.high_watermark
        );
        partition.start_moved(start);
        partition.pending = Pending::Nothing;
        Ok(())
    }

    fn remove_deleted(&mut self, index: usize) -> Check {
        let Some(log) = self.log(index) else { return Ok(()) };
        let left = self.judge("removal", log.remove_deleted_files(self.now()))?;
        self.note(|_| format!("{index}: remove deleted files: {left:?}"));
        let Some(node) = &mut self.node else { return Ok(()) };
        while let Some(path) = node.doomed.pop() {
            if node.dir.remove_folder(&path).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the topic and creates another one of its name, first in the metadata log, then here.
    fn recreate(&mut self, index: usize) -> Check {
        let next = self.partitions[index].recreated();
        let (topic_id, config) = (next.topic_id(), next.config.clone());
        self.partitions[index] = next;
        let unique = TopicId::from_random([self.unique(); 16]);
        let Some(log) = self.node.as_mut().and_then(|node| node.logs[index].take()) else { return Ok(()) };
        let deleted = self.judge("delete", log.delete(unique))?;
        self.note(|_| format!("{index}: recreate: {deleted:?}"));
        let (Some(path), Some(node)) = (deleted, self.node.as_mut()) else { return Ok(()) };
        node.doomed.push(path);
        let synced = node.dir.sync();
        if self.judge("delete", synced)?.is_none() {
            return Ok(());
        }
        for checkpoint in [Checkpoint::RecoveryPoints, Checkpoint::LogStarts, Checkpoint::HighWatermarks] {
            if !self.write_checkpoint(checkpoint, Some(index))? {
                return Ok(());
            }
        }
        let Some(node) = &self.node else { return Ok(()) };
        let name = &self.partitions[index].name;
        let created = node.dir.create(name, Some(topic_id), config, self.now());
        let created = created.and_then(|log| log.assign_epoch(LeaderEpoch(0)).map(|()| log));
        let created = self.judge("create", created)?;
        if let (Some(log), Some(node)) = (created, self.node.as_mut()) {
            node.logs[index] = Some(Arc::new(log));
            self.partitions[index].pending = Pending::Nothing;
            self.partitions[index].assigned = Some(0);
        }
        Ok(())
    }
}

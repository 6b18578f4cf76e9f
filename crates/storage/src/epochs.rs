//! Leader epochs and their start offsets: `leader-epoch-checkpoint`, and the lookups of KIP-101 and
//! KIP-279.
//!
//! Entries rise strictly in both epoch and start offset. The file is a checkpoint file whose lines
//! are `epoch start_offset`.

use crate::checkpoint;
use crate::disk::Disk;
use crate::error::Result;
use model::{LeaderEpoch, Offset};
use std::path::Path;

/// The leader epochs of one log, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs(Vec<(LeaderEpoch, Offset)>);

impl LeaderEpochs {
    /// Reads the file. A missing file has no epochs.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<LeaderEpochs> {
        let parse = |line: &str| {
            let (epoch, offset) = line.split_once(char::is_whitespace)?;
            Some((LeaderEpoch(epoch.parse().ok()?), Offset(offset.trim().parse().ok()?)))
        };
        let mut epochs = LeaderEpochs::default();
        for (epoch, offset) in checkpoint::read_lines(disk, path, parse)? {
            epochs.assign(epoch, offset);
        }
        Ok(epochs)
    }

    /// Replaces the file. Without `sync` a power cut may leave any part of it; after a kill it is
    /// still either the old or the new one.
    pub fn write(&self, disk: &dyn Disk, path: &Path, sync: bool) -> Result<()> {
        let lines = self.0.iter().map(|(epoch, offset)| format!("{epoch} {offset}"));
        checkpoint::write_text(disk, path, &checkpoint::format_lines(lines), sync)
    }

    /// Returns every epoch and its start offset.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.0
    }

    /// Returns the newest epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// Returns the epoch of the record at an offset.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.0.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|index| self.0[index].0)
    }

    /// Returns the same epochs, with the start offsets of another log that has records which this
    /// one lost.
    pub(crate) fn begun_by(&self, other: &LeaderEpochs) -> LeaderEpochs {
        let mut begun: Vec<(LeaderEpoch, Offset)> = Vec::with_capacity(self.0.len());
        for (epoch, start) in self.0.iter().rev() {
            let others = other.0.iter().find(|(known, _)| known == epoch);
            let start = others.map_or(*start, |(_, others)| (*others).min(*start));
            // An epoch without records may have no place left.
            if begun.last().is_none_or(|(_, next)| start < *next) {
                begun.push((*epoch, start));
            }
        }
        begun.reverse();
        LeaderEpochs(begun)
    }

    /// Whether a record of an epoch at an offset adds nothing new.
    pub(crate) fn goes_on(&self, epoch: LeaderEpoch, start: Offset) -> bool {
        self.0.last().is_some_and(|(last, last_start)| *last == epoch && *last_start <= start)
    }

    /// Notes that an epoch began at an offset, and removes entries that contradict it. Returns
    /// whether anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self.goes_on(epoch, start) {
            return false;
        }
        while self.0.last().is_some_and(|(last, last_start)| *last > epoch || *last_start >= start) {
            self.0.pop();
        }
        // An epoch that follows one without records starts at the same offset.
        if self.latest() != Some(epoch) {
            self.0.push((epoch, start));
        }
        true
    }

    /// Returns where an epoch ended in this log: the largest known epoch that is not above it, and
    /// its exclusive end. `None` if the epoch is above all known ones, or none is known.
    pub fn end_offset(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<(LeaderEpoch, Offset)> {
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let above = self.0.partition_point(|(known, _)| *known <= epoch);
        let end = self.0.get(above)?.1;
        // If it is below all known epochs, the answer is the epoch itself with the start of the
        // first known one.
        let known = above.checked_sub(1).map_or(epoch, |index| self.0[index].0);
        Some((known, end))
    }

    /// Removes epochs that begin at or above the log's new end. Returns whether anything changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, start)| *start < end);
        before != self.0.len()
    }

    /// Lets the epoch at the log's new start begin there and removes those before it. Returns
    /// whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let Some(last) = self.0.partition_point(|(_, known)| *known <= start).checked_sub(1) else { return false };
        if last == 0 && self.0[0].1 == start {
            return false;
        }
        self.0.drain(..last);
        self.0[0].1 = start;
        true
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs(entries.iter().map(|(epoch, offset)| (LeaderEpoch(*epoch), Offset(*offset))).collect())
    }

    #[test]
    fn the_epochs_of_a_copy_begin_where_its_records_do() {
        let of = |entries: &[(i32, i64)]| {
            LeaderEpochs(entries.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start))).collect())
        };
        let (known, own) = (of(&[(1, 9), (2, 20), (5, 30)]), of(&[(1, 9), (2, 16)]));
        assert_eq!(known.begun_by(&own), of(&[(1, 9), (2, 16), (5, 30)]));
        assert_eq!(known.begun_by(&LeaderEpochs::default()), known);
        assert_eq!(of(&[(1, 9), (2, 18), (3, 20)]).begun_by(&of(&[(1, 9), (3, 16)])), of(&[(1, 9), (3, 16)]));
    }

    #[test]
    fn end_offsets_as_kip_101_asks() {
        let known = epochs(&[(2, 5), (4, 9), (5, 12)]);
        let end = |epoch| known.end_offset(LeaderEpoch(epoch), Offset(20)).map(|(epoch, offset)| (epoch.0, offset.0));
        assert_eq!(end(5), Some((5, 20)));
        assert_eq!(end(4), Some((4, 12)));
        assert_eq!(end(3), Some((2, 9)));
        assert_eq!(end(2), Some((2, 9)));
        assert_eq!(end(1), Some((1, 5)));
        assert_eq!(end(6), None);
        assert_eq!(epochs(&[]).end_offset(LeaderEpoch(0), Offset(20)), None);
        assert_eq!(known.epoch_of(Offset(4)), None);
        assert_eq!(known.epoch_of(Offset(11)), Some(LeaderEpoch(4)));
    }

    #[test]
    fn entries_rise_in_both() {
        let mut known = epochs(&[(2, 5), (4, 9)]);
        assert!(!known.assign(LeaderEpoch(4), Offset(10)));
        assert!(known.assign(LeaderEpoch(5), Offset(9)));
        assert_eq!(known, epochs(&[(2, 5), (5, 9)]));
        assert!(known.assign(LeaderEpoch(3), Offset(7)));
        assert_eq!(known, epochs(&[(2, 5), (3, 7)]));
    }

    #[test]
    fn truncation_at_both_ends() {
        let mut known = epochs(&[(2, 5), (4, 9), (5, 12)]);
        assert!(!known.truncate_from_end(Offset(13)));
        assert!(known.truncate_from_end(Offset(12)));
        assert_eq!(known, epochs(&[(2, 5), (4, 9)]));
        assert!(!known.truncate_from_start(Offset(4)));
        assert!(!known.truncate_from_start(Offset(5)));
        assert!(known.truncate_from_start(Offset(6)));
        assert_eq!(known, epochs(&[(2, 6), (4, 9)]));
        assert!(known.truncate_from_start(Offset(30)));
        assert_eq!(known, epochs(&[(4, 30)]));
    }

    #[test]
    fn the_file_is_kafkas() {
        let disk = SimDisk::new();
        let path = Path::new("/leader-epoch-checkpoint");
        epochs(&[(0, 0), (3, 17)]).write(&disk, path, true).unwrap();
        assert_eq!(checkpoint::read_text(&disk, path).unwrap().unwrap(), "0\n2\n0 0\n3 17\n");
        assert_eq!(LeaderEpochs::read(&disk, path).unwrap(), epochs(&[(0, 0), (3, 17)]));
    }
}

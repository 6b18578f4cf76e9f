//! Rotten bits: a byte of a log is not what was synced. A batch has a checksum, so its node notices
//! it when it checks the log, cuts the rest off, and copies it again. A controller refuses to start
//! without a part of its metadata log that was synced, until its folder is emptied.
//!
//! The checksum leaves out the base offset and the leader epoch, in every release of Kafka. Rot in
//! these is not noticed, and not planted.

use crate::course::Course;
use crate::faults::{Faults, are_others_in_sync};
use crate::random::Random;
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use storage::disk::{Crash, Disk, OpenMode, SimDisk};

/// What will rot before a node starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rot {
    pub index: usize,
    /// Whether partitions may rot too, and not the metadata log only. It is known that the others
    /// have all of them.
    pub partitions: bool,
}

/// The folder of the metadata log, which every start checks from its beginning.
const METADATA: &str = "__cluster_metadata-0";
/// The file that says from where on a start checks the other logs.
const RECOVERY_POINTS: &str = "/data/recovery-point-offset-checkpoint";

/// The length of a batch follows its base offset of 8 bytes and does not count these 12 bytes.
const LENGTH_AT: usize = 8;
const HEAD_BYTES: usize = 12;
/// The bytes of a batch that have its leader epoch.
const EPOCH_BYTES: std::ops::Range<usize> = 12..16;

impl Faults {
    /// Kills a node for so long that nothing of it is on its way any more. Its logs may rot
    /// meanwhile.
    pub fn begin_rot(&mut self, course: &mut Course, index: usize) {
        let partitions = !self.is_controller_alone(course, index) && self.may_lose_power(course, index);
        if partitions {
            self.without_power = Some(index);
        }
        self.rots.push(Rot { index, partitions });
        let ms = 800 + course.random.below(1_500) as u64;
        course.note(|| format!("node {} is killed, and its logs may rot", index + 1));
        self.down_for(course, index, Crash::Process, ms);
    }

    /// Lets a byte of a node's logs rot before the node starts, if all others have what it loses.
    pub fn rot(&mut self, course: &mut Course, index: usize) {
        let Some(at) = self.rots.iter().position(|rot| rot.index == index) else { return };
        let rot = self.rots.swap_remove(at);
        let do_voters_change = course.layout.is_dynamic() && course.wanted.settled().is_none();
        if !are_others_in_sync(course, index) || do_voters_change {
            return;
        }
        let disk = course.nodes[index].disk.clone();
        let flushed = flushed(&disk);
        let may_rot = |dir: &str| dir == METADATA || rot.partitions && !flushed.contains(dir);
        let is_log = |path: &&PathBuf| {
            let dir = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            path.extension().is_some_and(|it| it == "log") && dir.is_some_and(may_rot)
        };
        let logs: Vec<PathBuf> = disk.files().iter().filter(is_log).cloned().collect();
        if logs.is_empty() {
            return;
        }
        let path = &logs[course.random.below(logs.len())];
        if let Some(position) = flip(&disk, path, &mut course.random) {
            course.note(|| format!("byte {position} of {} of node {} rots", path.display(), index + 1));
        }
    }
}

/// Returns the folders of the logs that a start does not check from their beginning.
fn flushed(disk: &SimDisk) -> BTreeSet<String> {
    let Ok(file) = disk.open(Path::new(RECOVERY_POINTS), OpenMode::Read) else { return BTreeSet::new() };
    let mut text = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
        (offset != "0").then(|| format!("{topic}-{partition}"))
    };
    text.lines().filter_map(of_line).collect()
}

/// Changes a bit of a file of batches that a checksum covers. Returns where.
fn flip(disk: &SimDisk, path: &Path, random: &mut Random) -> Option<usize> {
    let file = disk.open(path, OpenMode::Write).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let position = random.below(bytes.len());
    let mut batch = 0;
    while batch + HEAD_BYTES <= bytes.len() {
        let length = u32::from_be_bytes(bytes[batch + LENGTH_AT..batch + HEAD_BYTES].try_into().unwrap()) as usize;
        let end = batch + HEAD_BYTES + length;
        if position < end {
            let within = position - batch;
            let is_covered = end <= bytes.len() && within >= LENGTH_AT && !EPOCH_BYTES.contains(&within);
            if is_covered {
                let byte = bytes[position] ^ (1 << random.below(8));
                file.write_at(position as u64, &[IoSlice::new(&[byte])]).unwrap();
                file.sync().unwrap();
            }
            return is_covered.then_some(position);
        }
        batch = end;
    }
    None
}

//! What a node keeps: the log, `quorum-state` and snapshots. What was not fsynced may be lost.

use bytes::Bytes;
use model::{LeaderEpoch, Offset};
use raft::batch::parse_batch;
use raft::snapshot::{SnapshotPart, SnapshotWriter, read_snapshot};
use raft::{ControlRecord, ElectionState, KRaftVersion, LogFacts, SnapshotId, Stored, VoterSet};
use std::collections::{BTreeMap, VecDeque};

/// One batch of a log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub base: Offset,
    pub last: Offset,
    pub epoch: LeaderEpoch,
    /// The checksum that the batch itself has, which stands for its content.
    pub crc: u32,
    pub is_control: bool,
    pub bytes: Bytes,
}

impl Entry {
    pub fn new(base: Offset, last: Offset, epoch: LeaderEpoch, bytes: Bytes) -> Self {
        let crc = u32::from_be_bytes(bytes[17..21].try_into().unwrap());
        let is_control = bytes[22] & 0x20 != 0;
        Self { base, last, epoch, crc, is_control, bytes }
    }
}

/// A log's batches.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub start: Offset,
    pub end: Offset,
    pub entries: Vec<Entry>,
    /// The file `leader-epoch-checkpoint`.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Log {
    /// The batch that has this offset.
    pub fn at(&self, offset: Offset) -> Option<&Entry> {
        let position = self.entries.partition_point(|entry| entry.last < offset);
        self.entries.get(position).filter(|entry| entry.base <= offset)
    }

    /// The position of the first batch that begins at an offset or later.
    pub fn position(&self, offset: Offset) -> usize {
        self.entries.partition_point(|entry| entry.base < offset)
    }

    /// Whether the log has this record, or a snapshot stands for it.
    pub fn covers(&self, offset: Offset, epoch: LeaderEpoch, crc: u32) -> bool {
        offset < self.start || self.at(offset).is_some_and(|entry| (entry.epoch, entry.crc) == (epoch, crc))
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append(entry) => {
                if self.epochs.last().is_none_or(|(last, _)| *last < entry.epoch) {
                    self.epochs.push((entry.epoch, entry.base));
                }
                self.end = entry.last.plus(1);
                self.entries.push(entry);
            }
            Op::Truncate(end) => {
                self.entries.truncate(self.position(end));
                self.epochs.retain(|(_, start)| *start < end);
                self.end = end;
            }
            Op::Reset(at) => *self = Self { start: at, end: at, ..Self::default() },
            Op::Start(at) => {
                let position = self.entries.partition_point(|entry| entry.last < at);
                self.entries.drain(..position);
                self.start = at;
                if let Some(covering) = self.epochs.iter().rposition(|(_, start)| *start <= at) {
                    self.epochs.drain(..covering);
                    self.epochs[0].1 = at;
                }
            }
        }
    }
}

/// A change of a log.
#[derive(Clone, Debug)]
enum Op {
    Append(Entry),
    Truncate(Offset),
    Reset(Offset),
    Start(Offset),
}

/// The disk of one node.
#[derive(Clone, Debug)]
pub struct Disk {
    pub election: Option<ElectionState>,
    pub snapshots: BTreeMap<SnapshotId, Bytes>,
    /// A snapshot that is downloaded.
    pub partial: Option<(SnapshotId, Vec<u8>)>,
    pub log: Log,
    /// The log that a power cut leaves at least.
    pub synced: Log,
    unsynced: VecDeque<Op>,
    issued: u64,
    applied: u64,
}

impl Disk {
    /// A formatted disk. `first_voters` are those of a dynamic quorum.
    pub fn format(first_voters: Option<&VoterSet>) -> Self {
        let mut snapshots = BTreeMap::new();
        if let Some(voters) = first_voters {
            snapshots.insert(SnapshotId::BOOTSTRAP, snapshot(SnapshotId::BOOTSTRAP, (KRaftVersion::V1, voters), &[]));
        }
        Self {
            election: None,
            snapshots,
            partial: None,
            log: Log::default(),
            synced: Log::default(),
            unsynced: VecDeque::new(),
            issued: 0,
            applied: 0,
        }
    }

    fn change(&mut self, op: Op) {
        self.issued += 1;
        self.unsynced.push_back(op.clone());
        self.log.apply(op);
    }

    pub fn append(&mut self, entry: Entry) {
        self.change(Op::Append(entry));
    }

    pub fn truncate(&mut self, end: Offset) {
        self.change(Op::Truncate(end));
    }

    pub fn reset(&mut self, at: Offset) {
        self.change(Op::Reset(at));
    }

    /// Moves the log start to the end of a snapshot, and deletes the older ones.
    pub fn start_at(&mut self, oldest_kept: SnapshotId) {
        self.change(Op::Start(oldest_kept.end));
        self.snapshots.retain(|id, _| *id >= oldest_kept);
    }

    /// What an fsync that begins now makes durable.
    pub fn sync_point(&self) -> u64 {
        self.issued
    }

    /// An fsync that began at that point is done.
    pub fn synced_up_to(&mut self, point: u64) {
        while self.applied < point
            && let Some(op) = self.unsynced.pop_front()
        {
            self.synced.apply(op);
            self.applied += 1;
        }
    }

    /// The power fails: of the changes since the last fsync only the first `kept` happened.
    pub fn lose_power(&mut self, kept: usize) {
        for op in self.unsynced.drain(..).take(kept).collect::<Vec<_>>() {
            self.synced.apply(op);
        }
        self.applied = self.issued;
        self.log = self.synced.clone();
    }

    /// The number of changes that a power cut may take.
    pub fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    /// Reads what a start reads. If a kill came between a snapshot's installation and the removal
    /// of the log, it removes the log.
    pub fn open(&mut self) -> (Stored, Option<u64>) {
        self.partial = None;
        let newest = self.snapshots.last_key_value().map(|(id, bytes)| (*id, bytes.clone()));
        if let Some((id, _)) = &newest {
            let last_epoch = self.log.epochs.last().map_or(LeaderEpoch(-1), |(epoch, _)| *epoch);
            if (id.epoch, id.end) > (last_epoch, self.log.end) && id.end > Offset(0) {
                self.reset(id.end);
            }
        }
        let mut control_records = Vec::new();
        let mut image = None;
        if let Some((id, bytes)) = &newest {
            let (records, digest) = read(bytes.clone()).expect("a complete snapshot can be read");
            let since = Offset::from_wire(id.end.0 - 1);
            control_records.extend(records.into_iter().map(|record| (since, record)));
            image = digest;
        }
        let from = newest.map_or(Offset(0), |(id, _)| id.end).max(self.log.start);
        for entry in self.log.entries.iter().filter(|entry| entry.is_control && entry.base >= from) {
            let records = parse_batch(entry.bytes.clone()).unwrap().control_records().unwrap();
            control_records.extend(records.into_iter().map(|(offset, record)| (Some(offset), record)));
        }
        let log = LogFacts {
            start: self.log.start,
            end: self.log.end,
            epochs: self.log.epochs.clone(),
            snapshots: self.snapshots.keys().copied().collect(),
        };
        (Stored { election: self.election, log, control_records }, image)
    }
}

/// Writes a snapshot whose only record is this value.
pub fn snapshot(id: SnapshotId, quorum: (KRaftVersion, &VoterSet), value: &[u8]) -> Bytes {
    let now = model::Timestamp(1);
    let (mut writer, first) = SnapshotWriter::begin(id, now, quorum, now).unwrap();
    let mut file = first.to_vec();
    if !value.is_empty() {
        let full = writer.record(Bytes::copy_from_slice(value), now).unwrap();
        file.extend(full.unwrap_or_default());
    }
    file.extend(writer.finish(now).unwrap().concat());
    file.into()
}

/// Reads a snapshot: its control records, and the digest that its record begins with.
pub fn read(file: Bytes) -> Option<(Vec<ControlRecord>, Option<u64>)> {
    let (mut control, mut digest) = (Vec::new(), None);
    for part in read_snapshot(file).ok()? {
        match part {
            SnapshotPart::Control(records) => control.extend(records),
            SnapshotPart::Data(values) => digest = Some(u64::from_be_bytes(values[0][..8].try_into().ok()?)),
        }
    }
    Some((control, digest))
}

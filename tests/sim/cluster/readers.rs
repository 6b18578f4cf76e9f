//! Readers, of everything below the high watermark or of committed records. They leave aborted
//! records out as Java's consumer does.

use crate::clients::{Participant, TOPIC, wait};
use crate::ledger::{SeenRecord, values};
use model::ErrorCode;
use protocol::Records;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use std::collections::{BTreeMap, BTreeSet};

/// ListOffsets' timestamp of the end.
const LATEST_TIMESTAMP: i64 = -1;

/// `isolation.level`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted = 0,
    ReadCommitted = 1,
}

/// A reader of one partition.
pub struct PartitionReader {
    participant: Participant,
    level: IsolationLevel,
    /// The next offset.
    next: i64,
    /// The highest high watermark and last stable offset in each leader epoch.
    ends: BTreeMap<i32, (i64, i64)>,
    /// The last end that was told.
    told_end: i64,
    /// The last number of each producer.
    last: BTreeMap<String, u64>,
}

impl PartitionReader {
    pub fn new(participant: Participant, partition: i32, level: IsolationLevel) -> Self {
        let participant = Participant { partition, ..participant };
        Self { participant, level, next: 0, ends: BTreeMap::new(), told_end: 0, last: BTreeMap::new() }
    }

    /// Reads the partition to its end, again and again, until the faults are over and it has read
    /// everything that was acknowledged.
    pub async fn read(mut self) {
        self.participant.until_created().await;
        loop {
            // Before the last fetch is sent, all is written, and no node believes that it leads
            // still.
            let is_last = *self.participant.shared.is_in_sync.lock() && self.participant.others_are_done();
            let Some(answer) = self.fetch().await else {
                self.participant.leader = None;
                wait(50).await;
                continue;
            };
            if let Err(fault) = self.take(&answer) {
                return self.participant.fail(fault);
            }
            if self.participant.random.chance(10) {
                self.check_end().await;
            }
            if is_last && self.next >= answer.high_watermark {
                return self.participant.finish();
            }
        }
    }

    async fn fetch(&mut self) -> Option<PartitionData> {
        let to = self.participant.leader().await;
        let partition = FetchPartition {
            partition: self.participant.partition,
            current_leader_epoch: self.participant.epoch,
            fetch_offset: self.next,
            partition_max_bytes: 1 << 16,
            ..Default::default()
        };
        let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 200,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: self.level as i8,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, FetchResponse>(to, &request, 12).await;
        if let Err(error) = &answer {
            self.participant.note(|| format!("a fetch of node {to}: {error}"));
        }
        let answer = answer.ok().filter(|answer| answer.error_code == 0)?;
        let answer = answer.responses.into_iter().next()?.partitions.into_iter().next()?;
        if answer.error_code == ErrorCode::OffsetOutOfRange.code() {
            let place = (self.participant.partition, self.next);
            self.participant.fail(format!("node {to} has lost what was read: {place:?} is out of range"));
        }
        if answer.error_code != 0 {
            self.participant.note(|| format!("a fetch @{} of node {to}: error {}", self.next, answer.error_code));
        }
        (answer.error_code == 0).then_some(answer)
    }

    /// Asks for the end of the partition. What was read or told once stays below it, whoever leads.
    async fn check_end(&mut self) {
        let to = self.participant.leader().await;
        let partition = ListOffsetsPartition {
            partition_index: self.participant.partition,
            current_leader_epoch: self.participant.epoch,
            timestamp: LATEST_TIMESTAMP,
            ..Default::default()
        };
        let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: self.level as i8,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, ListOffsetsResponse>(to, &request, 6).await;
        let answer = answer.ok().and_then(|it| it.topics.into_iter().next()?.partitions.into_iter().next());
        let Some(told) = answer.filter(|answer| answer.error_code == 0).map(|answer| answer.offset) else { return };
        let before = self.told_end.max(self.next);
        if told < before {
            let partition = self.participant.partition;
            self.participant.fail(format!("the end of {partition} went back from {before} to {told} at node {to}"));
        }
        self.told_end = told;
    }

    /// Takes an answer. Fails if it contradicts what was told before.
    fn take(&mut self, answer: &PartitionData) -> Result<(), String> {
        let (partition, level) = (self.participant.partition, self.level);
        let ends = (answer.high_watermark, answer.last_stable_offset);
        if ends.1 > ends.0 {
            return Err(format!("the last stable offset of {partition} is ahead of the high watermark: {ends:?}"));
        }
        let before = self.ends.entry(self.participant.epoch).or_insert(ends);
        if ends.0 < before.0 || ends.1 < before.1 {
            let epoch = self.participant.epoch;
            return Err(format!("told ends of {partition} went back from {before:?} to {ends:?} in epoch {epoch}"));
        }
        *before = ends;
        let read = answer.records.as_ref().and_then(Records::bytes).map_or(Ok(Vec::new()), values)?;
        let end = if level == IsolationLevel::ReadCommitted { ends.1 } else { ends.0 };
        let mut aborted = AbortedRecords::of(answer);
        for record in read {
            let is_aborted = level == IsolationLevel::ReadCommitted && aborted.leaves_out(&record);
            if record.offset < self.next {
                continue;
            }
            if record.offset >= end {
                return Err(format!("{partition}@{} was read, but {level:?} ends at {end}", record.offset));
            }
            if record.offset != self.next {
                return Err(format!("a gap: {partition}@{} came after @{}", record.offset, self.next));
            }
            self.next = record.offset + 1;
            if is_aborted {
                let listed = &answer.aborted_transactions;
                self.participant.note(|| format!("leaves {record:?} out: {listed:?}"));
            }
            self.participant.shared.ledger.lock().read(partition, record.offset, &record.value);
            if level == IsolationLevel::ReadCommitted && !is_aborted && record.marker.is_none() {
                self.take_committed(&record)?;
            }
        }
        Ok(())
    }

    fn take_committed(&mut self, SeenRecord { offset, value, .. }: &SeenRecord) -> Result<(), String> {
        let partition = self.participant.partition;
        if let Some((producer, number)) = value.rsplit_once('-') {
            let number: u64 = number.parse().unwrap_or(0);
            if self.last.insert(producer.to_owned(), number).is_some_and(|before| before >= number) {
                return Err(format!("{value} at {partition}@{offset} is read late or twice"));
            }
        }
        self.participant.shared.ledger.lock().transactions.read(partition, *offset, value)
    }
}

/// Which records of an answer are aborted.
struct AbortedRecords {
    /// First offset and producer of the transactions that begin further on, the last one first.
    coming: Vec<(i64, i64)>,
    open: BTreeSet<i64>,
}

impl AbortedRecords {
    fn of(answer: &PartitionData) -> Self {
        let aborted = answer.aborted_transactions.iter().flatten();
        let mut coming: Vec<(i64, i64)> = aborted.map(|it| (it.first_offset, it.producer_id)).collect();
        coming.sort_unstable();
        coming.reverse();
        Self { coming, open: BTreeSet::new() }
    }

    /// Whether the next record is left out.
    fn leaves_out(&mut self, record: &SeenRecord) -> bool {
        while let Some((_, producer)) = self.coming.pop_if(|(first, _)| *first <= record.offset) {
            self.open.insert(producer);
        }
        let Some(producer) = record.transactional else { return false };
        if record.marker == Some(false) {
            self.open.remove(&producer.0);
        }
        record.marker.is_none() && self.open.contains(&producer.0)
    }
}

impl Participant {
    /// Whether all clients before this one are done: readers come last.
    fn others_are_done(&self) -> bool {
        let done = self.shared.done.lock();
        done[..self.number].iter().all(|done| *done)
    }
}

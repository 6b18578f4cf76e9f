//! What the clients were told: which records were acknowledged, and what was read at which offset.
//! Every node's log must agree with it, and so must every later answer.

use crate::Check;
use crate::membership::Membership;
use crate::transactions::Transactions;
use gregor::broker::Broker;
use model::ProducerId;
use records::{Batches, EndTransactionMarker, RecordReader};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{Isolation, LogRead, Wait};

/// A partition of the topic of the course, by index.
pub type Index = i32;

/// What the value of a marker begins with in a ledger.
const MARKER: &str = "marker";

/// A record of a log, as a consumer gets it.
#[derive(Clone, Debug)]
pub struct SeenRecord {
    pub offset: i64,
    pub value: String,
    /// The producer, if the record is part of a transaction.
    pub transactional: Option<ProducerId>,
    /// Whether a marker commits its transaction, if the record is one.
    pub marker: Option<bool>,
}

/// The ledger of a course.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every record that a client knows to be at an offset.
    known: BTreeMap<(Index, i64), String>,
    /// The records that were acknowledged.
    acknowledged: BTreeMap<String, (Index, i64)>,
    pub transactions: Transactions,
    pub membership: Membership,
    fault: Option<String>,
}

impl Ledger {
    /// Notes that the producer of a record was told its offset.
    pub fn acknowledged(&mut self, partition: Index, offset: i64, value: &str) {
        self.acknowledged.insert(value.to_owned(), (partition, offset));
        self.is_at(partition, offset, value, "acknowledged");
    }

    /// Notes that a record was read below the high watermark.
    pub fn read(&mut self, partition: Index, offset: i64, value: &str) {
        self.is_at(partition, offset, value, "read");
    }

    /// Notes a fault. The first one counts.
    pub fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    fn is_at(&mut self, partition: Index, offset: i64, value: &str, how: &str) {
        let known = self.known.entry((partition, offset)).or_insert_with(|| value.to_owned());
        if known != value {
            let fault = format!("inconsistent offset: {known} and then {value} was {how} at {partition}@{offset}");
            self.fail(fault);
        }
    }

    /// Returns how many records were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// Returns the first fault.
    pub fn check(&self) -> Check {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Compares the whole log of a replica with the ledger: no acknowledged record is lost, none is
    /// twice, and those of one producer are in order.
    pub fn check_log(&self, who: &str, partition: Index, log: &BTreeMap<i64, String>) -> Check {
        for ((_, offset), value) in self.known.range((partition, 0)..(partition + 1, 0)) {
            match log.get(offset) {
                None => return Err(format!("lost acknowledged write: {who} lacks {value} at {partition}@{offset}")),
                Some(found) if found != value => {
                    return Err(format!("{who} has {found} at {partition}@{offset}, where {value} was acknowledged"));
                }
                Some(_) => {}
            }
        }
        let mut last = BTreeMap::new();
        let mut places = BTreeMap::new();
        for (offset, value) in log.iter().filter(|(_, value)| !value.starts_with(MARKER)) {
            if let Some(before) = places.insert(value, offset) {
                return Err(format!("duplicate: {who} has {value} at {partition}@{before} and @{offset}"));
            }
            let (producer, number) = value.rsplit_once('-').unwrap_or((value, "0"));
            let number: u64 = number.parse().unwrap_or(0);
            if last.insert(producer, number).is_some_and(|before| before >= number) {
                return Err(format!("reordered: {who} has {value} late at {partition}@{offset}"));
            }
        }
        Ok(())
    }
}

/// Returns the records of a broker's log below its high watermark, by offset.
pub fn records_of(broker: &Arc<Broker>, topic: &str, partition: Index) -> Result<BTreeMap<i64, String>, String> {
    let image = broker.image();
    let topic = image.topics.by_name(topic).ok_or("the topic is gone")?;
    let hosted = broker.replicas.of(topic, partition).map_err(|error| format!("no replica: {error:?}"))?;
    let log = hosted.log();
    let mut all = BTreeMap::new();
    let mut next = log.log_start_offset();
    while next < log.high_watermark() {
        let read = LogRead {
            offset: next,
            max_bytes: 1 << 20,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Block,
        };
        let region = log.read(read).map_err(|error| error.to_string())?.region;
        let Some(region) = region else { break };
        let before = next;
        let bytes = region.read().map_err(|error| error.to_string())?;
        for record in values(&bytes.into())? {
            next = model::Offset(record.offset).plus(1);
            all.insert(record.offset, record.value);
        }
        if next == before {
            return Err(format!("no record can be read at {partition}@{next}"));
        }
    }
    Ok(all)
}

/// Returns the records of whole batches, markers included.
pub fn values(bytes: &bytes::Bytes) -> Result<Vec<SeenRecord>, String> {
    let mut values = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        batch.verify_crc().map_err(|error| error.to_string())?;
        let header = batch.header();
        let transactional = header.producer_id.filter(|_| header.is_transactional());
        let mut reader = RecordReader::new(&batch).map_err(|error| error.to_string())?;
        while let Some(record) = reader.next_record() {
            let record = record.map_err(|error| error.to_string())?;
            let (value, marker) = if header.is_control() {
                let marker = EndTransactionMarker::parse(record.key, record.value);
                let committed = marker.map_err(|error| error.to_string())?.committed;
                let ProducerId(id) = header.producer_id.unwrap_or(ProducerId(-1));
                (format!("{MARKER} of {id}, {committed}"), Some(committed))
            } else {
                (String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned(), None)
            };
            values.push(SeenRecord { offset: record.offset.0, value, transactional, marker });
        }
    }
    Ok(values)
}

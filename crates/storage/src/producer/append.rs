//! Decides whether a producer may append a batch, and the producer's state after it.
//!
//! Checks never change the log's state: they collect updates, which are applied once the records
//! are written. The error texts are Kafka's.

use super::{ProducerBatch, ProducerEntry, Producers};
use crate::error::ProducerError;
use model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use records::EndTransactionMarker;

/// The origin of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Produce request: sequences are checked.
    Client,
    /// A coordinator of this broker: transaction markers and its own records.
    Coordinator,
    /// The leader's log, read by this replica or by recovery: it was checked there.
    Replication,
    /// The leader of the metadata quorum.
    RaftLeader,
}

/// A marker to append: what its control record says, and the version under which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnMarker {
    /// How the transaction ended, and the epoch of the coordinator that decided.
    pub end: EndTransactionMarker,
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// The `transaction.version` under which it is written. From 2 on, each transaction has its own
    /// producer epoch (KIP-890).
    pub transaction_version: i16,
}

/// What producer state needs from a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) producer_id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    pub(crate) base_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) is_transactional: bool,
    pub(crate) marker: Option<TxnMarker>,
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedTxn {
    pub(crate) producer_id: ProducerId,
    pub(crate) first_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) aborted: bool,
}

#[derive(Debug)]
pub(crate) struct Update {
    known_before: bool,
    pub(crate) entry: ProducerEntry,
    pub(crate) started: Vec<Offset>,
}

/// The updates of an append.
#[derive(Debug)]
pub(crate) struct ProducerAppend {
    origin: Origin,
    pub(crate) updates: Vec<(ProducerId, Update)>,
    pub(crate) completed: Vec<CompletedTxn>,
}

impl ProducerAppend {
    pub(crate) fn new(origin: Origin) -> Self {
        ProducerAppend { origin, updates: Vec::new(), completed: Vec::new() }
    }

    /// Returns the earlier append that a client's batch repeats.
    pub(crate) fn duplicate(producers: &Producers, batch: &Checked) -> Option<ProducerBatch> {
        let entry = producers.get(batch.producer_id).filter(|entry| entry.epoch == Some(batch.epoch))?;
        let same = |known: &&ProducerBatch| {
            known.first_sequence() == batch.base_sequence && known.last_sequence == batch.last_sequence
        };
        entry.batches().iter().find(same).copied()
    }

    /// Checks one batch after the ones before it, and collects its updates. `partition` is for
    /// error texts.
    pub(crate) fn add(
        &mut self,
        producers: &Producers,
        batch: &Checked,
        partition: &dyn std::fmt::Display,
    ) -> Result<(), ProducerError> {
        let index = match self.updates.iter().position(|(id, _)| *id == batch.producer_id) {
            Some(index) => index,
            None => {
                let entry = producers.get(batch.producer_id).cloned().unwrap_or_default();
                let update = Update { known_before: entry.epoch.is_some(), entry, started: Vec::new() };
                self.updates.push((batch.producer_id, update));
                self.updates.len() - 1
            }
        };
        let check = Check { origin: self.origin, batch, partition };
        let update = &mut self.updates[index].1;
        match &batch.marker {
            Some(marker) => self.completed.extend(check.marker(update, marker)?),
            None => check.data(update)?,
        }
        Ok(())
    }
}

struct Check<'a> {
    origin: Origin,
    batch: &'a Checked,
    partition: &'a dyn std::fmt::Display,
}

impl Check<'_> {
    fn data(&self, update: &mut Update) -> Result<(), ProducerError> {
        let batch = self.batch;
        self.epoch(&update.entry, 0)?;
        if self.origin == Origin::Client {
            self.sequence(update)?;
        }
        let entry = &mut update.entry;
        if entry.txn_first_offset.is_some() && !batch.is_transactional && self.origin != Origin::Replication {
            return Err(ProducerError::InvalidTxnState(format!(
                "Expected transactional write from producer {} at offset {} in partition {}",
                batch.producer_id, batch.base_offset, self.partition
            )));
        }
        entry.set_epoch(batch.epoch);
        entry.push(ProducerBatch {
            last_sequence: batch.last_sequence,
            last_offset: batch.last_offset,
            offset_delta: (batch.last_offset.0 - batch.base_offset.0) as i32,
            timestamp: batch.max_timestamp,
        });
        entry.last_timestamp = batch.max_timestamp;
        if entry.txn_first_offset.is_none() && batch.is_transactional {
            entry.txn_first_offset = Some(batch.base_offset);
            update.started.push(batch.base_offset);
        }
        Ok(())
    }

    fn marker(&self, update: &mut Update, marker: &TxnMarker) -> Result<Option<CompletedTxn>, ProducerError> {
        let batch = self.batch;
        self.epoch(&update.entry, marker.transaction_version)?;
        let entry = &mut update.entry;
        let newest = entry.coordinator_epoch.unwrap_or(-1);
        if newest > marker.end.coordinator_epoch && self.origin != Origin::Replication {
            return Err(ProducerError::CoordinatorFenced(format!(
                "Invalid coordinator epoch for producerId {} at offset {} in partition {}: {} (zombie), {newest} (current)",
                batch.producer_id, batch.base_offset, self.partition, marker.end.coordinator_epoch
            )));
        }
        let first = entry.txn_first_offset.take();
        entry.set_epoch(batch.epoch);
        entry.coordinator_epoch = Some(marker.end.coordinator_epoch);
        entry.last_timestamp = marker.timestamp;
        // After an empty transaction there is nothing to skip and nothing to wait for.
        Ok(first.map(|first_offset| CompletedTxn {
            producer_id: batch.producer_id,
            first_offset,
            last_offset: batch.base_offset,
            aborted: !marker.end.committed,
        }))
    }

    fn epoch(&self, entry: &ProducerEntry, transaction_version: i16) -> Result<(), ProducerError> {
        let (epoch, newest) = (self.batch.epoch.0, ProducerEpoch::to_wire(entry.epoch));
        let fenced = if transaction_version >= 2 { epoch <= newest } else { epoch < newest };
        let is_retry =
            transaction_version >= 2 && epoch == newest && (entry.txn_first_offset.is_none() || epoch == i16::MAX);
        if !fenced || is_retry || self.origin == Origin::Replication {
            return Ok(());
        }
        Err(ProducerError::InvalidEpoch(format!(
            "Epoch of producer {} at offset {} in {} is {epoch}, which is {} the last seen epoch {newest} (TV{transaction_version})",
            self.batch.producer_id,
            self.batch.base_offset,
            self.partition,
            if transaction_version >= 2 { "<=" } else { "<" },
        )))
    }

    fn sequence(&self, update: &Update) -> Result<(), ProducerError> {
        let (batch, entry) = (self.batch, &update.entry);
        let first = batch.base_sequence;
        if entry.epoch != Some(batch.epoch) {
            return match entry.epoch {
                Some(newest) if first != 0 => Err(ProducerError::OutOfOrderSequence(format!(
                    "Invalid sequence number for new epoch of producer {}at offset {} in partition {}: {} (request epoch), {first} (seq. number), {newest} (current producer epoch)",
                    batch.producer_id, batch.base_offset, self.partition, batch.epoch
                ))),
                _ => Ok(()),
            };
        }
        let last = entry.last_sequence().unwrap_or(-1);
        let follows = i64::from(first) == i64::from(last) + 1 || (first == 0 && last == i32::MAX);
        // A producer whose records were all deleted, by retention or DeleteRecords, may continue
        // with any sequence.
        if follows || !update.known_before {
            return Ok(());
        }
        Err(ProducerError::OutOfOrderSequence(format!(
            "Out of order sequence number for producer {} at offset {} in partition {}: {first} (incoming seq. number), {last} (current end sequence number)",
            batch.producer_id, batch.base_offset, self.partition
        )))
    }
}

//! Decides whether a producer may append a batch, and the producer's state after it.
//!
//! Checks never change the log's state: they collect updates, which are applied once the records
//! are written. The error texts are Kafka's.

use super::verification::{Verification, Verifications};
use super::{ProducerBatch, ProducerEntry, Producers};
use crate::error::ProducerError;
use crate::planted::{Bug, is_planted};
use model::{Offset, ProducerEpoch, ProducerId, Timestamp, VerificationGuard};
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

/// The `transaction.version` that Kafka names in the errors of batches that are no markers.
const TRANSACTION_VERSION_UNKNOWN: i16 = -1;

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

/// What the batches of an append are checked against.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) producers: &'a Producers,
    pub(crate) verifications: &'a Verifications,
    /// The guard that the append carries.
    pub(crate) guard: Option<VerificationGuard>,
    /// Whether a batch that opens a transaction must carry its guard.
    pub(crate) is_guard_required: bool,
    /// For error texts.
    pub(crate) partition: &'a dyn std::fmt::Display,
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
    had_batches: bool,
    pub(crate) entry: ProducerEntry,
    pub(crate) started: Vec<Offset>,
}

/// The updates of an append.
#[derive(Debug)]
pub(crate) struct ProducerAppend {
    origin: Origin,
    pub(crate) updates: Vec<(ProducerId, Update)>,
    pub(crate) completed: Vec<CompletedTxn>,
    /// The producers whose verification ends with the append.
    pub(crate) verified: Vec<ProducerId>,
}

impl ProducerAppend {
    pub(crate) fn new(origin: Origin) -> Self {
        ProducerAppend { origin, updates: Vec::new(), completed: Vec::new(), verified: Vec::new() }
    }

    /// Returns the earlier append that a client's batch repeats.
    pub(crate) fn duplicate(producers: &Producers, batch: &Checked) -> Option<ProducerBatch> {
        let entry = producers.get(batch.producer_id).filter(|entry| entry.epoch == Some(batch.epoch))?;
        let same = |known: &&ProducerBatch| {
            known.first_sequence() == batch.base_sequence && known.last_sequence == batch.last_sequence
        };
        entry.batches().iter().find(same).copied()
    }

    /// Checks one batch after the ones before it, and collects its updates.
    pub(crate) fn add(&mut self, known: Known<'_>, batch: &Checked) -> Result<(), ProducerError> {
        let index = match self.updates.iter().position(|(id, _)| *id == batch.producer_id) {
            Some(index) => index,
            None => {
                let entry = known.producers.get(batch.producer_id).cloned().unwrap_or_default();
                let (known_before, had_batches) = (entry.epoch.is_some(), !entry.batches().is_empty());
                let update = Update { known_before, had_batches, entry, started: Vec::new() };
                self.updates.push((batch.producer_id, update));
                self.updates.len() - 1
            }
        };
        let verification = known.verifications.get(batch.producer_id);
        let check = Check { origin: self.origin, batch, verification, partition: known.partition };
        if batch.is_transactional && matches!(self.origin, Origin::Client | Origin::Coordinator) {
            check.opening(&known)?;
        }
        let update = &mut self.updates[index].1;
        match &batch.marker {
            Some(marker) => self.completed.extend(check.marker(update, marker)?),
            None => check.data(update)?,
        }
        if batch.is_transactional && !check.is_before_verified() {
            self.verified.push(batch.producer_id);
        }
        Ok(())
    }
}

struct Check<'a> {
    origin: Origin,
    batch: &'a Checked,
    /// The verification of its producer.
    verification: Option<&'a Verification>,
    partition: &'a dyn std::fmt::Display,
}

impl Check<'_> {
    /// Checks a transactional batch that belongs to no open transaction of its producer's epoch.
    fn opening(&self, known: &Known<'_>) -> Result<(), ProducerError> {
        let (id, epoch) = (self.batch.producer_id, self.batch.epoch);
        if known.producers.has_ongoing(id, epoch) {
            return Ok(());
        }
        known.producers.check_epoch(id, epoch)?;
        let is_verified = || known.guard.is_some() && known.guard == self.verification.map(|begun| begun.guard);
        let needs_guard = known.is_guard_required && self.batch.marker.is_none() && !is_planted(Bug::GuardIgnored);
        if needs_guard && !is_verified() {
            return Err(ProducerError::InvalidTxnState("Record was not part of an ongoing transaction".into()));
        }
        Ok(())
    }

    /// Whether a marker ends the transaction before the one that is being verified. With
    /// `transaction.version` 2 the next transaction has the epoch of the marker, and may be
    /// verified before the marker is written.
    fn is_before_verified(&self) -> bool {
        let is_next = |next: &Verification| next.supports_epoch_bump && next.epoch == self.batch.epoch;
        self.batch.marker.is_some() && self.verification.is_some_and(is_next)
    }

    fn data(&self, update: &mut Update) -> Result<(), ProducerError> {
        let batch = self.batch;
        self.epoch(&update.entry, TRANSACTION_VERSION_UNKNOWN)?;
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
        let is_strict = transaction_version >= 2 && !is_planted(Bug::LateMarkerAccepted);
        let fenced = if is_strict { epoch <= newest } else { epoch < newest };
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
        if let Some(begun) = self.verification {
            self.verified_sequence(begun, update)?;
        }
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

    /// Checks a sequence while a transaction of the producer is being verified.
    fn verified_sequence(&self, begun: &Verification, update: &Update) -> Result<(), ProducerError> {
        let (batch, first) = (self.batch, self.batch.base_sequence);
        if begun.supports_epoch_bump && first != 0 && !update.had_batches {
            return Err(ProducerError::OutOfOrderSequence(format!(
                "Invalid sequence number for producer {} at offset {} in partition {}: {first} (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer with no existing state.",
                batch.producer_id, batch.base_offset, self.partition
            )));
        }
        // A lower sequence failed its verification and will be sent again.
        if first > begun.lowest_sequence {
            return Err(ProducerError::OutOfOrderSequence(format!(
                "Out of order sequence number for producer {} at offset {} in partition {}: {first} (incoming seq. number), {} (earliest seen sequence)",
                batch.producer_id, batch.base_offset, self.partition, begun.lowest_sequence
            )));
        }
        Ok(())
    }
}

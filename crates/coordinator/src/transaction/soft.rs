//! The state of a shard that is not in the log: parked requests, markers under way, timers, and
//! what Kafka's records lack too. It is lost with the leadership, as in Kafka.

use crate::shard::ReplyId;
use crate::timers::Timers;
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::topics::TransactionPartition;
use model::{Monotonic, ProducerId, Timestamp};
use protocol::Str;
use std::collections::{BTreeMap, HashMap};

/// Names one allocation of a producer id. A shard uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationToken(pub u64);

/// The purpose of a timer. Each key has at most one timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// An open transaction times out.
    Timeout(Str),
    /// The markers of a transaction are sent again, or its last record is written.
    Markers(Str),
    /// An EndTxn is answered although its markers have no outcome.
    Answer(Str),
    /// The search for expired transactional ids starts.
    Expire,
}

/// What goes on once a producer id is allocated.
#[derive(Clone, Debug)]
pub enum AwaitsProducerId {
    /// A request is decided again.
    Request(ReplyId, Box<TransactionRequest>),
    /// A transaction that has timed out is aborted, if it is still open.
    Timeout {
        /// Its transactional id.
        transactional_id: Str,
        /// Its producer.
        producer: ProducerIdAndEpoch,
        /// When it was begun. Before version 2 the next one may have the same producer.
        start: Option<Timestamp>,
    },
}

/// The markers of a transaction that are not written everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMarkers {
    /// The producer, with the epoch that the markers have.
    pub(crate) producer: ProducerIdAndEpoch,
    /// The partitions without a marker.
    pub(crate) remaining: Vec<TransactionPartition>,
    /// How long the next attempt is put off.
    pub(crate) backoff_ms: i64,
    /// The EndTxn that is answered after the first outcome.
    pub(crate) parked: Option<ReplyId>,
}

/// A change of soft state.
#[derive(Clone, Debug)]
pub enum SoftChange {
    /// Starts or restarts a timer.
    SetTimer(TimerKey, Monotonic),
    /// Cancels a timer.
    CancelTimer(TimerKey),
    /// Parks something until a producer id is allocated.
    AwaitProducerId(AllocationToken, AwaitsProducerId),
    /// An allocation has come back.
    EndAllocation(AllocationToken),
    /// Markers are under way.
    SetMarkers(Str, Box<PendingMarkers>),
    /// No markers are under way any more.
    ForgetMarkers(Str),
    /// Sets what a producer id had before its current epoch, or forgets it.
    SetBefore(ProducerId, Option<ProducerIdAndEpoch>),
}

/// The soft state.
#[derive(Clone, Debug, Default)]
pub(crate) struct SoftState {
    pub(crate) timers: Timers<TimerKey>,
    pub(crate) allocations: BTreeMap<AllocationToken, AwaitsProducerId>,
    pub(crate) next_token: u64,
    pub(crate) markers: HashMap<Str, PendingMarkers>,
    /// By producer id, the id and epoch with which its producer may repeat the request that gave it
    /// the current epoch (KIP-360). Absent if there is none.
    pub(crate) before: HashMap<ProducerId, ProducerIdAndEpoch>,
}

impl SoftState {
    pub(crate) fn apply(&mut self, changes: Vec<SoftChange>) {
        for change in changes {
            match change {
                SoftChange::SetTimer(key, deadline) => self.timers.set(key, deadline),
                SoftChange::CancelTimer(key) => self.timers.cancel(key),
                SoftChange::AwaitProducerId(token, awaits) => {
                    self.next_token = self.next_token.max(token.0.wrapping_add(1));
                    self.allocations.insert(token, awaits);
                }
                SoftChange::EndAllocation(token) => {
                    self.allocations.remove(&token);
                }
                SoftChange::SetMarkers(id, markers) => {
                    self.markers.insert(id, *markers);
                }
                SoftChange::ForgetMarkers(id) => {
                    self.markers.remove(&id);
                }
                SoftChange::SetBefore(producer, Some(before)) => {
                    self.before.insert(producer, before);
                }
                SoftChange::SetBefore(producer, None) => {
                    self.before.remove(&producer);
                }
            }
        }
    }
}

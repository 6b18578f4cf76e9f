//! What the brokers do with a request of a producer: the API files' part, with the real
//! coordinators and the real logs below.
//!
//! Before a batch opens a transaction in a log, version 2 adds the partition to the transaction,
//! and the versions below verify that it is in it. The append carries the guard of the
//! verification.

use super::cluster::{Cluster, OFFSETS};
use crate::replica::{AppendError, AppendRequest};
use bytes::Bytes;
use coordinator::transaction::ProducerIdAndEpoch;
use coordinator::{GroupReply, GroupRequest, TransactionReply, TransactionRequest};
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use records::BatchBuilder;
use std::sync::Arc;
use storage::{Error, ProducerError, VerificationStart};

/// How long a leader waits until a batch is replicated.
const REPLICATED_MS: i64 = 500;

/// The topic that the groups read.
pub(super) const INPUT: &str = "input";

/// A request of a producer.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Init { user: usize, timeout_ms: i32, expected: Option<ProducerIdAndEpoch> },
    Add { user: usize, producer: ProducerIdAndEpoch, slot: usize },
    Produce { user: usize, version: i16, producer: ProducerIdAndEpoch, slot: usize, batch: DataBatch },
    CommitOffset { user: usize, version: i16, producer: ProducerIdAndEpoch, place: OffsetPlace, offset: i64 },
    End { user: usize, version: i16, producer: ProducerIdAndEpoch, committed: bool, transaction: u32 },
}

/// A batch of a transaction: its first record's number and sequence, and the number of records.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataBatch {
    pub(super) transaction: u32,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) sequence: i32,
}

/// A partition of the input whose offset a group commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OffsetPlace {
    pub(super) group: usize,
    pub(super) partition: i32,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) code: ErrorCode,
    pub(super) producer: Option<ProducerIdAndEpoch>,
}

impl From<ErrorCode> for Answer {
    fn from(code: ErrorCode) -> Self {
        Self { code, producer: None }
    }
}

/// Returns the name of a transactional id.
pub(super) fn transactional_id(user: usize) -> Str {
    format!("tx-{user}").as_str().into()
}

/// Returns the name of a group.
pub(super) fn group_id(group: usize) -> Str {
    format!("group-{group}").as_str().into()
}

/// Returns the partition of a group.
pub(super) fn station_of(group: usize) -> usize {
    let count = i32::try_from(OFFSETS).unwrap_or(1);
    usize::try_from(coordinator::partition_for(&group_id(group), count).0).unwrap_or_default()
}

/// Answers a request.
pub(super) async fn handle(cluster: &Arc<Cluster>, ask: Ask) -> Answer {
    match ask {
        Ask::Init { user, timeout_ms, expected } => init(cluster, user, timeout_ms, expected).await,
        Ask::Add { user, producer, slot } => {
            participate(cluster, user, producer, slot, Participation::Add).await.into()
        }
        Ask::Produce { user, version, producer, slot, batch } => {
            produce(cluster, user, version, producer, slot, batch).await.unwrap_or_else(|code| code).into()
        }
        Ask::CommitOffset { user, version, producer, place, offset } => {
            commit_offset(cluster, user, version, producer, place, offset).await.unwrap_or_else(|code| code).into()
        }
        Ask::End { user, version, producer, committed, transaction } => {
            end(cluster, user, version, producer, committed, transaction).await
        }
    }
}

async fn ask_coordinator(cluster: &Cluster, user: usize, request: TransactionRequest) -> TransactionReply {
    let count = i32::try_from(cluster.transactions.len()).unwrap_or(1);
    let index = coordinator::partition_for(&transactional_id(user), count).0;
    cluster.transactions[usize::try_from(index).unwrap_or_default()].ask(request).await
}

async fn init(cluster: &Cluster, user: usize, timeout_ms: i32, expected: Option<ProducerIdAndEpoch>) -> Answer {
    let transactional_id = transactional_id(user);
    let (enable_2pc, keep_prepared) = (false, false);
    cluster.ledger.lock().init_arrives(user);
    let request =
        TransactionRequest::InitProducerId { transactional_id, timeout_ms, expected, enable_2pc, keep_prepared };
    let TransactionReply::InitProducerId(reply) = ask_coordinator(cluster, user, request).await else {
        panic!("the reply of another request");
    };
    cluster.ledger.lock().init_is_answered(user);
    let code = error_of(reply.error_code);
    let producer = given(reply.producer_id, reply.producer_epoch);
    if let (ErrorCode::None, Some(producer)) = (code, producer) {
        cluster.ledger.lock().producer_begins(user, producer);
    }
    Answer { code, producer }
}

fn given(id: i64, epoch: i16) -> Option<ProducerIdAndEpoch> {
    (id >= 0).then_some(ProducerIdAndEpoch { id: ProducerId(id), epoch: ProducerEpoch(epoch) })
}

fn error_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a known code")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Participation {
    /// The client adds a partition.
    Add,
    /// A broker adds a partition for a client of version 2.
    AddImplicitly,
    Verify,
}

/// Adds a partition to a transaction, or verifies that it is in it.
async fn participate(
    cluster: &Cluster,
    user: usize,
    producer: ProducerIdAndEpoch,
    slot: usize,
    how: Participation,
) -> ErrorCode {
    let (name, partition) = cluster.name_of(slot);
    let topic =
        AddPartitionsToTxnTopic { name: name.as_str().into(), partitions: vec![partition], ..Default::default() };
    let request = TransactionRequest::AddPartitions {
        transactional_id: transactional_id(user),
        producer,
        topics: vec![topic],
        verify_only: how == Participation::Verify,
        transaction_version: if how == Participation::AddImplicitly { 2 } else { 0 },
    };
    match ask_coordinator(cluster, user, request).await {
        TransactionReply::AddPartitions(code) => code,
        TransactionReply::VerifyPartitions(topics) => error_of(topics[0].results_by_partition[0].partition_error_code),
        other => panic!("{other:?}"),
    }
}

fn verification(
    cluster: &Cluster,
    version: i16,
    producer: ProducerIdAndEpoch,
    base_sequence: i32,
) -> VerificationStart {
    VerificationStart {
        producer_id: producer.id,
        epoch: producer.epoch,
        base_sequence,
        supports_epoch_bump: version >= 2,
        now: cluster.wall(),
    }
}

async fn produce(
    cluster: &Cluster,
    user: usize,
    version: i16,
    producer: ProducerIdAndEpoch,
    slot: usize,
    batch: DataBatch,
) -> Result<ErrorCode, ErrorCode> {
    let partition = cluster.led(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let start = verification(cluster, version, producer, batch.sequence);
    let guard = partition.begin_verification(start).await.map_err(|error| append_code(&error))?;
    if guard.is_some() {
        match participate(cluster, user, producer, slot, participation(version)).await {
            ErrorCode::None => {}
            code => return Err(code),
        }
        pause(cluster).await;
    }
    let partition = cluster.led(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let request = AppendRequest {
        records: encode(cluster, producer, batch),
        all_replicas: true,
        may_write_internal: false,
        guard,
        now: cluster.wall(),
    };
    let appended = partition.append(request).await.map_err(|error| append_code(&error))?;
    match cluster.within(REPLICATED_MS, partition.until_replicated(&appended)).await {
        Some(replicated) => replicated.map(|()| ErrorCode::None),
        None => Err(ErrorCode::RequestTimedOut),
    }
}

fn participation(version: i16) -> Participation {
    if version >= 2 { Participation::AddImplicitly } else { Participation::Verify }
}

/// Between two steps of a request others may run.
async fn pause(cluster: &Cluster) {
    if !cluster.is_calm() && cluster.chance(30) {
        let ms = cluster.random(|random| random.within(0, 400));
        cluster.sleep(ms).await;
    }
}

/// Returns the records. Each says of which transaction it is, and its number there.
fn encode(cluster: &Cluster, producer: ProducerIdAndEpoch, batch: DataBatch) -> Bytes {
    let mut builder =
        BatchBuilder::new(Offset(0)).producer(producer.id, producer.epoch, Some(batch.sequence)).transactional();
    for number in batch.first..batch.first + batch.count {
        let value = [batch.transaction.to_be_bytes(), number.to_be_bytes()].concat();
        builder.append(cluster.wall(), None, Some(&value));
    }
    builder.finish().expect("a small batch")
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Refused(error) => error.code,
        AppendError::Invalid(error) => error.code,
        AppendError::Storage(Error::Producer(ProducerError::OutOfOrderSequence(_))) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::Storage(Error::Producer(ProducerError::InvalidEpoch(_))) => ErrorCode::InvalidProducerEpoch,
        AppendError::Storage(Error::Producer(_)) => ErrorCode::InvalidTxnState,
        AppendError::Storage(Error::EndedEpoch { .. }) => ErrorCode::NotLeaderOrFollower,
        AppendError::Storage(error) => panic!("{error}"),
    }
}

async fn commit_offset(
    cluster: &Cluster,
    user: usize,
    version: i16,
    producer: ProducerIdAndEpoch,
    place: OffsetPlace,
    offset: i64,
) -> Result<ErrorCode, ErrorCode> {
    let index = station_of(place.group);
    let slot = Cluster::offsets_slot(index);
    let led = cluster.led(slot).ok_or(ErrorCode::NotCoordinator)?;
    let start = verification(cluster, version, producer, 0);
    let guard = led.begin_verification(start).await.map_err(|error| append_code(&error))?;
    if guard.is_some() {
        match participate(cluster, user, producer, slot, participation(version)).await {
            ErrorCode::None => {}
            code => return Err(code),
        }
        pause(cluster).await;
    }
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: place.partition,
        committed_offset: offset,
        ..Default::default()
    };
    let topic = TxnOffsetCommitRequestTopic { name: INPUT.into(), partitions: vec![partition], ..Default::default() };
    let request = TxnOffsetCommitRequest {
        transactional_id: transactional_id(user),
        group_id: group_id(place.group),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        generation_id: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let request = GroupRequest::TxnOffsetCommit { request, guard };
    let reply = match cluster.groups[index].ask_now(cluster, request) {
        Err(refused) => refused,
        Ok(answered) => answered.await.map_err(|_| ErrorCode::NotCoordinator)?,
    };
    let GroupReply::TxnOffsetCommit(response) = reply else { panic!("the reply of another request") };
    Ok(error_of(response.topics[0].partitions[0].error_code))
}

async fn end(
    cluster: &Cluster,
    user: usize,
    version: i16,
    producer: ProducerIdAndEpoch,
    committed: bool,
    transaction: u32,
) -> Answer {
    if committed {
        cluster.ledger.lock().commit_arrives(transaction);
    }
    let transactional_id = transactional_id(user);
    let transaction_version = if version >= 2 { 2 } else { 0 };
    let request = TransactionRequest::EndTxn { transactional_id, producer, committed, transaction_version };
    let TransactionReply::EndTxn(reply) = ask_coordinator(cluster, user, request).await else {
        panic!("the reply of another request");
    };
    Answer { code: error_of(reply.error_code), producer: given(reply.producer_id, reply.producer_epoch) }
}

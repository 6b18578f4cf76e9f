//! Appends to a partition: a producer's batches, a coordinator's state, and the markers that end
//! transactions.

use super::Partition;
use crate::env::Env;
use bytes::Bytes;
use model::{ApiError, ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, VerificationGuard};
use records::{BatchBuilder, EndTransactionMarker, TimestampType, Validated};
use std::sync::Arc;
use storage::{Error, LeaderAppend, Origin, ProducerError, VerificationStart, Wait};

/// A producer's records for one partition.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// The records that the producer sent: one batch, if they are valid.
    pub records: Bytes,
    /// Whether the producer waits for all replicas in sync.
    pub all_replicas: bool,
    /// Whether the producer may write to internal topics.
    pub may_write_internal: bool,
    /// The guard of the transaction that the records open, if it was verified.
    pub guard: Option<VerificationGuard>,
    /// The current time.
    pub now: Timestamp,
}

/// What an append of a coordinator carries beside its batch. The default is a plain batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateAppend {
    /// For a batch that opens a transaction: the guard of its verification.
    pub guard: Option<VerificationGuard>,
    /// For a marker: the `transaction.version` under which it is written.
    pub transaction_version: i16,
}

/// A marker that ends a transaction.
#[derive(Clone, Copy, Debug)]
pub struct MarkerAppend {
    /// The producer.
    pub producer_id: ProducerId,
    /// The producer's epoch. From `transaction.version` 2 on it is above that of the records.
    pub epoch: ProducerEpoch,
    /// How the transaction ended, and the epoch of the coordinator that decided.
    pub end: EndTransactionMarker,
    /// The `transaction.version` under which it is written.
    pub transaction_version: i16,
    /// The leader epoch that the sender knows, if it knows one.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The current time.
    pub now: Timestamp,
}

/// The result of an append.
#[derive(Clone, Copy, Debug)]
pub struct AppendInfo {
    /// The offset of the first record. A duplicate has the offset of the first append.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The leader epoch in which it was appended.
    pub epoch: LeaderEpoch,
    /// The time that the broker gave the records, if the topic has `LogAppendTime`. A duplicate has
    /// the timestamp that the log remembers of the first append.
    pub log_append_time: Option<Timestamp>,
    /// The number of records, 0 for a duplicate.
    pub record_count: u64,
    /// The size of the records, 0 for a duplicate.
    pub size_bytes: u64,
    /// Whether the answer must wait for a flush (`flush.messages`).
    pub awaits_flush: bool,
}

/// Why an append was refused.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An error for the client.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// The batch is not valid.
    #[error(transparent)]
    Invalid(records::ProduceError),
    /// An error of the log.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl From<ErrorCode> for AppendError {
    fn from(code: ErrorCode) -> Self {
        AppendError::Refused(code.into())
    }
}

/// Returns the client's error code for an error of a producer.
pub fn producer_error_code(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
        ProducerError::InvalidEpoch(_) => ErrorCode::InvalidProducerEpoch,
        ProducerError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
        ProducerError::CoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
    }
}

/// Returns the error code for a coordinator whose records or markers could not be appended.
fn coordinator_error_code(error: &Error) -> ErrorCode {
    match error {
        Error::EndedEpoch { .. } => ErrorCode::NotLeaderOrFollower,
        Error::InvalidBatch { .. } => ErrorCode::UnknownServerError,
        Error::Producer(error) => producer_error_code(error),
        error => {
            tracing::error!(%error, "a coordinator's records could not be appended");
            ErrorCode::KafkaStorageError
        }
    }
}

impl AppendError {
    /// Whether Kafka's answer has the log start offset with this error.
    pub fn answers_log_start_offset(&self) -> bool {
        match self {
            AppendError::Refused(error) => error.code == ErrorCode::NotEnoughReplicas,
            AppendError::Invalid(error) => error.answers_log_start_offset(),
            AppendError::Storage(Error::Producer(_)) => true,
            AppendError::Storage(_) => false,
        }
    }
}

impl Partition {
    /// Returns the environment of this broker.
    pub(crate) fn env(&self) -> Env {
        self.committer.load().env()
    }

    /// Returns the epoch to append in. Errors: NOT_LEADER_OR_FOLLOWER; with `all_replicas`,
    /// NOT_ENOUGH_REPLICAS if too few replicas are in sync.
    pub(super) fn epoch_to_append_in(&self, all_replicas: bool) -> Result<LeaderEpoch, ApiError> {
        let replica = self.replica.read();
        let leader = replica.leader().ok_or_else(|| self.not_leading())?;
        if all_replicas && leader.is_under_min_isr() {
            let isr = leader.isr().committed();
            let message = format!(
                "The size of the current ISR : {} is insufficient to satisfy the min.isr requirement of {} for partition {}, live replica(s) broker.id are : {isr:?}",
                isr.len(),
                leader.effective_min_isr(),
                self.name(),
            );
            return Err(ApiError::new(ErrorCode::NotEnoughReplicas, message));
        }
        Ok(leader.leader_epoch())
    }

    /// Appends a producer's batch: on this thread, or on the blocking pool if the log must sync
    /// something first.
    pub async fn append(self: &Arc<Self>, append: AppendRequest) -> Result<AppendInfo, AppendError> {
        match self.append_or(Wait::Try, &append) {
            Err(AppendError::Storage(Error::WouldBlock)) => {}
            done => return done,
        }
        let this = self.clone();
        let appended = self.env().run(move || this.append_or(Wait::Block, &append)).await;
        appended.unwrap_or_else(|_| Err(ErrorCode::KafkaStorageError.into()))
    }

    pub(super) fn append_or(self: &Arc<Self>, wait: Wait, append: &AppendRequest) -> Result<AppendInfo, AppendError> {
        if self.leader_epoch().is_none() {
            return Err(self.not_leading().into());
        }
        if self.is_internal && !append.may_write_internal {
            let message = format!("Cannot append to internal topic {}", self.topic());
            return Err(ApiError::new(ErrorCode::InvalidTopicException, message).into());
        }
        let epoch = self.epoch_to_append_in(append.all_replicas)?;
        self.append_in(epoch, append, wait)
    }

    /// Appends in an epoch that may have ended since it was read. If it has, the log refuses.
    pub(super) fn append_in(
        self: &Arc<Self>,
        leader_epoch: LeaderEpoch,
        append: &AppendRequest,
        wait: Wait,
    ) -> Result<AppendInfo, AppendError> {
        let rules = self.rules.load();
        let valid = records::validate(&append.records, &self.name, &rules.validation, append.now)
            .map_err(AppendError::Invalid)?;
        let header = *valid.header();
        let log_append_time = (header.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp);
        let (guard, now) = (append.guard, append.now);
        let (origin, transaction_version) = (Origin::Client, 0);
        let how = LeaderAppend { leader_epoch, origin, now, transaction_version, guard };
        let done = self.append_valid(&valid, how, wait)?;
        Ok(self.appended(&valid, &done, how, log_append_time))
    }

    /// Begins the verification of a transaction and returns its guard, or `None` if the log has the
    /// transaction open. Requests that verify the same transaction at once get the same guard
    /// (`Log::begin_verification`). Errors: NOT_LEADER_OR_FOLLOWER, and a newer epoch of the
    /// producer.
    pub async fn begin_verification(
        self: &Arc<Self>,
        start: VerificationStart,
    ) -> Result<Option<VerificationGuard>, AppendError> {
        if self.leader_epoch().is_none() {
            return Err(self.not_leading().into());
        }
        let begun = match self.on_log(|log| log.begin_verification(&start, Wait::Try)) {
            Err(Error::WouldBlock) => {
                let this = self.clone();
                let begin = move || this.on_log(|log| log.begin_verification(&start, Wait::Block));
                self.env().run(begin).await.map_err(|_| ErrorCode::KafkaStorageError)?
            }
            done => done,
        };
        Ok(begun?)
    }

    /// Appends a batch of a coordinator on this broker in the epoch in which the coordinator
    /// decided. Runs on the blocking pool if the log must sync something first. Returns the first
    /// offset. Errors: NOT_LEADER_OR_FOLLOWER, MESSAGE_TOO_LARGE, and those of the batch's
    /// producer.
    pub async fn append_state(
        self: &Arc<Self>,
        batch: Bytes,
        epoch: LeaderEpoch,
        state: StateAppend,
    ) -> Result<Offset, ErrorCode> {
        if self.leader_epoch() != Some(epoch) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if batch.len() > self.max_batch_bytes() {
            return Err(ErrorCode::MessageTooLarge);
        }
        let appended = self.append_coordinated(epoch, batch, state, None).await?;
        Ok(appended.base_offset)
    }

    /// Appends the marker that ends a transaction, as the leader of the partition: the partition's
    /// part of WriteTxnMarkers. A partition of a coordinator's topic gets its markers from the
    /// coordinator instead. The caller waits until the marker is replicated (`until_committed`).
    /// Errors: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, INVALID_PRODUCER_EPOCH,
    /// TRANSACTION_COORDINATOR_FENCED.
    pub async fn append_marker(self: &Arc<Self>, marker: MarkerAppend) -> Result<AppendInfo, ErrorCode> {
        let epoch = self.epoch_to_append_in(true).map_err(|error| error.code)?;
        if marker.leader_epoch.is_some_and(|known| known != epoch) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let mut batch = BatchBuilder::new(Offset(0)).producer(marker.producer_id, marker.epoch, None);
        if self.rules.load().validation.timestamp_type == TimestampType::LogAppendTime {
            batch = batch.log_append_time(marker.now);
        }
        batch.append_end_transaction(marker.now, marker.end);
        let batch = batch.finish().map_err(|_| ErrorCode::UnknownServerError)?;
        let state = StateAppend { guard: None, transaction_version: marker.transaction_version };
        self.append_coordinated(epoch, batch, state, Some(marker.now)).await
    }

    /// Appends a coordinator's batch on this thread, or on the blocking pool if the log must sync
    /// something first. Without `now` it is appended at the time of its newest record.
    async fn append_coordinated(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        batch: Bytes,
        state: StateAppend,
        now: Option<Timestamp>,
    ) -> Result<AppendInfo, ErrorCode> {
        let appended = match self.append_state_in(epoch, &batch, state, now, Wait::Try) {
            Err(Error::WouldBlock) => {
                let this = self.clone();
                let append = move || this.append_state_in(epoch, &batch, state, now, Wait::Block);
                self.env().run(append).await.map_err(|_| ErrorCode::UnknownServerError)?
            }
            done => done,
        };
        appended.map_err(|error| coordinator_error_code(&error))
    }

    /// Appends in an epoch that may have ended since it was compared. If it has, the log refuses.
    pub(super) fn append_state_in(
        self: &Arc<Self>,
        leader_epoch: LeaderEpoch,
        batch: &Bytes,
        state: StateAppend,
        now: Option<Timestamp>,
        wait: Wait,
    ) -> Result<AppendInfo, Error> {
        let invalid =
            |error: records::BatchError| Error::InvalidBatch { partition: self.name(), reason: error.to_string() };
        let batch = Validated::trusted(batch).map_err(invalid)?;
        let now = now.unwrap_or(batch.header().max_timestamp);
        let StateAppend { guard, transaction_version } = state;
        let how = LeaderAppend { leader_epoch, origin: Origin::Coordinator, now, transaction_version, guard };
        let done = self.append_valid(&batch, how, wait)?;
        Ok(self.appended(&batch, &done, how, None))
    }

    /// Follows up an append, and returns what its caller needs.
    fn appended(
        self: &Arc<Self>,
        batch: &Validated,
        done: &storage::AppendOutcome,
        how: LeaderAppend,
        log_append_time: Option<Timestamp>,
    ) -> AppendInfo {
        let header = batch.header();
        let record_count = u64::try_from(header.record_count).unwrap_or(0);
        AppendInfo {
            base_offset: done.base_offset,
            last_offset: done.last_offset,
            epoch: how.leader_epoch,
            log_append_time: done.duplicate_timestamp.or(log_append_time),
            record_count: if done.is_duplicate { 0 } else { record_count },
            size_bytes: if done.is_duplicate { 0 } else { header.size_bytes() as u64 },
            awaits_flush: self.after_append(done),
        }
    }

    fn append_valid(
        self: &Arc<Self>,
        batch: &Validated,
        how: LeaderAppend,
        wait: Wait,
    ) -> Result<storage::AppendOutcome, Error> {
        let batches = std::slice::from_ref(batch);
        let done = self.on_log(|log| match wait {
            Wait::Try => log.try_append_as_leader(batches, how),
            Wait::Block => log.append_as_leader(batches, how),
        });
        if done.as_ref().map_or(true, |done| done.rolled_at.is_some()) || self.flush_state.is_flushed_by_time() {
            // A failed append may have closed a segment before.
            self.note();
        }
        done
    }
}

//! The records that the coordinator writes, byte for byte as Kafka does.
//!
//! Value version 1 is flexible. It is written from `transaction.version` 1 on. No release that
//! supports this level lacks version 1, and a release that does not support a finalized level
//! cannot join the cluster. Version 0 has no previous and next producer id and no client version.

use crate::entry::NewRecord;
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::topics;
use model::{ProducerId, Timestamp};
use protocol::messages::transaction_log_key::TransactionLogKey;
use protocol::messages::transaction_log_value::TransactionLogValue;
use protocol::{EncodeError, Str, TransactionRecord};

fn key(transactional_id: &Str) -> TransactionLogKey {
    TransactionLogKey { transactional_id: transactional_id.clone(), ..Default::default() }
}

/// Returns the version of the value at a `transaction.version`.
pub(crate) fn value_version(transaction_version: i16) -> i16 {
    i16::from(transaction_version >= 1)
}

/// Encodes what a transactional id is at now.
pub(crate) fn transaction(
    transactional_id: &Str,
    transaction: &Transaction,
    version: i16,
) -> Result<NewRecord, EncodeError> {
    let mut value = TransactionLogValue {
        producer_id: transaction.producer.id.0,
        producer_epoch: transaction.producer.epoch.0,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state as i8,
        transaction_partitions: match transaction.state {
            TransactionState::Empty => None,
            _ => Some(topics::by_topic(&transaction.partitions)),
        },
        transaction_last_update_timestamp_ms: transaction.last_update.0,
        transaction_start_timestamp_ms: Timestamp::to_wire(transaction.start),
        ..Default::default()
    };
    if version >= 1 {
        value.previous_producer_id = ProducerId::to_wire(transaction.previous_id);
        value.next_producer_id = ProducerId::to_wire(transaction.next_id);
        value.client_transaction_version = transaction.client_version;
    }
    let record = TransactionRecord::TransactionLog(key(transactional_id), Some(value));
    Ok(NewRecord { key: record.encode_key()?, value: record.encode_value(version)? })
}

/// Encodes the tombstone of a transactional id.
pub(crate) fn tombstone(transactional_id: &Str) -> Result<NewRecord, EncodeError> {
    let record = TransactionRecord::TransactionLog(key(transactional_id), None);
    Ok(NewRecord { key: record.encode_key()?, value: None })
}

//! Transactions, on a cluster whose `transaction.version` is raised from 0 to 2 and lowered again.
//! Each group of rows runs at each level with ids of its own.
//!
//! Kafka answers an EndTxn before the markers are written. A row that depends on them waits until
//! DescribeTransactions shows that the transaction is complete.

mod admin;
mod data;
mod delayed;
mod end;
mod epochs;
mod init;
mod logs;
mod markers;
mod offsets;
mod partitions;
mod state_topics;
mod stuck;
mod unsupported;

use super::{code, produce};
use crate::batches::{Batch, rec};
use crate::run::Run;
use crate::side::{PRODUCER, Side};
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::{ApiKey, Str};

/// The groups of the cluster for transactions, in the order in which they run.
pub const GROUPS: &[(&str, super::Rows)] = &[
    ("txn-state-topics", state_topics::rows),
    ("txn-0", |run| level(run, 0)),
    ("txn-1", |run| level(run, 1)),
    ("txn-2", |run| level(run, 2)),
    ("txn-1-again", |run| {
        finalize(run, 1);
        end::rows(run, "1-again");
        logs::rows(run);
    }),
    ("txn-2-again", |run| {
        finalize(run, 2);
        end::rows(run, "2-again");
        logs::rows(run);
    }),
    ("txn-epochs", epochs::rows),
    ("txn-state-topics-again", state_topics::rows_of_metadata),
];

/// The transactional flag of a batch.
const TRANSACTIONAL: i16 = 0x10;
/// The flags of a control batch of a transaction.
const CONTROL: i16 = 0x30;

/// The first versions of requests that Kafka cannot record at `transaction.version` 0. It answers
/// one of them, and from there on CONCURRENT_TRANSACTIONS to all requests of the transactional id.
const NOT_AT_ZERO: [(ApiKey, i16); 4] =
    [(ApiKey::Produce, 12), (ApiKey::AddPartitionsToTxn, 4), (ApiKey::EndTxn, 5), (ApiKey::TxnOffsetCommit, 5)];

/// The rows at one level of `transaction.version`.
fn level(run: &mut Run, level: i16) {
    finalize(run, level);
    let name = level.to_string();
    if level == 0 {
        unsupported::rows(run);
        NOT_AT_ZERO.iter().for_each(|(api, version)| run.limit(*api, Some(version - 1)));
    }
    init::rows(run, &name);
    partitions::rows(run, &name);
    end::rows(run, &name);
    delayed::rows(run, &name);
    offsets::rows(run, &name);
    data::rows(run, &name);
    markers::rows(run, &name);
    stuck::rows(run, &name);
    admin::rows(run, &name);
    NOT_AT_ZERO.iter().for_each(|(api, _)| run.limit(*api, None));
    logs::rows(run);
}

/// Sets `transaction.version` and waits until producers see it.
fn finalize(run: &mut Run, level: i16) {
    ready(run);
    run.row(&format!("transaction.version {level}"), [1], |_, _| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: "transaction.version".into(),
            max_version_level: level,
            upgrade_type: 2,
            ..Default::default()
        }],
        ..Default::default()
    });
    run.row(&format!("transaction.version {level}, as an upgrade"), [1], |_, _| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: "transaction.version".into(),
            max_version_level: level,
            upgrade_type: 1,
            ..Default::default()
        }],
        ..Default::default()
    });
    let versions = |_: &Side| protocol::messages::api_versions_request::ApiVersionsRequest {
        client_software_name: "differential".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    run.until("transaction.version", 4, versions, |answer| {
        let list = answer.pointer("/finalizedFeatures").and_then(serde_json::Value::as_array);
        let of_list = list.into_iter().flatten().find(|one| one["name"] == "transaction.version");
        of_list.map_or(0, |one| code(one, "/maxVersionLevel")) == i64::from(level)
    });
}

/// Waits until the coordinator of every transactional id serves.
fn ready(run: &mut Run) {
    super::warm(run);
    let find = |_: &Side| protocol::messages::find_coordinator_request::FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec!["t".into()],
        ..Default::default()
    };
    run.until("a transaction coordinator", 4, find, |answer| code(answer, "/coordinators/0/errorCode") == 0);
    let list = |_: &Side| ListTransactionsRequest::default();
    run.until("all transaction coordinators", 0, list, |answer| code(answer, "/errorCode") == 0);
    super::settled(run, "__transaction_state", 50);
    super::settled(run, "__consumer_offsets", 50);
}

/// A producer with a transactional id. Each side keeps the producer id and epoch that it gave.
#[derive(Clone, Debug)]
struct Producer {
    id: String,
}

impl Producer {
    /// Gives the producer its id and epoch, in a row.
    fn new(run: &mut Run, id: &str) -> Self {
        Self::with_version(run, id, 5)
    }

    fn with_version(run: &mut Run, id: &str, version: i16) -> Self {
        let producer = Self { id: id.into() };
        run.row(&format!("of {id}"), [version], |_, _| init(id, 600_000, -1, -1));
        producer.keep(run);
        producer
    }

    /// Keeps the producer id and epoch of the last answer.
    fn keep(&self, run: &mut Run) {
        run.keep(&format!("{PRODUCER}{}", self.id), "/producerId");
        run.keep(&format!("epoch of {}", self.id), "/producerEpoch");
    }

    fn producer_id(&self, side: &Side) -> i64 {
        side.int(&format!("{PRODUCER}{}", self.id))
    }

    fn epoch(&self, side: &Side) -> i16 {
        side.int(&format!("epoch of {}", self.id)) as i16
    }

    /// Returns an AddPartitionsToTxn in the form of the version.
    fn add(&self, side: &Side, version: i16, topics: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
        add(version, &self.id, self.producer_id(side), self.epoch(side), topics)
    }

    fn end(&self, side: &Side, committed: bool) -> EndTxnRequest {
        end(&self.id, self.producer_id(side), self.epoch(side), committed)
    }

    /// Returns a transactional batch with one record.
    fn batch(&self, side: &Side, sequence: i32) -> Batch {
        let records = vec![rec("k", &format!("{} {sequence}", self.id))];
        let batch = Batch::idempotent(side.now, self.producer_id(side), self.epoch(side), sequence, records);
        Batch { attributes: TRANSACTIONAL, ..batch }
    }

    fn produce(&self, side: &Side, topic: &str, partition: i32, batch: &Batch) -> ProduceRequest {
        ProduceRequest {
            transactional_id: Some(self.id.as_str().into()),
            ..produce(side, topic, partition, -1, Some(batch.bytes()))
        }
    }

    /// Opens a transaction with one record in a partition: with AddPartitionsToTxn before Produce
    /// version 12, and without it from there on.
    fn write(&self, run: &mut Run, version: i16, topic: &str, partition: i32, sequence: i32) {
        let version = run.at_most(ApiKey::Produce, version);
        if version < 12 {
            run.row(&format!("of {}, {topic}", self.id), [3], |side, v| self.add(side, v, &[(topic, &[partition])]));
        }
        run.row(&format!("of {}, {topic}", self.id), [version], |side, _| {
            self.produce(side, topic, partition, &self.batch(side, sequence))
        });
    }

    /// Ends the transaction, waits for the markers, and keeps the next epoch.
    fn finish(&self, run: &mut Run, version: i16, committed: bool) {
        let version = run.at_most(ApiKey::EndTxn, version);
        run.row(&format!("of {}, committed: {committed}", self.id), [version], |side, _| self.end(side, committed));
        if version >= 5 {
            self.keep(run);
        }
        self.settle(run);
    }

    /// Waits until the transaction is not ending.
    fn settle(&self, run: &mut Run) {
        let described = |_: &Side| describe(&[&self.id]);
        run.until(&self.id, 0, described, |answer| {
            let state = answer.pointer("/transactionStates/0/transactionState").and_then(serde_json::Value::as_str);
            state.is_some_and(|state| !state.starts_with("Prepare"))
        });
    }
}

fn init(id: &str, timeout: i32, producer: i64, epoch: i16) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: timeout,
        producer_id: producer,
        producer_epoch: epoch,
        ..Default::default()
    }
}

fn topics_of(topics: &[(&str, &[i32])]) -> Vec<AddPartitionsToTxnTopic> {
    let one = |(name, partitions): &(&str, &[i32])| AddPartitionsToTxnTopic {
        name: (*name).into(),
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    topics.iter().map(one).collect()
}

fn transaction(id: &str, producer: i64, epoch: i16, topics: &[(&str, &[i32])]) -> AddPartitionsToTxnTransaction {
    AddPartitionsToTxnTransaction {
        transactional_id: id.into(),
        producer_id: producer,
        producer_epoch: epoch,
        topics: topics_of(topics),
        ..Default::default()
    }
}

fn add(version: i16, id: &str, producer: i64, epoch: i16, topics: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
    if version >= 4 {
        let transactions = vec![transaction(id, producer, epoch, topics)];
        return AddPartitionsToTxnRequest { transactions, ..Default::default() };
    }
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.into(),
        v3_and_below_producer_id: producer,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: topics_of(topics),
        ..Default::default()
    }
}

fn end(id: &str, producer: i64, epoch: i16, committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: id.into(),
        producer_id: producer,
        producer_epoch: epoch,
        committed,
        ..Default::default()
    }
}

fn describe(ids: &[&str]) -> DescribeTransactionsRequest {
    DescribeTransactionsRequest {
        transactional_ids: ids.iter().map(|id| Str::from(*id)).collect(),
        ..Default::default()
    }
}

//! What requests need of the transaction coordinators.

use super::Broker;
use crate::runtime::transaction::PartitionsOfTransaction;
use coordinator::transaction::ProducerIdAndEpoch;
use indexmap::IndexMap;
use model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use std::collections::HashMap;

/// Partitions that a transaction is about to write to (AddPartitionsToTxn between brokers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionPartitions {
    /// The transactional id, which names the coordinator.
    pub transactional_id: Str,
    /// The producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// Whether the coordinator only says if the partitions are part of the transaction. Otherwise
    /// it adds them.
    pub verify_only: bool,
}

impl Broker {
    /// Asks the coordinator to verify that partitions are part of a transaction, or to add them.
    /// Returns an error code for each partition, in order.
    pub async fn add_or_verify_partitions(&self, asked: &TransactionPartitions) -> Vec<ErrorCode> {
        let mut by_topic: IndexMap<&str, Vec<i32>> = IndexMap::new();
        for partition in &asked.partitions {
            by_topic.entry(&*partition.topic).or_default().push(partition.partition.0);
        }
        let topics = by_topic.into_iter().map(|(name, partitions)| AddPartitionsToTxnTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        });
        let results = self.transactions.partitions(PartitionsOfTransaction {
            transactional_id: asked.transactional_id.clone(),
            producer: ProducerIdAndEpoch { id: asked.producer_id, epoch: asked.producer_epoch },
            topics: topics.collect(),
            verify_only: asked.verify_only,
            transaction_version: if asked.verify_only { 0 } else { 2 },
        });
        let results = results.await;
        let codes: HashMap<(&str, i32), i16> = results
            .iter()
            .flat_map(|topic| topic.results_by_partition.iter().map(move |it| (topic.name.as_str(), it)))
            .map(|(topic, it)| ((topic, it.partition_index), it.partition_error_code))
            .collect();
        let code_of = |partition: &TopicPartition| {
            let code = codes.get(&(&*partition.topic, partition.partition.0))?;
            ErrorCode::from_code(*code)
        };
        asked.partitions.iter().map(|it| code_of(it).unwrap_or(ErrorCode::UnknownServerError)).collect()
    }
}

//! What requests need of the transaction coordinators.

use super::Broker;
use crate::runtime::brokers::PartitionLeader;
use crate::runtime::transaction::{PartitionsOfTransaction, ask_about_partitions, results_with};
use coordinator::StateTopic;
use coordinator::transaction::ProducerIdAndEpoch;
use indexmap::IndexMap;
use model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use std::collections::BTreeMap;
use std::time::Duration;

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
        let results = self.ask_coordinator(PartitionsOfTransaction {
            transactional_id: asked.transactional_id.clone(),
            producer: ProducerIdAndEpoch { id: asked.producer_id, epoch: asked.producer_epoch },
            topics: topics.collect(),
            verify_only: asked.verify_only,
            transaction_version: if asked.verify_only { 0 } else { 2 },
        });
        let results = results.await;
        let codes: BTreeMap<(&str, i32), i16> = results
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

    /// Asks the coordinator of a transaction about partitions, wherever it is. Returns an error
    /// code for each partition.
    async fn ask_coordinator(&self, asked: PartitionsOfTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
        let topic = StateTopic::TransactionState.name();
        let partitions = self.image().topics.by_name(topic).map_or(0, |topic| topic.partitions.len());
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let leader = match partitions {
            0 => PartitionLeader::NoPartition,
            _ => {
                let index = coordinator::partition_for(&asked.transactional_id, partitions);
                self.other_brokers.leader_of(topic, index)
            }
        };
        match leader {
            // A coordinator that is not there has an answer of its own.
            PartitionLeader::Here | PartitionLeader::NoPartition => self.transactions.partitions(asked).await,
            PartitionLeader::NoLeader => results_with(asked.topics, ErrorCode::CoordinatorNotAvailable),
            PartitionLeader::Other(broker) => {
                let timeout_ms = self.settings().request_timeout_ms;
                let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
                ask_about_partitions(self.other_brokers.peer(broker), asked, timeout).await
            }
        }
    }
}

//! Requests of transactions to other brokers: markers to the leaders of partitions, and questions
//! about partitions to a coordinator.

use super::{Marker, PartitionsOfTransaction, results_with};
use crate::peer::{Peer, PeerError, PeerFailure};
use coordinator::transaction::{MarkerOutcome, TransactionPartition};
use indexmap::IndexMap;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction};
use protocol::messages::add_partitions_to_txn_response::{AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult};
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::debug;

/// Sends a marker to the leader of partitions. Returns the outcome of each: whatever is not written
/// is sent again.
pub(super) async fn write(
    leader: Option<Peer>,
    partitions: Vec<TransactionPartition>,
    marker: Marker,
    timeout: Duration,
) -> Vec<(TransactionPartition, MarkerOutcome)> {
    let Some(leader) = leader else { return outcomes(partitions, &WriteTxnMarkersResponse::default()) };
    let answer = leader.ask(request(&partitions, marker), timeout).await.unwrap_or_else(|error| {
        debug!(%error, "markers could not be written; they are sent again");
        WriteTxnMarkersResponse::default()
    });
    outcomes(partitions, &answer)
}

fn request(partitions: &[TransactionPartition], marker: Marker) -> WriteTxnMarkersRequest {
    let mut topics: IndexMap<&Str, Vec<i32>> = IndexMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition.0);
    }
    let topic = |(name, partition_indexes): (&Str, _)| WritableTxnMarkerTopic {
        name: name.clone(),
        partition_indexes,
        ..Default::default()
    };
    let marker = WritableTxnMarker {
        producer_id: marker.producer_id.0,
        producer_epoch: marker.producer_epoch.0,
        transaction_result: marker.end.committed,
        topics: topics.into_iter().map(topic).collect(),
        coordinator_epoch: marker.end.coordinator_epoch,
        transaction_version: i8::try_from(marker.transaction_version).unwrap_or(0),
        ..Default::default()
    };
    WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() }
}

/// Returns what became of each marker. One that the answer lacks was not written. As in Kafka, an
/// unknown topic is tried again: the leader may not have heard of it yet.
fn outcomes(
    partitions: Vec<TransactionPartition>,
    answer: &WriteTxnMarkersResponse,
) -> Vec<(TransactionPartition, MarkerOutcome)> {
    let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
    let codes: BTreeMap<(&Str, i32), i16> = topics
        .flat_map(|topic| topic.partitions.iter().map(move |it| ((&topic.name, it.partition_index), it.error_code)))
        .collect();
    let outcome = |partition: &TransactionPartition| {
        let code = codes.get(&(&partition.topic, partition.partition.0));
        match code.map(|code| ErrorCode::from_code(*code)) {
            Some(Some(ErrorCode::None)) => MarkerOutcome::Written,
            Some(Some(ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced)) => {
                MarkerOutcome::Fenced
            }
            // The partition cannot take a marker.
            Some(Some(ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion)) => MarkerOutcome::Gone,
            Some(Some(_) | None) | None => MarkerOutcome::Retry,
        }
    };
    let outcome = |partition: TransactionPartition| {
        let outcome = outcome(&partition);
        (partition, outcome)
    };
    partitions.into_iter().map(outcome).collect()
}

/// Asks a coordinator on another broker to add partitions to a transaction, or to verify that they
/// are in it. Returns an error code for each partition.
pub(crate) async fn ask_about_partitions(
    coordinator: Option<Peer>,
    asked: PartitionsOfTransaction,
    timeout: Duration,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let Some(coordinator) = coordinator else { return results_with(asked.topics, ErrorCode::CoordinatorNotAvailable) };
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: asked.transactional_id,
        producer_id: asked.producer.id.0,
        producer_epoch: asked.producer.epoch.0,
        verify_only: asked.verify_only,
        topics: asked.topics.clone(),
        ..Default::default()
    };
    let request = AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() };
    let answer = coordinator.ask(request, timeout).await;
    match results(answer) {
        Ok(results) => results,
        Err(code) => results_with(asked.topics, code),
    }
}

/// Returns the results of the one transaction that was asked about.
fn results(
    answer: Result<AddPartitionsToTxnResponse, PeerError>,
) -> Result<Vec<AddPartitionsToTxnTopicResult>, ErrorCode> {
    let answer = match answer {
        Ok(answer) => answer,
        // As in Kafka: an older coordinator cannot verify, and so nothing is verified.
        Err(PeerError { reason: PeerFailure::Unsupported(_), .. }) => return Err(ErrorCode::None),
        Err(error) => {
            debug!(%error, "a transaction's coordinator did not answer");
            return Err(ErrorCode::NetworkException);
        }
    };
    match ErrorCode::from_code(answer.error_code).unwrap_or(ErrorCode::UnknownServerError) {
        ErrorCode::None => {}
        code => return Err(code),
    }
    let [transaction] = <[_; 1]>::try_from(answer.results_by_transaction).map_err(|_| ErrorCode::UnknownServerError)?;
    Ok(transaction.topic_results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{PartitionIndex, ProducerEpoch, ProducerId};
    use protocol::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult,
    };
    use protocol::messages::write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };
    use records::EndTransactionMarker;

    fn partitions(all: &[(&'static str, i32)]) -> Vec<TransactionPartition> {
        let partition = |&(topic, index): &(&'static str, i32)| TransactionPartition {
            topic: topic.into(),
            partition: PartitionIndex(index),
        };
        all.iter().map(partition).collect()
    }

    fn answer(topics: &[(&'static str, &[(i32, ErrorCode)])]) -> WriteTxnMarkersResponse {
        let partition = |&(partition_index, code): &(i32, ErrorCode)| WritableTxnMarkerPartitionResult {
            partition_index,
            error_code: code.code(),
            ..Default::default()
        };
        let topic = |(name, all): &(&'static str, &[(i32, ErrorCode)])| WritableTxnMarkerTopicResult {
            name: (*name).into(),
            partitions: all.iter().map(partition).collect(),
            ..Default::default()
        };
        let topics = topics.iter().map(topic).collect();
        let marker = WritableTxnMarkerResult { producer_id: 7, topics, ..Default::default() };
        WriteTxnMarkersResponse { markers: vec![marker], ..Default::default() }
    }

    #[test]
    fn a_request_has_one_marker_with_all_partitions() {
        let marker = Marker {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(3),
            end: EndTransactionMarker { committed: true, coordinator_epoch: 5 },
            transaction_version: 2,
        };
        let request = request(&partitions(&[("a", 0), ("b", 1), ("a", 2)]), marker);
        let [sent] = <[_; 1]>::try_from(request.markers).unwrap();
        assert_eq!((sent.producer_id, sent.producer_epoch, sent.coordinator_epoch), (7, 3, 5));
        assert_eq!((sent.transaction_result, sent.transaction_version), (true, 2));
        let topics: Vec<_> = sent.topics.iter().map(|it| (it.name.as_str(), it.partition_indexes.as_slice())).collect();
        assert_eq!(topics, [("a", &[0, 2][..]), ("b", &[1])]);
    }

    #[test]
    fn whatever_the_leader_has_not_written_is_sent_again() {
        let answer = answer(&[
            (
                "a",
                &[(0, ErrorCode::None), (1, ErrorCode::NotLeaderOrFollower), (2, ErrorCode::UnknownTopicOrPartition)],
            ),
            ("b", &[(0, ErrorCode::InvalidProducerEpoch), (1, ErrorCode::TransactionCoordinatorFenced)]),
            ("c", &[(0, ErrorCode::UnsupportedForMessageFormat), (1, ErrorCode::UnknownServerError)]),
        ]);
        let asked = [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("b", 1), ("c", 0), ("c", 1), ("d", 0)];
        use MarkerOutcome::{Fenced, Gone, Retry, Written};
        let expected = [Written, Retry, Retry, Retry, Fenced, Fenced, Gone, Retry, Retry];
        let found = outcomes(partitions(&asked), &answer);
        assert_eq!(found, partitions(&asked).into_iter().zip(expected).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_leader_that_cannot_be_reached_is_asked_again() {
        let marker = Marker {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(3),
            end: EndTransactionMarker { committed: false, coordinator_epoch: 5 },
            transaction_version: 1,
        };
        let found = write(None, partitions(&[("a", 0)]), marker, Duration::ZERO).await;
        assert_eq!(found[0].1, MarkerOutcome::Retry);
    }

    #[test]
    fn the_answer_of_another_coordinator_is_taken_as_brokers_take_it() {
        let partition = AddPartitionsToTxnPartitionResult { partition_error_code: 48, ..Default::default() };
        let topic = AddPartitionsToTxnTopicResult {
            name: "a".into(),
            results_by_partition: vec![partition],
            ..Default::default()
        };
        let transaction = AddPartitionsToTxnResult { topic_results: vec![topic.clone()], ..Default::default() };
        let answer = |error_code, results_by_transaction| {
            Ok(AddPartitionsToTxnResponse { error_code, results_by_transaction, ..Default::default() })
        };
        assert_eq!(results(answer(0, vec![transaction.clone()])), Ok(vec![topic]));
        let denied = ErrorCode::ClusterAuthorizationFailed;
        assert_eq!(results(answer(denied.code(), vec![transaction])), Err(denied));
        assert_eq!(results(answer(0, Vec::new())), Err(ErrorCode::UnknownServerError));
        let failed = |reason| Err(PeerError { to: "broker 2".into(), reason });
        assert_eq!(results(failed(PeerFailure::Lost("closed".into()))), Err(ErrorCode::NetworkException));
        assert_eq!(results(failed(PeerFailure::Unsupported("AddPartitionsToTxn"))), Err(ErrorCode::None));
    }
}

//! Leaders that an administrator or the passing of time elects: ElectLeaders, the balance of
//! leaders, and unclean elections of partitions that stay without a leader.

use super::change::{Election, PartitionChange};
use super::context::ElectionRules;
use super::{ControllerContext, Decided, Decision, Settings, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, Partition, Topic};
use model::{ApiError, ErrorCode, PartitionIndex};
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};
use std::collections::BTreeSet;

/// The most leaders that one call of [`balance_leaders`] or [`elect_unclean_leaders`] elects.
pub const ELECTIONS_PER_ROUND_MAX: usize = 1_000;

/// Elects leaders for an administrator. Errors: REQUEST_TIMED_OUT; INVALID_REQUEST for an unknown
/// kind of election.
pub fn elect_leaders(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &ElectLeadersRequest,
) -> Decided<ElectLeadersResponse> {
    if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Decision::reply(ElectLeadersResponse::default()));
    }
    context.in_time()?;
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        other => return Err(ApiError::new(ErrorCode::InvalidRequest, format!("Unknown election type {other}"))),
    };
    let mut records = Vec::new();
    let mut elected = BTreeSet::new();
    let mut elect_once = |topic: &str, index: i32| {
        // A partition that is named again has the leader that it just got.
        if elected.contains(&(topic.to_owned(), index)) {
            return Err(not_needed());
        }
        let record = elect_one(image, context.settings, topic, index, election)?;
        elected.insert((topic.to_owned(), index));
        Ok(record)
    };
    let mut elect = |topic: &str, index: i32| match elect_once(topic, index) {
        Ok(record) => {
            records.push(record);
            PartitionResult { partition_id: index, error_message: None, ..Default::default() }
        }
        Err(error) => {
            let (error_code, error_message) = code_and_message(&error);
            PartitionResult { partition_id: index, error_code, error_message, ..Default::default() }
        }
    };
    let mut results = Vec::new();
    match &request.topic_partitions {
        Some(topics) => {
            for topic in topics {
                let partition_result = topic.partitions.iter().map(|index| elect(&topic.topic, *index)).collect();
                let topic = topic.topic.clone();
                results.push(ReplicaElectionResult { topic, partition_result, ..Default::default() });
            }
        }
        None => {
            // The request names no partition and means all: it gets no entry for those that already
            // have the right leader.
            for topic in image.topics.iter() {
                let mut partition_result: Vec<_> =
                    topic.partitions.keys().map(|index| elect(&topic.name, index.0)).collect();
                partition_result.retain(|result| result.error_code != ErrorCode::ElectionNotNeeded.code());
                let topic = topic.name.clone();
                results.push(ReplicaElectionResult { topic, partition_result, ..Default::default() });
            }
        }
    }
    bounded(&records)?;
    let reply = ElectLeadersResponse { replica_election_results: results, ..Default::default() };
    Ok(Decision::of(records, reply))
}

fn elect_one(
    image: &Image,
    settings: &Settings,
    name: &str,
    index: i32,
    election: Election,
) -> Result<VersionedRecord, ApiError> {
    let unknown = |message: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = image.topics.by_name(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic.partition(PartitionIndex(index));
    let partition = partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let is_fine = match election {
        Election::Preferred => partition.leader == partition.preferred_leader(),
        Election::Online | Election::Unclean => partition.leader.is_some(),
    };
    if is_fine {
        return Err(not_needed());
    }
    let rules = ElectionRules::of(image, settings, topic);
    change(image, rules, topic, PartitionIndex(index), partition, election).ok_or_else(|| match election {
        Election::Preferred => {
            ApiError::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.")
        }
        Election::Online | Election::Unclean => {
            let message = "Eligible topic partition leaders are not available.";
            ApiError::new(ErrorCode::EligibleLeadersNotAvailable, message)
        }
    })
}

fn not_needed() -> ApiError {
    ApiError::new(ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.")
}

fn change(
    image: &Image,
    rules: ElectionRules,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    election: Election,
) -> Option<VersionedRecord> {
    let mut change = PartitionChange::of(image, rules, topic, index, partition);
    change.election = election;
    change.build()
}

/// Gives leaderships back to preferred leaders that can lead again. The driver calls it every
/// `leader.imbalance.check.interval.seconds` where `auto.leader.rebalance.enable` is set. It elects
/// at most [`ELECTIONS_PER_ROUND_MAX`] leaders; the reply says whether there may be more to elect,
/// so that the driver calls it again at once. Unlike Kafka before 4.0, the share of partitions that
/// are out of balance does not matter.
pub fn balance_leaders(image: &Image, context: &mut ControllerContext<'_>) -> Decision<bool> {
    let is_imbalanced = |it: &Partition| it.leader != it.preferred_leader();
    let mut records = Vec::new();
    for topic in image.topics.imbalanced() {
        let rules = ElectionRules::of(image, context.settings, topic);
        let partitions = topic.partitions.iter().filter(|(_, it)| is_imbalanced(it));
        let changes = partitions.filter_map(|(index, it)| change(image, rules, topic, *index, it, Election::Preferred));
        records.extend(changes.take(ELECTIONS_PER_ROUND_MAX - records.len()));
    }
    let is_full = records.len() >= ELECTIONS_PER_ROUND_MAX;
    Decision::of(records, is_full)
}

/// Elects leaders that may lack records, for partitions without a leader whose topic allows it:
/// `unclean.leader.election.enable` may have been set since they lost it. The driver calls it every
/// `unclean.leader.election.interval.ms`. The limit and the reply are those of [`balance_leaders`].
pub fn elect_unclean_leaders(image: &Image, context: &mut ControllerContext<'_>) -> Decision<bool> {
    let mut records = Vec::new();
    for topic in image.topics.leaderless() {
        let rules = ElectionRules::of(image, context.settings, topic);
        if !rules.is_unclean_allowed {
            continue;
        }
        let partitions = topic.partitions.iter().filter(|(_, it)| it.leader.is_none());
        let changes = partitions.filter_map(|(index, it)| change(image, rules, topic, *index, it, Election::Unclean));
        records.extend(changes.take(ELECTIONS_PER_ROUND_MAX - records.len()));
    }
    let is_full = records.len() >= ELECTIONS_PER_ROUND_MAX;
    Decision::of(records, is_full)
}

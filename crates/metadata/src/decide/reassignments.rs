//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).

use super::change::{Election, PartitionChange};
use super::context::ElectionRules;
use super::create_topics::check_assignment;
use super::{ControllerContext, Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, Partition, Topic};
use crate::snapshot::numbers;
use model::{ApiError, BrokerId, ErrorCode, PartitionIndex};
use protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use protocol::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use std::collections::BTreeSet;

/// Starts and cancels reassignments. Each partition succeeds or fails alone. Errors:
/// REQUEST_TIMED_OUT.
pub fn alter_partition_reassignments(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &AlterPartitionReassignmentsRequest,
) -> Decided<AlterPartitionReassignmentsResponse> {
    if request.topics.is_empty() {
        // Kafka's answer is an untouched one, whose message is empty and not null.
        return Ok(Decision::reply(AlterPartitionReassignmentsResponse::default()));
    }
    context.in_time()?;
    let mut records = Vec::new();
    let mut responses = Vec::new();
    let mut done = BTreeSet::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let index = PartitionIndex(asked.partition_index);
            let factor_may_change = request.allow_replication_factor_change;
            let is_done = done.contains(&(&topic.name, index));
            let changed = find(image, &topic.name, index).and_then(|(topic, partition)| match &asked.replicas {
                // Kafka writes both records, and the second knows nothing of the first.
                _ if is_done => Err(ApiError::new(ErrorCode::InvalidRequest, "The partition is named more than once.")),
                Some(target) => reassign(image, context, topic, index, partition, target, factor_may_change),
                None => cancel(image, context, topic, index, partition),
            });
            if changed.as_ref().is_ok_and(|records| records.iter().len() > 0) {
                done.insert((&topic.name, index));
            }
            let (error_code, error_message) = changed.as_ref().err().map_or((0, None), code_and_message);
            records.extend(changed.unwrap_or_default());
            partitions.push(ReassignablePartitionResponse {
                partition_index: index.0,
                error_code,
                error_message,
                ..Default::default()
            });
        }
        responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions, ..Default::default() });
    }
    bounded(&records)?;
    let reply = AlterPartitionReassignmentsResponse {
        error_message: None,
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses,
        ..Default::default()
    };
    Ok(Decision::atomic(records, reply))
}

fn find<'a>(image: &'a Image, name: &str, index: PartitionIndex) -> Result<(&'a Topic, &'a Partition), ApiError> {
    let unknown = |message: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = image.topics.by_name(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let partition = topic.partition(index);
    let partition = partition.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    Ok((topic, partition))
}

fn reassign(
    image: &Image,
    context: &ControllerContext<'_>,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    target: &[i32],
    factor_may_change: bool,
) -> Result<Option<VersionedRecord>, ApiError> {
    let target = check_assignment(image, target, None)?;
    let without = |ids: &[BrokerId], others: &[BrokerId]| -> Vec<BrokerId> {
        let left: BTreeSet<_> = ids.iter().copied().filter(|id| !others.contains(id)).collect();
        left.into_iter().collect()
    };
    let factor = without(&partition.replicas, &partition.removing_replicas).len();
    if !factor_may_change && target.len() != factor {
        let message = format!("The replication factor is changed from {factor} to {}", target.len());
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    // A reassignment that is in progress is replaced. A replica that it was adding may be in the
    // ISR and lead, so it stays until the new one ends. Where the new one wants it too, it still
    // counts as one that is added.
    let original = without(&partition.replicas, &partition.adding_replicas);
    let rules = ElectionRules::of(image, context.settings, topic);
    let mut change = PartitionChange::of(image, rules, topic, index, partition);
    change.removing = without(&partition.replicas, &target);
    change.adding = without(&target, &original);
    change.replicas = target;
    change.replicas.extend_from_slice(&change.removing);
    Ok(change.build())
}

fn cancel(
    image: &Image,
    context: &ControllerContext<'_>,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
) -> Result<Option<VersionedRecord>, ApiError> {
    if !partition.is_reassigning() {
        return Err(ErrorCode::NoReassignmentInProgress.into());
    }
    let stays = |id: &BrokerId| !partition.adding_replicas.contains(id);
    let rules = ElectionRules::of(image, context.settings, topic);
    let mut change = PartitionChange::of(image, rules, topic, index, partition);
    change.election = Election::automatic(rules);
    change.replicas.retain(stays);
    change.isr.retain(stays);
    if change.isr.is_empty() {
        if !rules.is_unclean_allowed {
            let message = format!(
                "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
                topic.name
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        let Some(first) = change.replicas.first() else {
            let message = "Invalid replica assignment: addingReplicas contains all replicas.";
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        };
        change.leave_isr_to(*first);
    }
    change.removing.clear();
    change.adding.clear();
    Ok(change.build())
}

/// The reassignments in progress, of some partitions or of all.
pub fn list_partition_reassignments(
    image: &Image,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let of = |topic: &Topic, indexes: &mut dyn Iterator<Item = PartitionIndex>| {
        let ongoing = |index: PartitionIndex| {
            let partition = topic.partition(index).filter(|it| it.is_reassigning())?;
            Some(OngoingPartitionReassignment {
                partition_index: index.0,
                replicas: numbers(&partition.replicas),
                adding_replicas: numbers(&partition.adding_replicas),
                removing_replicas: numbers(&partition.removing_replicas),
                ..Default::default()
            })
        };
        let partitions: Vec<_> = indexes.filter_map(ongoing).collect();
        let name = topic.name.clone();
        (!partitions.is_empty()).then(|| OngoingTopicReassignment { name, partitions, ..Default::default() })
    };
    let topics = match &request.topics {
        None => {
            image.topics.reassigning().filter_map(|topic| of(topic, &mut topic.partitions.keys().copied())).collect()
        }
        Some(asked) => asked
            .iter()
            .filter_map(|it| {
                let topic = image.topics.by_name(&it.name)?;
                of(topic, &mut it.partition_indexes.iter().map(|index| PartitionIndex(*index)))
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
}

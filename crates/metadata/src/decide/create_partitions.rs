//! CreatePartitions.

use super::change::new_partition;
use super::create_topics::assigned;
use super::placement::{Placement, place};
use super::{ControllerContext, Decided, Decision, bounded, code_and_message, is_active};
use crate::VersionedRecord;
use crate::image::{Image, Topic};
use crate::snapshot::partition_record;
use model::{ApiError, BrokerId, ErrorCode, PartitionIndex};
use protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};
use std::collections::BTreeSet;

/// Adds partitions to topics; each topic succeeds or fails alone. Errors: REQUEST_TIMED_OUT.
pub fn create_partitions(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreatePartitionsRequest,
) -> Decided<CreatePartitionsResponse> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> =
        request.topics.iter().map(|topic| topic.name.as_str()).filter(|name| !seen.insert(*name)).collect();
    let mut records = Vec::new();
    let result = |name: &str, error: Option<ApiError>| {
        let (error_code, error_message) = error.as_ref().map_or((0, None), code_and_message);
        CreatePartitionsTopicResult { name: name.into(), error_code, error_message, ..Default::default() }
    };
    let mut results: Vec<_> = twice
        .iter()
        .map(|name| result(name, Some(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))))
        .collect();
    let wanted: Vec<_> = request.topics.iter().filter(|topic| !twice.contains(topic.name.as_str())).collect();
    if !wanted.is_empty() {
        context.in_time()?;
    }
    for topic in wanted {
        let added = add(image, context, topic);
        results.push(result(&topic.name, added.as_ref().err().cloned()));
        records.extend(added.unwrap_or_default());
    }
    bounded(&records)?;
    if request.validate_only {
        records.clear();
    }
    Ok(Decision::atomic(records, CreatePartitionsResponse { results, ..Default::default() }))
}

fn add(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreatePartitionsTopic,
) -> Result<Vec<VersionedRecord>, ApiError> {
    let topic = image.topics.by_name(&request.name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let current = topic.partitions.len();
    let wanted = usize::try_from(request.count).unwrap_or(0);
    let invalid = |message| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    if wanted == current && request.count >= 0 {
        return invalid(format!("Topic already has {current} partition(s)."));
    }
    if wanted < current {
        return invalid(format!(
            "The topic {} currently has {current} partition(s); {} would not be an increase.",
            request.name, request.count
        ));
    }
    let additional = wanted - current;
    let placed = match &request.assignments {
        Some(assignments) if assignments.len() != additional => {
            let message = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        Some(assignments) => {
            let factor = replication_factor(topic);
            let placed = assignments.iter().zip(current..).map(|(assignment, index)| {
                assigned(image, i32::try_from(index).unwrap_or(i32::MAX), &assignment.broker_ids, Some(factor))
            });
            placed.collect::<Result<Vec<_>, _>>()?
        }
        None => place_more(image, context, topic, additional)?,
    };
    let records = placed.into_iter().zip(current..).map(|((placement, isr), index)| {
        let index = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
        partition_record(topic, index, &new_partition(placement, isr), image.features.version())
    });
    Ok(records.collect())
}

fn replication_factor(topic: &Topic) -> usize {
    topic.partitions.values().next().map_or(0, |partition| partition.replicas.len())
}

fn place_more(
    image: &Image,
    context: &mut ControllerContext<'_>,
    topic: &Topic,
    additional: usize,
) -> Result<Vec<(Placement, Vec<BrokerId>)>, ApiError> {
    let factor = i16::try_from(replication_factor(topic)).unwrap_or(i16::MAX);
    if additional > super::RECORDS_PER_REQUEST_MAX {
        let message = "Unable to perform excessively large batch operation.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidReplicationFactor, message);
    let placements = place(image, context, additional, factor).map_err(invalid)?;
    let mut placed = Vec::with_capacity(placements.len());
    for placement in placements {
        let isr: Vec<_> = placement.replicas.iter().copied().filter(|id| is_active(image, *id)).collect();
        if isr.is_empty() {
            return Err(invalid(format!(
                "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled shutdown."
            )));
        }
        placed.push((placement, isr));
    }
    Ok(placed)
}

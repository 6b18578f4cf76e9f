//! CreateTopics.

use super::change::new_partition;
use super::configs::{Change, Origin, changed_records};
use super::names::{METADATA_TOPIC, validate_topic_name};
use super::placement::{Placement, place};
use super::{ControllerContext, Decided, Decision, bounded, code_and_message, is_active};
use crate::VersionedRecord;
use crate::image::{ConfigResource, Image, Topic};
use crate::snapshot::partition_record;
use imbl::OrdMap;
use model::{ApiError, BrokerId, ErrorCode, PartitionIndex};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use protocol::messages::topic_record::TopicRecord;
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};

/// The most partitions that one request may create.
const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// Creates topics. `may_see_configs` says whether a topic's configs may be shown. Each topic
/// succeeds or fails alone. The request fails as a whole only where it asks for too many partitions
/// or comes too late. Names given twice, and names that the caller has refused, are answered once.
pub fn create_topics(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreateTopicsRequest,
    may_see_configs: &dyn Fn(&str) -> bool,
) -> Decided<CreateTopicsResponse> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> =
        request.topics.iter().map(|topic| topic.name.as_str()).filter(|name| !seen.insert(*name)).collect();
    let wanted: Vec<&CreatableTopic> = request
        .topics
        .iter()
        .filter(|topic| !twice.contains(topic.name.as_str()) && topic.name != METADATA_TOPIC)
        .collect();
    if !wanted.is_empty() {
        context.in_time()?;
    }
    check_partition_count(&wanted, context)?;
    let mut records = Vec::new();
    let mut results = Vec::new();
    for topic in &wanted {
        let created =
            check_name(image, &topic.name).and_then(|()| create(image, context, topic, &mut records, may_see_configs));
        results.push(created.unwrap_or_else(|error| failed(&topic.name, &error)));
    }
    for name in twice {
        results.push(failed(name, &ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.")));
    }
    if seen.contains(METADATA_TOPIC) {
        let message = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
        results.push(failed(METADATA_TOPIC, &ApiError::new(ErrorCode::InvalidRequest, message)));
    }
    bounded(&records)?;
    if request.validate_only {
        records.clear();
    }
    Ok(Decision::atomic(records, CreateTopicsResponse { topics: results, ..Default::default() }))
}

fn failed(name: &str, error: &ApiError) -> CreatableTopicResult {
    let (error_code, error_message) = code_and_message(error);
    CreatableTopicResult { name: name.into(), error_code, error_message, ..Default::default() }
}

fn check_partition_count(topics: &[&CreatableTopic], context: &ControllerContext<'_>) -> Result<(), ApiError> {
    let count = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => i64::from(context.settings.default_partitions),
        (0, partitions) => i64::from(partitions.max(0)),
        (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
    };
    if topics.iter().map(|topic| count(topic)).sum::<i64>() > PARTITIONS_PER_REQUEST_MAX {
        let message = "Excessively large number of partitions per request.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn check_name(image: &Image, name: &str) -> Result<(), ApiError> {
    if image.topics.by_name(name).is_some() {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    validate_topic_name(name)?;
    match image.topics.alike(name) {
        Some(other) => {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            Err(ApiError::new(ErrorCode::InvalidTopicException, message))
        }
        None => Ok(()),
    }
}

fn create(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreatableTopic,
    records: &mut Vec<VersionedRecord>,
    may_see_configs: &dyn Fn(&str) -> bool,
) -> Result<CreatableTopicResult, ApiError> {
    let (configs, config_records) = configs_of(image, context, request)?;
    let placements = if request.assignments.is_empty() {
        place_by_count(image, context, request)?
    } else {
        place_as_assigned(image, request)?
    };
    let topic = Topic { id: context.uuid(), name: request.name.clone(), partitions: OrdMap::new() };
    let record = TopicRecord { name: topic.name.clone(), topic_id: topic.id, ..Default::default() };
    records.push(VersionedRecord::v0(MetadataRecord::Topic(record)));
    records.extend(config_records);
    let replicas = placements.first().map_or(0, |(placement, _)| placement.replicas.len());
    let count = placements.len();
    for (index, (placement, isr)) in (0..).zip(placements) {
        let partition = new_partition(placement, isr);
        records.push(partition_record(&topic, PartitionIndex(index), &partition, image.features.version()));
    }
    let mut result =
        CreatableTopicResult { name: topic.name, topic_id: topic.id, error_message: None, ..Default::default() };
    if may_see_configs(&request.name) {
        result.num_partitions = i32::try_from(count).unwrap_or(i32::MAX);
        result.replication_factor = i16::try_from(replicas).unwrap_or(i16::MAX);
        result.configs = Some((context.rules.topic_configs)(image, &configs));
    } else {
        result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
        result.configs = Some(Vec::new());
    }
    Ok(result)
}

/// A new topic's configs, and the records that set them.
fn configs_of(
    image: &Image,
    context: &ControllerContext<'_>,
    request: &CreatableTopic,
) -> Result<(OrdMap<Str, Str>, Vec<VersionedRecord>), ApiError> {
    let nulls: Vec<&str> = request.configs.iter().filter(|it| it.value.is_none()).map(|it| it.name.as_str()).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let mut wanted: OrdMap<Str, Str> = OrdMap::new();
    for config in &request.configs {
        wanted.insert(config.name.clone(), config.value.clone().unwrap_or_default());
    }
    if wanted.is_empty() {
        return Ok((wanted, Vec::new()));
    }
    let resource = ConfigResource::topic(request.name.clone());
    let changes: Vec<Change> = wanted.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let records = changed_records(image, context, &resource, &OrdMap::new(), &changes, Origin::NewTopic)?;
    Ok((wanted, records))
}

type Placed = (Placement, Vec<BrokerId>);

fn place_by_count(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreatableTopic,
) -> Result<Vec<Placed>, ApiError> {
    if request.replication_factor < -1 || request.replication_factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    if request.num_partitions < -1 || request.num_partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let (settings, asked) = (context.settings, (request.num_partitions, request.replication_factor));
    let partitions = if asked.0 == -1 { settings.default_partitions } else { asked.0 };
    let replication_factor = if asked.1 == -1 { settings.default_replication_factor } else { asked.1 };
    let placements = place(image, context, usize::try_from(partitions).unwrap_or(0), replication_factor);
    placements.and_then(|placements| placements.into_iter().map(|it| with_active_isr(image, it)).collect()).map_err(
        |reason| {
            let message = format!("Unable to replicate the partition {replication_factor} time(s): {reason}");
            ApiError::new(ErrorCode::InvalidReplicationFactor, message)
        },
    )
}

fn with_active_isr(image: &Image, placement: Placement) -> Result<Placed, String> {
    let isr = active(image, &placement.replicas);
    if isr.is_empty() {
        return Err("All brokers are currently fenced or in controlled shutdown.".to_owned());
    }
    Ok((placement, isr))
}

fn active(image: &Image, replicas: &[BrokerId]) -> Vec<BrokerId> {
    replicas.iter().copied().filter(|id| is_active(image, *id)).collect()
}

fn place_as_assigned(image: &Image, request: &CreatableTopic) -> Result<Vec<Placed>, ApiError> {
    let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    if request.replication_factor != -1 {
        return invalid("A manual partition assignment was specified, but replication factor was not set to -1.");
    }
    if request.num_partitions != -1 {
        return invalid("A manual partition assignment was specified, but numPartitions was not set to -1.");
    }
    let mut placements: BTreeMap<i32, Placed> = BTreeMap::new();
    let mut replication_factor = None;
    for assignment in &request.assignments {
        let index = assignment.partition_index;
        if placements.contains_key(&index) {
            let message = format!("Found multiple manual partition assignments for partition {index}");
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        let placed = assigned(image, index, &assignment.broker_ids, replication_factor)?;
        replication_factor = Some(assignment.broker_ids.len());
        placements.insert(index, placed);
    }
    if !placements.keys().copied().eq(0..i32::try_from(placements.len()).unwrap_or(i32::MAX)) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(placements.into_values().collect())
}

/// A partition on the brokers that a request names.
pub(super) fn assigned(
    image: &Image,
    index: i32,
    ids: &[i32],
    replication_factor: Option<usize>,
) -> Result<Placed, ApiError> {
    let replicas = check_assignment(image, ids, replication_factor)?;
    let isr = active(image, &replicas);
    if isr.is_empty() {
        let message = format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok((Placement::on(image, replicas), isr))
}

/// INVALID_REPLICA_ASSIGNMENT for a list of brokers that no partition may have.
pub(super) fn check_assignment(
    image: &Image,
    ids: &[i32],
    replication_factor: Option<usize>,
) -> Result<Vec<BrokerId>, ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if ids.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    for (position, id) in sorted.iter().enumerate() {
        if !image.cluster.brokers.contains_key(&BrokerId(*id)) {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if position > 0 && sorted[position - 1] == *id {
            return invalid(format!("The manual partition assignment includes the broker {id} more than once."));
        }
    }
    match replication_factor {
        Some(expected) if expected != ids.len() => invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have \
             {expected} replica(s).",
            ids.len()
        )),
        _ => Ok(ids.iter().map(|id| BrokerId(*id)).collect()),
    }
}

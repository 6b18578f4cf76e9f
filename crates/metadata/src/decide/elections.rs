//! Leaders: ElectLeaders, and the elections when a broker is fenced or unfenced, or loses a log
//! dir.

use super::change::{Election, PartitionChange};
use super::{ControllerContext, Decided, Decision, Settings, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Broker, Image, Partition, Topic};
use model::{ApiError, BrokerId, ErrorCode, PartitionIndex};
use protocol::MetadataRecord;
use protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};

/// The event of a broker after which leaders and ISRs are decided again.
#[derive(Clone, Copy, Default)]
pub(super) struct BrokerEvent {
    /// It leaves every ISR.
    pub(super) gone: Option<BrokerId>,
    /// It can lead again.
    pub(super) back: Option<BrokerId>,
    /// It stopped uncleanly: it leaves every ISR and is no eligible leader.
    pub(super) unclean: Option<BrokerId>,
}

/// The changes of those partitions that `concerns` names.
pub(super) fn leader_and_isr_changes(
    image: &Image,
    settings: &Settings,
    event: BrokerEvent,
    concerns: &dyn Fn(&Partition) -> bool,
) -> Vec<VersionedRecord> {
    let mut records = Vec::new();
    for topic in image.topics.iter() {
        let unclean = settings.unclean_election(image, &topic.name);
        for (index, partition) in topic.partitions.iter().filter(|(_, partition)| concerns(partition)) {
            let mut change = PartitionChange::of(image, settings, topic, *index, partition);
            if unclean {
                change.election = Election::Unclean;
            }
            change.gone = event.gone;
            change.back = event.back;
            change.unclean_shutdown = event.unclean;
            change.isr.retain(|id| event.gone != Some(*id) && event.unclean != Some(*id));
            records.extend(change.build());
        }
    }
    records
}

/// The records that fence a broker: it leaves every ISR, other replicas lead, and its registration
/// is marked.
pub fn fence_broker(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    let Some(broker) = image.cluster.brokers.get(&id) else { return Vec::new() };
    let event = BrokerEvent { gone: Some(id), ..Default::default() };
    let mut records = leader_and_isr_changes(image, settings, event, &|it| it.isr.contains(&id));
    records.push(fencing_change(broker, 1));
    records
}

/// A broker becomes fenced (1) or unfenced (-1).
pub(super) fn fencing_change(broker: &Broker, fenced: i8) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        fenced,
        ..Default::default()
    }))
}

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
    let mut elect = |topic: &str, index: i32| match elect_one(image, context.settings, topic, index, election) {
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
        let message = "Leader election not needed for topic partition.";
        return Err(ApiError::new(ErrorCode::ElectionNotNeeded, message));
    }
    change(image, settings, topic, PartitionIndex(index), partition, election).ok_or_else(|| match election {
        Election::Preferred => {
            ApiError::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.")
        }
        Election::Online | Election::Unclean => {
            let message = "Eligible topic partition leaders are not available.";
            ApiError::new(ErrorCode::EligibleLeadersNotAvailable, message)
        }
    })
}

fn change(
    image: &Image,
    settings: &Settings,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    election: Election,
) -> Option<VersionedRecord> {
    let mut change = PartitionChange::of(image, settings, topic, index, partition);
    change.election = election;
    change.build()
}

//! AssignReplicasToDirs: a broker says in which log dir its replicas are (KIP-858).

use super::change::{Election, PartitionChange};
use super::context::ElectionRules;
use super::{ControllerContext, Decided, Decision, check_broker_epoch};
use crate::VersionedRecord;
use crate::image::Image;
use model::{ApiError, BrokerId, DirectoryId, ErrorCode, PartitionIndex, TopicId};
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response::{
    AssignReplicasToDirsResponse, DirectoryData, PartitionData, TopicData,
};

/// Notes directories of replicas. Errors: STALE_BROKER_EPOCH, UNSUPPORTED_VERSION.
pub fn assign_replicas_to_dirs(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &AssignReplicasToDirsRequest,
) -> Decided<AssignReplicasToDirsResponse> {
    if !image.features.version().has_directories() {
        return Err(ApiError::new(ErrorCode::UnsupportedVersion, "Directory assignment is not supported yet."));
    }
    let broker = BrokerId(request.broker_id);
    check_broker_epoch(image, broker, request.broker_epoch)?;
    let mut records = Vec::new();
    let mut directories = Vec::new();
    for directory in &request.directories {
        let mut topics = Vec::new();
        for topic in &directory.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let index = PartitionIndex(asked.partition_index);
                let assigned = assign(image, context, broker, directory.id, topic.topic_id, index);
                let error_code = assigned.as_ref().err().map_or(0, |code| code.code());
                records.extend(assigned.ok().flatten());
                partitions.push(PartitionData { partition_index: index.0, error_code, ..Default::default() });
            }
            topics.push(TopicData { topic_id: topic.topic_id, partitions, ..Default::default() });
        }
        directories.push(DirectoryData { id: directory.id, topics, ..Default::default() });
    }
    Ok(Decision::of(records, AssignReplicasToDirsResponse { directories, ..Default::default() }))
}

fn assign(
    image: &Image,
    context: &ControllerContext<'_>,
    broker: BrokerId,
    directory: DirectoryId,
    topic: TopicId,
    index: PartitionIndex,
) -> Result<Option<VersionedRecord>, ErrorCode> {
    let topic = image.topics.by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.replicas.contains(&broker) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let rules = ElectionRules::of(image, context.settings, topic);
    let mut change = PartitionChange::of(image, rules, topic, index, partition);
    change.directories.insert(broker, directory);
    // A replica in a directory that is offline leaves the ISR at once.
    let online = image.cluster.brokers.get(&broker).is_some_and(|it| it.has_online_dir(directory));
    if !online {
        change.election = Election::automatic(rules);
        change.gone = Some(broker);
        change.isr.retain(|id| *id != broker);
    }
    Ok(change.build())
}

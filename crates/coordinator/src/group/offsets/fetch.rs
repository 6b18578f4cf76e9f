//! OffsetFetch: returns committed offsets.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::reply::GroupReply;
use crate::group::state::{ByTopic, CommittedOffset};
use crate::shard::ReplyId;
use model::{ErrorCode, LeaderEpoch, TopicId};
use protocol::Str;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

pub(crate) fn fetch_offsets(
    builder: &mut DecisionBuilder<'_>,
    id: ReplyId,
    request: &OffsetFetchRequestGroup,
    require_stable: bool,
) {
    let mut response = OffsetFetchResponseGroup { group_id: request.group_id.clone(), ..Default::default() };
    let offsets = match validate(builder, request) {
        Ok(()) => builder.state.offsets.group(&request.group_id),
        // A group that does not exist has no offsets.
        Err(ErrorCode::GroupIdNotFound) => None,
        Err(code) => {
            response.error_code = code.code();
            return builder.reply(id, GroupReply::OffsetFetch(response));
        }
    };
    response.topics = match &request.topics {
        None => {
            offsets.map(|offsets| all_topics(builder, &request.group_id, offsets, require_stable)).unwrap_or_default()
        }
        Some(topics) => topics
            .iter()
            .map(|topic| OffsetFetchResponseTopics {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|&partition| {
                        let committed = offsets.and_then(|it| it.get(&topic.name)).and_then(|it| it.get(&partition));
                        let committed = committed.filter(|it| is_of_topic(it, topic.topic_id));
                        answer(builder, &request.group_id, &topic.name, partition, committed, require_stable)
                    })
                    .collect(),
                ..Default::default()
            })
            .collect(),
    };
    builder.reply(id, GroupReply::OffsetFetch(response));
}

fn validate(builder: &DecisionBuilder<'_>, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
    match builder.find_group(&request.group_id) {
        StoredOrLiveGroup::Missing => Err(ErrorCode::GroupIdNotFound),
        StoredOrLiveGroup::Classic(_) => Ok(()),
        StoredOrLiveGroup::Carried(group) => group.may_fetch(request.member_id.as_deref(), request.member_epoch),
    }
}

/// Whether the offset belongs to this topic, and not to an earlier topic with the same name.
fn is_of_topic(committed: &CommittedOffset, topic_id: TopicId) -> bool {
    committed.topic_id.is_zero() || topic_id.is_zero() || committed.topic_id == topic_id
}

fn all_topics(
    builder: &DecisionBuilder<'_>,
    group: &Str,
    offsets: &ByTopic,
    require_stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let topics = offsets.iter().map(|(name, partitions)| OffsetFetchResponseTopics {
        name: name.clone(),
        partitions: partitions
            .iter()
            .map(|(&partition, committed)| answer(builder, group, name, partition, Some(committed), require_stable))
            .collect(),
        ..Default::default()
    });
    topics.collect()
}

fn answer(
    builder: &DecisionBuilder<'_>,
    group: &Str,
    topic: &Str,
    partition: i32,
    committed: Option<&CommittedOffset>,
    require_stable: bool,
) -> OffsetFetchResponsePartitions {
    let is_unstable = require_stable && builder.state.pending.contains(group, topic, partition);
    let nothing = OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::default()),
        ..Default::default()
    };
    match committed {
        _ if is_unstable => {
            OffsetFetchResponsePartitions { error_code: ErrorCode::UnstableOffsetCommit.code(), ..nothing }
        }
        None => nothing,
        Some(committed) => OffsetFetchResponsePartitions {
            committed_offset: committed.offset,
            committed_leader_epoch: LeaderEpoch::to_wire(committed.leader_epoch),
            metadata: Some(committed.metadata.clone()),
            ..nothing
        },
    }
}

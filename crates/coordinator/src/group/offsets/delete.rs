//! OffsetDelete, and the offsets of deleted topics.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::record;
use crate::group::reply::GroupReply;
use crate::group::state::{ClassicGroup, GroupState};
use crate::shard::{BatchForm, ReplyId};
use model::{ErrorCode, TopicId};
use protocol::Str;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use std::collections::{BTreeSet, HashMap};

pub(crate) fn delete_offsets(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &OffsetDeleteRequest) {
    let mut response = OffsetDeleteResponse::default();
    let group = match find(builder, &request.group_id) {
        Ok(group) => group,
        Err(code) => {
            response.error_code = code.code();
            return builder.reply(id, GroupReply::OffsetDelete(response));
        }
    };
    for topic in &request.topics {
        // If the group's subscriptions cannot be read, every topic may be in use.
        let in_use = group.as_ref().is_none_or(|group| group.is_subscribed_to(&topic.name));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let code = if in_use { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let state = builder.state;
            let is_there = state.offsets.get(&request.group_id, &topic.name, index).is_some()
                || state.pending.contains(&request.group_id, &topic.name, index);
            if !in_use && is_there {
                builder.append(record::offset_tombstone(&request.group_id, &topic.name, index));
            }
            partitions.push(OffsetDeleteResponsePartition {
                partition_index: index,
                error_code: code.code(),
                ..Default::default()
            });
        }
        response.topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions, ..Default::default() });
    }
    builder.reply(id, GroupReply::OffsetDelete(response));
}

/// Returns the group, of which offsets of topics that it does not read may be deleted; `None` for a
/// group of another type.
fn find(builder: &DecisionBuilder<'_>, group: &str) -> Result<Option<Box<ClassicGroup>>, ErrorCode> {
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    match builder.find_group(group) {
        StoredOrLiveGroup::Missing => Err(ErrorCode::GroupIdNotFound),
        StoredOrLiveGroup::Carried(group) if group.has_no_offsets() => Err(ErrorCode::GroupIdNotFound),
        StoredOrLiveGroup::Carried(_) => Ok(None),
        StoredOrLiveGroup::Classic(group) if group.state != GroupState::Empty && !group.is_consumer_group() => {
            Err(ErrorCode::NonEmptyGroup)
        }
        StoredOrLiveGroup::Classic(group) => Ok(Some(group)),
    }
}

/// Writes tombstones for the offsets of deleted topics, in groups of every type: no one can read on
/// from them. A new topic with the old name keeps the offsets that were committed for it.
pub(crate) fn topics_deleted(builder: &mut DecisionBuilder<'_>, topics: &[(TopicId, Str)]) {
    builder.append_as(BatchForm::Split);
    let deleted: HashMap<&Str, TopicId> = topics.iter().map(|(id, name)| (name, *id)).collect();
    let state = builder.state;
    let is_gone = |name: &Str, id: TopicId| deleted.get(name).is_some_and(|gone| id.is_zero() || id == *gone);
    let mut gone: BTreeSet<(&Str, &Str, i32)> = BTreeSet::new();
    for (group, offsets) in state.offsets.groups() {
        for (topic, partitions) in deleted.keys().filter_map(|name| offsets.get_key_value(*name)) {
            let of_topic = partitions.iter().filter(|(_, offset)| is_gone(topic, offset.topic_id));
            gone.extend(of_topic.map(|(partition, _)| (group, topic, *partition)));
        }
    }
    for ((group, topic, partition), offset) in state.pending.all() {
        if is_gone(topic, offset.topic_id) {
            gone.insert((group, topic, *partition));
        }
    }
    for (group, topic, partition) in gone {
        builder.append(record::offset_tombstone(group, topic, partition));
    }
}

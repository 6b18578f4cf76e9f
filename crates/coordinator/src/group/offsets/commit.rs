//! OffsetCommit, from a member of a generation, or from a consumer that uses a group only for its
//! offsets.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::record;
use crate::group::reply::GroupReply;
use crate::group::state::{ClassicGroup, CommittedOffset, GroupState, TimerKey, committed_epoch};
use crate::shard::ReplyId;
use model::{ErrorCode, Offset, Timestamp, TopicId};
use protocol::Str;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

pub(crate) fn commit_offsets(
    builder: &mut DecisionBuilder<'_>,
    id: ReplyId,
    request: &OffsetCommitRequest,
    knows_epochs: bool,
) {
    let refusal = validate(builder, request, knows_epochs).err();
    let expire = (request.retention_time_ms != -1)
        .then(|| Timestamp(builder.wall().0.saturating_add(request.retention_time_ms)));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let code = match refusal {
                Some(code) => code,
                None if is_too_large(partition.committed_metadata.as_deref(), builder) => {
                    ErrorCode::OffsetMetadataTooLarge
                }
                None => {
                    let offset = committed(builder.wall(), expire, topic.topic_id, partition);
                    let group = &request.group_id;
                    let flexible = builder.config().flexible_records;
                    builder.append(record::offset(group, &topic.name, partition.partition_index, &offset, flexible));
                    ErrorCode::None
                }
            };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
                ..Default::default()
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
            ..Default::default()
        });
    }
    builder.reply(id, GroupReply::OffsetCommit(OffsetCommitResponse { topics, ..Default::default() }));
}

/// Whether the metadata is above `offset.metadata.max.bytes`. Like Java's length of a text, the
/// limit counts UTF-16 code units.
pub(super) fn is_too_large(metadata: Option<&str>, builder: &DecisionBuilder<'_>) -> bool {
    let (metadata, max) = (metadata.unwrap_or_default(), builder.config().offset_metadata_max);
    metadata.len() > max && metadata.encode_utf16().count() > max
}

fn committed(
    now: Timestamp,
    expire: Option<Timestamp>,
    topic_id: TopicId,
    partition: &OffsetCommitRequestPartition,
) -> CommittedOffset {
    CommittedOffset {
        record_offset: Offset(0),
        offset: partition.committed_offset,
        leader_epoch: committed_epoch(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_timestamp: now,
        expire_timestamp: expire,
        topic_id,
    }
}

fn validate(
    builder: &mut DecisionBuilder<'_>,
    request: &OffsetCommitRequest,
    knows_epochs: bool,
) -> Result<(), ErrorCode> {
    let (epoch, member) = (request.generation_id_or_member_epoch, &request.member_id);
    let group = match builder.find_group(&request.group_id) {
        // A commit without a group creates a group that has only offsets.
        StoredOrLiveGroup::Missing if epoch < 0 => {
            Box::new(ClassicGroup::created(request.group_id.clone(), builder.wall()))
        }
        StoredOrLiveGroup::Missing if knows_epochs => return Err(ErrorCode::GroupIdNotFound),
        StoredOrLiveGroup::Missing => return Err(ErrorCode::IllegalGeneration),
        StoredOrLiveGroup::Carried(group) => return group.may_commit(member, epoch, knows_epochs),
        StoredOrLiveGroup::Classic(group) => group,
    };
    let is_empty = group.state == GroupState::Empty;
    if epoch < 0 && is_empty {
        return Ok(());
    }
    if epoch >= 0 || !member.is_empty() || request.group_instance_id.is_some() {
        group.validate_member(member, request.group_instance_id.as_deref())?;
        if epoch != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
    } else if !is_empty {
        return Err(ErrorCode::UnknownMemberId);
    }
    match group.state {
        // The member may commit partitions that are no longer assigned to it.
        GroupState::CompletingRebalance => return Err(ErrorCode::RebalanceInProgress),
        GroupState::Stable | GroupState::PreparingRebalance => keep_alive(builder, &group, member),
        GroupState::Empty => {}
    }
    Ok(())
}

/// Restarts the member's session: a commit counts as a heartbeat.
fn keep_alive(builder: &mut DecisionBuilder<'_>, group: &ClassicGroup, member: &Str) {
    if let Some(known) = group.members.get(member) {
        let session = TimerKey::Session(group.id.clone(), member.clone());
        builder.schedule(session, i64::from(known.session_timeout_ms));
    }
}

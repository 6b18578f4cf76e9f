//! OffsetCommit: a member of a generation, or a consumer that uses no group but its offsets, says how far it has read.

use super::CommittedOffset;
use crate::command::{Reply, ReplyId};
use crate::group::classic::{ClassicGroup, GroupState};
use crate::record;
use crate::soft::TimerKey;
use crate::turn::{Found, Turn};
use model::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId};
use protocol::Str;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

pub(crate) fn commit_offsets(turn: &mut Turn<'_>, id: ReplyId, request: &OffsetCommitRequest, knows_epochs: bool) {
    let refusal = validate(turn, request, knows_epochs).err();
    let expire =
        (request.retention_time_ms != -1).then(|| Timestamp(turn.wall().0.saturating_add(request.retention_time_ms)));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let code = match refusal {
                Some(code) => code,
                None if is_too_large(partition, turn.config().offset_metadata_max) => ErrorCode::OffsetMetadataTooLarge,
                None => {
                    let offset = committed(turn.wall(), expire, topic.topic_id, partition);
                    let group = &request.group_id;
                    turn.append(record::offset(group, &topic.name, partition.partition_index, &offset));
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
    turn.reply(id, Reply::OffsetCommit(OffsetCommitResponse { topics, ..Default::default() }));
}

/// `offset.metadata.max.bytes` is held against Java's length of a text, which counts UTF-16 code units.
fn is_too_large(partition: &OffsetCommitRequestPartition, max: usize) -> bool {
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
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
        leader_epoch: LeaderEpoch::from_wire(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_timestamp: now,
        expire_timestamp: expire,
        topic_id,
    }
}

fn validate(turn: &mut Turn<'_>, request: &OffsetCommitRequest, knows_epochs: bool) -> Result<(), ErrorCode> {
    let (epoch, member) = (request.generation_id_or_member_epoch, &request.member_id);
    let group = match turn.find(&request.group_id) {
        // Offsets without a group: one of its own comes into being with them.
        Found::Missing if epoch < 0 => Box::new(ClassicGroup::created(request.group_id.clone(), turn.wall())),
        Found::Missing if knows_epochs => return Err(ErrorCode::GroupIdNotFound),
        Found::Missing => return Err(ErrorCode::IllegalGeneration),
        Found::Carried(group) => return group.may_commit(member, epoch, knows_epochs),
        Found::Classic(group) => group,
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
        // Whoever commits now does so for partitions that may not be its own any more.
        GroupState::CompletingRebalance => return Err(ErrorCode::RebalanceInProgress),
        GroupState::Stable | GroupState::PreparingRebalance => keep_alive(turn, &group, member),
        GroupState::Empty => {}
    }
    Ok(())
}

/// A commit counts as a heartbeat.
fn keep_alive(turn: &mut Turn<'_>, group: &ClassicGroup, member: &Str) {
    if let Some(known) = group.members.get(member) {
        let session = TimerKey::Session(group.id.clone(), member.clone());
        turn.schedule(session, i64::from(known.session_timeout_ms));
    }
}

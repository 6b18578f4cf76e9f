//! The records that the coordinator writes, byte for byte as Kafka does: a group in version 3, and
//! an offset in version 4, or in version 1 if the client set its time to live.
//!
//! Version 4 is flexible (KIP-915). A release that does not know version 4 loads nothing of the
//! partition. So an offset is written in version 3 while the finalized `metadata.version` allows
//! such a release. Version 3 has no topic id. Kafka 4.3.1 always writes version 4.

use crate::entry::NewRecord;
use crate::group::state::{ClassicGroup, CommittedOffset};
use model::{LeaderEpoch, Timestamp};
use protocol::messages::group_metadata_key::GroupMetadataKey;
use protocol::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use protocol::messages::offset_commit_key::OffsetCommitKey;
use protocol::messages::offset_commit_value::OffsetCommitValue;
use protocol::{EncodeError, GroupRecord, Str};

const GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 4;
const INFLEXIBLE_OFFSET_VERSION: i16 = 3;
const EXPIRING_OFFSET_VERSION: i16 = 1;

fn encode(record: &GroupRecord, version: i16) -> Result<NewRecord, EncodeError> {
    Ok(NewRecord { key: record.encode_key()?, value: record.encode_value(version)? })
}

fn group_key(group: &Str) -> GroupMetadataKey {
    GroupMetadataKey { group: group.clone(), ..Default::default() }
}

fn offset_key(group: &Str, topic: &Str, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition, ..Default::default() }
}

/// Encodes a group with the current assignment of its members.
pub(crate) fn group(group: &ClassicGroup) -> Result<NewRecord, EncodeError> {
    let protocol = group.protocol_name.clone();
    let members = group.members_in_order().into_iter().map(|member| MemberMetadata {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client.id.clone(),
        client_host: member.client.host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: protocol.as_ref().and_then(|protocol| member.metadata(protocol)).cloned().unwrap_or_default(),
        assignment: member.assignment.clone(),
        ..Default::default()
    });
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        generation: group.generation,
        protocol: protocol.clone(),
        leader: group.leader.clone(),
        current_state_timestamp: Timestamp::to_wire(group.state_timestamp),
        members: members.collect(),
        ..Default::default()
    };
    encode(&GroupRecord::GroupMetadata(group_key(&group.id), Some(value)), GROUP_VERSION)
}

/// Encodes a new group. It has no stable members, whatever its members do.
pub(crate) fn new_group(group: &ClassicGroup) -> Result<NewRecord, EncodeError> {
    let value = GroupMetadataValue {
        protocol: None,
        leader: None,
        current_state_timestamp: Timestamp::to_wire(group.state_timestamp),
        ..Default::default()
    };
    encode(&GroupRecord::GroupMetadata(group_key(&group.id), Some(value)), GROUP_VERSION)
}

/// Encodes the tombstone of a classic group.
pub(crate) fn group_tombstone(group: &Str) -> Result<NewRecord, EncodeError> {
    encode(&GroupRecord::GroupMetadata(group_key(group), None), GROUP_VERSION)
}

/// Encodes a committed offset. The version is flexible if every release that may run can read that.
pub(crate) fn offset(
    group: &Str,
    topic: &Str,
    partition: i32,
    offset: &CommittedOffset,
    flexible: bool,
) -> Result<NewRecord, EncodeError> {
    let version = match offset.expire_timestamp {
        Some(_) => EXPIRING_OFFSET_VERSION,
        None if flexible => OFFSET_VERSION,
        None => INFLEXIBLE_OFFSET_VERSION,
    };
    let value = OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: LeaderEpoch::to_wire(offset.leader_epoch),
        metadata: offset.metadata.clone(),
        commit_timestamp: offset.commit_timestamp.0,
        expire_timestamp: Timestamp::to_wire(offset.expire_timestamp),
        topic_id: offset.topic_id,
        ..Default::default()
    };
    encode(&GroupRecord::OffsetCommit(offset_key(group, topic, partition), Some(value)), version)
}

/// Encodes the tombstone of an offset.
pub(crate) fn offset_tombstone(group: &Str, topic: &Str, partition: i32) -> Result<NewRecord, EncodeError> {
    encode(&GroupRecord::OffsetCommit(offset_key(group, topic, partition), None), OFFSET_VERSION)
}

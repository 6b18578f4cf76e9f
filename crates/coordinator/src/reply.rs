//! Answers that are errors: each request's own shape of one.

use crate::command::{Reply, Request};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::offset_delete_response::OffsetDeleteResponse;
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::messages::sync_group_response::SyncGroupResponse;

/// How Kafka names a fault of the log to a member of a group.
pub(crate) fn append_error(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}

/// A JoinGroup that failed. It names no protocol, which versions below 7 write as an empty text.
pub(crate) fn join_error(member_id: &Str, code: ErrorCode) -> Reply {
    Reply::JoinGroup(JoinGroupResponse {
        member_id: member_id.clone(),
        error_code: code.code(),
        protocol_name: None,
        ..Default::default()
    })
}

/// A SyncGroup that failed.
pub(crate) fn sync_error(code: ErrorCode) -> Reply {
    Reply::SyncGroup(SyncGroupResponse { error_code: code.code(), ..Default::default() })
}

impl Request {
    /// The group a request is about; `None` where it names several or none.
    pub fn group_id(&self) -> Option<&Str> {
        match self {
            Request::JoinGroup { request, .. } => Some(&request.group_id),
            Request::SyncGroup(request) => Some(&request.group_id),
            Request::Heartbeat(request) => Some(&request.group_id),
            Request::LeaveGroup(request) => Some(&request.group_id),
            Request::OffsetCommit { request, .. } => Some(&request.group_id),
            Request::OffsetFetch { group, .. } => Some(&group.group_id),
            Request::OffsetDelete(request) => Some(&request.group_id),
            Request::DescribeGroups { .. } | Request::ListGroups { .. } | Request::DeleteGroups(_) => None,
        }
    }

    /// The answer when no shard can serve the request: it is not here (NOT_COORDINATOR), it is still being loaded
    /// (COORDINATOR_LOAD_IN_PROGRESS), it is stopping (COORDINATOR_NOT_AVAILABLE). A heartbeat during a load is a good one and a list without
    /// a partition that is not here is a shorter list, as in Kafka.
    pub fn refused(&self, code: ErrorCode) -> Reply {
        match self {
            Request::JoinGroup { request, .. } => match code {
                ErrorCode::CoordinatorNotAvailable | ErrorCode::InvalidGroupId => join_error(&request.member_id, code),
                _ => join_error(&Str::default(), code),
            },
            Request::SyncGroup(_) => sync_error(code),
            Request::Heartbeat(_) => {
                let code = if code == ErrorCode::CoordinatorLoadInProgress { ErrorCode::None } else { code };
                Reply::Heartbeat(HeartbeatResponse { error_code: code.code(), ..Default::default() })
            }
            Request::LeaveGroup(request) => refused_leave(request, code),
            Request::OffsetCommit { request, .. } => refused_commit(request, code),
            Request::OffsetFetch { group, .. } => Reply::OffsetFetch(OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                error_code: code.code(),
                ..Default::default()
            }),
            Request::OffsetDelete(_) => {
                Reply::OffsetDelete(OffsetDeleteResponse { error_code: code.code(), ..Default::default() })
            }
            Request::DescribeGroups { groups, .. } => Reply::DescribeGroups(
                groups
                    .iter()
                    .map(|group| DescribedGroup {
                        group_id: group.clone(),
                        error_code: code.code(),
                        ..Default::default()
                    })
                    .collect(),
            ),
            Request::ListGroups { .. } if code == ErrorCode::NotCoordinator => Reply::ListGroups(Ok(Vec::new())),
            Request::ListGroups { .. } => Reply::ListGroups(Err(code)),
            Request::DeleteGroups(groups) => Reply::DeleteGroups(
                groups
                    .iter()
                    .map(|group| DeletableGroupResult {
                        group_id: group.clone(),
                        error_code: code.code(),
                        ..Default::default()
                    })
                    .collect(),
            ),
        }
    }
}

/// A LeaveGroup that failed: an unknown group is one without these members.
pub(crate) fn refused_leave(request: &LeaveGroupRequest, code: ErrorCode) -> Reply {
    let mut response = LeaveGroupResponse::default();
    if code == ErrorCode::UnknownMemberId {
        let member = |member: &MemberIdentity| MemberResponse {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            error_code: code.code(),
            ..Default::default()
        };
        response.members = request.members.iter().map(member).collect();
    } else {
        response.error_code = code.code();
    }
    Reply::LeaveGroup(response)
}

fn refused_commit(request: &OffsetCommitRequest, code: ErrorCode) -> Reply {
    let partition = |partition: &OffsetCommitRequestPartition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: code.code(),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    });
    Reply::OffsetCommit(OffsetCommitResponse { topics: topics.collect(), ..Default::default() })
}

impl Reply {
    /// What to send instead of a reply that was held back when the leadership ended: the same shape with an error, never a success.
    pub fn into_error(self, code: ErrorCode) -> Reply {
        let number = code.code();
        match self {
            Reply::JoinGroup(response) => join_error(&response.member_id, code),
            Reply::SyncGroup(_) => sync_error(code),
            Reply::Heartbeat(_) => Reply::Heartbeat(HeartbeatResponse { error_code: number, ..Default::default() }),
            Reply::LeaveGroup(_) => Reply::LeaveGroup(LeaveGroupResponse { error_code: number, ..Default::default() }),
            Reply::OffsetCommit(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
                partitions.for_each(|partition| partition.error_code = number);
                Reply::OffsetCommit(response)
            }
            Reply::OffsetFetch(response) => Reply::OffsetFetch(OffsetFetchResponseGroup {
                group_id: response.group_id,
                error_code: number,
                ..Default::default()
            }),
            Reply::OffsetDelete(_) => {
                Reply::OffsetDelete(OffsetDeleteResponse { error_code: number, ..Default::default() })
            }
            Reply::DescribeGroups(groups) => Reply::DescribeGroups(
                groups
                    .into_iter()
                    .map(|group| DescribedGroup { group_id: group.group_id, error_code: number, ..Default::default() })
                    .collect(),
            ),
            Reply::ListGroups(_) => Reply::ListGroups(Err(code)),
            Reply::DeleteGroups(mut results) => {
                results.iter_mut().for_each(|result| result.error_code = number);
                Reply::DeleteGroups(results)
            }
        }
    }
}

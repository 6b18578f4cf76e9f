//! Replies of a group coordinator, and the error reply of each request.

use crate::group::request::GroupRequest;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use protocol::messages::list_groups_response::ListedGroup;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::offset_delete_response::OffsetDeleteResponse;
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::messages::sync_group_response::SyncGroupResponse;
use protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition};
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

/// The reply to a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is the answer to the request of its name")]
pub enum GroupReply {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// The result for this partition in the response to WriteTxnMarkers.
    EndTransaction(ErrorCode),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroups(Vec<DescribedGroup>),
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    DeleteGroups(Vec<DeletableGroupResult>),
}

/// Converts an error of the log, or of the verification of a transaction, to the error that Kafka
/// returns to a client of a group.
pub(crate) fn append_error(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}

/// Converts an error of a shard to the error that Kafka returns to the sender of a marker, which is
/// another broker and knows only errors of partitions. Append errors stay as they are.
pub(crate) fn marker_error(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
            ErrorCode::NotLeaderOrFollower
        }
        other => other,
    }
}

/// Returns a JoinGroup error. It names no protocol, which versions below 7 write as an empty text.
pub(crate) fn join_error(member_id: &Str, code: ErrorCode) -> GroupReply {
    GroupReply::JoinGroup(JoinGroupResponse {
        member_id: member_id.clone(),
        error_code: code.code(),
        protocol_name: None,
        ..Default::default()
    })
}

/// Returns a SyncGroup error.
pub(crate) fn sync_error(code: ErrorCode) -> GroupReply {
    GroupReply::SyncGroup(SyncGroupResponse { error_code: code.code(), ..Default::default() })
}

impl GroupRequest {
    /// Returns the reply to a TxnOffsetCommit whose transaction could not be verified with its
    /// coordinator, or could not be extended by the group's partition (KIP-890).
    pub fn unverified(&self, code: ErrorCode) -> GroupReply {
        self.refused(append_error(code))
    }

    /// Returns the reply if no shard can serve the request: the shard is not on this broker
    /// (NOT_COORDINATOR), is still loading (COORDINATOR_LOAD_IN_PROGRESS), or is stopping
    /// (COORDINATOR_NOT_AVAILABLE). As in Kafka, a heartbeat during a load succeeds, and a list
    /// omits the partitions that are not on this broker.
    pub fn refused(&self, code: ErrorCode) -> GroupReply {
        match self {
            GroupRequest::JoinGroup { request, .. } => match code {
                ErrorCode::CoordinatorNotAvailable | ErrorCode::InvalidGroupId => join_error(&request.member_id, code),
                _ => join_error(&Str::default(), code),
            },
            GroupRequest::SyncGroup(_) => sync_error(code),
            GroupRequest::Heartbeat(_) => {
                let code = if code == ErrorCode::CoordinatorLoadInProgress { ErrorCode::None } else { code };
                GroupReply::Heartbeat(HeartbeatResponse { error_code: code.code(), ..Default::default() })
            }
            GroupRequest::LeaveGroup(request) => refused_leave(request, code),
            GroupRequest::OffsetCommit { request, .. } => refused_commit(request, code),
            GroupRequest::TxnOffsetCommit { request, .. } => refused_transactional_commit(request, code),
            GroupRequest::EndTransaction { .. } => GroupReply::EndTransaction(marker_error(code)),
            GroupRequest::OffsetFetch { group, .. } => GroupReply::OffsetFetch(OffsetFetchResponseGroup {
                group_id: group.group_id.clone(),
                error_code: code.code(),
                ..Default::default()
            }),
            GroupRequest::OffsetDelete(_) => {
                GroupReply::OffsetDelete(OffsetDeleteResponse { error_code: code.code(), ..Default::default() })
            }
            GroupRequest::DescribeGroups { groups, .. } => GroupReply::DescribeGroups(
                groups
                    .iter()
                    .map(|group| DescribedGroup {
                        group_id: group.clone(),
                        error_code: code.code(),
                        ..Default::default()
                    })
                    .collect(),
            ),
            GroupRequest::ListGroups { .. } if code == ErrorCode::NotCoordinator => {
                GroupReply::ListGroups(Ok(Vec::new()))
            }
            GroupRequest::ListGroups { .. } => GroupReply::ListGroups(Err(code)),
            GroupRequest::DeleteGroups(groups) => GroupReply::DeleteGroups(
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

/// Returns a LeaveGroup error. For an unknown group, each member is unknown.
pub(crate) fn refused_leave(request: &LeaveGroupRequest, code: ErrorCode) -> GroupReply {
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
    GroupReply::LeaveGroup(response)
}

fn refused_commit(request: &OffsetCommitRequest, code: ErrorCode) -> GroupReply {
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
    GroupReply::OffsetCommit(OffsetCommitResponse { topics: topics.collect(), ..Default::default() })
}

pub(crate) fn refused_transactional_commit(request: &TxnOffsetCommitRequest, code: ErrorCode) -> GroupReply {
    let partition = |partition: &TxnOffsetCommitRequestPartition| TxnOffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: code.code(),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    });
    GroupReply::TxnOffsetCommit(TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() })
}

impl GroupReply {
    /// Whether it says that another member has the sender's `group.instance.id`, after which the
    /// sender ends. A member that is only unknown joins again.
    pub(crate) fn needs_session(&self) -> bool {
        let says = |code: i16| code == ErrorCode::FencedInstanceId.code();
        match self {
            GroupReply::JoinGroup(response) => says(response.error_code),
            GroupReply::SyncGroup(response) => says(response.error_code),
            GroupReply::Heartbeat(response) => says(response.error_code),
            GroupReply::OffsetCommit(response) => {
                let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.any(|partition| says(partition.error_code))
            }
            GroupReply::TxnOffsetCommit(response) => {
                let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.any(|partition| says(partition.error_code))
            }
            GroupReply::LeaveGroup(_)
            | GroupReply::EndTransaction(_)
            | GroupReply::OffsetFetch(_)
            | GroupReply::OffsetDelete(_)
            | GroupReply::DescribeGroups(_)
            | GroupReply::ListGroups(_)
            | GroupReply::DeleteGroups(_) => false,
        }
    }

    /// Converts a reply that was held back when the leadership ended, or for too long: the same
    /// type with an error, never a success. REQUEST_TIMED_OUT stays only in the reply to a marker.
    pub fn into_error(self, error: ErrorCode) -> GroupReply {
        let code = append_error(error);
        let number = code.code();
        match self {
            GroupReply::JoinGroup(response) => join_error(&response.member_id, code),
            GroupReply::SyncGroup(_) => sync_error(code),
            GroupReply::Heartbeat(_) => {
                GroupReply::Heartbeat(HeartbeatResponse { error_code: number, ..Default::default() })
            }
            GroupReply::LeaveGroup(_) => {
                GroupReply::LeaveGroup(LeaveGroupResponse { error_code: number, ..Default::default() })
            }
            GroupReply::OffsetCommit(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
                partitions.for_each(|partition| partition.error_code = number);
                GroupReply::OffsetCommit(response)
            }
            GroupReply::TxnOffsetCommit(mut response) => {
                let partitions = response.topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
                partitions.for_each(|partition| partition.error_code = number);
                GroupReply::TxnOffsetCommit(response)
            }
            GroupReply::EndTransaction(_) => GroupReply::EndTransaction(marker_error(error)),
            GroupReply::OffsetFetch(response) => GroupReply::OffsetFetch(OffsetFetchResponseGroup {
                group_id: response.group_id,
                error_code: number,
                ..Default::default()
            }),
            GroupReply::OffsetDelete(_) => {
                GroupReply::OffsetDelete(OffsetDeleteResponse { error_code: number, ..Default::default() })
            }
            GroupReply::DescribeGroups(groups) => GroupReply::DescribeGroups(
                groups
                    .into_iter()
                    .map(|group| DescribedGroup { group_id: group.group_id, error_code: number, ..Default::default() })
                    .collect(),
            ),
            GroupReply::ListGroups(_) => GroupReply::ListGroups(Err(code)),
            GroupReply::DeleteGroups(mut results) => {
                results.iter_mut().for_each(|result| result.error_code = number);
                GroupReply::DeleteGroups(results)
            }
        }
    }
}

//! Requests of clients and of other brokers to a group coordinator, and their senders.

use model::{ProducerEpoch, ProducerId, VerificationGuard};
use protocol::Str;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::leave_group_request::LeaveGroupRequest;
use protocol::messages::offset_commit_request::OffsetCommitRequest;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use records::EndTransactionMarker;

/// The sender of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The client id of the request's header.
    pub id: Str,
    /// The address as Java prints it: `/127.0.0.1`.
    pub host: Str,
}

/// A request as its API file passes it on. Facts that depend on the version have names.
#[derive(Clone, Debug)]
pub enum GroupRequest {
    /// JoinGroup.
    JoinGroup {
        /// The sender.
        client: Client,
        /// The request. If the version has no rebalance timeout (v0), it is the session timeout.
        request: JoinGroupRequest,
        /// A dynamic member without an id gets one with MEMBER_ID_REQUIRED and joins with it
        /// (KIP-394, v4 and up).
        require_known_member_id: bool,
        /// A static leader that comes back can be told to skip the assignment (KIP-814, v9 and up).
        supports_skipping_assignment: bool,
    },
    /// SyncGroup.
    SyncGroup(SyncGroupRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup; versions 0 to 2 have their one member in `members` too.
    LeaveGroup(LeaveGroupRequest),
    /// OffsetCommit, with both names and ids of topics if known.
    OffsetCommit {
        /// The request.
        request: OffsetCommitRequest,
        /// The client knows the consumer protocol's errors (KIP-848, v9 and up).
        supports_member_epochs: bool,
    },
    /// TxnOffsetCommit. Versions that name no member (before KIP-447, v0 to v2) have no generation,
    /// an empty member id and no instance id.
    TxnOffsetCommit {
        /// The request.
        request: TxnOffsetCommitRequest,
        /// The guard of its verification, if it opens the transaction in this partition.
        guard: Option<VerificationGuard>,
    },
    /// The end of a producer's transaction: a marker of a WriteTxnMarkers for this partition.
    EndTransaction {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// How the transaction ends, and which coordinator decided that.
        marker: EndTransactionMarker,
        /// The `transaction.version` of the transaction.
        transaction_version: i16,
    },
    /// One group of an OffsetFetch, with both names and ids of topics. If `topics` is `None`, all
    /// topics are meant.
    OffsetFetch {
        /// The group.
        group: OffsetFetchRequestGroup,
        /// Offsets of open transactions must not be skipped (v7 and up).
        require_stable: bool,
    },
    /// OffsetDelete.
    OffsetDelete(OffsetDeleteRequest),
    /// The groups of a DescribeGroups that this partition stores.
    DescribeGroups {
        /// Their ids.
        groups: Vec<Str>,
        /// Whether a missing group is an error (KIP-1043, v6 and up). Before, it is a dead group.
        report_missing: bool,
    },
    /// ListGroups.
    ListGroups {
        /// Names of states, in any case; empty for all.
        states: Vec<Str>,
        /// Names of types, in any case; empty for all.
        types: Vec<Str>,
    },
    /// The groups of a DeleteGroups that this partition stores.
    DeleteGroups(Vec<Str>),
}

impl GroupRequest {
    /// Returns the group that the request is about; `None` if it names several or none.
    pub fn group_id(&self) -> Option<&Str> {
        match self {
            GroupRequest::JoinGroup { request, .. } => Some(&request.group_id),
            GroupRequest::SyncGroup(request) => Some(&request.group_id),
            GroupRequest::Heartbeat(request) => Some(&request.group_id),
            GroupRequest::LeaveGroup(request) => Some(&request.group_id),
            GroupRequest::OffsetCommit { request, .. } => Some(&request.group_id),
            GroupRequest::TxnOffsetCommit { request, .. } => Some(&request.group_id),
            GroupRequest::OffsetFetch { group, .. } => Some(&group.group_id),
            GroupRequest::OffsetDelete(request) => Some(&request.group_id),
            GroupRequest::EndTransaction { .. }
            | GroupRequest::DescribeGroups { .. }
            | GroupRequest::ListGroups { .. }
            | GroupRequest::DeleteGroups(_) => None,
        }
    }
}

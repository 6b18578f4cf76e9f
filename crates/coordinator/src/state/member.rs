//! One member of a classic group.

use crate::request::{Client, ReplyId};
use bytes::Bytes;
use protocol::Str;
use protocol::messages::describe_groups_response::DescribedGroupMember;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A member, shared by the states of its group that have it unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Given by the coordinator: the client id or instance id, and a UUID.
    pub(crate) id: Str,
    /// What a static member calls itself (KIP-345).
    pub(crate) instance_id: Option<Str>,
    pub(crate) client: Client,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// The protocols that it can take part in, the preferred one first, with its subscription for
    /// each.
    pub(crate) protocols: Arc<Vec<(Str, Bytes)>>,
    /// Empty between the end of one assignment and the arrival of the next.
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the end of the join phase.
    pub(crate) awaiting_join: Option<ReplyId>,
    /// The SyncGroup that waits for the leader's assignment.
    pub(crate) awaiting_sync: Option<ReplyId>,
    /// It has not been part of a generation yet; it can be expired while it waits.
    pub(crate) is_new: bool,
}

/// Protocols out of a request, in memory of their own: a group must not hold on to a connection's
/// frame.
pub(crate) fn own_protocols(protocols: &[JoinGroupRequestProtocol]) -> Arc<Vec<(Str, Bytes)>> {
    let own = |it: &JoinGroupRequestProtocol| (it.name.clone(), Bytes::copy_from_slice(&it.metadata));
    Arc::new(protocols.iter().map(own).collect())
}

impl Member {
    /// The subscription for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata)
    }

    /// The names of its protocols, with how often it lists each.
    pub(crate) fn protocol_counts(&self) -> BTreeMap<&Str, usize> {
        let mut counts = BTreeMap::new();
        for (name, _) in self.protocols.iter() {
            *counts.entry(name).or_insert(0) += 1;
        }
        counts
    }

    /// Whether it lists a protocol more than once.
    pub(crate) fn repeats_a_protocol(&self) -> bool {
        self.protocols.len() > 1 && self.protocol_counts().len() < self.protocols.len()
    }

    /// Whether the request names the same protocols with the same subscriptions in the same order.
    pub(crate) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self.protocols.iter().zip(protocols).all(|(own, its)| own.0 == its.name && own.1 == its.metadata)
    }

    /// Waiting for the coordinator counts as a heartbeat, but for a member that nobody has heard of
    /// since it came.
    pub(crate) fn needs_no_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// The member as DescribeGroups shows it, with its subscription while the group is stable.
    pub(crate) fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client.id.clone(),
            client_host: self.client.host.clone(),
            member_metadata: protocol.and_then(|protocol| self.metadata(protocol)).cloned().unwrap_or_default(),
            member_assignment: self.assignment.clone(),
            ..Default::default()
        }
    }
}

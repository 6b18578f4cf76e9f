//! A classic group and its state changes.

use super::member::Member;
use crate::group::request::Client;
use crate::partition::java_map_order;
use crate::shard::ReplyId;
use bytes::Bytes;
use imbl::{OrdMap, OrdSet};
use model::{ErrorCode, Timestamp};
use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::messages::group_metadata_value::GroupMetadataValue;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::{DecodeError, Message, Reader, Str};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The protocol type of consumers, whose subscriptions the coordinator can read.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The state of a group. Kafka's fifth state, Dead, is a group that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members; it may have offsets.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// Members wait for the leader's assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
}

impl GroupState {
    /// Returns the name that clients see.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }
}

/// What the join timer does when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinTimer {
    /// Ends the delay of an empty group's first rebalance. The delay is extended while members
    /// join, up to the rebalance timeout.
    Initial { delay_ms: i32, remaining_ms: i32 },
    /// Ends the rebalance timeout: the rebalance continues without the members that have not
    /// joined.
    Complete,
}

/// A classic group. Copies share their members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroup {
    pub(crate) id: Str,
    pub(crate) state: GroupState,
    /// Whether the group was empty when the current rebalance started.
    pub(crate) initial_rebalance: bool,
    pub(crate) state_timestamp: Option<Timestamp>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Str>,
    pub(crate) protocol_name: Option<Str>,
    pub(crate) leader: Option<Str>,
    pub(crate) members: OrdMap<Str, Arc<Member>>,
    /// Members by instance id.
    static_members: OrdMap<Str, Str>,
    /// The number of members that support each protocol.
    supported: OrdMap<Str, usize>,
    /// The number of members that list each protocol more than once.
    repeated: OrdMap<Str, usize>,
    awaiting_join_count: usize,
    /// Ids that were generated with MEMBER_ID_REQUIRED and have not joined yet.
    pub(crate) pending_join: OrdSet<Str>,
    /// Members of the generation that have not sent their SyncGroup yet.
    pub(crate) pending_sync: OrdSet<Str>,
    pub(crate) new_member_added: bool,
    pub(crate) join_timer: JoinTimer,
    /// The topics that consumers have subscribed to; `None` if that is not known.
    subscribed_topics: Option<Arc<BTreeSet<Str>>>,
}

impl ClassicGroup {
    /// Creates a new group.
    pub(crate) fn created(id: Str, now: Timestamp) -> Self {
        Self { state_timestamp: Some(now), ..Self::new(id) }
    }

    fn new(id: Str) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            initial_rebalance: false,
            state_timestamp: None,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: OrdMap::new(),
            static_members: OrdMap::new(),
            supported: OrdMap::new(),
            repeated: OrdMap::new(),
            awaiting_join_count: 0,
            pending_join: OrdSet::new(),
            pending_sync: OrdSet::new(),
            new_member_added: false,
            join_timer: JoinTimer::Complete,
            subscribed_topics: None,
        }
    }

    /// Creates the group from its record; without a record it is a simple group.
    pub(crate) fn from_stored(id: Str, value: Option<&GroupMetadataValue>) -> Self {
        let mut group = Self::new(id);
        let Some(value) = value else { return group };
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type.clone()).filter(|it| !it.is_empty());
        group.protocol_name = value.protocol.clone();
        group.leader = value.leader.clone();
        group.state_timestamp = Timestamp::from_wire(value.current_state_timestamp);
        let protocol = value.protocol.clone().unwrap_or_default();
        for it in &value.members {
            let rebalance = if it.rebalance_timeout == -1 { it.session_timeout } else { it.rebalance_timeout };
            group.insert(Member {
                id: it.member_id.clone(),
                instance_id: it.group_instance_id.clone(),
                client: Client { id: it.client_id.clone(), host: it.client_host.clone() },
                rebalance_timeout_ms: rebalance,
                session_timeout_ms: it.session_timeout,
                protocols: Arc::new(vec![(protocol.clone(), it.subscription.clone())]),
                assignment: it.assignment.clone(),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        group.state = if group.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        group.compute_subscribed_topics();
        group
    }

    /// Whether the group's last record contains all of its state.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state == GroupState::Empty && self.members.is_empty() && self.pending_join.is_empty()
    }

    /// Whether both groups, being empty, have the same record.
    pub(crate) fn has_same_record_as(&self, other: &Self) -> bool {
        self.generation == other.generation
            && self.protocol_type == other.protocol_type
            && self.state_timestamp == other.state_timestamp
            && self.members.is_empty()
            && other.members.is_empty()
    }

    pub(crate) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(crate) fn static_member(&self, instance: &str) -> Option<&Str> {
        self.static_members.get(instance)
    }

    pub(crate) fn awaiting_join_count(&self) -> usize {
        self.awaiting_join_count
    }

    /// Whether every member has joined, and every generated id too.
    pub(crate) fn all_joined(&self) -> bool {
        self.awaiting_join_count == self.members.len() && self.pending_join.is_empty()
    }

    /// Returns the longest rebalance timeout of the members.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Checks that the id is a member's, and that no other member has taken the place of its
    /// instance id.
    pub(crate) fn validate_member(&self, member: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member with this list of protocols can join the group. One of the protocols must
    /// be a candidate of the current members. If they have no candidate, because one of them
    /// repeats every protocol that all list, a new member needs one of these protocols and must not
    /// repeat any.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        if self.protocol_type.as_deref() != Some(protocol_type) {
            return false;
        }
        let mut names = protocols.iter().map(|protocol| &protocol.name);
        if self.has_candidate() {
            return names.any(|name| self.is_candidate(name));
        }
        let distinct: BTreeSet<&Str> = names.clone().collect();
        names.any(|name| self.is_listed_by_all(name))
            && (distinct.len() == protocols.len() || !self.members.values().any(|it| it.repeats_a_protocol()))
    }

    fn is_listed_by_all(&self, protocol: &Str) -> bool {
        self.supported.get(protocol) == Some(&self.members.len())
    }

    /// Whether the next generation may use this protocol: each member lists it exactly once. A list
    /// may repeat another protocol, as sarama and franz-go do if their user configures it so. Kafka
    /// counts how often a protocol is listed, so a protocol that a member lists twice is never
    /// supported by all.
    fn is_candidate(&self, protocol: &Str) -> bool {
        self.is_listed_by_all(protocol) && !self.repeated.contains_key(protocol)
    }

    /// Whether there is a protocol for the next generation.
    pub(crate) fn has_candidate(&self) -> bool {
        self.supported.keys().any(|protocol| self.is_candidate(protocol))
    }

    pub(crate) fn enter(&mut self, state: GroupState, now: Timestamp) {
        self.state = state;
        self.state_timestamp = Some(now);
    }

    /// Adds a member, or replaces it with a changed one.
    pub(crate) fn insert(&mut self, member: Member) {
        self.forget(&member.id);
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.awaiting_join_count += usize::from(member.awaiting_join.is_some());
        for (name, count) in member.protocol_counts() {
            *self.supported.entry(name.clone()).or_insert(0) += 1;
            if count > 1 {
                *self.repeated.entry(name.clone()).or_insert(0) += 1;
            }
        }
        self.pending_join.remove(&member.id);
        self.members.insert(member.id.clone(), Arc::new(member));
    }

    /// Removes a member from all counts.
    fn forget(&mut self, id: &Str) -> Option<Arc<Member>> {
        let member = self.members.remove(id)?;
        self.awaiting_join_count -= usize::from(member.awaiting_join.is_some());
        for (name, count) in member.protocol_counts() {
            count_one_less(&mut self.supported, name);
            if count > 1 {
                count_one_less(&mut self.repeated, name);
            }
        }
        Some(member)
    }

    /// Removes a member, or a generated id that has not joined. If the member was the leader,
    /// another member becomes leader.
    pub(crate) fn remove(&mut self, id: &Str) -> Option<Arc<Member>> {
        let member = self.forget(id);
        if let Some(instance) = member.as_ref().and_then(|member| member.instance_id.as_ref()) {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            let place = java_map_order(self.members.len());
            self.leader = self.members.keys().min_by_key(|id| place(id)).cloned();
        }
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        member
    }

    /// Gives a static member's place to a new id. Returns the old member.
    pub(crate) fn replace_static(&mut self, instance: &Str, old: &Str, new: &Str) -> Option<Arc<Member>> {
        let was = self.forget(old)?;
        let leads = self.is_leader(old);
        let mut member = Member { id: new.clone(), ..Member::clone(&was) };
        member.instance_id = Some(instance.clone());
        member.awaiting_join = None;
        member.awaiting_sync = None;
        member.is_new = false;
        self.insert(member);
        if leads {
            self.leader = Some(new.clone());
        }
        Some(was)
    }

    /// Changes a member in place. To change protocols or instance ids, use `insert`.
    pub(crate) fn update(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get(id) else { return };
        let mut member = Member::clone(member);
        let awaited = member.awaiting_join.is_some();
        change(&mut member);
        self.awaiting_join_count -= usize::from(awaited);
        self.awaiting_join_count += usize::from(member.awaiting_join.is_some());
        self.members.insert(member.id.clone(), Arc::new(member));
    }

    /// Takes a member's parked JoinGroup.
    pub(crate) fn take_join(&mut self, id: &str) -> Option<ReplyId> {
        let ticket = self.members.get(id)?.awaiting_join?;
        self.update(id, |member| member.awaiting_join = None);
        Some(ticket)
    }

    /// Takes a member's parked SyncGroup.
    pub(crate) fn take_sync(&mut self, id: &str) -> Option<ReplyId> {
        let ticket = self.members.get(id)?.awaiting_sync?;
        self.update(id, |member| member.awaiting_sync = None);
        Some(ticket)
    }

    /// Makes a joined member the leader if the leader has not joined. Without a joined member there
    /// is no next generation.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(|leader| leader.awaiting_join.is_some()) {
            return true;
        }
        let place = java_map_order(self.members.len());
        let joined = self.members.values().filter(|member| member.awaiting_join.is_some());
        let joined = joined.min_by_key(|member| place(&member.id)).map(|member| member.id.clone());
        let elected = joined.is_some();
        if elected {
            self.leader = joined;
        }
        elected
    }

    /// Returns the protocol that most members prefer, among those that each member lists exactly
    /// once.
    pub(crate) fn select_protocol(&self) -> Option<Str> {
        let mut order: Vec<&str> = Vec::new();
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for member in self.members.values() {
            let Some((choice, _)) = member.protocols.iter().find(|(name, _)| self.is_candidate(name)) else { continue };
            let count = votes.entry(choice.as_str()).or_insert_with(|| {
                order.push(choice.as_str());
                0
            });
            *count += 1;
        }
        let place = java_map_order(order.len());
        order.sort_by_key(|name| place(name));
        let mut winner: Option<(&str, usize)> = None;
        for name in order {
            let count = votes.get(name).copied().unwrap_or(0);
            if winner.is_none_or(|(_, most)| count > most) {
                winner = Some((name, count));
            }
        }
        winner.map(|(name, _)| Str::from(name))
    }

    /// Starts the next generation: with a protocol if there are members, else empty.
    pub(crate) fn next_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.wrapping_add(1);
        self.protocol_name = self.select_protocol();
        self.compute_subscribed_topics();
        let next = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.enter(next, now);
        self.initial_rebalance = false;
        self.pending_sync = OrdSet::new();
    }

    /// Returns the members in Kafka's order.
    pub(crate) fn members_in_order(&self) -> Vec<&Member> {
        let place = java_map_order(self.members.len());
        let mut members: Vec<&Member> = self.members.values().map(Arc::as_ref).collect();
        members.sort_by_cached_key(|member| place(&member.id));
        members
    }

    /// Returns the members with their subscriptions, as sent to their leader.
    pub(crate) fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members_in_order().into_iter().map(|member| JoinGroupResponseMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
            ..Default::default()
        });
        members.collect()
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether consumers of the group read a topic. If a subscription cannot be read, the answer is
    /// true for every topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether the topics that the group reads are known.
    pub(crate) fn knows_subscriptions(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    fn compute_subscribed_topics(&mut self) {
        self.subscribed_topics = match &self.protocol_name {
            _ if !self.is_consumer_group() => None,
            _ if self.members.is_empty() => Some(Arc::default()),
            None => None,
            Some(protocol) => {
                let mut topics = BTreeSet::new();
                let mut readable = true;
                for member in self.members.values() {
                    let metadata = member.metadata(protocol).cloned().unwrap_or_default();
                    match subscribed_topics(metadata) {
                        Ok(own) => topics.extend(own),
                        Err(_) => readable = false,
                    }
                }
                readable.then(|| Arc::new(topics))
            }
        };
    }
}

fn count_one_less(counts: &mut OrdMap<Str, usize>, name: &Str) {
    match counts.get(name).copied() {
        Some(count) if count > 1 => {
            counts.insert(name.clone(), count - 1);
        }
        Some(_) | None => {
            counts.remove(name);
        }
    }
}

/// Reads the topics of a consumer's subscription: its version as an int16, then the fields of the
/// schema. Of a newer version, the known fields are read.
fn subscribed_topics(metadata: Bytes) -> Result<Vec<Str>, DecodeError> {
    let mut r = Reader::new(metadata);
    let version = r.i16()?;
    if version < 0 {
        return Err(DecodeError::Version(ConsumerProtocolSubscription::NAME, version));
    }
    let version = version.min(ConsumerProtocolSubscription::MAX_VERSION);
    Ok(ConsumerProtocolSubscription::decode(&mut r, version)?.topics)
}

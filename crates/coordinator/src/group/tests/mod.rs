//! A test harness: a shard with its own log and clock.
//!
//! After each command the harness compares the shard with one that has only replayed the log. It
//! also checks that every request gets exactly one reply.

mod failures;
mod golden;
mod kinds;
mod members;
mod offsets;
mod random;
mod rebalances;
mod repeats;
mod slow_heartbeats;
mod transactions;

use crate::group::GroupTypes;
use crate::{BatchContext, BatchForm, Client, Command, Decision, DecisionContext, Entry, GroupConfig, NewRecord};
use crate::{CoordinatorShard, GroupShard};
use crate::{GroupReply, GroupRequest, ReplyId};
use bytes::Bytes;
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use records::EndTransactionMarker;
use std::collections::{HashMap, HashSet};

/// A subscription to topic `t1`, as Java's consumer writes it.
pub(super) const SUBSCRIPTION: &[u8] =
    &[0, 3, 0, 0, 0, 1, 0, 2, b't', b'1', 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255];

pub(super) struct Harness {
    pub(super) shard: GroupShard,
    pub(super) config: GroupConfig,
    /// The monotonic clock.
    pub(super) now: i64,
    /// How far the wall clock is ahead of the monotonic one.
    pub(super) wall_ahead_ms: i64,
    pub(super) log: Vec<(BatchContext, Entry)>,
    /// How each batch that the shard wrote was appended, with its records.
    pub(super) batches: Vec<(BatchForm, Vec<NewRecord>)>,
    pub(super) replies: HashMap<ReplyId, GroupReply>,
    pub(super) parked: HashSet<ReplyId>,
    /// The next append fails with this.
    pub(super) fail: Option<ErrorCode>,
    pub(super) random: u128,
    next_reply: u64,
}

impl Harness {
    pub(super) fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..Default::default() };
        let mut harness = Self {
            shard: GroupShard::new(),
            config,
            now: 1_000_000,
            wall_ahead_ms: 0,
            log: Vec::new(),
            batches: Vec::new(),
            replies: HashMap::new(),
            parked: HashSet::new(),
            fail: None,
            random: 0,
            next_reply: 0,
        };
        harness.command(Command::PartitionLoaded);
        harness
    }

    fn context(&mut self) -> ([u8; 16], Now) {
        self.random += 1;
        (self.random.to_be_bytes(), Now { monotonic: Monotonic(self.now.unsigned_abs()), wall: self.wall() })
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.now + self.wall_ahead_ms)
    }

    pub(super) fn command(&mut self, command: Command<GroupTypes>) {
        let (random, now) = self.context();
        let image = Image::default();
        let config = self.config.clone();
        let context =
            DecisionContext { now, random: &|| random, leader_epoch: LeaderEpoch(0), image: &image, config: &config };
        let mut decision = self.shard.decide(&context, &command);
        let fault = if decision.has_batch() { self.fail.take() } else { None };
        if let Some(error) = fault {
            let failed = Command::AppendFailed(decision.into_unappended(command), error);
            decision = self.shard.decide(&context, &failed);
            assert!(!decision.has_batch());
        }
        self.carry_out(decision);
    }

    fn carry_out(&mut self, decision: Decision<GroupTypes>) {
        if decision.has_batch() {
            self.append_batch(decision.form, decision.records);
        }
        self.shard.apply_soft(decision.soft);
        for (id, reply) in decision.replies {
            assert!(self.parked.remove(&id), "{id:?} is answered twice: {reply:?}");
            self.replies.insert(id, reply);
        }
        let waiting: HashSet<ReplyId> = self.shard.clone().resign().into_iter().map(|(id, _)| id).collect();
        assert_eq!(waiting, self.parked, "what is parked is what has not been answered");
        assert_eq!(self.replayed().state, self.shard.state, "the log says all that is replicated");
    }

    /// Appends a batch of the shard, and applies it as the driver does.
    fn append_batch(&mut self, form: BatchForm, records: Vec<NewRecord>) {
        self.batches.push((form, records.clone()));
        let (producer, marker) = match form {
            BatchForm::Atomic | BatchForm::Split => (None, None),
            BatchForm::Transactional { producer_id, .. } => (Some(producer_id), None),
            BatchForm::Marker { producer_id, end, .. } => (Some(producer_id), Some(end)),
        };
        assert_eq!(records.is_empty(), marker.is_some(), "a marker is a batch of its own");
        for NewRecord { key, value } in records {
            self.append(producer, Entry::Record { key, value });
        }
        if let Some(end) = marker {
            self.append(producer, Entry::Marker { committed: end.committed });
        }
    }

    pub(super) fn append(&mut self, producer: Option<ProducerId>, entry: Entry) {
        let offset = Offset(self.log.len() as i64);
        let at = BatchContext { offset, leader_epoch: LeaderEpoch(0), timestamp: self.wall(), producer };
        self.shard.apply(&at, entry.clone()).unwrap();
        self.log.push((at, entry));
    }

    /// Returns the shard of another broker that takes over: it has only replayed the log.
    pub(super) fn replayed(&self) -> GroupShard {
        let mut shard = GroupShard::new();
        for (at, entry) in &self.log {
            shard.apply(at, entry.clone()).unwrap();
        }
        shard
    }

    pub(super) fn fail_over(&mut self) {
        let fresh = self.replayed();
        let old = std::mem::replace(&mut self.shard, fresh);
        for (id, reply) in old.resign() {
            assert!(self.parked.remove(&id));
            self.replies.insert(id, reply);
        }
        self.command(Command::PartitionLoaded);
    }

    pub(super) fn advance(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(deadline) = self.shard.next_deadline().map(|it| it.0 as i64).filter(|it| *it <= end) {
            self.now = self.now.max(deadline);
            self.command(Command::TimerDue);
        }
        self.now = end;
    }

    pub(super) fn send(&mut self, request: GroupRequest) -> ReplyId {
        self.next_reply += 1;
        let id = ReplyId(self.next_reply);
        self.parked.insert(id);
        self.command(Command::Request(id, request));
        id
    }

    pub(super) fn ask(&mut self, request: GroupRequest) -> GroupReply {
        let id = self.send(request);
        self.replies.remove(&id).expect("an answer at once")
    }

    pub(super) fn joined(&mut self, id: ReplyId) -> JoinGroupResponse {
        match self.replies.remove(&id) {
            Some(GroupReply::JoinGroup(response)) => response,
            other => panic!("no answer to a JoinGroup but {other:?}"),
        }
    }

    pub(super) fn synced(&mut self, id: ReplyId) -> SyncGroupResponse {
        match self.replies.remove(&id) {
            Some(GroupReply::SyncGroup(response)) => response,
            other => panic!("no answer to a SyncGroup but {other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, group: &str, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: group.into(),
            member_id: member.into(),
            generation_id: generation,
            ..Default::default()
        };
        match self.ask(GroupRequest::Heartbeat(request)) {
            GroupReply::Heartbeat(response) => code(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, group: &str, members: &[(&str, Option<&str>)]) -> Vec<ErrorCode> {
        let identity = |(member, instance): &(&str, Option<&str>)| MemberIdentity {
            member_id: (*member).into(),
            group_instance_id: instance.map(Into::into),
            ..Default::default()
        };
        let members = members.iter().map(identity).collect();
        let request = LeaveGroupRequest { group_id: group.into(), members, ..Default::default() };
        match self.ask(GroupRequest::LeaveGroup(request)) {
            GroupReply::LeaveGroup(response) => {
                assert_eq!(response.error_code, 0);
                response.members.iter().map(|it| code(it.error_code)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn commit(&mut self, request: OffsetCommitRequest) -> ErrorCode {
        match self.ask(GroupRequest::OffsetCommit { request, supports_member_epochs: true }) {
            GroupReply::OffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    /// Commits in a transaction, and returns the error of the first partition.
    pub(super) fn commit_in_transaction(&mut self, request: TxnOffsetCommitRequest) -> ErrorCode {
        match self.ask(GroupRequest::TxnOffsetCommit { request, guard: None }) {
            GroupReply::TxnOffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    /// Ends the transaction of a producer.
    pub(super) fn end_transaction(&mut self, producer_id: i64, producer_epoch: i16, committed: bool) -> ErrorCode {
        match self.ask(end_transaction(producer_id, producer_epoch, committed)) {
            GroupReply::EndTransaction(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fetch(&mut self, group: &str, topic: &str, require_stable: bool) -> OffsetFetchResponsePartitions {
        let topics =
            vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![0], ..Default::default() }];
        let group = OffsetFetchRequestGroup { group_id: group.into(), topics: Some(topics), ..Default::default() };
        match self.ask(GroupRequest::OffsetFetch { group, require_stable }) {
            GroupReply::OffsetFetch(response) => response.topics[0].partitions[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe(&mut self, group: &str) -> DescribedGroup {
        match self.ask(GroupRequest::DescribeGroups { groups: vec![group.into()], report_missing: true }) {
            GroupReply::DescribeGroups(groups) => groups[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn delete_group(&mut self, group: &str) -> ErrorCode {
        match self.ask(GroupRequest::DeleteGroups(vec![group.into()])) {
            GroupReply::DeleteGroups(results) => code(results[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    /// (group, state, type) of every group.
    pub(super) fn list(&mut self) -> Vec<(String, String, String)> {
        match self.ask(GroupRequest::ListGroups { states: Vec::new(), types: Vec::new() }) {
            GroupReply::ListGroups(Ok(groups)) => groups
                .into_iter()
                .map(|it| (it.group_id.to_string(), it.group_state.to_string(), it.group_type.to_string()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Adds a member that joins an empty group alone and gets its assignment.
    pub(super) fn stable_member(&mut self, group: &str) -> String {
        let id = self.send(join(group, ""));
        let id = {
            let response = self.joined(id);
            assert_eq!(code(response.error_code), ErrorCode::MemberIdRequired);
            response.member_id
        };
        let ticket = self.send(join(group, &id));
        self.advance(0);
        let response = self.joined(ticket);
        assert_eq!(code(response.error_code), ErrorCode::None);
        let ticket = self.send(sync(group, &id, response.generation_id, &[(&id, "A")]));
        assert_eq!(self.synced(ticket).assignment, "A");
        id.to_string()
    }
}

pub(super) fn code(number: i16) -> ErrorCode {
    ErrorCode::from_code(number).unwrap()
}

pub(super) fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = |name: &str| JoinGroupRequestProtocol {
        name: name.into(),
        metadata: Bytes::from_static(SUBSCRIPTION),
        ..Default::default()
    };
    JoinGroupRequest {
        group_id: group.into(),
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range")],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        ..Default::default()
    }
}

pub(super) fn ask_to_join(request: JoinGroupRequest) -> GroupRequest {
    let client = Client { id: "cl".into(), host: "/127.0.0.1".into() };
    GroupRequest::JoinGroup { client, request, require_known_member_id: true, supports_skipping_assignment: true }
}

pub(super) fn join(group: &str, member: &str) -> GroupRequest {
    ask_to_join(join_request(group, member))
}

pub(super) fn join_static(group: &str, member: &str, instance: &str) -> GroupRequest {
    ask_to_join(JoinGroupRequest { group_instance_id: Some(instance.into()), ..join_request(group, member) })
}

pub(super) fn sync(group: &str, member: &str, generation: i32, assignments: &[(&str, &str)]) -> GroupRequest {
    let assignment = |(member, assignment): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: Bytes::copy_from_slice(assignment.as_bytes()),
        ..Default::default()
    };
    GroupRequest::SyncGroup(SyncGroupRequest {
        group_id: group.into(),
        member_id: member.into(),
        generation_id: generation,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.iter().map(assignment).collect(),
        ..Default::default()
    })
}

pub(super) fn commit(group: &str, member: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some("meta".into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic { name: "t1".into(), partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest {
        group_id: group.into(),
        member_id: member.into(),
        generation_id_or_member_epoch: generation,
        topics: vec![topic],
        ..Default::default()
    }
}

/// An offset of partition 0 of `t1` in the transaction of a producer of epoch 0. The request names
/// no member.
pub(super) fn transactional(producer_id: i64, group: &str, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some("meta".into()),
        ..Default::default()
    };
    let topic = TxnOffsetCommitRequestTopic { name: "t1".into(), partitions: vec![partition], ..Default::default() };
    TxnOffsetCommitRequest { group_id: group.into(), producer_id, topics: vec![topic], ..Default::default() }
}

pub(super) fn end_transaction(producer_id: i64, producer_epoch: i16, committed: bool) -> GroupRequest {
    GroupRequest::EndTransaction {
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(producer_epoch),
        marker: EndTransactionMarker { committed, coordinator_epoch: 0 },
        transaction_version: 2,
    }
}

pub(super) fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}

pub(super) fn uuid(text: &str) -> Uuid {
    Uuid(hex(&text.replace('-', "")).as_ref().try_into().unwrap())
}

//! The members of a group of the classic protocol: they join, share the partitions out, send
//! heartbeats and commit offsets in their generation. Now and then one leaves, or sleeps until it
//! is thrown out and commits all the same.

use crate::clients::{Participant, TOPIC, wait};
use crate::membership::OWNED;
use crate::net::Host;
use crate::transact::GROUP_KEY;
use bytes::Bytes;
use model::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;

const GROUP: &str = "members";
const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "simple";
/// The number of members.
pub const MEMBERS: usize = 3;
const SESSION_TIMEOUT_MS: i32 = 6_000;
/// Below the time that a client waits for an answer.
const REBALANCE_TIMEOUT_MS: i32 = 2_000;
const HEARTBEAT_INTERVAL_MS: u64 = 300;
/// How often a member finds the group stable in a row before it is done.
const STABLE: usize = 3;

/// Why a member rejoins.
enum Leave {
    /// Its generation has ended.
    Generation,
    /// The coordinator does not know it any more.
    Member,
    /// Another broker coordinates, or none.
    Coordinator,
}

/// A member, under whatever member ids it was given.
pub struct Member {
    participant: Participant,
    coordinator: Option<Host>,
    member_id: String,
    generation: i32,
    owned: Vec<i32>,
    /// How often in a row the group was stable.
    stable: usize,
}

impl Member {
    pub fn new(participant: Participant) -> Self {
        Self { participant, coordinator: None, member_id: String::new(), generation: -1, owned: Vec::new(), stable: 0 }
    }

    /// Takes part in the group to the end of the course. It is done once the group is stable after
    /// the faults, with `enough` commits or heartbeats.
    pub async fn take_part(mut self, enough: usize) {
        self.participant.until_created().await;
        let mut after_healing = 0;
        loop {
            let is_healed = *self.participant.shared.is_healed.lock();
            let Err(leave) = self.one_generation(&mut after_healing, enough).await else { continue };
            self.participant.shared.ledger.lock().membership.left(self.participant.number);
            self.stable = 0;
            match leave {
                Leave::Generation => {}
                Leave::Member => self.member_id.clear(),
                Leave::Coordinator => self.coordinator = None,
            }
            if !is_healed && self.participant.random.chance(20) {
                wait(self.participant.random.below(2_000) as u64).await;
            }
            wait(20 + self.participant.random.below(50) as u64).await;
        }
    }

    /// Joins, and works until the generation ends.
    async fn one_generation(&mut self, after_healing: &mut usize, enough: usize) -> Result<(), Leave> {
        let to = self.find().await?;
        let before = (self.member_id.clone(), self.generation, self.owned.clone());
        self.join(to).await?;
        if before.1 >= 0 && before.1 < self.generation && self.participant.random.chance(20) {
            self.commit_as_fenced(to, before).await;
        }
        for partition in self.owned.clone() {
            self.check_committed(to, partition).await?;
        }
        loop {
            wait(self.participant.random.below(HEARTBEAT_INTERVAL_MS as usize) as u64).await;
            if self.owned.is_empty() || self.participant.random.chance(40) {
                self.heartbeat(to).await?;
            } else {
                let partition = self.participant.random.pick(&self.owned.clone());
                self.commit(to, partition).await?;
            }
            let is_stable = self.participant.shared.ledger.lock().membership.is_stable(MEMBERS);
            self.stable = if is_stable { self.stable + 1 } else { 0 };
            if *self.participant.shared.is_healed.lock() {
                *after_healing += 1;
                if *after_healing >= enough && self.stable >= STABLE {
                    self.participant.finish();
                }
            } else if self.participant.random.chance(2) {
                self.participant.note(|| "sleeps".into());
                wait(self.participant.random.below(2 * SESSION_TIMEOUT_MS as usize) as u64).await;
            }
        }
    }

    async fn find(&mut self) -> Result<Host, Leave> {
        if self.coordinator.is_none() {
            self.coordinator = self.participant.find_coordinator(GROUP, GROUP_KEY).await;
        }
        self.coordinator.ok_or(Leave::Coordinator)
    }

    async fn join(&mut self, to: Host) -> Result<(), Leave> {
        let protocol = JoinGroupRequestProtocol { name: PROTOCOL.into(), ..Default::default() };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.member_id.as_str().into(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, JoinGroupResponse>(to, &request, 5).await;
        let answer = answer.map_err(|_| Leave::Coordinator)?;
        if answer.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = answer.member_id.to_string();
            return Err(Leave::Generation);
        }
        self.check(to, "JoinGroup", answer.error_code)?;
        self.member_id = answer.member_id.to_string();
        let generation = answer.generation_id;
        let mut assignments = vec![Vec::new(); answer.members.len()];
        for partition in 0..OWNED {
            if let Some(of) = (partition as usize).checked_rem(assignments.len()) {
                assignments[of].push(partition as u8);
            }
        }
        let assignment = |(member, owned): (&_, Vec<u8>)| {
            let member: &protocol::messages::join_group_response::JoinGroupResponseMember = member;
            SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: Bytes::from(owned),
                ..Default::default()
            }
        };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: self.member_id.as_str().into(),
            assignments: answer.members.iter().zip(assignments).map(assignment).collect(),
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, SyncGroupResponse>(to, &request, 3).await;
        let answer = answer.map_err(|_| Leave::Coordinator)?;
        self.check(to, "SyncGroup", answer.error_code)?;
        self.generation = generation;
        self.owned = answer.assignment.iter().map(|partition| i32::from(*partition)).collect();
        self.participant.note(|| format!("{} owns {:?} in generation {generation}", self.member_id, self.owned));
        let ledger = &mut *self.participant.shared.ledger.lock();
        let assigned = ledger.membership.assigned(self.participant.number, &self.member_id, generation, &self.owned);
        assigned.unwrap_or_else(|fault| ledger.fail(fault));
        Ok(())
    }

    /// Returns what an error means.
    fn check(&self, to: Host, asked: &str, code: i16) -> Result<(), Leave> {
        if code == 0 {
            return Ok(());
        }
        self.participant.note(|| format!("{asked} of {} at node {to}: error {code}", self.member_id));
        match ErrorCode::from_code(code) {
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => Err(Leave::Generation),
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => Err(Leave::Member),
            _ => Err(Leave::Coordinator),
        }
    }

    async fn heartbeat(&mut self, to: Host) -> Result<(), Leave> {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, HeartbeatResponse>(to, &request, 3).await;
        self.check(to, "Heartbeat", answer.map_err(|_| Leave::Coordinator)?.error_code)
    }

    async fn commit(&mut self, to: Host, partition: i32) -> Result<(), Leave> {
        let member_id = self.member_id.clone();
        match self.send_commit(to, (&member_id, self.generation), partition).await {
            Some(code) => self.check(to, "OffsetCommit", code),
            None => Err(Leave::Coordinator),
        }
    }

    /// Commits with the member id and the generation of before.
    async fn commit_as_fenced(&mut self, to: Host, (member_id, generation, owned): (String, i32, Vec<i32>)) {
        let Some(partition) = owned.first() else { return };
        let code = self.send_commit(to, (&member_id, generation), *partition).await;
        self.participant.note(|| format!("a commit of the fenced generation {generation} at node {to}: {code:?}"));
    }

    /// Sends a commit. Returns the error code, unless there is no answer.
    async fn send_commit(&mut self, to: Host, (member_id, generation): (&str, i32), partition: i32) -> Option<i16> {
        let (offset, newest) = {
            let membership = &mut self.participant.shared.ledger.lock().membership;
            (membership.next_offset(), membership.newest())
        };
        let of_partition =
            OffsetCommitRequestPartition { partition_index: partition, committed_offset: offset, ..Default::default() };
        let topic =
            OffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![of_partition], ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: generation,
            member_id: member_id.into(),
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.participant.client.call::<_, OffsetCommitResponse>(to, &request, 7).await;
        let code = answer.ok().and_then(|it| Some(it.topics.first()?.partitions.first()?.error_code));
        self.participant.note(|| format!("commit of {partition}@{offset} in generation {generation}: {code:?}"));
        // After these errors too, the records may still be committed.
        let is_known = code.is_some_and(|code| code == 0 || is_refusal(code));
        if is_known {
            let ledger = &mut *self.participant.shared.ledger.lock();
            let taken = code == Some(0);
            let answered = ledger.membership.answered(partition, (generation, newest), offset, taken);
            answered.unwrap_or_else(|fault| ledger.fail(fault));
        }
        code
    }

    /// Checks the committed offset of a partition that the member begins to own.
    async fn check_committed(&mut self, to: Host, partition: i32) -> Result<(), Leave> {
        let topic =
            OffsetFetchRequestTopics { name: TOPIC.into(), partition_indexes: vec![partition], ..Default::default() };
        let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let answer = self.participant.client.call::<_, OffsetFetchResponse>(to, &request, 8).await;
        let answer = answer.map_err(|_| Leave::Coordinator)?;
        let group = answer.groups.first().ok_or(Leave::Coordinator)?;
        self.check(to, "OffsetFetch", group.error_code)?;
        let found = group.topics.first().and_then(|topic| topic.partitions.first()).ok_or(Leave::Coordinator)?;
        self.check(to, "OffsetFetch", found.error_code)?;
        self.participant.note(|| format!("node {to} has {} for {partition}", found.committed_offset));
        let ledger = &mut *self.participant.shared.ledger.lock();
        let fetched = ledger.membership.fetched(partition, self.generation, found.committed_offset);
        fetched.unwrap_or_else(|fault| ledger.fail(fault));
        Ok(())
    }
}

/// Whether an error says that a commit was not carried out.
fn is_refusal(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        Some(ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress)
    )
}

//! Tests with random requests, clocks, failures and failovers. After each step the harness checks
//! that the log contains all replicated state, and that every request gets exactly one reply.

use super::{Harness, ask_to_join, commit, join_request, sync};
use crate::group::GroupState;
use crate::{GroupReply, GroupRequest};
use model::ErrorCode;
use proptest::prelude::*;
use protocol::Str;
use protocol::messages::join_group_request::JoinGroupRequest;

/// The harness replays the log after every step, so that even a few cases take some time.
const CASES: u32 = 64;

#[derive(Clone, Debug)]
enum Step {
    Join { who: usize, is_static: bool, protocols: u8, known_id: bool },
    Sync { who: usize, stale: bool },
    Heartbeat { who: usize },
    Leave { who: usize, by_instance: bool },
    Commit { who: usize, simple: bool },
    Delete,
    Wait { ms: i64 },
    SetWallClock { ahead_ms: i64 },
    FailNext { code: usize },
    FailOver,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..6;
    prop_oneof![
        8 => (who.clone(), any::<bool>(), 1u8..4, any::<bool>())
            .prop_map(|(who, is_static, protocols, known_id)| Step::Join { who, is_static, protocols, known_id }),
        6 => (who.clone(), prop::bool::weighted(0.1)).prop_map(|(who, stale)| Step::Sync { who, stale }),
        3 => who.clone().prop_map(|who| Step::Heartbeat { who }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, by_instance)| Step::Leave { who, by_instance }),
        2 => (who, any::<bool>()).prop_map(|(who, simple)| Step::Commit { who, simple }),
        1 => Just(Step::Delete),
        6 => (0i64..12_000).prop_map(|ms| Step::Wait { ms }),
        1 => (-86_400_000i64..86_400_000).prop_map(|ahead_ms| Step::SetWallClock { ahead_ms }),
        1 => (0usize..3).prop_map(|code| Step::FailNext { code }),
        1 => Just(Step::FailOver),
    ]
}

/// The state of a client.
#[derive(Clone, Default)]
struct Memory {
    id: Str,
    generation: i32,
}

fn instance(who: usize) -> Str {
    Str::from(format!("instance-{}", who % 3))
}

fn learn(h: &mut Harness, memories: &mut [Memory], asked: &[(crate::ReplyId, usize)]) {
    for (ticket, who) in asked {
        match h.replies.remove(ticket) {
            Some(GroupReply::JoinGroup(response)) if !response.member_id.is_empty() => {
                let generation = response.generation_id;
                memories[*who] = Memory { id: response.member_id, generation };
            }
            Some(_) | None => {}
        }
    }
}

fn run(h: &mut Harness, memories: &mut [Memory], step: &Step, asked: &mut Vec<(crate::ReplyId, usize)>) {
    match step {
        Step::Join { who, is_static, protocols, known_id } => {
            let id = if *known_id { memories[*who].id.clone() } else { Str::default() };
            let mut request = join_request("g", &id);
            request.group_instance_id = is_static.then(|| instance(*who));
            let base = request.protocols[0].clone();
            let named = ["range", "sticky"].iter().enumerate().filter(|(bit, _)| protocols >> bit & 1 == 1);
            request.protocols = named
                .map(|(_, name)| {
                    let mut protocol = base.clone();
                    protocol.name = (*name).into();
                    protocol
                })
                .collect();
            asked.push((h.send(ask_to_join(JoinGroupRequest { ..request })), *who));
        }
        Step::Sync { who, stale } => {
            let memory = memories[*who].clone();
            let generation = memory.generation - i32::from(*stale);
            let GroupRequest::SyncGroup(mut request) = sync("g", &memory.id, generation, &[(&memory.id, "A")]) else {
                return;
            };
            (request.protocol_type, request.protocol_name) = (None, None);
            h.send(GroupRequest::SyncGroup(request));
        }
        Step::Heartbeat { who } => {
            let memory = memories[*who].clone();
            h.heartbeat("g", &memory.id, memory.generation);
        }
        Step::Leave { who, by_instance } => {
            let (id, name) = (memories[*who].id.clone(), instance(*who));
            let identity = if *by_instance { ("", Some(name.as_str())) } else { (id.as_str(), None) };
            let request = protocol::messages::leave_group_request::LeaveGroupRequest {
                group_id: "g".into(),
                members: vec![protocol::messages::leave_group_request::MemberIdentity {
                    member_id: identity.0.into(),
                    group_instance_id: identity.1.map(Into::into),
                    ..Default::default()
                }],
                ..Default::default()
            };
            h.send(GroupRequest::LeaveGroup(request));
        }
        Step::Commit { who, simple } => {
            let memory = memories[*who].clone();
            let request = if *simple { commit("s", "", -1, 1) } else { commit("g", &memory.id, memory.generation, 2) };
            h.commit(request);
        }
        Step::Delete => {
            h.delete_group("g");
        }
        Step::Wait { ms } => h.advance(*ms),
        Step::SetWallClock { ahead_ms } => h.wall_ahead_ms = *ahead_ms,
        Step::FailNext { code } => {
            h.fail =
                Some([ErrorCode::NotEnoughReplicas, ErrorCode::KafkaStorageError, ErrorCode::MessageTooLarge][*code]);
        }
        Step::FailOver => h.fail_over(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn the_log_has_all_state_and_every_request_gets_one_reply(
        delay in prop_oneof![Just(0), Just(3000)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut h = Harness::new();
        h.config.initial_rebalance_delay_ms = delay;
        let mut memories = vec![Memory::default(); 6];
        let mut asked = Vec::new();
        for step in &steps {
            run(&mut h, &mut memories, step, &mut asked);
            learn(&mut h, &mut memories, &asked);
            for group in h.shard.soft.groups.values() {
                // A rebalance without members continues until its delay ends, or until the
                // generated ids expire too.
                let nobody = matches!(group.state, GroupState::Empty | GroupState::PreparingRebalance);
                prop_assert!(
                    if group.members.is_empty() { nobody } else { group.state != GroupState::Empty },
                    "{:?}",
                    group
                );
                prop_assert_eq!(group.leader.is_some(), !group.members.is_empty());
                let waiting = group.members.values().filter(|member| member.awaiting_join.is_some()).count();
                prop_assert_eq!(waiting, group.awaiting_join_count());
            }
        }
        // Without requests, every member is removed after its timeouts, and no request is left
        // waiting.
        h.fail = None;
        h.advance(700_000);
        prop_assert!(h.parked.is_empty(), "{:?} still wait", h.parked);
        prop_assert!(h.shard.soft.groups.values().all(|group| group.members.is_empty() && group.pending_join.is_empty()));
    }
}

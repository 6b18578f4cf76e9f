//! Tests with random requests, transactions, clocks, failures and failovers. After each step the
//! harness checks that the log contains all replicated state, and that every request gets exactly
//! one reply. The test checks committed and pending offsets against a second definition of them.

use super::offsets::delete;
use super::{Harness, ask_to_join, commit, join_request, sync, transactional};
use crate::group::{GroupEvent, GroupState};
use crate::{Command, Entry, GroupReply, GroupRequest};
use model::{ErrorCode, ProducerId, Uuid};
use proptest::prelude::*;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::{GroupRecord, Str};

/// The harness replays the log after every step, so that even a few cases take some time.
const CASES: u32 = 64;

/// A step on the offsets of the group of members, or of a simple one.
#[derive(Clone, Debug)]
enum OffsetStep {
    Commit {
        who: usize,
        simple: bool,
    },
    /// A commit in a transaction, of a member or without one.
    CommitInTransaction {
        producer: i64,
        epoch: i16,
        who: usize,
        simple: bool,
        partition: i32,
    },
    EndTransaction {
        producer: i64,
        epoch: i16,
        committed: bool,
    },
    Delete {
        simple: bool,
    },
    DeleteOffset {
        simple: bool,
    },
    DeleteTopic,
}

#[derive(Clone, Debug)]
enum Step {
    Join { who: usize, is_static: bool, protocols: u8, known_id: bool },
    Sync { who: usize, stale: bool },
    Heartbeat { who: usize },
    Leave { who: usize, by_instance: bool },
    Offsets(OffsetStep),
    Wait { ms: i64 },
    SetWallClock { ahead_ms: i64 },
    FailNext { code: usize },
    FailOver,
}

fn offset_step() -> impl Strategy<Value = OffsetStep> {
    let who = 0usize..6;
    // A commit of a member is refused most of the time.
    let simple = prop::bool::weighted(0.7);
    prop_oneof![
        4 => (who.clone(), simple).prop_map(|(who, simple)| OffsetStep::Commit { who, simple }),
        6 => (0i64..3, 0i16..2, who, simple, 0i32..2).prop_map(|(producer, epoch, who, simple, partition)| {
            OffsetStep::CommitInTransaction { producer, epoch, who, simple, partition }
        }),
        3 => (0i64..3, 0i16..2, any::<bool>())
            .prop_map(|(producer, epoch, committed)| OffsetStep::EndTransaction { producer, epoch, committed }),
        1 => simple.prop_map(|simple| OffsetStep::Delete { simple }),
        1 => simple.prop_map(|simple| OffsetStep::DeleteOffset { simple }),
        1 => Just(OffsetStep::DeleteTopic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..6;
    prop_oneof![
        8 => (who.clone(), any::<bool>(), 1u8..4, any::<bool>())
            .prop_map(|(who, is_static, protocols, known_id)| Step::Join { who, is_static, protocols, known_id }),
        6 => (who.clone(), prop::bool::weighted(0.1)).prop_map(|(who, stale)| Step::Sync { who, stale }),
        3 => who.clone().prop_map(|who| Step::Heartbeat { who }),
        2 => (who, any::<bool>()).prop_map(|(who, by_instance)| Step::Leave { who, by_instance }),
        16 => offset_step().prop_map(Step::Offsets),
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
        Step::Offsets(step) => run_on_offsets(h, memories, step),
        Step::Wait { ms } => h.advance(*ms),
        Step::SetWallClock { ahead_ms } => h.wall_ahead_ms = *ahead_ms,
        Step::FailNext { code } => {
            h.fail =
                Some([ErrorCode::NotEnoughReplicas, ErrorCode::KafkaStorageError, ErrorCode::MessageTooLarge][*code]);
        }
        Step::FailOver => h.fail_over(),
    }
}

fn run_on_offsets(h: &mut Harness, memories: &[Memory], step: &OffsetStep) {
    match step {
        OffsetStep::Commit { who, simple } => {
            let memory = memories[*who].clone();
            let offset = h.log.len() as i64;
            let request =
                if *simple { commit("s", "", -1, offset) } else { commit("g", &memory.id, memory.generation, offset) };
            h.commit(request);
        }
        OffsetStep::CommitInTransaction { producer, epoch, who, simple, partition } => {
            let memory = memories[*who].clone();
            let mut request = transactional(*producer, if *simple { "s" } else { "g" }, h.log.len() as i64);
            request.producer_epoch = *epoch;
            request.topics[0].partitions[0].partition_index = *partition;
            if !simple {
                (request.member_id, request.generation_id) = (memory.id, memory.generation);
            }
            h.commit_in_transaction(request);
        }
        OffsetStep::EndTransaction { producer, epoch, committed } => {
            h.end_transaction(*producer, *epoch, *committed);
        }
        OffsetStep::Delete { simple } => {
            h.delete_group(if *simple { "s" } else { "g" });
        }
        OffsetStep::DeleteOffset { simple } => {
            delete(h, if *simple { "s" } else { "g" }, "t1");
        }
        OffsetStep::DeleteTopic => {
            h.command(Command::Event(GroupEvent::TopicsDeleted(vec![(Uuid([1; 16]), "t1".into())])))
        }
    }
}

/// Returns the committed offset of a partition of `t1`, and whether one is pending, by a definition
/// that is not the shard's. Only records behind the last tombstone count. One in a transaction
/// counts if the first marker of its producer behind it is a commit, and is pending if there is
/// none. Of those that count, the last one wins.
fn by_definition(h: &Harness, group: &str, partition: i32) -> (Option<i64>, bool) {
    let outcome = |at: usize, producer: ProducerId| {
        let mut behind = h.log[at..].iter().filter(|(context, _)| context.producer == Some(producer));
        behind.find_map(|(_, entry)| if let Entry::Marker { committed } = entry { Some(*committed) } else { None })
    };
    let (mut offset, mut is_unstable) = (None, false);
    for (at, (context, entry)) in h.log.iter().enumerate() {
        let Entry::Record { key, value } = entry else { continue };
        let Ok(GroupRecord::OffsetCommit(key, value)) = GroupRecord::decode(key.clone(), value.clone()) else {
            continue;
        };
        if (&*key.group, &*key.topic, key.partition) != (group, "t1", partition) {
            continue;
        }
        match (value, context.producer.map(|producer| outcome(at, producer))) {
            (None, _) => (offset, is_unstable) = (None, false),
            (Some(value), None | Some(Some(true))) => offset = Some(value.offset),
            (Some(_), Some(Some(false))) => {}
            (Some(_), Some(None)) => is_unstable = true,
        }
    }
    (offset, is_unstable)
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
            for (group, partition) in [("g", 0), ("g", 1), ("s", 0), ("s", 1)] {
                let state = &h.shard.state;
                let committed = state.offsets.get(group, "t1", partition).map(|it| it.offset);
                let is_unstable = state.pending.contains(group, &"t1".into(), partition);
                prop_assert_eq!((committed, is_unstable), by_definition(&h, group, partition), "{} {}", group, partition);
            }
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

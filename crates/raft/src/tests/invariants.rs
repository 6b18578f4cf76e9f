//! Checks the invariants under random events, crashes included: one leader per epoch, a vote on
//! disk before it is used, nothing committed before its fsync, epochs and high watermarks that
//! never go back.

use super::*;
use crate::message::*;
use model::ErrorCode;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A replica with its disk.
struct Node {
    id: i32,
    voters: Vec<i32>,
    raft: Raft,
    election: Option<ElectionState>,
    log: LogFacts,
    flushed: Offset,
    flush_asked: EndOffset,
    committed: Option<Offset>,
    epoch: LeaderEpoch,
}

#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    /// From, id, to, request.
    requests: Vec<(usize, u64, usize, QuorumRequest)>,
    /// To, id, reply.
    replies: Vec<(usize, u64, SentReply)>,
    /// The request that a node is answering.
    answering: BTreeMap<(usize, u64), (usize, u64)>,
    leaders: BTreeMap<LeaderEpoch, i32>,
    next: u64,
    now_ms: u64,
}

fn start_node(
    id: i32,
    voters: &[i32],
    election: Option<ElectionState>,
    log: LogFacts,
    now: Now,
) -> (Raft, Vec<Action>) {
    let mut stored = formatted(voters);
    stored.election = election;
    stored.log = log;
    Raft::start(Config { local: key(id), ..config("") }, stored, u64::try_from(id).unwrap(), now).unwrap()
}

impl World {
    fn new(count: i32) -> Self {
        let mut world = Self::default();
        let voters: Vec<i32> = (1..=count).collect();
        for id in 1..=count {
            let log = formatted(&voters).log;
            let (raft, actions) = start_node(id, &voters, None, log.clone(), at(0));
            world.nodes.push(Node {
                id,
                voters: voters.clone(),
                raft,
                election: None,
                log,
                flushed: Offset(0),
                flush_asked: EndOffset::default(),
                committed: None,
                epoch: LeaderEpoch(0),
            });
            world.carry_out(usize::try_from(id).unwrap() - 1, actions);
        }
        world
    }

    fn step(&mut self, node: usize, event: Event) {
        let actions = self.nodes[node].raft.step(event, at(self.now_ms)).unwrap();
        self.carry_out(node, actions);
    }

    fn carry_out(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let node = &mut self.nodes[from];
            match action {
                Action::PersistElection { election, .. } => {
                    assert!(node.election.unwrap_or_default().epoch <= election.epoch, "an epoch never goes back");
                    let before = node.election.filter(|before| before.epoch == election.epoch);
                    if let Some(voted) = before.and_then(|before| before.voted) {
                        let kept = election.voted == Some(voted) || election.leader == Some(BrokerId(node.id));
                        assert!(kept || election.leader.is_some(), "a vote is never taken back");
                    }
                    node.election = Some(election);
                }
                Action::Append(batch) => {
                    assert_eq!(batch.base, node.log.end);
                    let election = node.election.unwrap();
                    assert_eq!((election.leader, election.epoch), (Some(BrokerId(node.id)), batch.epoch));
                    assert_eq!(*self.leaders.entry(batch.epoch).or_insert(node.id), node.id, "one leader in an epoch");
                    node.log.appended(batch.epoch, batch.base, batch.last.plus(1));
                }
                Action::Flush { end } => node.flush_asked = end,
                Action::Commit { high_watermark } => {
                    assert!(node.committed < Some(high_watermark), "it rises");
                    assert!(
                        node.voters.len() > 1 || high_watermark <= node.flushed,
                        "an entry counts only after its fsync"
                    );
                    node.committed = Some(high_watermark);
                }
                Action::Activate { epoch, epoch_start } => {
                    assert_eq!(self.leaders.get(&epoch), Some(&node.id));
                    assert!(node.committed > Some(epoch_start));
                }
                Action::LeaderChanged { epoch, .. } => {
                    assert!(epoch >= node.epoch);
                    node.epoch = epoch;
                }
                Action::Send { id, to, request } => {
                    if let QuorumRequest::Vote(VoteRequest { epoch, candidate, pre_vote: false, .. }) = &request {
                        let election = node.election.unwrap();
                        assert_eq!(
                            (election.epoch, election.voted),
                            (*epoch, Some(*candidate)),
                            "on disk before it leaves"
                        );
                    }
                    self.requests.push((from, id, usize::try_from(to.replica.unwrap().id.0).unwrap() - 1, request));
                }
                Action::Reply { id, reply } => {
                    if let QuorumReply::Vote { view, .. } = &reply {
                        assert!(node.election.unwrap().epoch >= view.epoch, "on disk before it is told");
                    }
                    if let Some((asker, asked)) = self.answering.remove(&(from, id)) {
                        self.replies.push((asker, asked, reply));
                    }
                }
                Action::Stopped => {}
                other => panic!("nothing is replicated here: {other:?}"),
            }
        }
    }

    fn act(&mut self, (kind, pick, wait): (u8, usize, u64)) {
        let node = pick % self.nodes.len();
        match kind {
            0 => {
                self.now_ms += wait;
                self.step(node, Event::Tick);
            }
            1..=3 if !self.requests.is_empty() => {
                let (from, asked, to, request) = self.requests.swap_remove(pick % self.requests.len());
                self.next += 1;
                let id = self.next;
                self.answering.insert((to, id), (from, asked));
                let candidate = match &request {
                    QuorumRequest::Vote(vote) if !vote.pre_vote => Some((vote.candidate, vote.epoch)),
                    _ => None,
                };
                let before = self.replies.len();
                self.step(to, Event::Request { id, request });
                if let (Some((candidate, epoch)), Some((_, _, QuorumReply::Vote { granted: true, .. }))) =
                    (candidate, self.replies.get(before))
                {
                    let election = self.nodes[to].election.unwrap();
                    assert_eq!(
                        (election.epoch, election.voted),
                        (epoch, Some(candidate)),
                        "a vote is on disk before it is given"
                    );
                }
            }
            4..=6 if !self.replies.is_empty() => {
                let (to, id, reply) = self.replies.swap_remove(pick % self.replies.len());
                self.step(to, Event::Response { id, result: Ok(received(reply)) });
            }
            7 if !self.requests.is_empty() => {
                let (from, id, ..) = self.requests.swap_remove(pick % self.requests.len());
                self.step(from, Event::Response { id, result: Err(ErrorCode::NetworkException) });
            }
            8 => {
                let asked = self.nodes[node].flush_asked;
                self.nodes[node].flushed = self.nodes[node].flushed.max(asked.offset);
                self.step(node, Event::Flushed { end: asked });
            }
            9 => {
                let epoch = self.nodes[node].raft.epoch();
                if let Ok(proposed) =
                    self.nodes[node].raft.propose(epoch, &[bytes::Bytes::from_static(b"x")], at(self.now_ms))
                {
                    self.carry_out(node, proposed.actions);
                }
            }
            10 => self.crash(node),
            11 => self.step(node, Event::Resign { epoch: self.nodes[node].raft.epoch() }),
            _ => {}
        }
    }

    /// Loses what was not fsynced. Messages that were sent may still arrive, but nobody waits for
    /// the answer.
    fn crash(&mut self, at_node: usize) {
        let now = at(self.now_ms);
        self.requests.retain(|(from, ..)| *from != at_node);
        self.replies.retain(|(to, ..)| *to != at_node);
        self.answering.retain(|_, (asker, _)| *asker != at_node);
        let node = &mut self.nodes[at_node];
        let flushed = node.flushed;
        node.log.epochs.retain(|(_, start)| *start < flushed);
        node.log.end = flushed;
        node.flush_asked = EndOffset { epoch: node.log.end_offset().epoch, offset: flushed };
        node.committed = None;
        let (raft, actions) = start_node(node.id, &node.voters, node.election, node.log.clone(), now);
        node.raft = raft;
        self.carry_out(at_node, actions);
    }
}

#[test]
fn three_voters_elect_a_leader_when_every_message_arrives() {
    let mut world = World::new(3);
    world.act((0, 0, 2500));
    for _ in 0..20 {
        world.act((1, 0, 0));
        world.act((4, 0, 0));
    }
    assert_eq!(world.leaders, BTreeMap::from([(LeaderEpoch(1), 1)]));
    assert!(world.nodes.iter().all(|node| node.raft.leader() == Some(BrokerId(1))), "the others have heard of it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_lone_voter_keeps_the_rules(acts in prop::collection::vec((prop::sample::select(vec![0u8, 8, 8, 9, 9, 10, 11]), any::<usize>(), 0..3000u64), 1..80)) {
        let mut world = World::new(1);
        for act in acts {
            world.act(act);
        }
        // Whatever happened, it leads again and commits its whole log.
        world.act((0, 0, 5000));
        world.act((8, 0, 0));
        let node = &world.nodes[0];
        prop_assert!(node.raft.is_leader());
        prop_assert_eq!(node.committed, Some(node.log.end));
    }

    #[test]
    fn three_voters_keep_the_rules(acts in prop::collection::vec((0..12u8, any::<usize>(), 0..1500u64), 1..400)) {
        let mut world = World::new(3);
        for act in acts {
            world.act(act);
        }
    }
}

/// Nothing is replicated here, so no answer has bytes.
fn received(reply: SentReply) -> ReceivedReply {
    match reply {
        QuorumReply::Vote { view, granted } => QuorumReply::Vote { view, granted },
        QuorumReply::BeginQuorumEpoch(view) => QuorumReply::BeginQuorumEpoch(view),
        QuorumReply::EndQuorumEpoch(view) => QuorumReply::EndQuorumEpoch(view),
        other => panic!("{other:?}"),
    }
}

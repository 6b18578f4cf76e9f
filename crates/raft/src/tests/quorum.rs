//! Elections among three voters.

use super::*;
use crate::message::*;
use model::ErrorCode;

fn start(stored: Stored) -> Raft {
    let (raft, actions) = Raft::start(config(""), stored, 7, at(0)).unwrap();
    assert!(!actions.iter().any(|action| matches!(action, Action::Send { .. })), "nobody is disturbed by a start");
    raft
}

fn step(raft: &mut Raft, event: Event, ms: u64) -> Vec<String> {
    transcript(&raft.step(event, at(ms)).unwrap())
}

fn vote(epoch: i32, candidate: i32, end: (i32, i64), pre_vote: bool) -> Event {
    let log_end = EndOffset { epoch: LeaderEpoch(end.0), offset: offset(end.1) };
    let vote =
        VoteRequest { epoch: LeaderEpoch(epoch), candidate: key(candidate), voter: Some(key(1)), log_end, pre_vote };
    Event::Request { id: 9, request: QuorumRequest::Vote(vote) }
}

fn voted(id: u64, granted: bool, epoch: i32) -> Event {
    Event::Response { id, result: Ok(QuorumReply::Vote { view: view(None, epoch), granted }) }
}

const PERSIST_VOTE_FOR_2: &str = r#"persist {"leaderId":-1,"leaderEpoch":3,"votedId":2,"votedDirectoryId":"mzH_hQWsRh-_CdVhJcqhYw","data_version":1}"#;

#[test]
fn an_election_has_a_pre_vote_then_a_vote_then_a_leader() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let due = raft.next_deadline().unwrap();
    assert_eq!(
        step(&mut raft, Event::Tick, due),
        ["send 0 to 2: pre-vote epoch 0 end 0@0", "send 1 to 3: pre-vote epoch 0 end 0@0"]
    );
    assert_eq!(
        step(&mut raft, voted(0, true, 0), due + 1),
        [
            r#"persist {"leaderId":-1,"leaderEpoch":1,"votedId":1,"votedDirectoryId":"mzH_hQWsRh-_CdVhJcqhYw","data_version":1}"#,
            "leader None epoch 1",
            "send 2 to 2: vote epoch 1 end 0@0",
            "send 3 to 3: vote epoch 1 end 0@0",
        ]
    );
    assert!(step(&mut raft, voted(1, true, 0), due + 2).is_empty(), "an answer to an earlier request");
    assert!(step(&mut raft, voted(2, false, 1), due + 2).is_empty());
    let actions = step(&mut raft, voted(3, true, 1), due + 3);
    assert!(actions[0].starts_with(r#"persist {"leaderId":1,"leaderEpoch":1,"votedId":-1"#));
    assert_eq!(
        actions[1..],
        [
            "leader Some(1) epoch 1",
            "append 0..=2 epoch 1 LeaderChange KRaftVersion Voters",
            "flush 3@1",
            "send 4 to 2: begin epoch 1",
            "send 5 to 3: begin epoch 1",
        ]
    );
    assert!(step(&mut raft, flushed(1, 3), due + 4).is_empty(), "one of three is no majority");
}

#[test]
fn a_lost_election_waits_and_repeats_the_pre_vote_in_its_epoch() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let due = raft.next_deadline().unwrap();
    step(&mut raft, Event::Tick, due);
    step(&mut raft, voted(0, true, 0), due);
    step(&mut raft, voted(2, false, 1), due);
    assert!(step(&mut raft, voted(3, false, 1), due).is_empty());
    let due = raft.next_deadline().unwrap();
    let actions = step(&mut raft, Event::Tick, due);
    assert_eq!(actions, ["send 4 to 2: pre-vote epoch 1 end 0@0", "send 5 to 3: pre-vote epoch 1 end 0@0"]);
    assert_eq!(raft.epoch(), LeaderEpoch(1));
}

#[test]
fn a_vote_is_persisted_before_it_is_given_and_given_once() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let actions = step(&mut raft, vote(3, 2, (0, 0), false), 1);
    assert_eq!(actions, [PERSIST_VOTE_FOR_2, "leader None epoch 3", "reply 9 NONE granted true epoch 3"]);
    assert_eq!(step(&mut raft, vote(3, 3, (0, 0), false), 2), ["reply 9 NONE granted false epoch 3"]);
    assert_eq!(step(&mut raft, vote(3, 2, (0, 0), false), 2), ["reply 9 NONE granted true epoch 3"]);
    assert_eq!(step(&mut raft, vote(2, 3, (0, 0), false), 3), ["reply 9 FENCED_LEADER_EPOCH granted false epoch 3"]);
    assert_eq!(step(&mut raft, vote(3, 3, (3, 0), false), 3), ["reply 9 INVALID_REQUEST granted false epoch 3"]);
    // A restart remembers the vote.
    let mut again = start(Stored { election: Some(election(3, None, Some(key(2)))), ..formatted(&[1, 2, 3]) });
    assert_eq!(step(&mut again, vote(3, 3, (0, 0), false), 2), ["reply 9 NONE granted false epoch 3"]);
}

#[test]
fn a_pre_vote_is_no_vote_and_a_shorter_log_gets_no_vote() {
    let mut stored = formatted(&[1, 2, 3]);
    stored.log.end = offset(10);
    stored.log.epochs = vec![(LeaderEpoch(2), offset(0))];
    stored.election = Some(election(2, None, None));
    let mut raft = start(stored);
    assert_eq!(step(&mut raft, vote(2, 2, (2, 10), true), 1), ["reply 9 NONE granted true epoch 2"]);
    assert_eq!(step(&mut raft, vote(2, 3, (2, 9), true), 1), ["reply 9 NONE granted false epoch 2"]);
    let actions = step(&mut raft, vote(4, 3, (1, 99), false), 1);
    assert!(
        actions[0].starts_with(r#"persist {"leaderId":-1,"leaderEpoch":4,"votedId":-1"#),
        "the epoch is taken over"
    );
    assert_eq!(actions[2], "reply 9 NONE granted false epoch 4");
    let other = ReplicaKey { id: BrokerId(1), directory_id: Some(Uuid::ONE) };
    let Event::Request { id, request: QuorumRequest::Vote(vote) } = vote(4, 3, (2, 10), false) else { unreachable!() };
    let misled = QuorumRequest::Vote(VoteRequest { voter: Some(other), ..vote });
    let actions = step(&mut raft, Event::Request { id, request: misled }, 2);
    assert_eq!(actions, ["reply 9 INVALID_VOTER_KEY granted false epoch 4"]);
}

#[test]
fn a_leader_is_followed_until_it_is_silent_or_resigns() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let begin = BeginQuorumEpochRequest {
        leader: BrokerId(2),
        epoch: LeaderEpoch(5),
        voter: Some(key(1)),
        leader_endpoints: Vec::new(),
    };
    let actions =
        step(&mut raft, Event::Request { id: 1, request: QuorumRequest::BeginQuorumEpoch(begin.clone()) }, 10);
    assert!(actions[0].starts_with(r#"persist {"leaderId":2,"leaderEpoch":5,"votedId":-1"#));
    let fetch = "send 0 to 2: fetch epoch 5 from 0@0 hw Unknown wait 500";
    assert_eq!(actions[1..], ["leader Some(2) epoch 5", "reply 1 NONE leader Some(2) epoch 5", fetch]);
    assert_eq!((raft.role(), raft.next_deadline()), (RoleName::Follower, Some(2010)));
    let other = BeginQuorumEpochRequest { leader: BrokerId(3), ..begin };
    let actions = step(&mut raft, Event::Request { id: 2, request: QuorumRequest::BeginQuorumEpoch(other) }, 11);
    assert_eq!(actions, ["reply 2 INVALID_REQUEST leader Some(2) epoch 5"]);
    let end = |candidates| EndQuorumEpochRequest {
        leader: BrokerId(2),
        epoch: LeaderEpoch(5),
        preferred_candidates: candidates,
        leader_endpoints: Vec::new(),
    };
    step(&mut raft, Event::Request { id: 3, request: QuorumRequest::EndQuorumEpoch(end(vec![key(3), key(1)])) }, 12);
    assert_eq!(raft.next_deadline(), Some(12 + 40));
    let actions =
        step(&mut raft, Event::Request { id: 4, request: QuorumRequest::EndQuorumEpoch(end(vec![key(1)])) }, 13);
    assert_eq!(actions[0], "reply 4 NONE leader Some(2) epoch 5");
    assert_eq!(raft.role(), RoleName::Prospective, "the first in line stands at once");
}

#[test]
fn a_leader_of_three_that_stops_tells_the_others_first() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let due = raft.next_deadline().unwrap();
    step(&mut raft, Event::Tick, due);
    step(&mut raft, voted(0, true, 0), due);
    step(&mut raft, voted(2, true, 1), due);
    assert!(raft.is_leader());
    let actions = step(&mut raft, Event::Stop, due + 1);
    let end = format!("end epoch 1, next [{:?}, {:?}]", key(2), key(3));
    assert_eq!(
        actions,
        ["leader None epoch 1".to_owned(), format!("send 6 to 2: {end}"), format!("send 7 to 3: {end}")]
    );
    let heard = |id| Event::Response { id, result: Ok(QuorumReply::EndQuorumEpoch(view(Some(1), 1))) };
    assert!(step(&mut raft, heard(6), due + 2).is_empty());
    let failed = Event::Response { id: 7, result: Err(ErrorCode::NetworkException) };
    assert!(step(&mut raft, failed, due + 2).is_empty());
    assert_eq!(raft.next_deadline(), Some(due + 22), "it is tried again");
    assert_eq!(step(&mut raft, Event::Tick, due + 22), [format!("send 8 to 3: {end}")]);
    assert_eq!(step(&mut raft, Event::Tick, due + 2001), ["stopped"], "but not for ever");
}

#[test]
fn an_observer_votes_if_asked_and_is_never_a_candidate() {
    let mut raft = start(formatted(&[2, 3]));
    assert_eq!(raft.next_deadline(), None);
    assert!(step(&mut raft, Event::Tick, 1_000_000).is_empty());
    let actions = step(&mut raft, vote(3, 2, (0, 0), false), 1);
    assert_eq!(actions[2], "reply 9 NONE granted true epoch 3");
    assert_eq!(raft.next_deadline(), None);
}

#[test]
fn a_voter_with_the_longer_log_is_elected_in_place_of_the_one_that_asks() {
    let mut stored = formatted(&[1, 2, 3]);
    stored.log.end = offset(10);
    stored.log.epochs = vec![(LeaderEpoch(2), offset(0))];
    stored.election = Some(election(2, None, None));
    let mut raft = start(stored);
    step(&mut raft, vote(2, 2, (2, 9), true), 1);
    let due = raft.next_deadline().unwrap();
    assert!((21..221).contains(&due), "{due}: the other one cannot win");
    let sent = step(&mut raft, Event::Tick, due);
    assert_eq!((raft.role(), sent.len()), (RoleName::Prospective, 2));
    let id: u64 = sent[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert!(step(&mut raft, voted(id, false, 2), due).is_empty(), "voter 2 still hears from a leader");
    let actions = step(&mut raft, vote(2, 2, (2, 9), true), due + 1);
    assert_eq!(actions[0], "reply 9 NONE granted false epoch 2");
    assert!(actions[1].contains("to 2: pre-vote"), "now it does not: {actions:?}");
}

#[test]
fn a_candidate_that_is_refused_does_not_wait_for_the_election_timeout() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let due = raft.next_deadline().unwrap();
    step(&mut raft, Event::Tick, due);
    step(&mut raft, voted(0, true, 0), due);
    assert_eq!(raft.role(), RoleName::Candidate);
    step(&mut raft, voted(2, false, 1), due + 7);
    let again = raft.next_deadline().unwrap();
    assert!((due + 7 + 7 + 20..due + 7 + 7 + 220).contains(&again), "{again}, after {due}");
}

#[test]
fn a_leader_that_resigned_keeps_nobody_from_standing() {
    let mut raft = start(formatted(&[1, 2, 3]));
    let begin = BeginQuorumEpochRequest {
        leader: BrokerId(2),
        epoch: LeaderEpoch(5),
        voter: Some(key(1)),
        leader_endpoints: Vec::new(),
    };
    step(&mut raft, Event::Request { id: 1, request: QuorumRequest::BeginQuorumEpoch(begin) }, 10);
    let nothing = |error| {
        let mut view = view(Some(2), 5);
        view.error = error;
        let content = match error {
            ErrorCode::None => FetchContent::Records(bytes::Bytes::new()),
            _ => FetchContent::Nothing,
        };
        QuorumReply::Fetch(FetchReply { view, high_watermark: None, log_start: offset(0), content })
    };
    step(&mut raft, Event::Response { id: 0, result: Ok(nothing(ErrorCode::None)) }, 20);
    assert_eq!(step(&mut raft, vote(5, 3, (0, 0), true), 21)[0], "reply 9 NONE granted false epoch 5");
    step(&mut raft, Event::Response { id: 1, result: Ok(nothing(ErrorCode::NotLeaderOrFollower)) }, 22);
    assert!(raft.next_deadline().unwrap() < 22 + 220);
    assert_eq!(step(&mut raft, vote(5, 3, (0, 0), true), 23)[0], "reply 9 NONE granted true epoch 5");
}

//! One voter.

use super::*;
use bytes::Bytes;

fn step(raft: &mut Raft, event: Event, ms: u64) -> Vec<String> {
    transcript(&raft.step(event, at(ms)).unwrap())
}

fn start(configured: &str, stored: Stored) -> (Raft, Vec<String>) {
    let (raft, actions) = Raft::start(config(configured), stored, 7, at(0)).unwrap();
    (raft, transcript(&actions))
}

#[test]
fn a_formatted_lone_voter_leads_at_once_and_copies_the_voters_to_the_log() {
    let (mut raft, actions) = start("", formatted(&[1]));
    assert_eq!(
        actions,
        [
            r#"persist {"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            "leader Some(1) epoch 1",
            "append 0..=2 epoch 1 LeaderChange KRaftVersion Voters",
            "flush 3@1",
        ]
    );
    assert_eq!(raft.high_watermark(), None, "nothing counts before its fsync");
    assert_eq!(step(&mut raft, flushed(1, 3), 5), ["commit 3", "activate epoch 1 from 0"]);
    assert_eq!(raft.next_deadline(), None, "a lone leader waits for nobody");
    let (_, voters) = raft.quorum_at(offset(3));
    assert!(voters.is_only(&key(1)));
}

#[test]
fn the_first_batch_equals_kafkas() {
    let (_, actions) = Raft::start(config(""), formatted(&[1]), 7, at(0)).unwrap();
    let Action::Append(batch) = &actions[2] else { panic!("{actions:?}") };
    assert_eq!(batch.bytes, Bytes::from_static(include_bytes!("../../testdata/kraft1-first.batch")));
    let now = Now { wall: Timestamp(1_795_249_371_496), ..at(0) };
    let (_, actions) = Raft::start(config("1@127.0.0.1:29593"), Stored::default(), 7, now).unwrap();
    let Action::Append(batch) = &actions[2] else { panic!("{actions:?}") };
    assert_eq!(batch.bytes, Bytes::from_static(include_bytes!("../../testdata/kraft0-first.batch")));
}

#[test]
fn a_static_lone_voter_leads_and_writes_no_voters() {
    let (_, actions) = start("1@127.0.0.1:29593", Stored::default());
    assert_eq!(
        actions,
        [
            r#"persist {"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#,
            "leader Some(1) epoch 1",
            "append 0..=0 epoch 1 LeaderChange",
            "flush 1@1",
        ]
    );
}

fn after_a_run(election: ElectionState) -> Stored {
    let mut stored = formatted(&[1]);
    stored.election = Some(election);
    stored.log.end = offset(137);
    stored.log.epochs = vec![(LeaderEpoch(1), offset(0))];
    let records = stored.control_records.clone().into_iter().zip([1, 2]);
    stored.control_records.extend(records.map(|((_, record), at)| (Some(offset(at)), record)));
    stored
}

#[test]
fn a_restart_begins_the_next_epoch_and_does_not_copy_the_voters_again() {
    let (mut raft, actions) = start("", after_a_run(election(1, Some(1), None)));
    assert_eq!(
        actions,
        [
            r#"persist {"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            "leader Some(1) epoch 2",
            "append 137..=137 epoch 2 LeaderChange",
            "flush 138@2",
        ]
    );
    assert!(step(&mut raft, flushed(1, 137), 1).is_empty(), "an epoch's first record must count");
    assert_eq!(step(&mut raft, flushed(2, 138), 2), ["commit 138", "activate epoch 2 from 137"]);
}

#[test]
fn a_crashed_candidate_continues_its_epoch_and_a_log_ahead_of_quorum_state_wins() {
    let (raft, actions) = start("", after_a_run(election(4, None, Some(key(1)))));
    assert!(actions[2].starts_with("append 137..=137 epoch 4"), "{actions:?}");
    assert_eq!(raft.epoch(), LeaderEpoch(4));
    let (raft, _) = start("", after_a_run(election(0, None, None)));
    assert_eq!(raft.epoch(), LeaderEpoch(2));
}

#[test]
fn proposals_are_batches_and_commit_with_their_flush() {
    let (mut raft, _) = start("", formatted(&[1]));
    let early = raft.propose(LeaderEpoch(2), &[Bytes::from_static(b"x")], at(1));
    assert!(matches!(early, Err(ProposeError::NotLeader { .. })));
    assert!(matches!(raft.propose(LeaderEpoch(1), &[], at(1)), Err(ProposeError::Empty)));
    step(&mut raft, flushed(1, 3), 2);
    let values = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let proposed = raft.propose(LeaderEpoch(1), &values, at(3)).unwrap();
    assert_eq!((proposed.base, proposed.last), (offset(3), offset(4)));
    assert_eq!(transcript(&proposed.actions), ["append 3..=4 epoch 1 data", "flush 5@1"]);
    let second = raft.propose(LeaderEpoch(1), &values[..1], at(3)).unwrap();
    assert_eq!(transcript(&second.actions), ["append 5..=5 epoch 1 data", "flush 6@1"]);
    assert_eq!(step(&mut raft, flushed(1, 5), 4), ["commit 5"]);
    assert!(step(&mut raft, flushed(1, 4), 4).is_empty(), "a late flush moves nothing back");
    assert_eq!(step(&mut raft, flushed(1, 6), 5), ["commit 6"]);
    let large = raft.propose(LeaderEpoch(1), &[Bytes::from(vec![0; MAX_BATCH_BYTES])], at(6));
    assert!(matches!(large, Err(ProposeError::TooLarge { .. })));
    assert_eq!(raft.log().end, offset(6), "a refused proposal changes nothing");
}

#[test]
fn a_controller_that_resigns_is_elected_again_after_a_timeout() {
    let (mut raft, _) = start("", formatted(&[1]));
    step(&mut raft, flushed(1, 3), 2);
    assert!(step(&mut raft, Event::Resign { epoch: LeaderEpoch(0) }, 3).is_empty(), "that epoch is over");
    assert_eq!(step(&mut raft, Event::Resign { epoch: LeaderEpoch(1) }, 3), ["leader None epoch 1"]);
    assert!(raft.propose(LeaderEpoch(1), &[Bytes::from_static(b"x")], at(4)).is_err());
    let deadline = raft.next_deadline().unwrap();
    assert!((1003..2003).contains(&deadline), "{deadline}");
    assert!(step(&mut raft, Event::Tick, deadline - 1).is_empty());
    let actions = step(&mut raft, Event::Tick, deadline);
    assert_eq!(actions[1..], ["leader Some(1) epoch 2", "append 3..=3 epoch 2 LeaderChange", "flush 4@2"]);
    assert_eq!(step(&mut raft, flushed(2, 4), deadline), ["commit 4", "activate epoch 2 from 3"]);
}

#[test]
fn a_lone_voter_stops_at_once() {
    let (mut raft, _) = start("", formatted(&[1]));
    assert_eq!(step(&mut raft, Event::Stop, 3), ["leader None epoch 1", "stopped"]);
    assert!(step(&mut raft, Event::Stop, 4).is_empty());
    assert!(step(&mut raft, Event::Tick, 1_000_000).is_empty());
    assert_eq!(raft.next_deadline(), None);
}

#[test]
fn the_quorum_is_described_by_its_leader() {
    let (mut raft, _) = start("", formatted(&[1]));
    assert_eq!(raft.describe(at(1)).unwrap().high_watermark, None);
    step(&mut raft, flushed(1, 3), 2);
    let quorum = raft.describe(at(9)).unwrap();
    assert_eq!((quorum.leader, quorum.epoch, quorum.high_watermark), (BrokerId(1), LeaderEpoch(1), Some(offset(3))));
    let own = ReplicaDescription {
        key: key(1),
        log_end: Some(offset(3)),
        last_fetch: Some(at(9).wall),
        last_caught_up: Some(at(9).wall),
    };
    assert_eq!(quorum.voters, [own]);
    assert_eq!((quorum.observers.len(), quorum.nodes), (0, vec![voter(1)]));
}

#[test]
fn voters_are_not_changed_without_a_reason() {
    let said = |refused: Result<(), model::ApiError>| refused.unwrap_err().to_string();
    let (mut raft, _) = start("", formatted(&[1]));
    let waiting =
        "REQUEST_TIMED_OUT: Request timed out waiting for leader to establish HWM and fence previous voter changes";
    assert_eq!(said(raft.describe(at(1)).unwrap().check_addition(&key(2))), waiting);
    assert_eq!(said(raft.describe(at(1)).unwrap().check_removal(&key(1))), waiting);
    step(&mut raft, flushed(1, 3), 2);
    let quorum = raft.describe(at(3)).unwrap();
    assert_eq!(quorum.check_addition(&key(2)), Ok(()));
    let elsewhere = ReplicaKey::new(1, Uuid([9; 16]));
    let own = key(1).shown();
    assert_eq!(
        said(quorum.check_addition(&elsewhere)),
        format!(
            "DUPLICATE_VOTER: The voter id for {} is already part of the set of voters [{own}].",
            elsewhere.shown()
        )
    );
    for voter in [elsewhere, key(2), key(1)] {
        let expected = format!("VOTER_NOT_FOUND: Cannot remove voter {} from the set of voters [{own}]", voter.shown());
        assert_eq!(said(quorum.check_removal(&voter)), expected);
    }
}

#[test]
fn voters_of_the_configuration_are_not_changed() {
    let (mut raft, _) = start("1@127.0.0.1:29593", Stored::default());
    step(&mut raft, flushed(1, 1), 2);
    let refused = raft.describe(at(3)).unwrap().check_addition(&key(2)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "UNSUPPORTED_VERSION: Cluster doesn't support adding voter because the kraft.version feature is 0"
    );
}

//! Voters that are added, removed and updated (KIP-853).

use super::*;

fn step(raft: &mut Raft, event: Event, ms: u64) -> Vec<String> {
    transcript(&raft.step(event, at(ms)).unwrap())
}

fn ask(id: u64, change: VoterChange, waits_for_commit: bool) -> Event {
    let request = VoterChangeRequest { epoch: None, change, waits_for_commit };
    Event::Request { id, request: QuorumRequest::ChangeVoters(request) }
}

fn fetch(id: u64, replica: ReplicaKey, end: i64) -> Event {
    let fetch = FetchRequest {
        replica: Some(replica),
        epoch: LeaderEpoch(1),
        log_end: EndOffset { epoch: LeaderEpoch(1), offset: offset(end) },
        high_watermark: KnownHighWatermark::NotTold,
        max_wait_ms: 0,
        max_bytes: 1,
    };
    Event::Request { id, request: QuorumRequest::Fetch(fetch) }
}

/// The leader of a quorum of one, with 3 committed records.
fn lone_leader() -> Raft {
    let (mut raft, _) = Raft::start(config(""), formatted(&[1]), 7, at(0)).unwrap();
    step(&mut raft, flushed(1, 3), 1);
    raft
}

#[test]
fn a_voter_is_added_once_it_has_caught_up_and_counts_from_its_record_on() {
    let mut raft = lone_leader();
    let lagging = format!(
        "reply 1 REQUEST_TIMED_OUT epoch 1 Aborted add voter operation for {} since it is lagging behind",
        key(2).shown()
    );
    assert_eq!(step(&mut raft, ask(1, VoterChange::Add(voter(2)), true), 2), [lagging]);
    step(&mut raft, fetch(2, key(2), 3), 3);
    let actions = step(&mut raft, ask(3, VoterChange::Add(voter(2)), true), 4);
    assert_eq!(actions[..2], ["append 3..=3 epoch 1 Voters", "flush 4@1"]);
    assert!(actions[2].ends_with("to 2: begin epoch 1"), "{actions:?}");
    assert!(step(&mut raft, flushed(1, 4), 5).is_empty(), "one of two is no majority");
    let busy = "reply 4 REQUEST_TIMED_OUT epoch 1 Request timed out waiting for leader to handle previous voter change request";
    assert_eq!(step(&mut raft, ask(4, VoterChange::Add(voter(3)), true), 6), [busy]);
    let actions = step(&mut raft, fetch(5, key(2), 4), 7);
    assert_eq!((&*actions[0], &*actions[2]), ("commit 4", "reply 3 NONE epoch 1 "));
    assert_eq!(raft.next_deadline(), Some(7 + 1000), "it must hear from its voter now");
    assert_eq!(raft.voters().ids().collect::<Vec<_>>(), [BrokerId(1), BrokerId(2)]);
}

#[test]
fn a_change_that_is_not_committed_in_time_stays_and_blocks_the_next() {
    let mut raft = lone_leader();
    step(&mut raft, fetch(2, key(2), 3), 3);
    step(&mut raft, ask(3, VoterChange::Add(voter(2)), true), 4);
    step(&mut raft, flushed(1, 4), 5);
    assert!(step(&mut raft, Event::Tick, 2004).contains(&"reply 3 REQUEST_TIMED_OUT epoch 1 ".to_owned()));
    let blocked = "reply 4 REQUEST_TIMED_OUT epoch 1 Request timed out waiting for voters to commit the latest voter change at Optional[3] with HWM 3";
    assert_eq!(step(&mut raft, ask(4, VoterChange::Remove(key(1)), true), 2005), [blocked]);
}

#[test]
fn an_addition_may_be_answered_before_it_is_committed() {
    let mut raft = lone_leader();
    step(&mut raft, fetch(2, key(2), 3), 3);
    let actions = step(&mut raft, ask(3, VoterChange::Add(voter(2)), false), 4);
    assert_eq!(actions[2], "reply 3 NONE epoch 1 ");
}

#[test]
fn a_leader_that_removes_itself_leads_until_that_is_committed() {
    let mut raft = lone_leader();
    step(&mut raft, fetch(2, key(2), 3), 3);
    step(&mut raft, ask(3, VoterChange::Add(voter(2)), true), 4);
    step(&mut raft, flushed(1, 4), 5);
    step(&mut raft, fetch(4, key(2), 4), 6);
    let actions = step(&mut raft, ask(5, VoterChange::Remove(key(1)), true), 7);
    assert_eq!(actions[0], "append 4..=4 epoch 1 Voters");
    assert!(step(&mut raft, flushed(1, 5), 8).is_empty(), "its own log counts no more");
    assert!(raft.is_leader());
    let actions = step(&mut raft, fetch(6, key(2), 5), 9);
    assert_eq!(actions[0], "commit 5");
    assert!(actions.contains(&"leader None epoch 1".to_owned()), "{actions:?}");
    assert_eq!(raft.role(), RoleName::Resigned);
    step(&mut raft, Event::Tick, 2100);
    assert_eq!((raft.role(), raft.epoch()), (RoleName::Unattached, LeaderEpoch(2)), "nobody asks it for epoch 1");
    assert_eq!(raft.next_deadline(), None, "it stands for no election");
}

#[test]
fn a_leader_killed_while_it_removes_itself_may_still_be_elected() {
    let voters = |ids: &[i32]| ControlRecord::Voters(VoterSet::new(ids.iter().map(|id| voter(*id))));
    let mut stored = formatted(&[1, 2]);
    stored.election = Some(election(1, Some(1), None));
    stored.log.end = offset(10);
    stored.log.epochs = vec![(LeaderEpoch(1), offset(0))];
    stored.control_records.push((Some(offset(9)), voters(&[2])));
    let (mut raft, _) = Raft::start(config(""), stored, 7, at(0)).unwrap();
    assert!(!raft.is_voter());
    let due = raft.next_deadline().unwrap();
    step(&mut raft, Event::Tick, due);
    assert_eq!(raft.role(), RoleName::Prospective, "its log is longer than that of the only voter");
}

#[test]
fn a_follower_tells_the_leader_where_it_is() {
    let mut stored = formatted(&[1, 2]);
    let moved = Endpoint { listener: "CONTROLLER".into(), host: "elsewhere".into(), port: 1 };
    let voters = VoterSet::new([voter(2), Voter { endpoints: vec![moved], ..voter(1) }]);
    stored.control_records[1].1 = ControlRecord::Voters(voters);
    stored.election = Some(election(1, Some(2), None));
    let (mut raft, _) = Raft::start(config(""), stored, 7, at(0)).unwrap();
    assert_eq!(raft.role(), RoleName::Follower);
    let nothing = FetchReply {
        view: view(Some(2), 1),
        high_watermark: None,
        log_start: offset(0),
        content: FetchContent::Records(bytes::Bytes::new()),
    };
    step(&mut raft, Event::Response { id: 0, result: Ok(QuorumReply::Fetch(nothing)) }, 1000);
    let actions = step(&mut raft, Event::Tick, 2000);
    assert_eq!(actions, [format!("send 2 to 2: {:?}", VoterChange::Update(voter(1)))]);
}

#[test]
fn a_controller_with_a_new_disk_takes_the_place_of_its_old_one() {
    let mut stored = formatted(&[1, 2]);
    stored.election = Some(election(1, Some(2), None));
    let replaced = ReplicaKey::new(1, Uuid([9; 16]));
    let config = Config { local: replaced, auto_join: true, ..config("") };
    let (mut raft, _) = Raft::start(config, stored, 7, at(0)).unwrap();
    let actions = step(&mut raft, Event::Tick, 2000);
    assert_eq!(actions, [format!("send 1 to 2: {:?}", VoterChange::Remove(key(1)))]);
}

/// The leader of three voters of the configuration.
fn static_leader() -> (Raft, u64) {
    let (mut raft, _) = Raft::start(config("1@a:1,2@a:2,3@a:3"), Stored::default(), 7, at(0)).unwrap();
    let due = raft.next_deadline().unwrap();
    let mut actions = step(&mut raft, Event::Tick, due);
    for epoch in 0..2 {
        let sent = actions.iter().find(|line| line.contains("vote epoch")).unwrap();
        let id = sent.split(' ').nth(1).unwrap().parse().unwrap();
        let vote = QuorumReply::Vote { view: view(None, epoch), granted: true };
        actions = step(&mut raft, Event::Response { id, result: Ok(vote) }, due);
    }
    assert!(raft.is_leader());
    (raft, due)
}

#[test]
fn kraft_version_is_upgraded_once_all_voters_have_told_their_directories() {
    let (mut raft, now) = static_leader();
    step(&mut raft, flushed(1, 1), now);
    step(&mut raft, fetch(1, key(2), 1), now);
    let refused = "reply 2 INVALID_UPDATE_VERSION epoch 1 Invalid upgrade of kraft.version to 1 because not all of the voters support it";
    assert_eq!(step(&mut raft, ask(2, VoterChange::UpgradeKRaftVersion, true), now), [refused]);
    for id in [2, 3] {
        assert_eq!(step(&mut raft, ask(3, VoterChange::Update(voter(id)), false), now), ["reply 3 NONE epoch 1 "]);
    }
    let actions = step(&mut raft, ask(4, VoterChange::UpgradeKRaftVersion, true), now);
    assert_eq!(actions[0], "append 1..=2 epoch 1 KRaftVersion Voters");
    assert_eq!(raft.kraft_version(), KRaftVersion::V1);
    step(&mut raft, flushed(1, 3), now);
    assert!(step(&mut raft, fetch(5, key(2), 3), now).contains(&"reply 4 NONE epoch 1 ".to_owned()));
    assert_eq!(raft.voters().get(BrokerId(3)), Some(&voter(3)));
    assert_eq!(step(&mut raft, ask(6, VoterChange::UpgradeKRaftVersion, true), now), ["reply 6 NONE epoch 1 "]);
}

#[test]
fn a_leader_that_uncommitted_voters_lack_is_found_in_the_configuration() {
    let config = config("1@a:1,2@a:2,3@a:3");
    let upgraded =
        [ControlRecord::KRaftVersion(KRaftVersion::V1), ControlRecord::Voters(VoterSet::new([voter(1), voter(3)]))];
    let log = LogFacts { end: offset(9), epochs: vec![(LeaderEpoch(1), offset(0))], ..LogFacts::default() };
    let control_records = upgraded.into_iter().map(|record| (Some(offset(8)), record)).collect();
    let stored = Stored { election: Some(election(1, None, None)), log, control_records };
    let (mut raft, _) = Raft::start(config, stored, 7, at(0)).unwrap();
    let begin = BeginQuorumEpochRequest {
        leader: BrokerId(2),
        epoch: LeaderEpoch(2),
        voter: Some(key(1)),
        leader_endpoints: Vec::new(),
    };
    step(&mut raft, Event::Request { id: 1, request: QuorumRequest::BeginQuorumEpoch(begin) }, 1);
    assert_eq!((raft.role(), raft.leader_endpoints()[0].port), (RoleName::Follower, 2));
}

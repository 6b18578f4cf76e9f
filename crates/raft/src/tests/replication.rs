//! Fetch and FetchSnapshot: what a leader answers, and what a follower does.

use super::*;
use bytes::Bytes;
use model::ErrorCode;

fn step(raft: &mut Raft, event: Event, ms: u64) -> Vec<String> {
    transcript(&raft.step(event, at(ms)).unwrap())
}

fn end(epoch: i32, end: i64) -> EndOffset {
    EndOffset { epoch: LeaderEpoch(epoch), offset: offset(end) }
}

/// A fetch of a replica in an epoch, with the end of its log.
fn fetch(id: u64, replica: ReplicaKey, epoch: i32, log_end: EndOffset) -> Event {
    let fetch = FetchRequest {
        replica: Some(replica),
        epoch: LeaderEpoch(epoch),
        log_end,
        high_watermark: KnownHighWatermark::NotTold,
        max_wait_ms: 0,
        max_bytes: 100,
    };
    Event::Request { id, request: QuorumRequest::Fetch(fetch) }
}

fn held(id: u64, replica: ReplicaKey, log_end: EndOffset, high_watermark: KnownHighWatermark) -> Event {
    match fetch(id, replica, 1, log_end) {
        Event::Request { id, request: QuorumRequest::Fetch(fetch) } => {
            let fetch = FetchRequest { max_wait_ms: 500, high_watermark, ..fetch };
            Event::Request { id, request: QuorumRequest::Fetch(fetch) }
        }
        other => other,
    }
}

/// The leader of epoch 1 of three voters, whose own log is fsynced up to offset 3.
fn leader() -> (Raft, u64) {
    let (mut raft, _) = Raft::start(config(""), formatted(&[1, 2, 3]), 7, at(0)).unwrap();
    let due = raft.next_deadline().unwrap();
    step(&mut raft, Event::Tick, due);
    for (id, epoch) in [(0, 0), (2, 1)] {
        let vote = QuorumReply::Vote { view: view(None, epoch), granted: true };
        step(&mut raft, Event::Response { id, result: Ok(vote) }, due);
    }
    step(&mut raft, flushed(1, 3), due);
    assert!(raft.is_leader());
    (raft, due)
}

#[test]
fn the_high_watermark_is_what_a_majority_has_on_disk() {
    let (mut raft, now) = leader();
    assert_eq!(raft.high_watermark(), None);
    let read = |from| format!("Records(Log {{ from: {from}, end: 3, max_bytes: 100 }})");
    assert_eq!(
        step(&mut raft, fetch(1, key(2), 1, end(0, 0)), now),
        [format!("reply 1 NONE epoch 1 {} hw -1", read(0))]
    );
    let elsewhere = ReplicaKey::new(2, Uuid([9; 16]));
    let stranger = [format!("reply 2 NONE epoch 1 {} hw -1", read(3))];
    assert_eq!(step(&mut raft, fetch(2, elsewhere, 1, end(1, 3)), now), stranger, "another disk is another replica");
    assert_eq!(
        step(&mut raft, fetch(3, key(2), 1, end(1, 3)), now),
        ["commit 3".to_owned(), "activate epoch 1 from 0".to_owned(), format!("reply 3 NONE epoch 1 {} hw 3", read(3))]
    );
}

#[test]
fn a_fetch_without_news_waits_for_them() {
    let (mut raft, now) = leader();
    step(&mut raft, fetch(1, key(2), 1, end(1, 3)), now);
    let told = KnownHighWatermark::At(offset(3));
    assert!(step(&mut raft, held(2, key(2), end(1, 3), told), now).is_empty());
    assert!(step(&mut raft, held(3, key(3), end(1, 3), KnownHighWatermark::NotTold), now).is_empty());
    let proposed = raft.propose(LeaderEpoch(1), &[Bytes::from_static(b"x")], at(now)).unwrap();
    assert_eq!(transcript(&proposed.actions)[0], "append 3..=3 epoch 1 data");
    let news = "Records(Log { from: 3, end: 4, max_bytes: 100 }) hw 3";
    assert_eq!(
        transcript(&proposed.actions)[2..],
        [format!("reply 2 NONE epoch 1 {news}"), format!("reply 3 NONE epoch 1 {news}")],
        "the log has grown"
    );
    step(&mut raft, flushed(1, 4), now);
    assert!(step(&mut raft, held(4, key(3), end(1, 4), told), now + 1)[0].starts_with("commit 4"));
    assert!(step(&mut raft, held(5, key(2), end(1, 4), KnownHighWatermark::At(offset(4))), now + 1).is_empty());
    assert_eq!(raft.next_deadline(), Some(now + 501));
    let nothing = "Records(Log { from: 4, end: 4, max_bytes: 100 }) hw 4";
    assert_eq!(
        step(&mut raft, Event::Tick, now + 501),
        [format!("reply 5 NONE epoch 1 {nothing}")],
        "it has waited long enough"
    );
}

#[test]
fn a_held_fetch_is_answered_when_the_epoch_ends_and_when_its_replica_asks_again() {
    let (mut raft, now) = leader();
    step(&mut raft, fetch(1, key(2), 1, end(1, 3)), now);
    let told = KnownHighWatermark::At(offset(3));
    step(&mut raft, held(2, key(2), end(1, 3), told), now);
    let again = step(&mut raft, held(3, key(2), end(1, 3), told), now);
    assert_eq!(again, ["reply 2 NONE epoch 1 Records(Log { from: 3, end: 3, max_bytes: 100 }) hw 3"]);
    let actions = step(&mut raft, Event::Resign { epoch: LeaderEpoch(1) }, now);
    assert_eq!(actions[1], "reply 3 NOT_LEADER_OR_FOLLOWER epoch 1 Nothing hw -1");
}

#[test]
fn a_fetch_that_does_not_fit_gets_kafkas_answer() {
    let (mut raft, now) = leader();
    let mut said = |replica, epoch, log_end| step(&mut raft, fetch(1, replica, epoch, log_end), now)[0].clone();
    assert_eq!(said(key(2), 0, end(0, 0)), "reply 1 FENCED_LEADER_EPOCH epoch 1 Nothing hw -1");
    assert_eq!(said(key(2), 2, end(0, 0)), "reply 1 UNKNOWN_LEADER_EPOCH epoch 1 Nothing hw -1");
    assert_eq!(said(key(2), 1, end(2, 0)), "reply 1 INVALID_REQUEST epoch 1 Nothing hw -1");
    assert_eq!(said(key(1), 1, end(1, 3)), "reply 1 UNKNOWN_SERVER_ERROR epoch 1 Nothing hw -1");
    let diverges = |end| format!("reply 1 NONE epoch 1 Diverging({end:?}) hw -1");
    assert_eq!(said(key(2), 1, end(1, 4)), diverges(end(1, 3)), "its log is longer");
    assert_eq!(said(key(2), 1, end(0, 2)), diverges(end(0, 0)), "it has an epoch that this log has not");
    let (mut follower, _) = Raft::start(config(""), formatted(&[1, 2, 3]), 7, at(0)).unwrap();
    let actions = step(&mut follower, fetch(1, key(2), 0, end(0, 0)), 1);
    assert_eq!(actions, ["reply 1 NOT_LEADER_OR_FOLLOWER epoch 0 Nothing hw -1"]);
}

#[test]
fn a_fetch_below_the_log_start_gets_the_newest_snapshot() {
    let (mut raft, now) = leader();
    step(&mut raft, fetch(1, key(2), 1, end(1, 3)), now);
    let snapshot = SnapshotId::new(3, 1);
    step(&mut raft, Event::SnapshotMade(snapshot), now);
    step(&mut raft, Event::LogStartMoved { start: offset(3) }, now);
    let mut said = |log_end| step(&mut raft, fetch(1, key(3), 1, log_end), now)[0].clone();
    for log_end in [end(0, 0), end(1, 2), end(0, 3)] {
        assert_eq!(said(log_end), "reply 1 NONE epoch 1 Snapshot(3-1) hw 3", "{log_end:?}");
    }
    assert!(said(end(1, 3)).contains("Records"));
    let mut asked = |id, position| {
        let (replica, epoch) = (Some(key(3)), LeaderEpoch(1));
        let request = QuorumRequest::FetchSnapshot(FetchSnapshotRequest { replica, epoch, id, position, max_bytes: 9 });
        step(&mut raft, Event::Request { id: 2, request }, now)[0].clone()
    };
    let piece =
        "Some(SnapshotPiece { id: 3-1, size: 0, position: 7, bytes: Snapshot { id: 3-1, position: 7, max_bytes: 9 } })";
    assert_eq!(asked(snapshot, 7), format!("reply 2 NONE epoch 1 {piece}"));
    assert_eq!(asked(SnapshotId::new(2, 1), 0), "reply 2 SNAPSHOT_NOT_FOUND epoch 1 None");
    assert_eq!(asked(SnapshotId::BOOTSTRAP, 0), "reply 2 SNAPSHOT_NOT_FOUND epoch 1 None");
}

#[test]
fn a_leader_without_a_majority_resigns_and_says_so() {
    let (mut raft, now) = leader();
    step(&mut raft, fetch(1, key(2), 1, end(1, 3)), now + 2999);
    assert!(step(&mut raft, Event::Tick, now + 3000).iter().all(|line| !line.starts_with("leader")));
    assert!(raft.is_leader(), "one of the two others is enough");
    let stranger = ReplicaKey::new(3, Uuid([9; 16]));
    step(&mut raft, fetch(2, stranger, 1, end(1, 3)), now + 5998);
    let actions = step(&mut raft, Event::Tick, now + 5999);
    assert_eq!(actions[0], "leader None epoch 1");
    assert!(actions[1].ends_with(&format!("end epoch 1, next [{:?}, {:?}]", key(2), key(3))), "the longest log first");
    assert_eq!(raft.role(), RoleName::Resigned);
}

#[test]
fn the_leader_describes_who_fetches() {
    let (mut raft, now) = leader();
    let observer = ReplicaKey::new(9, Uuid([9; 16]));
    step(&mut raft, fetch(1, observer, 1, end(0, 0)), now + 10);
    step(&mut raft, fetch(2, key(2), 1, end(1, 3)), now + 20);
    let quorum = raft.describe(at(now + 30)).unwrap();
    let described = |key, end, fetched, caught_up: Option<u64>| ReplicaDescription {
        key,
        log_end: Some(offset(end)),
        last_fetch: Some(at(now + fetched).wall),
        last_caught_up: caught_up.map(|ms| at(now + ms).wall),
    };
    assert_eq!(quorum.voters[1], described(key(2), 3, 20, Some(20)));
    assert_eq!(quorum.voters[2].log_end, None);
    assert_eq!(quorum.observers, [described(observer, 0, 10, None)]);
    // It has what the leader had at its fetch before: it was caught up then.
    raft.propose(LeaderEpoch(1), &[Bytes::from_static(b"x")], at(now + 30)).unwrap();
    step(&mut raft, fetch(3, observer, 1, end(1, 3)), now + 40);
    assert_eq!(raft.describe(at(now + 50)).unwrap().observers, [described(observer, 3, 40, Some(10))]);
    assert!(raft.describe(at(now + 40 + 300_000)).unwrap().observers.is_empty(), "it has gone");
}

fn follow(raft: &mut Raft, leader: i32, epoch: i32, ms: u64) -> Vec<String> {
    let begin = BeginQuorumEpochRequest {
        leader: BrokerId(leader),
        epoch: LeaderEpoch(epoch),
        voter: Some(key(1)),
        leader_endpoints: Vec::new(),
    };
    step(raft, Event::Request { id: 1, request: QuorumRequest::BeginQuorumEpoch(begin) }, ms)
}

fn answer(id: u64, leader: i32, epoch: i32, high_watermark: i64, content: FetchContent<Bytes>) -> Event {
    let reply = FetchReply {
        view: view(Some(leader), epoch),
        high_watermark: Offset::from_wire(high_watermark),
        log_start: offset(0),
        content,
    };
    Event::Response { id, result: Ok(QuorumReply::Fetch(reply)) }
}

fn records(batches: &[(i64, i32)]) -> FetchContent<Bytes> {
    let batch = |(base, epoch): &(i64, i32)| {
        let value = [Bytes::from_static(b"x")];
        batch::data_batch(offset(*base), LeaderEpoch(*epoch), Timestamp(1), &value).unwrap().to_vec()
    };
    FetchContent::Records(batches.iter().flat_map(batch).collect::<Vec<u8>>().into())
}

/// A follower of leader 2 in epoch 1.
fn follower() -> Raft {
    let (mut raft, _) = Raft::start(config(""), formatted(&[1, 2, 3]), 7, at(0)).unwrap();
    let actions = follow(&mut raft, 2, 1, 10);
    assert_eq!(actions.last().unwrap(), "send 0 to 2: fetch epoch 1 from 0@0 hw Unknown wait 500");
    raft
}

#[test]
fn a_follower_appends_then_syncs_then_acknowledges() {
    let mut raft = follower();
    let actions = step(&mut raft, answer(0, 2, 1, 1, records(&[(0, 1), (1, 1)])), 20);
    assert_eq!(actions, ["append 0..=0 epoch 1 data", "append 1..=1 epoch 1 data", "flush 2@1", "commit 1"]);
    assert_eq!(raft.next_deadline(), Some(2020), "the leader is alive");
    assert_eq!(raft.last_answer(), Some((BrokerId(2), at(20).monotonic)));
    let actions = step(&mut raft, flushed(1, 2), 30);
    assert_eq!(actions, ["send 1 to 2: fetch epoch 1 from 2@1 hw At(1) wait 500"]);
    let actions = step(&mut raft, answer(1, 2, 1, 9, records(&[])), 40);
    assert_eq!(actions, ["commit 2", "send 2 to 2: fetch epoch 1 from 2@1 hw At(2) wait 500"]);
}

#[test]
fn what_does_not_follow_the_log_is_not_appended() {
    let mut raft = follower();
    let FetchContent::Records(good) = records(&[(0, 1), (1, 1)]) else { unreachable!() };
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for content in [records(&[(1, 1)]), records(&[(0, 2)]), FetchContent::Records(good.slice(..50))] {
        let actions = step(&mut raft, answer(0, 2, 1, 2, content), 20);
        assert!(actions.is_empty(), "{actions:?}");
        raft = follower();
    }
    let actions = step(&mut raft, answer(0, 2, 1, 2, FetchContent::Records(damaged.into())), 20);
    assert_eq!(actions, ["append 0..=0 epoch 1 data", "flush 1@1", "commit 1"], "what is before the damage counts");
}

#[test]
fn a_log_that_differs_is_truncated_but_not_below_what_is_committed() {
    let mut raft = follower();
    step(&mut raft, answer(0, 2, 1, 1, records(&[(0, 1), (1, 1), (2, 1)])), 20);
    step(&mut raft, flushed(1, 3), 30);
    follow(&mut raft, 3, 2, 40);
    let actions = step(&mut raft, answer(2, 3, 2, -1, FetchContent::Diverging(end(1, 2))), 50);
    assert_eq!(actions, ["truncate 2", "flush 2@1", "send 3 to 3: fetch epoch 2 from 2@1 hw At(1) wait 500"]);
    assert!(step(&mut raft, flushed(1, 3), 60).is_empty(), "a flush of what is truncated counts for nothing");
    let fault = raft.step(answer(3, 3, 2, -1, FetchContent::Diverging(end(1, 0))), at(60)).unwrap_err();
    assert!(matches!(fault, Fault::TruncationOfCommitted { end: Offset(0), committed: Offset(1) }), "{fault}");
}

#[test]
fn a_fetch_response_of_an_earlier_epoch_changes_nothing() {
    let late = || {
        let mut raft = follower();
        step(&mut raft, answer(0, 2, 1, -1, records(&[(0, 1), (1, 1), (2, 1)])), 20);
        step(&mut raft, flushed(1, 3), 30);
        follow(&mut raft, 3, 2, 40);
        step(&mut raft, answer(1, 2, 1, -1, FetchContent::Diverging(end(1, 2))), 50)
    };
    assert!(late().is_empty());
    #[cfg(feature = "planted-bugs")]
    {
        planted::plant(Some(planted::Bug::StaleFetchResponseTaken));
        let actions = late();
        planted::plant(None);
        assert_eq!(actions[0], "truncate 2", "the planted bug is caught: what was acknowledged is gone");
    }
}

#[test]
fn a_snapshot_is_downloaded_checked_and_installed() {
    let mut raft = follower();
    let actions = step(&mut raft, answer(0, 2, 1, 7, FetchContent::Snapshot(SnapshotId::new(7, 1))), 20);
    assert_eq!(actions, ["send 1 to 2: fetch-snapshot epoch 1 7-1 from 0"]);
    let piece = |id, position, bytes: &'static [u8]| {
        let snapshot = SnapshotId::new(7, 1);
        let piece = SnapshotPiece { id: snapshot, size: 5, position, bytes: Bytes::from_static(bytes) };
        let reply = FetchSnapshotReply { view: view(Some(2), 1), piece: Some(piece) };
        Event::Response { id, result: Ok(QuorumReply::FetchSnapshot(reply)) }
    };
    let actions = step(&mut raft, piece(1, 0, b"abc"), 30);
    assert_eq!(actions, ["write 7-1 at 0 len 3", "send 2 to 2: fetch-snapshot epoch 1 7-1 from 3"]);
    assert_eq!(step(&mut raft, piece(2, 3, b"de"), 40), ["write 7-1 at 3 len 2", "check 7-1"]);
    assert_eq!(raft.next_deadline(), None, "the leader's silence means nothing while the snapshot is read");
    let voters = VoterSet::new([voter(1), voter(2)]);
    let control_records = Some(vec![
        ControlRecord::SnapshotHeader { last_contained_log_timestamp: Timestamp(1) },
        ControlRecord::KRaftVersion(KRaftVersion::V1),
        ControlRecord::Voters(voters.clone()),
    ]);
    let checked = Event::SnapshotChecked { id: SnapshotId::new(7, 1), control_records };
    let actions = step(&mut raft, checked, 5000);
    let next = "send 3 to 2: fetch epoch 1 from 7@1 hw At(7) wait 500";
    assert_eq!(actions, ["install 7-1", "commit 7", next]);
    assert_eq!((raft.voters(), raft.log().start, raft.log().end), (&voters, offset(7), offset(7)));
}

#[test]
fn a_damaged_snapshot_is_downloaded_again_from_its_beginning() {
    let mut raft = follower();
    let snapshot = SnapshotId::new(7, 1);
    step(&mut raft, answer(0, 2, 1, 7, FetchContent::Snapshot(snapshot)), 20);
    let piece = SnapshotPiece { id: snapshot, size: 1, position: 0, bytes: Bytes::from_static(b"x") };
    let reply = FetchSnapshotReply { view: view(Some(2), 1), piece: Some(piece) };
    step(&mut raft, Event::Response { id: 1, result: Ok(QuorumReply::FetchSnapshot(reply)) }, 30);
    let damaged = Event::SnapshotChecked { id: snapshot, control_records: None };
    assert!(step(&mut raft, damaged, 40).is_empty());
    let actions = step(&mut raft, Event::Tick, 60);
    assert_eq!(actions, ["send 2 to 2: fetch epoch 1 from 0@0 hw Unknown wait 500"]);
    step(&mut raft, answer(2, 2, 1, 7, FetchContent::Snapshot(snapshot)), 70);
    let mut view = view(Some(2), 1);
    view.error = ErrorCode::SnapshotNotFound;
    let gone = FetchSnapshotReply { view, piece: None };
    assert!(step(&mut raft, Event::Response { id: 3, result: Ok(QuorumReply::FetchSnapshot(gone)) }, 80).is_empty());
    assert!(step(&mut raft, Event::Tick, 100)[0].starts_with("send 4 to 2: fetch epoch 1 from 0@0"));
}

#[test]
fn an_observer_asks_the_bootstrap_servers_for_the_leader() {
    let server = |port| Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port };
    let config = Config { bootstrap_servers: vec![server(71), server(72)], ..config("") };
    let (mut raft, actions) = Raft::start(config, Stored::default(), 0, at(0)).unwrap();
    assert_eq!(
        transcript(&actions[1..]),
        ["leader None epoch 0", "send 0 to port 71: fetch epoch 0 from 0@0 hw Unknown wait 500"]
    );
    let failed = Event::Response { id: 0, result: Err(ErrorCode::NetworkException) };
    let actions = step(&mut raft, failed, 1);
    assert_eq!(actions, ["send 1 to port 72: fetch epoch 0 from 0@0 hw Unknown wait 500"]);
    let mut reply = FetchReply {
        view: view(Some(2), 4),
        high_watermark: None,
        log_start: offset(0),
        content: FetchContent::Nothing,
    };
    reply.view.error = ErrorCode::FencedLeaderEpoch;
    reply.view.leader_endpoints = vec![server(73)];
    let actions = step(&mut raft, Event::Response { id: 1, result: Ok(QuorumReply::Fetch(reply)) }, 2);
    assert_eq!(actions[1..], ["leader Some(2) epoch 4", "send 2 to 2: fetch epoch 4 from 0@0 hw Unknown wait 500"]);
    assert_eq!(raft.leader_endpoints(), [server(73)]);
    assert_eq!(raft.next_deadline(), None, "an observer stands for no election");
    let failed = Event::Response { id: 2, result: Err(ErrorCode::NetworkException) };
    let actions = step(&mut raft, failed, 3);
    assert_eq!(actions, ["send 3 to port 71: fetch epoch 4 from 0@0 hw Unknown wait 500"], "is there another leader?");
}

#[test]
fn a_leader_that_only_quorum_state_names_is_announced_again_with_its_address() {
    let server = |port| Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port };
    let config = Config { bootstrap_servers: vec![server(71)], ..config("") };
    let stored = Stored { election: Some(election(4, Some(2), None)), ..Stored::default() };
    let (mut raft, actions) = Raft::start(config, stored, 0, at(0)).unwrap();
    let announced = "leader Some(2) epoch 4".to_owned();
    assert!(transcript(&actions).contains(&announced), "{actions:?}");
    assert!(raft.leader_endpoints().is_empty());
    let mut view = view(Some(2), 4);
    (view.error, view.leader_endpoints) = (ErrorCode::NotLeaderOrFollower, vec![server(73)]);
    let reply = FetchReply { view, high_watermark: None, log_start: offset(0), content: FetchContent::Nothing };
    let actions = step(&mut raft, Event::Response { id: 0, result: Ok(QuorumReply::Fetch(reply)) }, 1);
    assert!(actions.contains(&announced), "{actions:?}");
    assert_eq!(raft.leader_endpoints(), [server(73)]);
}

#[test]
fn a_leader_whose_connections_are_closed_is_replaced_before_the_fetch_timeout() {
    let mut raft = follower();
    step(&mut raft, answer(0, 2, 1, -1, records(&[])), 20);
    let lost = |id| Event::Response { id, result: Err(ErrorCode::NetworkException) };
    step(&mut raft, lost(1), 100);
    assert_eq!(raft.next_deadline(), Some(120), "once may be chance: it tries again");
    let again = step(&mut raft, Event::Tick, 120);
    assert!(again[0].starts_with("send 2 to 2: fetch"), "{again:?}");
    step(&mut raft, lost(2), 121);
    let pre_votes = step(&mut raft, Event::Tick, 121 + 20 + 200);
    assert_eq!((raft.role(), pre_votes.len()), (RoleName::Prospective, 2), "{pre_votes:?}");
    assert_eq!(raft.epoch(), LeaderEpoch(1), "the leader goes on if another voter still hears from it");
}

#[test]
fn a_leader_that_only_answers_late_is_given_the_fetch_timeout() {
    let mut raft = follower();
    step(&mut raft, answer(0, 2, 1, -1, records(&[])), 20);
    for (id, ms) in [(1, 100), (2, 130), (3, 160)] {
        step(&mut raft, Event::Response { id, result: Err(ErrorCode::RequestTimedOut) }, ms);
        step(&mut raft, Event::Tick, ms + 20);
    }
    step(&mut raft, Event::Tick, 2019);
    assert_eq!(raft.role(), RoleName::Follower);
    step(&mut raft, Event::Tick, 2020);
    assert_eq!(raft.role(), RoleName::Prospective);
}

#[test]
fn a_leader_holds_a_fetch_for_a_third_of_the_fetch_timeout_at_most() {
    for (fetch_ms, wait) in [(2_000, "wait 500"), (600, "wait 200")] {
        let timeouts = Timeouts { fetch_ms, ..Timeouts::default() };
        let (mut raft, _) = Raft::start(Config { timeouts, ..config("") }, formatted(&[1, 2, 3]), 7, at(0)).unwrap();
        let actions = follow(&mut raft, 2, 1, 10);
        assert!(actions.last().unwrap().ends_with(wait), "{actions:?}");
    }
}

//! Sessions as clients see them: the answers, and when another client's session evicts one. What a
//! client can see was compared with Apache Kafka 4.3.1.

use super::*;
use bytes::Bytes;
use protocol::Records;
use std::sync::atomic::{AtomicU64, Ordering};

const ROOM: usize = 1000;
/// Ids are never reused, so that no client gets another one's session by its own id.
static RANDOM: AtomicU64 = AtomicU64::new(7);
const LONG_MS: i64 = EVICTABLE_AFTER_MS + 1;

fn key(partition: i32) -> TargetKey {
    (TopicKey::Name("topic".into()), partition)
}

fn target(fetch_offset: i64) -> Target {
    Target { fetch_offset, current_leader_epoch: -1, last_fetched_epoch: -1, log_start_offset: -1, max_bytes: 1024 }
}

fn answer(high_watermark: i64) -> PartitionData {
    PartitionData { high_watermark, log_start_offset: 0, ..PartitionData::default() }
}

fn with_records(high_watermark: i64) -> PartitionData {
    PartitionData { records: Some(Records::Bytes(Bytes::from_static(b"batch"))), ..answer(high_watermark) }
}

/// A client and its session.
#[derive(Clone, Copy, Debug)]
struct Client {
    id: i32,
    epoch: i32,
    is_follower: bool,
    uses_topic_ids: bool,
    now: i64,
}

impl Client {
    fn at(now: i64) -> Self {
        Self { id: NO_SESSION, epoch: INITIAL_EPOCH, is_follower: false, uses_topic_ids: false, now }
    }

    fn follower_at(now: i64) -> Self {
        Self { is_follower: true, ..Self::at(now) }
    }

    fn request(&self) -> SessionRequest {
        SessionRequest {
            id: self.id,
            epoch: self.epoch,
            is_follower: self.is_follower,
            uses_topic_ids: self.uses_topic_ids,
        }
    }

    fn begin(&self, sessions: &FetchSessions, wanted: &[i32], forgotten: &[i32]) -> Result<SessionPlan, ErrorCode> {
        let wanted = wanted.iter().map(|partition| (key(*partition), target(0))).collect();
        let forgotten: Vec<TargetKey> = forgotten.iter().copied().map(key).collect();
        sessions.begin(Timestamp(self.now), self.request(), wanted, &forgotten)
    }

    /// Completes a plan with these answers. Returns the partitions that are answered.
    fn complete(
        &mut self,
        sessions: &FetchSessions,
        plan: &SessionPlan,
        say: impl Fn(i32) -> PartitionData,
    ) -> Result<Vec<i32>, ErrorCode> {
        let mut answers = plan.targets.iter().map(|(key, _)| (key.clone(), say(key.1))).collect();
        let random = RANDOM.fetch_add(1, Ordering::Relaxed);
        self.id = sessions.complete(Timestamp(self.now), self.request(), plan, random, &mut answers)?;
        self.epoch = if self.id == NO_SESSION { INITIAL_EPOCH } else { next_epoch(self.epoch) };
        Ok(answers.into_iter().map(|((_, partition), _)| partition).collect())
    }

    fn fetch(
        &mut self,
        sessions: &FetchSessions,
        wanted: &[i32],
        forgotten: &[i32],
        say: impl Fn(i32) -> PartitionData,
    ) -> Result<Vec<i32>, ErrorCode> {
        let plan = self.begin(sessions, wanted, forgotten)?;
        self.complete(sessions, &plan, say)
    }

    /// Opens a session with `size` partitions, if there is room.
    fn open(mut self, sessions: &FetchSessions, size: i32) -> Option<Self> {
        let wanted: Vec<i32> = (0..size).collect();
        self.fetch(sessions, &wanted, &[], |_| answer(0)).unwrap();
        (self.id != NO_SESSION).then_some(self)
    }

    /// Continues the session, if it still exists.
    fn go_on(&mut self, sessions: &FetchSessions, now: i64) -> bool {
        self.now = now;
        self.fetch(sessions, &[], &[], |_| answer(0)).is_ok()
    }
}

fn planned(plan: &SessionPlan) -> Vec<i32> {
    plan.targets.iter().map(|((_, partition), _)| *partition).collect()
}

#[test]
fn a_request_without_a_session_is_answered_whole_and_opens_none() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client { epoch: FINAL_EPOCH, ..Client::at(0) };
    for _ in 0..2 {
        let plan = client.begin(&sessions, &[0, 1], &[0]).unwrap();
        assert_eq!(plan.kind, SessionKind::Sessionless);
        assert_eq!(client.complete(&sessions, &plan, |_| answer(0)).unwrap(), [0, 1]);
        assert_eq!(client.id, NO_SESSION);
        client.epoch = FINAL_EPOCH;
    }
    assert!(sessions.is_empty());
}

#[test]
fn a_full_request_opens_a_session_whose_answers_have_only_changes() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    assert_eq!(client.fetch(&sessions, &[0, 1, 2], &[], |_| answer(5)).unwrap(), [0, 1, 2]);
    assert_ne!(client.id, NO_SESSION);
    assert_eq!(client.epoch, 1);
    // The request names nothing, and every partition is still read.
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    assert_eq!(plan.kind, SessionKind::Incremental { id: client.id, epoch: 2 });
    assert_eq!(planned(&plan), [0, 1, 2]);
    assert_eq!(client.complete(&sessions, &plan, |_| answer(5)).unwrap(), [0; 0]);
    // A changed high watermark is answered once.
    let moved = |partition| answer(if partition == 1 { 6 } else { 5 });
    assert_eq!(client.fetch(&sessions, &[], &[], moved).unwrap(), [1]);
    assert_eq!(client.fetch(&sessions, &[], &[], moved).unwrap(), [0; 0]);
    assert_eq!(sessions.len(), 1);
}

#[test]
fn every_change_is_answered() {
    let start = |it: i64| PartitionData { log_start_offset: it, ..answer(5) };
    let replica = PartitionData { preferred_read_replica: 2, ..answer(5) };
    let mut diverging = answer(5);
    diverging.diverging_epoch.epoch = 0;
    let mut snapshot = answer(5);
    snapshot.snapshot_id.epoch = 0;
    for (news, is_told_again) in
        [(with_records(5), true), (start(1), false), (replica, true), (diverging, true), (snapshot, true)]
    {
        let sessions = FetchSessions::new(ROOM);
        let mut client = Client::at(0);
        client.fetch(&sessions, &[0, 1], &[], |_| answer(5)).unwrap();
        let say = |partition| if partition == 1 { news.clone() } else { answer(5) };
        assert_eq!(client.fetch(&sessions, &[], &[], say).unwrap(), [1], "{news:?}");
        assert_eq!(client.fetch(&sessions, &[], &[], say).unwrap().len(), usize::from(is_told_again), "{news:?}");
    }
}

#[test]
fn an_error_is_answered_each_time_and_so_is_its_end() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    let code = ErrorCode::NotLeaderOrFollower.code();
    let failing = |_| PartitionData { error_code: code, log_start_offset: 0, ..answer(5) };
    client.fetch(&sessions, &[0], &[], |_| answer(5)).unwrap();
    assert_eq!(client.fetch(&sessions, &[], &[], failing).unwrap(), [0]);
    assert_eq!(client.fetch(&sessions, &[], &[], failing).unwrap(), [0]);
    assert_eq!(client.fetch(&sessions, &[], &[], |_| answer(5)).unwrap(), [0]);
    assert_eq!(client.fetch(&sessions, &[], &[], |_| answer(5)).unwrap(), [0; 0]);
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    client.fetch(&sessions, &[0, 1, 2], &[], |_| answer(0)).unwrap();
    // A new partition is answered even if it is empty. A forgotten one, known or not, is not read.
    let plan = client.begin(&sessions, &[3], &[1, 9]).unwrap();
    assert_eq!(planned(&plan), [0, 2, 3]);
    assert_eq!(client.complete(&sessions, &plan, |_| answer(0)).unwrap(), [3]);
    // A changed target keeps its position.
    let wanted = vec![(key(0), Target { max_bytes: 1, ..target(17) })];
    let plan = sessions.begin(Timestamp(0), client.request(), wanted, &[]).unwrap();
    assert_eq!(planned(&plan), [0, 2, 3]);
    assert_eq!((plan.targets[0].1.fetch_offset, plan.targets[0].1.max_bytes), (17, 1));
    assert_eq!(plan.targets[1].1, target(0));
    assert_eq!(client.complete(&sessions, &plan, |_| answer(0)).unwrap(), [0; 0]);
    // A partition that is forgotten and named later starts again.
    client.fetch(&sessions, &[], &[0], |_| answer(0)).unwrap();
    assert_eq!(client.fetch(&sessions, &[0], &[], |_| answer(0)).unwrap(), [0]);
}

#[test]
fn a_session_whose_partitions_are_all_forgotten_ends() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    client.fetch(&sessions, &[0, 1], &[], |_| answer(0)).unwrap();
    let old = client;
    assert_eq!(client.fetch(&sessions, &[], &[0, 1], |_| answer(0)).unwrap(), [0; 0]);
    assert_eq!(client.id, NO_SESSION);
    assert!(sessions.is_empty());
    assert_eq!(old.begin(&sessions, &[0], &[]).unwrap_err(), ErrorCode::FetchSessionIdNotFound);
    // What the last request both names and forgets is answered.
    let mut client = Client::at(0).open(&sessions, 2).unwrap();
    assert_eq!(client.fetch(&sessions, &[2, 2], &[0, 1, 2], |_| answer(0)).unwrap(), [2]);
    assert_eq!(client.id, NO_SESSION);
}

#[test]
fn a_session_may_begin_without_partitions() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    assert_eq!(client.fetch(&sessions, &[], &[], |_| answer(0)).unwrap(), [0; 0]);
    assert_ne!(client.id, NO_SESSION);
    assert_eq!(client.fetch(&sessions, &[4], &[], |_| answer(0)).unwrap(), [4]);
    assert_eq!(client.fetch(&sessions, &[], &[], |_| answer(0)).unwrap(), [0; 0]);
}

#[test]
fn a_full_request_names_each_partition_once() {
    let sessions = FetchSessions::new(ROOM);
    let wanted = vec![(key(0), target(1)), (key(1), target(2)), (key(0), target(3))];
    let plan = sessions.begin(Timestamp(0), Client::at(0).request(), wanted, &[]).unwrap();
    assert_eq!(plan.targets, [(key(0), target(3)), (key(1), target(2))]);
}

#[test]
fn another_epoch_is_refused_and_changes_nothing() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0);
    client.fetch(&sessions, &[0], &[], |_| answer(0)).unwrap();
    client.fetch(&sessions, &[], &[], |_| answer(0)).unwrap();
    for epoch in [1, 3, i32::MAX, i32::MIN, -2] {
        let lost = Client { epoch, ..client };
        assert_eq!(lost.begin(&sessions, &[1], &[0]).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch, "{epoch}");
    }
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    assert_eq!(planned(&plan), [0]);
}

#[test]
fn an_unknown_session_is_not_found() {
    let sessions = FetchSessions::new(ROOM);
    let client = Client::at(0).open(&sessions, 1).unwrap();
    for (id, epoch) in [(i32::MAX, 1), (NO_SESSION, 1), (NO_SESSION, -2), (-client.id, 1)] {
        let lost = Client { id, epoch, ..client };
        assert_eq!(lost.begin(&sessions, &[0], &[]).unwrap_err(), ErrorCode::FetchSessionIdNotFound, "{id} {epoch}");
    }
}

#[test]
fn a_session_uses_either_ids_or_names() {
    let sessions = FetchSessions::new(ROOM);
    for uses_topic_ids in [false, true] {
        let client = Client { uses_topic_ids, ..Client::at(0) }.open(&sessions, 1).unwrap();
        let other = Client { uses_topic_ids: !uses_topic_ids, ..client };
        assert_eq!(other.begin(&sessions, &[], &[]).unwrap_err(), ErrorCode::FetchSessionTopicIdError);
        // The epoch is checked first.
        let lost = Client { epoch: 5, ..other };
        assert_eq!(lost.begin(&sessions, &[], &[]).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
        assert!(client.begin(&sessions, &[], &[]).is_ok());
    }
}

#[test]
fn a_session_is_closed_by_its_final_epoch_and_replaced_by_its_initial_one() {
    let sessions = FetchSessions::new(ROOM);
    let first = Client::at(0).open(&sessions, 1).unwrap();
    let mut second = Client { epoch: INITIAL_EPOCH, ..first };
    assert_eq!(second.fetch(&sessions, &[0, 1], &[], |_| answer(0)).unwrap(), [0, 1]);
    assert_eq!((sessions.len(), second.epoch), (1, 1));
    let last = Client { epoch: FINAL_EPOCH, ..second };
    assert_eq!(last.begin(&sessions, &[0], &[]).unwrap().kind, SessionKind::Sessionless);
    assert!(sessions.is_empty());
    assert_eq!(second.begin(&sessions, &[], &[]).unwrap_err(), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn epochs_wrap_from_the_greatest_to_one() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0).open(&sessions, 1).unwrap();
    sessions.sessions.lock()[&client.id].session.lock().epoch = i32::MAX;
    client.epoch = i32::MAX;
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    assert_eq!(plan.kind, SessionKind::Incremental { id: client.id, epoch: 1 });
    client.complete(&sessions, &plan, |_| answer(0)).unwrap();
    assert_eq!(client.epoch, 1);
    client.fetch(&sessions, &[], &[], |_| answer(0)).unwrap();
    assert_eq!(client.epoch, 2);
}

#[test]
fn an_answer_to_an_older_epoch_is_refused() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0).open(&sessions, 1).unwrap();
    let overtaken = client.begin(&sessions, &[], &[]).unwrap();
    let mut next = Client { epoch: 2, ..client };
    next.fetch(&sessions, &[], &[], |_| answer(0)).unwrap();
    let refused = client.complete(&sessions, &overtaken, |_| answer(1)).unwrap_err();
    assert_eq!(refused, ErrorCode::InvalidFetchSessionEpoch);
    // The request that continued the session has the news.
    assert_eq!(next.fetch(&sessions, &[], &[], |_| answer(1)).unwrap(), [0]);
}

#[test]
fn an_answer_of_an_evicted_session_is_complete() {
    let sessions = FetchSessions::new(1);
    let mut client = Client::at(0).open(&sessions, 1).unwrap();
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    Client::at(LONG_MS).open(&sessions, 1).unwrap();
    let id = client.id;
    assert_eq!(client.complete(&sessions, &plan, |_| answer(0)).unwrap(), [0]);
    assert_eq!(client.id, id);
}

#[test]
fn partitions_with_records_move_to_the_end() {
    let sessions = FetchSessions::new(ROOM);
    let mut client = Client::at(0).open(&sessions, 5).unwrap();
    let serve = |served: &'static [i32]| move |it: i32| if served.contains(&it) { with_records(0) } else { answer(0) };
    assert_eq!(client.fetch(&sessions, &[], &[], serve(&[0, 2])).unwrap(), [0, 2]);
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    assert_eq!(planned(&plan), [1, 3, 4, 0, 2]);
    // An answer without records does not change the order.
    client.complete(&sessions, &plan, |_| answer(9)).unwrap();
    let plan = client.begin(&sessions, &[], &[]).unwrap();
    assert_eq!(planned(&plan), [1, 3, 4, 0, 2]);
    client.complete(&sessions, &plan, serve(&[1, 0])).unwrap();
    assert_eq!(planned(&client.begin(&sessions, &[7], &[3]).unwrap()), [4, 2, 1, 0, 7]);
}

#[test]
fn a_session_begins_in_the_order_of_the_first_answer() {
    let sessions = FetchSessions::new(ROOM);
    let client = Client::at(0);
    let plan = client.begin(&sessions, &[0, 1, 2], &[]).unwrap();
    let mut answers = [1, 2, 0].map(|partition| (key(partition), with_records(0))).to_vec();
    let id = sessions.complete(Timestamp(0), client.request(), &plan, 7, &mut answers).unwrap();
    let client = Client { id, epoch: 1, ..client };
    assert_eq!(planned(&client.begin(&sessions, &[], &[]).unwrap()), [1, 2, 0]);
}

#[test]
fn ids_are_positive_and_never_shared() {
    let sessions = FetchSessions::new(ROOM);
    for random in [0, 0, u64::MAX, u64::MAX, 1 << 31, 0x7fff_ffff, 0x7fff_fffe] {
        let client = Client::at(0);
        let plan = client.begin(&sessions, &[0], &[]).unwrap();
        let mut answers = vec![(key(0), answer(0))];
        assert!(sessions.complete(Timestamp(0), client.request(), &plan, random, &mut answers).unwrap() > NO_SESSION);
    }
    assert_eq!(sessions.len(), 7);
}

#[test]
fn without_slots_there_are_no_sessions() {
    let sessions = FetchSessions::new(0);
    assert!(Client::at(0).open(&sessions, 1).is_none());
    assert!(Client::follower_at(LONG_MS).open(&sessions, 100).is_none());
}

#[test]
fn a_consumer_does_not_evict_consumers_in_use() {
    let sessions = FetchSessions::new(2);
    let (mut one, mut other) = (Client::at(0).open(&sessions, 1).unwrap(), Client::at(0).open(&sessions, 1).unwrap());
    assert!(Client::at(EVICTABLE_AFTER_MS).open(&sessions, 100).is_none());
    assert!(one.go_on(&sessions, EVICTABLE_AFTER_MS) && other.go_on(&sessions, EVICTABLE_AFTER_MS));
}

#[test]
fn a_session_that_is_long_unused_is_evicted_for_any_other() {
    let sessions = FetchSessions::new(2);
    let mut used = Client::at(0).open(&sessions, 1).unwrap();
    let mut unused = Client::follower_at(0).open(&sessions, 100).unwrap();
    assert!(used.go_on(&sessions, 1));
    // One millisecond too few.
    assert!(Client::at(EVICTABLE_AFTER_MS).open(&sessions, 1).is_none());
    assert!(Client::at(LONG_MS).open(&sessions, 1).is_some());
    assert!(used.go_on(&sessions, LONG_MS) && !unused.go_on(&sessions, LONG_MS));
}

#[test]
fn a_follower_evicts_the_smallest_consumer_at_once() {
    let sessions = FetchSessions::new(3);
    let mut large = Client::at(0).open(&sessions, 9).unwrap();
    let mut small = Client::at(0).open(&sessions, 2).unwrap();
    let mut follower = Client::follower_at(0).open(&sessions, 1).unwrap();
    let mut another = Client::follower_at(0).open(&sessions, 1).unwrap();
    assert!(large.go_on(&sessions, 1) && follower.go_on(&sessions, 1) && another.go_on(&sessions, 1));
    assert!(!small.go_on(&sessions, 1));
    Client::follower_at(1).open(&sessions, 1).unwrap();
    assert!(!large.go_on(&sessions, 1));
    // Among followers, none is evicted before its time, however large the new session is.
    assert!(Client::follower_at(1).open(&sessions, 100).is_none());
    assert!(follower.go_on(&sessions, 1) && another.go_on(&sessions, 1));
}

#[test]
fn a_session_that_had_its_time_is_evicted_for_a_larger_one() {
    for (is_follower, may_go) in [(false, true), (true, false)] {
        let sessions = FetchSessions::new(1);
        let mut old = Client { is_follower, ..Client::at(0) }.open(&sessions, 3).unwrap();
        assert!(old.go_on(&sessions, LONG_MS));
        assert!(Client::at(LONG_MS).open(&sessions, 2).is_none());
        assert!(Client::at(LONG_MS).open(&sessions, 3).is_none());
        assert_eq!(Client::at(LONG_MS).open(&sessions, 4).is_some(), may_go);
        assert_eq!(old.go_on(&sessions, LONG_MS), !may_go);
    }
    let sessions = FetchSessions::new(1);
    let mut old = Client::follower_at(0).open(&sessions, 3).unwrap();
    assert!(old.go_on(&sessions, LONG_MS));
    assert!(Client::follower_at(LONG_MS).open(&sessions, 4).is_some());
    assert!(!old.go_on(&sessions, LONG_MS));
}

#[test]
fn a_session_has_had_its_time_only_when_it_is_used_after_it() {
    let sessions = FetchSessions::new(1);
    let mut old = Client::at(0).open(&sessions, 1).unwrap();
    assert!(old.go_on(&sessions, EVICTABLE_AFTER_MS));
    assert!(Client::at(LONG_MS).open(&sessions, 9).is_none());
    assert!(old.go_on(&sessions, LONG_MS));
    assert!(Client::at(LONG_MS).open(&sessions, 9).is_some());
}

#[test]
fn a_session_in_use_does_not_block_another() {
    let sessions = FetchSessions::new(8);
    let mut ids = Vec::new();
    for random in 1..3 {
        let request = SessionRequest { id: NO_SESSION, epoch: 0, is_follower: false, uses_topic_ids: true };
        let plan = sessions.begin(Timestamp(0), request, Vec::new(), &[]).unwrap();
        ids.push(sessions.complete(Timestamp(0), request, &plan, random, &mut Vec::new()).unwrap());
    }
    let busy = sessions.slot(ids[0]).unwrap();
    let _in_use = busy.session.lock();
    let request = SessionRequest { id: ids[1], epoch: 1, is_follower: false, uses_topic_ids: true };
    assert!(sessions.begin(Timestamp(0), request, Vec::new(), &[]).is_ok());
    assert_eq!(sessions.len(), 1);
}

//! Tests with random requests of clients of every version, late and repeated outcomes, failures,
//! clocks and failovers. After each step the harness checks that the log contains all replicated
//! state, and that every request gets exactly one reply.

use super::{Harness, Leaders, add, end, init, outcome_of, producer, verify};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::{MarkerOutcome, ProducerIdAndEpoch, TransactionMarkers};
use crate::{Command, Entry, ReplyId, TransactionEvent, TransactionReply};
use model::{ErrorCode, ProducerId};
use proptest::prelude::*;
use protocol::TransactionRecord;
use std::collections::HashMap;

/// The harness replays the log after every step, so that even a few cases take some time.
const CASES: u32 = 96;
const IDS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Init { who: usize, expects: Option<bool> },
    Add { who: usize, epoch_back: i16, partition: i32 },
    Verify { who: usize },
    End { who: usize, epoch_back: i16, committed: bool },
    Outcome { which: usize, outcome: MarkerOutcome, repeats: bool },
    Allocate { fails: bool },
    Wait { ms: i64 },
    SetWallClock { ahead_ms: i64 },
    Exhaust { who: usize },
    FailNext { code: usize },
    FailOver,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..IDS.len();
    let epoch_back = prop_oneof![6 => Just(0i16), 1 => Just(1), 1 => Just(-1)];
    let outcome = prop_oneof![
        6 => Just(MarkerOutcome::Written),
        1 => Just(MarkerOutcome::Gone),
        3 => Just(MarkerOutcome::Retry),
        1 => Just(MarkerOutcome::Fenced),
    ];
    prop_oneof![
        3 => (who.clone(), any::<Option<bool>>()).prop_map(|(who, expects)| Step::Init { who, expects }),
        8 => (who.clone(), epoch_back.clone(), 0i32..20)
            .prop_map(|(who, epoch_back, partition)| Step::Add { who, epoch_back, partition }),
        1 => who.clone().prop_map(|who| Step::Verify { who }),
        6 => (who.clone(), epoch_back, any::<bool>())
            .prop_map(|(who, epoch_back, committed)| Step::End { who, epoch_back, committed }),
        6 => (0usize..8, outcome, prop::bool::weighted(0.2))
            .prop_map(|(which, outcome, repeats)| Step::Outcome { which, outcome, repeats }),
        3 => prop::bool::weighted(0.2).prop_map(|fails| Step::Allocate { fails }),
        3 => prop_oneof![0i64..50, 1_000i64..70_000].prop_map(|ms| Step::Wait { ms }),
        1 => (0i64..2_000_000_000).prop_map(|ahead_ms| Step::SetWallClock { ahead_ms }),
        1 => who.prop_map(|who| Step::Exhaust { who }),
        2 => (0usize..3).prop_map(|code| Step::FailNext { code }),
        1 => Just(Step::FailOver),
    ]
}

struct World {
    h: Harness,
    client: i16,
    next_id: i64,
    /// The EndTxns that are under way.
    ends: HashMap<ReplyId, (ProducerIdAndEpoch, bool)>,
    /// Markers that were sent, for outcomes that come twice or late.
    seen: Vec<TransactionMarkers>,
}

impl World {
    fn new(version: i16) -> Self {
        let mut h = Harness::new(version);
        h.leaders = Leaders::Silent;
        h.producer_ids.clear();
        // Each search replays the log, and the clock runs for weeks.
        h.config.remove_expired_interval_ms = 7 * 24 * 3_600_000;
        let client = if version == 2 { 2 } else { 0 };
        Self { h, client, next_id: 1, ends: HashMap::new(), seen: Vec::new() }
    }

    /// The producer of a transactional id as its client would have it, or one that nobody is.
    fn current(&self, who: usize) -> ProducerIdAndEpoch {
        self.h.shard.state.transactions.get(IDS[who]).map_or(producer(0, 0), |it| it.producer)
    }

    fn with_epoch_back(&self, who: usize, back: i16) -> ProducerIdAndEpoch {
        let it = self.current(who);
        producer(it.id.0, it.epoch.0.saturating_sub(back))
    }

    fn allocate(&mut self, fails: bool) {
        let Some(token) = self.h.allocations.pop_front() else { return };
        self.next_id += 1;
        let result = if fails { Err(ErrorCode::CoordinatorLoadInProgress) } else { Ok(ProducerId(self.next_id)) };
        self.h.command(Command::Event(TransactionEvent::ProducerIdAllocated { token, result }));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Init { who, expects } => {
                let expected = expects.map(|current| self.with_epoch_back(who, i16::from(!current)));
                self.h.send(init(IDS[who], 60_000, expected));
            }
            Step::Add { who, epoch_back, partition } => {
                let it = self.with_epoch_back(who, epoch_back);
                self.h.send(add(IDS[who], it, self.client, &[("t", partition), ("u", partition / 2)]));
            }
            Step::Verify { who } => drop(self.h.send(verify(IDS[who], self.current(who), &[("t", 0)]))),
            Step::End { who, epoch_back, committed } => {
                let it = self.with_epoch_back(who, epoch_back);
                let id = self.h.send(end(IDS[who], it, self.client, committed));
                self.ends.insert(id, (it, committed));
            }
            Step::Outcome { which, outcome, repeats } => self.outcome(which, outcome, repeats),
            Step::Allocate { fails } => self.allocate(fails),
            Step::Wait { ms } => self.h.advance(ms),
            Step::SetWallClock { ahead_ms } => self.h.wall_ahead_ms = ahead_ms,
            Step::Exhaust { who } => {
                let Some(it) = self.h.shard.state.transactions.get(IDS[who]).cloned() else { return };
                if it.state.is_at_rest() && it.producer.epoch.0 < 100 {
                    // As after an InitProducerId: no transaction has ended in this epoch.
                    let state = TransactionState::Empty;
                    let producer = producer(it.producer.id.0, i16::MAX - 2);
                    self.h.stored(IDS[who], &Transaction { producer, state, ..it });
                }
            }
            Step::FailNext { code } => {
                let codes = [ErrorCode::NotEnoughReplicas, ErrorCode::KafkaStorageError, ErrorCode::MessageTooLarge];
                self.h.fail = Some(codes[code]);
            }
            Step::FailOver => self.h.fail_over(),
        }
        self.seen.extend(self.h.sent.iter().cloned());
        self.check_answers();
    }

    fn outcome(&mut self, which: usize, outcome: MarkerOutcome, repeats: bool) {
        let late = self.seen.len().checked_sub(1 + which);
        let markers = match repeats {
            true => late.map(|at| self.seen[at].clone()),
            false => self.h.sent.pop_front(),
        };
        let Some(markers) = markers else { return };
        self.h.command(Command::Event(outcome_of(&markers, outcome)));
    }

    /// An EndTxn that has succeeded is in the log: its transaction ended as the client wanted.
    fn check_answers(&mut self) {
        for (id, reply) in std::mem::take(&mut self.h.replies) {
            let Some((asked, committed)) = self.ends.remove(&id) else { continue };
            let TransactionReply::EndTxn(reply) = reply else { panic!("{reply:?}") };
            if reply.error_code != 0 {
                continue;
            }
            let epoch = if self.client == 2 { asked.epoch.0.saturating_add(1) } else { asked.epoch.0 };
            let status = if committed { 2 } else { 3 };
            let is_end = |(_, entry): &(_, Entry)| {
                let Entry::Record { key, value: Some(value) } = entry else { return false };
                let record = TransactionRecord::decode(key.clone(), Some(value.clone())).unwrap();
                let TransactionRecord::TransactionLog(_, Some(value)) = record else { return false };
                (value.producer_id, value.producer_epoch, value.transaction_status) == (asked.id.0, epoch, status)
            };
            assert!(self.h.log.iter().any(is_end), "{asked:?} {committed} {reply:?}");
        }
    }

    /// No faults any more: everything that was begun comes to its end.
    fn settle(&mut self) {
        self.h.fail = None;
        self.h.leaders = Leaders::Answer(MarkerOutcome::Written);
        self.h.fail_over();
        for _ in 0..8 {
            while !self.h.allocations.is_empty() {
                self.allocate(false);
            }
            self.h.advance(2_100_000_000);
        }
        self.check_answers();
        assert!(self.h.parked.is_empty() && self.ends.is_empty());
        assert!(self.h.shard.soft.markers.is_empty() && self.h.shard.soft.allocations.is_empty());
        assert!(self.h.shard.state.transactions.values().all(|it| it.state.is_at_rest()));
    }

    /// In version 2 an epoch ends one transaction, in one way. The epochs of an id never go back.
    fn check_log(&self) {
        let mut ends: HashMap<(i64, i16), i8> = HashMap::new();
        let mut last: HashMap<String, (i64, i16)> = HashMap::new();
        for (_, entry) in &self.h.log {
            let Entry::Record { key, value } = entry.clone() else { continue };
            let TransactionRecord::TransactionLog(key, value) = TransactionRecord::decode(key, value).unwrap();
            let Some(value) = value else {
                last.remove(key.transactional_id.as_str());
                continue;
            };
            let epoch = (value.producer_id, value.producer_epoch);
            if let Some(before) = last.insert(key.transactional_id.to_string(), epoch) {
                assert!(epoch >= before, "{epoch:?} after {before:?}");
            }
            if matches!(value.transaction_status, 2 | 3) && self.client == 2 {
                let way = ends.insert(epoch, value.transaction_status);
                assert!(way.is_none() || epoch.1 == i16::MAX, "{epoch:?} ends twice");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_log_says_it(version in 0i16..=2, steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new(version);
        for step in &steps {
            world.step(step);
        }
        world.settle();
        world.check_log();
    }
}

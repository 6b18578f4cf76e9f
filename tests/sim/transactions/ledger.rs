//! What the producers did and were told, and which transactions may therefore be seen.

use super::Check;
use super::broker::OffsetPlace;
use coordinator::transaction::ProducerIdAndEpoch;
use std::collections::{BTreeMap, BTreeSet};

/// What a producer knows of the end of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It did not ask for a commit, or has no answer.
    Unknown,
    Committed,
    Aborted,
}

/// A transaction as its producer sees it. Its number is its place in the ledger.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    user: usize,
    producer: ProducerIdAndEpoch,
    /// The records that were acknowledged, by partition.
    acknowledged: BTreeMap<usize, BTreeSet<u32>>,
    /// The records that a reader of committed records has read, by partition.
    seen: BTreeMap<usize, BTreeSet<u32>>,
    place: Option<OffsetPlace>,
    /// A commit reached the coordinator before a newer producer began.
    may_commit: bool,
    /// A newer producer has begun before that.
    is_fenced: bool,
    end: End,
    /// How many InitProducerIds of its transactional id had arrived when it began; `None` if one of
    /// them was still under way.
    inits: Option<u64>,
    started_at: i64,
}

/// All transactions of a course.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    transactions: Vec<Transaction>,
    /// InitProducerIds that arrived and that were answered, by user.
    inits: BTreeMap<usize, (u64, u64)>,
    /// The producer ids and epochs that were given out, and the lives that have them.
    given: BTreeMap<ProducerIdAndEpoch, u64>,
    lives: u64,
    /// The last committed offset that was fetched.
    fetched: BTreeMap<OffsetPlace, i64>,
}

impl Ledger {
    /// A producer begins a transaction. Returns its number.
    pub(super) fn begin(&mut self, user: usize, producer: ProducerIdAndEpoch, now: i64) -> u32 {
        let (arrived, answered) = self.inits.get(&user).copied().unwrap_or_default();
        self.transactions.push(Transaction {
            user,
            producer,
            acknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            place: None,
            may_commit: false,
            is_fenced: false,
            end: End::Unknown,
            inits: (arrived == answered).then_some(arrived),
            started_at: now,
        });
        u32::try_from(self.transactions.len() - 1).expect("a short course")
    }

    /// Returns the number of a new life of a producer.
    pub(super) fn new_life(&mut self) -> u64 {
        self.lives += 1;
        self.lives
    }

    /// A producer gets its id and epoch, which no other one may have.
    pub(super) fn given(&mut self, life: u64, producer: ProducerIdAndEpoch) -> Check {
        match *self.given.entry(producer).or_insert(life) == life {
            true => Ok(()),
            false => Err(format!("two producers have {producer:?}")),
        }
    }

    fn of(&mut self, number: u32) -> &mut Transaction {
        &mut self.transactions[number as usize]
    }

    pub(super) fn acknowledged(&mut self, number: u32, slot: usize, records: std::ops::Range<u32>) {
        self.of(number).acknowledged.entry(slot).or_default().extend(records);
    }

    pub(super) fn offset_acknowledged(&mut self, number: u32, place: OffsetPlace) {
        self.of(number).place = Some(place);
    }

    pub(super) fn ended(&mut self, number: u32, committed: bool) -> Check {
        let transaction = self.of(number);
        transaction.end = if committed { End::Committed } else { End::Aborted };
        match committed && transaction.is_fenced && !transaction.may_commit {
            true => Err(format!("transaction {number} committed after a newer producer began: {transaction:?}")),
            false => Ok(()),
        }
    }

    /// A commit reaches the coordinator.
    pub(super) fn commit_arrives(&mut self, number: u32) {
        let transaction = self.of(number);
        transaction.may_commit |= !transaction.is_fenced;
    }

    pub(super) fn init_arrives(&mut self, user: usize) {
        self.inits.entry(user).or_default().0 += 1;
    }

    pub(super) fn init_is_answered(&mut self, user: usize) {
        self.inits.entry(user).or_default().1 += 1;
    }

    /// A producer gets its id and epoch. What older ones have not tried to commit by now must not
    /// commit.
    pub(super) fn producer_begins(&mut self, user: usize, producer: ProducerIdAndEpoch) {
        for it in self.transactions.iter_mut().filter(|it| it.user == user && it.producer < producer) {
            it.is_fenced |= !it.may_commit;
        }
    }

    /// Checks that the coordinator had a reason to refuse the end of an open transaction of version
    /// 2. As in Kafka, one that is not open is refused while the one before still ends.
    pub(super) fn check_refusal(&self, number: u32, now: i64, timeout_ms: i32) -> Check {
        let it = &self.transactions[number as usize];
        let is_alone = it.inits == self.inits.get(&it.user).map(|(arrived, _)| *arrived);
        let is_open = !it.acknowledged.is_empty() || it.place.is_some();
        match is_alone && is_open && now < it.started_at + i64::from(timeout_ms) {
            true => Err(format!("transaction {number} was aborted without a reason before its timeout: {it:?}")),
            false => Ok(()),
        }
    }

    /// A reader of committed records reads a record.
    pub(super) fn read_committed(&mut self, slot: usize, number: u32, record: u32) -> Check {
        let transaction = self.of(number);
        if !transaction.may_commit || transaction.end == End::Aborted {
            return Err(format!("record {record} of transaction {number} is read, but it is aborted: {transaction:?}"));
        }
        if !transaction.seen.entry(slot).or_default().insert(record) {
            return Err(format!("record {record} of transaction {number} is read twice: {transaction:?}"));
        }
        Ok(())
    }

    /// A committed offset is fetched.
    pub(super) fn fetched(&mut self, place: OffsetPlace, offset: i64) -> Check {
        let before = self.fetched.insert(place, offset).unwrap_or(-1);
        if offset < before {
            return Err(format!("the committed offset of {place:?} went back from {before} to {offset}"));
        }
        let Ok(number) = u32::try_from(offset) else { return Ok(()) };
        let transaction = self.of(number);
        match transaction.may_commit && transaction.end != End::Aborted {
            true => Ok(()),
            false => Err(format!("the offset of transaction {number} is fetched, but it is aborted: {transaction:?}")),
        }
    }

    /// Checks all transactions after everything has come to rest.
    pub(super) fn check(&self) -> Check {
        for (number, it) in self.transactions.iter().enumerate() {
            let is_seen = it.seen.values().any(|records| !records.is_empty());
            let offset = i64::try_from(number).unwrap_or(i64::MAX);
            let fetched = it.place.map(|place| self.fetched.get(&place).copied().unwrap_or(-1));
            let is_whole = it.seen == it.acknowledged;
            let case = || format!("transaction {number}, committed offset {fetched:?}: {it:?}");
            if is_seen && !is_whole {
                return Err(format!("read in part: {}", case()));
            }
            let is_committed = is_seen || it.end == End::Committed;
            if is_committed && !is_whole {
                return Err(format!("lost: {}", case()));
            }
            if is_committed && fetched.is_some_and(|fetched| fetched < offset) {
                return Err(format!("the offset of a committed transaction is lost: {}", case()));
            }
            if fetched == Some(offset) && !is_whole {
                return Err(format!("its offset is committed, its records are not: {}", case()));
            }
        }
        Ok(())
    }

    /// Returns the number of transactions, and of those that committed.
    pub(super) fn counts(&self) -> (usize, usize) {
        let committed = self.transactions.iter().filter(|it| it.end == End::Committed).count();
        (self.transactions.len(), committed)
    }
}

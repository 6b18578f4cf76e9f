//! A transactional producer: begins transactions, repeats what is not answered, aborts what fails,
//! and dies when it is fenced.
//!
//! As Java's producer, one below version 2 gets a new epoch after a transaction of which a request
//! was left without an answer. Otherwise its copies of requests end with the transaction: a copy
//! that is delayed over the next one would take part in that, in Kafka too. The copies of version 2
//! are never stopped.

use super::broker::{Answer, Ask, DataBatch, OffsetPlace, handle};
use super::cluster::{Cluster, DATA};
use super::random::Random;
use coordinator::transaction::ProducerIdAndEpoch;
use futures_util::future::join_all;
use model::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// How often a request is repeated.
const ATTEMPTS: usize = 12;
/// How often the end of a transaction and InitProducerId are repeated.
const PERSISTENT_ATTEMPTS: usize = 60;

/// Why a producer does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The transaction must be aborted.
    Abort,
    /// It must be aborted, and a request of it may still arrive.
    Unresolved,
    /// The producer is fenced, or does not know what became of its transaction.
    Fatal(ErrorCode),
}

/// A producer.
pub(super) struct Producer {
    cluster: Arc<Cluster>,
    random: Random,
    /// The number of its transactional id.
    user: usize,
    version: i16,
    timeout_ms: i32,
    /// The partition of the input that it reads, if it does.
    place: Option<OffsetPlace>,
    /// The next sequences in the current epoch, by partition.
    sequences: BTreeMap<usize, i32>,
    /// Whether copies of its requests may still arrive.
    copies: Arc<AtomicBool>,
    is_endless: bool,
    /// Tells this producer from others of the same transactional id.
    life: u64,
}

impl Producer {
    pub(super) fn new(cluster: &Arc<Cluster>, user: usize, place: Option<OffsetPlace>, version: i16) -> Self {
        let mut random = Random::new(cluster.random(Random::next));
        let longest_ms = random.pick(&[3_000, 3_000, 8_000]);
        let timeout_ms = i32::try_from(random.within(300, longest_ms)).unwrap_or(1_000);
        Self {
            cluster: cluster.clone(),
            random,
            user,
            version,
            timeout_ms,
            place,
            sequences: BTreeMap::new(),
            copies: Arc::new(AtomicBool::new(true)),
            is_endless: true,
            life: cluster.ledger.lock().new_life(),
        }
    }

    /// Makes a producer that commits one transaction and stops.
    pub(super) fn once(mut self) -> Self {
        (self.is_endless, self.timeout_ms) = (false, 30_000);
        self
    }

    /// Lives until it is fenced, or until faults have stopped. Returns whether its last transaction
    /// was committed.
    pub(super) async fn live(mut self) -> bool {
        let Ok(mut producer) = self.init(None).await else { return false };
        loop {
            let ms = self.random.within(0, 30);
            self.cluster.sleep(ms).await;
            match self.transaction(producer).await {
                Ok((next, committed)) if !self.is_endless || self.cluster.is_calm() => {
                    let _ = next;
                    return committed;
                }
                Ok((next, _)) => producer = next,
                Err(trouble) => {
                    self.cluster.note(|| format!("producer of {} dies: {trouble:?}", self.user));
                    return false;
                }
            }
        }
    }

    async fn init(&mut self, expected: Option<ProducerIdAndEpoch>) -> Result<ProducerIdAndEpoch, Trouble> {
        let ask = Ask::Init { user: self.user, timeout_ms: self.timeout_ms, expected };
        let answer = self.ask(ask, PERSISTENT_ATTEMPTS).await?;
        self.sequences.clear();
        self.given(answer.producer)
    }

    /// Takes the id and the epoch for the next transactions.
    fn given(&self, producer: Option<ProducerIdAndEpoch>) -> Result<ProducerIdAndEpoch, Trouble> {
        let producer = producer.ok_or(Trouble::Fatal(ErrorCode::UnknownServerError))?;
        let checked = self.cluster.ledger.lock().given(self.life, producer);
        self.cluster.expect(checked);
        Ok(producer)
    }

    /// Runs one transaction. Returns the producer of the next one, and whether it was committed.
    async fn transaction(&mut self, producer: ProducerIdAndEpoch) -> Result<(ProducerIdAndEpoch, bool), Trouble> {
        let number = self.cluster.ledger.lock().begin(self.user, producer, self.cluster.ms());
        self.cluster.note(|| format!("{producer:?} of {} begins {number}, version {}", self.user, self.version));
        let worked = self.work(producer, number).await;
        let trouble = match worked {
            Err(Trouble::Fatal(code)) => return Err(Trouble::Fatal(code)),
            Err(trouble) => Some(trouble),
            Ok(()) => None,
        };
        let committed = trouble.is_none() && (!self.is_endless || self.random.chance(75));
        if self.is_endless && self.random.chance(6) {
            // A long pause: the coordinator aborts the transaction.
            self.cluster.sleep(i64::from(self.timeout_ms)).await;
        }
        let ended = self.end(producer, number, committed).await?;
        self.cluster.note(|| format!("{number} has ended, committed {committed}: {ended:?}"));
        let checked = self.cluster.ledger.lock().ended(number, committed);
        self.cluster.expect(checked);
        let next = match (self.version, trouble) {
            (2.., _) => {
                self.sequences.clear();
                self.given(ended)?
            }
            (_, Some(_)) => self.init(Some(producer)).await?,
            (_, None) => {
                self.copies.store(false, Ordering::Relaxed);
                self.copies = Arc::new(AtomicBool::new(true));
                producer
            }
        };
        Ok((next, committed))
    }

    /// Sends the records and the offset of a transaction.
    async fn work(&mut self, producer: ProducerIdAndEpoch, number: u32) -> Result<(), Trouble> {
        let mut next = 0;
        let mut added = BTreeSet::new();
        let rounds = if self.random.chance(30) { 2 } else { 1 };
        let has_offset = self.place.is_some() && self.random.chance(60);
        for round in 0..rounds {
            let mut batches = Vec::new();
            for slot in 0..DATA {
                if self.random.chance(if has_offset { 40 } else { 55 }) {
                    let count = u32::try_from(self.random.within(1, 3)).unwrap_or(1);
                    batches.push((slot, self.batch(number, slot, next, count)));
                    next += count;
                }
            }
            if batches.is_empty() && !has_offset {
                batches.push((0, self.batch(number, 0, next, 1)));
                next += 1;
            }
            let place = self.place.filter(|_| has_offset && round == 0);
            self.add(producer, &batches, place, &mut added).await?;
            let this = &*self;
            let produced = join_all(batches.into_iter().map(|(slot, batch)| this.produce(producer, slot, batch)));
            let committed = async {
                match place {
                    Some(place) => this.commit_offset(producer, place, number).await,
                    None => Ok(()),
                }
            };
            let (produced, committed) = futures_util::future::join(produced, committed).await;
            let troubles: Vec<Trouble> = produced.into_iter().chain([committed]).filter_map(Result::err).collect();
            let is_fatal = |it: &&Trouble| matches!(it, Trouble::Fatal(_));
            if let Some(trouble) = troubles.iter().find(is_fatal).or(troubles.first()) {
                return Err(*trouble);
            }
        }
        Ok(())
    }

    fn batch(&mut self, transaction: u32, slot: usize, first: u32, count: u32) -> DataBatch {
        let sequence = self.sequences.entry(slot).or_default();
        let batch = DataBatch { transaction, first, count, sequence: *sequence };
        *sequence += i32::try_from(count).unwrap_or(1);
        batch
    }

    /// Adds partitions to the transaction, which version 2 leaves to the brokers.
    async fn add(
        &self,
        producer: ProducerIdAndEpoch,
        batches: &[(usize, DataBatch)],
        place: Option<OffsetPlace>,
        added: &mut BTreeSet<usize>,
    ) -> Result<(), Trouble> {
        if self.version >= 2 {
            return Ok(());
        }
        let offsets = place.map(|place| Cluster::offsets_slot(super::broker::station_of(place.group)));
        for slot in batches.iter().map(|(slot, _)| *slot).chain(offsets) {
            if added.insert(slot) {
                self.ask(Ask::Add { user: self.user, producer, slot }, ATTEMPTS).await?;
            }
        }
        Ok(())
    }

    async fn produce(&self, producer: ProducerIdAndEpoch, slot: usize, batch: DataBatch) -> Result<(), Trouble> {
        let (user, version) = (self.user, self.version);
        self.ask(Ask::Produce { user, version, producer, slot, batch }, ATTEMPTS).await?;
        let records = batch.first..batch.first + batch.count;
        self.cluster.ledger.lock().acknowledged(batch.transaction, slot, records);
        Ok(())
    }

    async fn commit_offset(
        &self,
        producer: ProducerIdAndEpoch,
        place: OffsetPlace,
        number: u32,
    ) -> Result<(), Trouble> {
        let (user, version, offset) = (self.user, self.version, i64::from(number));
        self.ask(Ask::CommitOffset { user, version, producer, place, offset }, ATTEMPTS).await?;
        self.cluster.ledger.lock().offset_acknowledged(number, place);
        Ok(())
    }

    async fn end(
        &self,
        producer: ProducerIdAndEpoch,
        transaction: u32,
        committed: bool,
    ) -> Result<Option<ProducerIdAndEpoch>, Trouble> {
        let (user, version) = (self.user, self.version);
        let answer = self.ask(Ask::End { user, version, producer, committed, transaction }, PERSISTENT_ATTEMPTS).await;
        if let (Err(Trouble::Fatal(code)), 2..) = (&answer, self.version)
            && *code != ErrorCode::RequestTimedOut
        {
            let now = self.cluster.ms();
            let checked = self.cluster.ledger.lock().check_refusal(transaction, now, self.timeout_ms);
            self.cluster.expect(checked.map_err(|reason| format!("{code:?}: {reason}")));
        }
        Ok(answer?.producer)
    }

    /// Sends a request until it is answered with something definite.
    async fn ask(&self, ask: Ask, attempts: usize) -> Result<Answer, Trouble> {
        let is_end = matches!(ask, Ask::End { .. } | Ask::Init { .. });
        let mut last = ErrorCode::RequestTimedOut;
        for _ in 0..attempts {
            let answered = self.send(ask.clone());
            let wait_ms = self.cluster.random(|random| random.within(100, 900));
            let answer = self.cluster.within(wait_ms, answered).await;
            last = match answer {
                Some(Ok(answer)) => match answer.code {
                    ErrorCode::None => return Ok(answer),
                    code if is_retriable(code) => code,
                    code if is_end || is_fatal(code) => return Err(Trouble::Fatal(code)),
                    _ => return Err(Trouble::Abort),
                },
                Some(Err(_)) | None => ErrorCode::RequestTimedOut,
            };
            let ms = self.cluster.random(|random| random.within(2, 40));
            self.cluster.sleep(ms).await;
        }
        self.cluster.note(|| format!("no answer to {ask:?}: {last:?}"));
        if is_end { Err(Trouble::Fatal(ErrorCode::RequestTimedOut)) } else { Err(Trouble::Unresolved) }
    }

    /// Sends a request, at times twice.
    fn send(&self, ask: Ask) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        if !self.cluster.is_calm() && self.cluster.chance(6) {
            let (ignored, _) = oneshot::channel();
            let late_ms = self.cluster.random(|random| random.within(20, 1_000));
            self.send_copy(ask.clone(), late_ms, ignored);
        }
        self.send_copy(ask, 0, answer);
        answered
    }

    fn send_copy(&self, ask: Ask, late_ms: i64, answer: oneshot::Sender<Answer>) {
        let (cluster, copies, user) = (self.cluster.clone(), self.copies.clone(), self.user);
        self.cluster.spawn(async move {
            cluster.sleep(late_ms).await;
            cluster.travel().await;
            if cluster.is_lost() || !copies.load(Ordering::Relaxed) {
                return;
            }
            cluster.note(|| format!("{user} asks {ask:?}"));
            let given = handle(&cluster, ask.clone()).await;
            cluster.note(|| format!("{user} is answered {given:?} to {ask:?}"));
            cluster.travel().await;
            if !cluster.is_lost() {
                let _ = answer.send(given);
            }
        });
    }
}

fn is_retriable(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ConcurrentTransactions
            | ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
    )
}

fn is_fatal(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch | ErrorCode::InvalidProducerIdMapping)
}

//! A course: steps with faults, then rest.

use super::Check;
use super::broker::{OffsetPlace, transactional_id};
use super::cluster::{Cluster, DATA, Job, OFFSETS, STATES};
use super::group::{fetch_at_rest, watch};
use super::producer::Producer;
use super::random::Random;
use super::reader::Reader;
use super::slot::Slot;
use crate::replica::StateAppend;
use coordinator::{TransactionReply, TransactionRequest};
use futures_util::FutureExt;
use metadata::image::Image;
use model::{Offset, TopicPartition};
use protocol::TransactionRecord;
use protocol::messages::transaction_log_key::TransactionLogKey;
use protocol::messages::transaction_log_value::TransactionLogValue;
use records::BatchBuilder;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use storage::Isolation;
use storage::disk::SimDisk;

/// Longer than every timeout, delay and backoff of a course.
const REST_MS: i64 = 12_000;
/// More steps than a few requests without faults take.
const FINISHED_STEPS: usize = 1_000;

/// The events as text, and their hash, which identifies a course.
#[derive(Debug)]
pub(super) struct Trace {
    is_printed: bool,
    hash: u64,
}

impl Trace {
    pub(super) fn line(&mut self, line: &str) {
        if self.is_printed {
            eprintln!("{line}");
        }
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

/// The life of a producer, which can end at any time.
struct Life {
    user: usize,
    is_alive: Arc<AtomicBool>,
}

/// How often a partition fails in one step, in thousandths.
#[derive(Clone, Copy, Debug)]
struct Weather {
    crash: usize,
    /// While it is stalled: then a crash loses more.
    stalled_crash: usize,
    new_epoch: usize,
    stall: usize,
    end_of_stall: usize,
}

struct Course {
    cluster: Arc<Cluster>,
    weather: Weather,
    jobs: Vec<Job>,
    readers: Vec<Reader>,
    places: Vec<Option<OffsetPlace>>,
    /// The newest transaction version of each user's producers.
    versions: Vec<i16>,
    lives: Vec<Life>,
}

/// Runs the course of a seed. Returns its hash.
pub(super) fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut course = Course::new(seed, Trace { is_printed, hash: 0xcbf2_9ce4_8422_2325 })?;
    let steps = course.cluster.random(|random| random.within(100, 400));
    for _ in 0..steps {
        course.faults()?;
        course.newcomers();
        course.step()?;
    }
    course.rest()?;
    Ok(course.cluster.hash())
}

fn image(level: i16) -> Image {
    let mut image = Image::default();
    image.features.others.insert("transaction.version".into(), level);
    image
}

impl Course {
    fn new(seed: u64, trace: Trace) -> Check<Self> {
        let mut random = Random::new(seed);
        let disk = SimDisk::new();
        let names = (0..DATA)
            .map(|index| ("data", index))
            .chain((0..OFFSETS).map(|index| ("__consumer_offsets", index)))
            .chain((0..STATES).map(|index| ("__transaction_state", index)));
        let slots = names
            .map(|(topic, index)| Slot::new(&disk, TopicPartition::new(topic, i32::try_from(index).unwrap_or(0))))
            .collect();
        let level = random.pick(&[0, 1, 2, 2, 2, 2]);
        let users = random.below(3) + 1;
        let place = |user: usize| OffsetPlace { group: user % 2, partition: i32::try_from(user).unwrap_or(0) };
        let places: Vec<Option<OffsetPlace>> = (0..users).map(|user| random.chance(75).then(|| place(user))).collect();
        let weather = Weather {
            crash: random.pick(&[0, 1, 3]),
            stalled_crash: random.pick(&[5, 25]),
            new_epoch: random.pick(&[0, 1, 3]),
            stall: random.pick(&[0, 3, 10]),
            end_of_stall: random.pick(&[50, 150]),
        };
        let cluster = Cluster::new(random, disk, slots, image(level), trace);
        cluster.note(|| format!("transaction.version {level}, {places:?}, {weather:?}"));
        for place in places.iter().flatten() {
            cluster.spawn(watch(cluster.clone(), *place));
        }
        let readers = (0..DATA)
            .flat_map(|slot| [Isolation::Committed, Isolation::HighWatermark].map(|it| Reader::new(slot, it)))
            .collect();
        let mut course = Self {
            cluster,
            weather,
            jobs: Vec::new(),
            readers,
            versions: vec![0; places.len()],
            places,
            lives: Vec::new(),
        };
        (0..course.cluster.slots.len()).try_for_each(|slot| course.begin(slot))?;
        (0..course.places.len()).try_for_each(|user| course.remember(user, level))?;
        Ok(course)
    }

    /// Some transactional ids are old, and few epochs are left.
    fn remember(&self, user: usize, level: i16) -> Check {
        if self.cluster.chance(85) {
            return Ok(());
        }
        let key = TransactionLogKey { transactional_id: transactional_id(user), ..Default::default() };
        let value = TransactionLogValue {
            producer_id: i64::try_from(user).unwrap_or(0),
            producer_epoch: i16::MAX - self.cluster.random(|random| i16::try_from(random.within(2, 7)).unwrap_or(2)),
            transaction_timeout_ms: 1_000,
            transaction_last_update_timestamp_ms: self.cluster.wall().0,
            transaction_start_timestamp_ms: -1,
            ..Default::default()
        };
        let record = TransactionRecord::TransactionLog(key, Some(value));
        let (key, value) = (record.encode_key(), record.encode_value(level.min(1)));
        let (key, value) = (key.map_err(|error| error.to_string())?, value.map_err(|error| error.to_string())?);
        let mut batch = BatchBuilder::new(Offset(0));
        batch.append(self.cluster.wall(), Some(&key), value.as_deref());
        let batch = batch.finish().map_err(|error| error.to_string())?;
        let count = i32::try_from(STATES).unwrap_or(1);
        let index = coordinator::partition_for(&transactional_id(user), count).0;
        let slot = Cluster::state_slot(usize::try_from(index).unwrap_or_default());
        let epoch = self.cluster.slots[slot].lock().leader_epoch();
        let partition = self.cluster.led(slot).ok_or("nobody leads")?;
        let appended =
            partition.append_state(batch, epoch, StateAppend::default()).now_or_never().ok_or("an append waits")?;
        appended.map(drop).map_err(|code| format!("{code:?}"))
    }

    /// A leader of a partition begins, and its coordinator is loaded.
    fn begin(&mut self, slot: usize) -> Check {
        let cluster = &self.cluster;
        cluster.slots[slot].lock().begin(&cluster.disk, cluster.wall())?;
        cluster.note(|| format!("{slot} is led in epoch {}", cluster.slots[slot].lock().epoch));
        self.load(slot);
        Ok(())
    }

    fn load(&self, slot: usize) {
        let cluster = &self.cluster;
        let epoch = cluster.slots[slot].lock().leader_epoch();
        let late = if cluster.is_calm() { 0 } else { cluster.random(|random| random.within(0, 300)) };
        let until = cluster.ms() + late;
        cluster.groups.iter().filter(|it| it.slot() == slot).for_each(|it| it.load_at(until, epoch));
        cluster.transactions.iter().filter(|it| it.slot() == slot).for_each(|it| it.load_at(until, epoch));
    }

    fn crash(&self, slot: usize) {
        let cluster = &self.cluster;
        {
            let mut place = cluster.slots[slot].lock();
            place.crash();
            place.returns_at = cluster.ms() + cluster.random(|random| random.within(0, 600));
            place.lacks = cluster.random(|random| {
                let some = random.below(1_001);
                random.pick(&[0, some, 1_000])
            });
        }
        cluster.note(|| format!("{slot} crashes"));
        cluster.groups.iter().filter(|it| it.slot() == slot).for_each(super::station::Station::stop);
        cluster.transactions.iter().filter(|it| it.slot() == slot).for_each(super::station::Station::stop);
    }

    /// Partitions fail and come back.
    fn faults(&mut self) -> Check {
        for slot in 0..self.cluster.slots.len() {
            let cluster = self.cluster.clone();
            let (is_led, is_stalled, returns_at) = {
                let place = cluster.slots[slot].lock();
                (place.partition.is_some(), place.is_stalled, place.returns_at)
            };
            if !is_led {
                if returns_at <= cluster.ms() {
                    self.begin(slot)?;
                }
                continue;
            }
            let Weather { crash, stalled_crash, new_epoch, stall, end_of_stall } = self.weather;
            let happens = |per_mille| cluster.random(|random| random.below(1_000)) < per_mille;
            match () {
                () if happens(if is_stalled { stalled_crash } else { crash }) => self.crash(slot),
                () if happens(new_epoch) => {
                    cluster.slots[slot].lock().lead_anew(cluster.wall())?;
                    cluster.note(|| format!("{slot} is led in a new epoch"));
                    self.load(slot);
                }
                () if !is_stalled && happens(stall) => {
                    cluster.slots[slot].lock().stall(true, cluster.wall())?;
                    cluster.note(|| format!("{slot} stalls"));
                }
                () if is_stalled && happens(end_of_stall) => {
                    cluster.slots[slot].lock().stall(false, cluster.wall())?;
                    cluster.note(|| format!("{slot} goes on"));
                }
                () => {}
            }
        }
        if self.cluster.chance(2) {
            let slot = self.cluster.random(|random| random.below(self.cluster.slots.len()));
            self.cluster.slots[slot].lock().expire_producers(self.cluster.wall());
        }
        if self.cluster.chance(1) {
            let level = self.cluster.image.load().features.level("transaction.version");
            if level < 2 && self.cluster.chance(20) {
                self.cluster.image.store(Arc::new(image(level + 1)));
                self.cluster.note(|| format!("transaction.version {}", level + 1));
            }
        }
        Ok(())
    }

    /// Producers die, and others begin, also while one of the same transactional id lives.
    fn newcomers(&mut self) {
        self.lives.retain(|life| life.is_alive.load(Ordering::Relaxed));
        if !self.lives.is_empty() && self.cluster.chance(1) {
            let index = self.cluster.random(|random| random.below(self.lives.len()));
            let life = self.lives.swap_remove(index);
            self.cluster.note(|| format!("a producer of {} is killed", life.user));
            life.is_alive.store(false, Ordering::Relaxed);
        }
        for user in 0..self.places.len() {
            let alive = self.lives.iter().filter(|life| life.user == user).count();
            let percent = [15, 1, 0].get(alive).copied().unwrap_or(0);
            if self.cluster.chance(percent) {
                self.newcomer(user);
            }
        }
    }

    fn newcomer(&mut self, user: usize) {
        let level = self.cluster.image.load().features.level("transaction.version");
        let chosen = if level >= 2 && self.cluster.chance(75) { 2 } else { level.min(1) };
        // The version of a user's producers never falls. Kafka takes an EndTxn of version 2 for a
        // repetition if its epoch is one below the current one, and answers it with that epoch. If
        // the current one is an older version's, two producers then have it, in Kafka too.
        let version = chosen.max(self.versions[user]);
        self.versions[user] = version;
        let producer = Producer::new(&self.cluster, user, self.places[user], version);
        let is_alive = Arc::new(AtomicBool::new(true));
        self.lives.push(Life { user, is_alive: is_alive.clone() });
        let mut life = Box::pin(producer.live());
        self.cluster.spawn(std::future::poll_fn(move |context| {
            if !is_alive.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            let polled = life.as_mut().poll(context);
            if polled.is_ready() {
                is_alive.store(false, Ordering::Relaxed);
            }
            polled.map(|_| ())
        }));
    }

    /// Lets time pass, runs what can run, and checks.
    fn step(&mut self) -> Check {
        let cluster = self.cluster.clone();
        let is_calm = cluster.is_calm();
        cluster.pass(cluster.random(|random| match random.below(100) {
            _ if is_calm => random.within(1, 30),
            0..94 => random.within(1, 12),
            94..99 => random.within(12, 150),
            _ => random.within(200, 2_500),
        }));
        self.poll();
        let most = || if is_calm { usize::MAX } else { cluster.random(|random| random.below(4)) };
        cluster.transactions.iter().try_for_each(|it| it.serve(&cluster, most()))?;
        cluster.groups.iter().try_for_each(|it| it.serve(&cluster, most()))?;
        self.check()?;
        cluster.failure().map_or(Ok(()), Err)
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.jobs.extend(self.cluster.take_spawned());
        let first = self.cluster.random(|random| random.below(self.jobs.len()));
        if !self.jobs.is_empty() {
            self.jobs.rotate_left(first);
        }
        self.jobs.retain_mut(|job| Pin::new(job).poll(&mut context).is_pending());
    }

    fn check(&mut self) -> Check {
        let cluster = &self.cluster;
        cluster.slots.iter().try_for_each(|slot| slot.lock().check())?;
        self.readers.iter_mut().try_for_each(|reader| reader.read_on(cluster))?;
        if cluster.chance(5) {
            cluster.transactions.iter().try_for_each(|it| it.check_replay(cluster))?;
            cluster.groups.iter().try_for_each(|it| it.check_replay(cluster))?;
        }
        Ok(())
    }

    /// Ends the faults, waits longer than every timeout, and checks that everything is at rest.
    fn rest(&mut self) -> Check {
        self.cluster.calm();
        for slot in 0..self.cluster.slots.len() {
            let is_led = self.cluster.slots[slot].lock().partition.is_some();
            if !is_led {
                self.begin(slot)?;
            }
            self.cluster.slots[slot].lock().stall(false, self.cluster.wall())?;
        }
        self.cluster.note(|| "no more faults".to_owned());
        self.pass_until_rest()?;
        self.check_rest()?;
        self.last_transactions()?;
        self.check_rest()?;
        let fetches = self.places.iter().flatten().map(|place| fetch_at_rest(self.cluster.clone(), *place));
        self.finish(fetches.collect::<Vec<_>>())?;
        self.readers.iter().try_for_each(|reader| reader.check(&self.cluster))?;
        let ledger = self.cluster.ledger.lock();
        ledger.check()?;
        self.cluster.note(|| format!("transactions, committed: {:?}", ledger.counts()));
        Ok(())
    }

    /// Lets the time pass in larger and larger steps, while less and less happens.
    fn pass_until_rest(&mut self) -> Check {
        let end = self.cluster.ms() + REST_MS;
        let mut ms = 1;
        while self.cluster.ms() < end {
            self.step()?;
            self.cluster.pass(ms);
            ms = (ms + 1).min(250);
        }
        Ok(())
    }

    /// Runs jobs to their end.
    fn finish<J: Future<Output = ()> + Send + 'static>(&mut self, jobs: Vec<J>) -> Check {
        let left = Arc::new(AtomicUsize::new(jobs.len()));
        for job in jobs {
            let left = left.clone();
            self.cluster.spawn(async move {
                job.await;
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for _ in 0..FINISHED_STEPS {
            if left.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
            self.step()?;
        }
        Err("a request without faults is not answered".to_owned())
    }

    /// Every transactional id is still of use: a new producer commits a transaction.
    fn last_transactions(&mut self) -> Check {
        let last = |user: usize| {
            let producer = Producer::new(&self.cluster, user, self.places[user], 0).once();
            let cluster = self.cluster.clone();
            async move {
                if !producer.live().await {
                    cluster.fail(format!("a new producer of {user} commits nothing"));
                }
            }
        };
        let last: Vec<_> = (0..self.places.len()).map(last).collect();
        self.finish(last)
    }

    fn check_rest(&mut self) -> Check {
        for slot in &self.cluster.slots {
            slot.lock().check_rest()?;
        }
        let cluster = self.cluster.clone();
        self.finish(vec![async move { check_ended(&cluster).await }])?;
        self.cluster.transactions.iter().try_for_each(|it| it.check_replay(&self.cluster))?;
        self.cluster.groups.iter().try_for_each(|it| it.check_replay(&self.cluster))
    }
}

/// Checks that no transactional id has an open or ending transaction.
async fn check_ended(cluster: &Cluster) {
    let request = TransactionRequest::List {
        states: ["Ongoing", "PrepareCommit", "PrepareAbort"].map(Into::into).to_vec(),
        producer_ids: Vec::new(),
        duration_ms: -1,
        pattern: None,
    };
    for station in &cluster.transactions {
        match station.ask(request.clone()).await {
            TransactionReply::List(listed) if listed.error_code == 0 && listed.transaction_states.is_empty() => {}
            other => cluster.fail(format!("not at rest: {other:?}")),
        }
    }
}

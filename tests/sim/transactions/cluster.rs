//! What all parts of a course share: the time, the random numbers, the partitions, the coordinators
//! and the jobs. A job is a future that the course polls after each step.

use super::course::Trace;
use super::ledger::Ledger;
use super::random::Random;
use super::slot::Slot;
use super::station::Station;
use crate::replica::Partition;
use arc_swap::ArcSwap;
use coordinator::{GroupShard, TransactionShard};
use metadata::image::Image;
use model::{Monotonic, Now, ProducerId, Timestamp};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use storage::disk::SimDisk;

/// The wall clock at the beginning of a course.
const WALL_START: i64 = 1_700_000_000_000;

/// The numbers of partitions.
pub(super) const DATA: usize = 3;
pub(super) const OFFSETS: usize = 2;
pub(super) const STATES: usize = 2;

/// A job.
pub(super) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all parts of a course share.
pub(super) struct Cluster {
    now: AtomicI64,
    random: Mutex<Random>,
    is_calm: AtomicBool,
    pub(super) disk: SimDisk,
    /// The partitions: data, then offsets, then transaction states.
    pub(super) slots: Vec<Mutex<Slot>>,
    pub(super) transactions: Vec<Station<TransactionShard>>,
    pub(super) groups: Vec<Station<GroupShard>>,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) ledger: Mutex<Ledger>,
    next_producer_id: AtomicI64,
    spawned: Mutex<Vec<Job>>,
    failure: Mutex<Option<String>>,
    trace: Mutex<Trace>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(random: Random, disk: SimDisk, slots: Vec<Slot>, image: Image, trace: Trace) -> Arc<Self> {
        Arc::new_cyclic(|cluster| Self {
            now: AtomicI64::new(0),
            random: Mutex::new(random),
            is_calm: AtomicBool::new(false),
            disk,
            slots: slots.into_iter().map(Mutex::new).collect(),
            transactions: (0..STATES).map(|index| Station::of_transactions(cluster, index)).collect(),
            groups: (0..OFFSETS).map(Station::of_groups).collect(),
            image: Arc::new(ArcSwap::from_pointee(image)),
            ledger: Mutex::default(),
            next_producer_id: AtomicI64::new(1_000),
            spawned: Mutex::default(),
            failure: Mutex::default(),
            trace: Mutex::new(trace),
        })
    }

    /// Returns the time in milliseconds.
    pub(super) fn ms(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn wall(&self) -> Timestamp {
        Timestamp(WALL_START + self.ms())
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.ms().unsigned_abs()), wall: self.wall() }
    }

    /// Calls `draw` with the random numbers of the course.
    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock())
    }

    pub(super) fn chance(&self, percent: usize) -> bool {
        self.random(|random| random.chance(percent))
    }

    /// From now on there are no more faults.
    pub(super) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn new_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.spawned.lock().push(Box::pin(job));
    }

    pub(super) fn take_spawned(&self) -> Vec<Job> {
        std::mem::take(&mut *self.spawned.lock())
    }

    /// Notes that something is wrong. The course ends with the first such reason.
    pub(super) fn fail(&self, reason: String) {
        self.failure.lock().get_or_insert(reason);
    }

    /// Notes the failure of a check.
    pub(super) fn expect(&self, checked: Result<(), String>) {
        if let Err(reason) = checked {
            self.fail(reason);
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>6} {}", self.ms(), line());
        self.trace.lock().line(&line);
    }

    pub(super) fn hash(&self) -> u64 {
        self.trace.lock().hash()
    }

    /// Waits.
    pub(super) async fn sleep(&self, ms: i64) {
        let until = self.ms() + ms;
        std::future::poll_fn(|_| if self.ms() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Waits for a result, but not for ever.
    pub(super) async fn within<T>(&self, ms: i64, future: impl Future<Output = T>) -> Option<T> {
        let until = self.ms() + ms;
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if self.ms() >= until => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Waits as long as a message travels: mostly not long, at times over several transactions.
    pub(super) async fn travel(&self) {
        let ms = match (self.is_calm(), self.random(|random| random.below(100))) {
            (true, _) => 0,
            (false, 0..80) => self.random(|random| random.within(0, 10)),
            (false, 80..95) => self.random(|random| random.within(0, 150)),
            (false, _) => self.random(|random| random.within(150, 5_000)),
        };
        self.sleep(ms).await;
    }

    /// Whether a message is lost.
    pub(super) fn is_lost(&self) -> bool {
        !self.is_calm() && self.chance(3)
    }

    /// Returns the place of a partition of `__consumer_offsets`.
    pub(super) fn offsets_slot(index: usize) -> usize {
        DATA + index
    }

    /// Returns the place of a partition of `__transaction_state`.
    pub(super) fn state_slot(index: usize) -> usize {
        DATA + OFFSETS + index
    }

    /// Returns the place of a partition by its name.
    pub(super) fn slot_of(&self, topic: &str, partition: i32) -> usize {
        let is_it = |slot: &Mutex<Slot>| {
            let slot = slot.lock();
            *slot.name.topic == *topic && slot.name.partition.0 == partition
        };
        self.slots.iter().position(is_it).expect("a partition of the cluster")
    }

    /// Returns the topic and the number of a partition.
    pub(super) fn name_of(&self, slot: usize) -> (String, i32) {
        let slot = self.slots[slot].lock();
        (slot.name.topic.to_string(), slot.name.partition.0)
    }

    /// Returns a partition that somebody leads.
    pub(super) fn led(&self, slot: usize) -> Option<Arc<Partition>> {
        self.slots[slot].lock().led()
    }
}

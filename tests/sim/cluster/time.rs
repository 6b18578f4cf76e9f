//! The time of a host: tokio's paused clock of its runtime, from the moment of the course at which
//! the host was started. Its wall clock may be wrong. It is the host's whole environment.

use crate::random::Random;
use gregor::env::Simulator;
use model::Timestamp;
use parking_lot::Mutex;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The wall clock at the start of a course.
const WALL_START_MS: i64 = 1_800_000_000_000;

/// The environment of a host from one start to its end.
#[derive(Debug)]
pub struct HostTime {
    /// The zero of the runtime's clock.
    base: Instant,
    /// The time of the course at that zero.
    started_ms: u64,
    /// How far its wall clock is off.
    skew_ms: AtomicI64,
    /// The last time that was read.
    last_ms: AtomicU64,
    is_dead: AtomicBool,
    /// The longest that work on the disk takes, with some luck less.
    work_max_ms: usize,
    random: Mutex<Random>,
}

/// The longest that work on a quick disk takes.
pub const WORK_MAX_MS: usize = 20;

/// The clock of a host.
pub type HostClock = &'static HostTime;

impl HostTime {
    /// Creates the environment of a host. Must be called on its runtime. It is never freed: a
    /// course has few of them.
    pub fn start(now_ms: u64, seed: u64, skew_ms: i64, work_max_ms: usize) -> HostClock {
        Box::leak(Box::new(Self {
            base: Instant::now(),
            started_ms: now_ms,
            skew_ms: AtomicI64::new(skew_ms),
            last_ms: AtomicU64::new(now_ms),
            is_dead: AtomicBool::new(false),
            work_max_ms,
            random: Mutex::new(Random::new(seed)),
        }))
    }

    /// Returns the time of the course.
    pub fn now_ms(&self) -> u64 {
        if self.is_dead() {
            return self.last_ms.load(Ordering::Relaxed);
        }
        let now = self.started_ms + self.base.elapsed().as_millis() as u64;
        self.last_ms.store(now, Ordering::Relaxed);
        now
    }

    /// Returns the moment of the runtime's clock at a time of the course.
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.base + Duration::from_millis(at_ms.saturating_sub(self.started_ms))
    }

    /// Stops the clock: the host is killed.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    /// Whether the host was killed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Lets the wall clock jump.
    pub fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}

impl Simulator for HostTime {
    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now_ms() + 1_000 - self.started_ms)
    }

    fn now(&self) -> Timestamp {
        Timestamp(WALL_START_MS + self.now_ms() as i64 + self.skew_ms.load(Ordering::Relaxed))
    }

    fn fill(&self, bytes: &mut [u8]) {
        let random = &mut *self.random.lock();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_ne_bytes()[..chunk.len()]);
        }
    }

    fn delay(&self) -> Duration {
        let random = &mut *self.random.lock();
        let ms = match random.below(10) {
            0..7 => 0,
            7..9 => random.below(4),
            _ => random.below(self.work_max_ms),
        };
        Duration::from_millis(ms as u64)
    }

    fn host_name(&self) -> String {
        "simulated".into()
    }

    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let message = format!("{host}: a simulated network has names and no addresses");
        Err(io::Error::new(io::ErrorKind::NotFound, message))
    }
}

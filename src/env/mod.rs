//! The environment of a node as a value: clocks, randomness, threads, and names of hosts.
//!
//! [`Env`] is the operating system, or what a simulation puts in its place. A node gets one when it
//! is started and hands it to its services. So several nodes run in one process and one thread, on
//! virtual time. Sockets and the disk are arguments of their own: `peer::Dial` and `storage::Disk`.

pub mod blocking;
pub mod clock;
pub mod names;
pub mod random;
pub mod usage;
pub mod watch;

use self::clock::Clock;
use model::Timestamp;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// What a simulation puts in the place of the operating system. A node in a simulation runs on one
/// tokio runtime of one thread with paused time.
pub trait Simulator: std::fmt::Debug + Send + Sync {
    /// Returns the monotonic clock.
    fn uptime(&self) -> Duration;
    /// Returns the wall clock.
    fn now(&self) -> Timestamp;
    /// Fills a buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
    /// Returns how long a piece of blocking work or a new thread waits before it runs.
    fn delay(&self) -> Duration;
    /// Returns the name of the node's host.
    fn host_name(&self) -> String;
    /// Returns the addresses of a host. Errors: there are none.
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The environment of a node. The default is the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Env(Option<&'static dyn Simulator>);

impl Env {
    /// Returns a simulated environment.
    pub fn simulated(simulator: &'static dyn Simulator) -> Self {
        Self(Some(simulator))
    }

    /// Returns its clocks.
    pub fn clock(self) -> Clock {
        Clock::new(self.0)
    }

    /// Whether a thread may wait for another one, as with a condition variable. In a simulation,
    /// all threads are tasks of one thread: each runs to its end once it has begun.
    pub fn threads_may_wait(self) -> bool {
        self.0.is_none()
    }
}

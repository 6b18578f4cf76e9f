//! The threads that serve connections: one until it is busy, then up to one per core.
//!
//! A connection is a task on one thread's own runtime and stays there. Its requests wake tasks on
//! the same thread, and no other thread first has to get a core. All connections start on the main
//! thread, beside the coordinators. A busy thread moves part of its connections to the thread with
//! the lowest load. A thread with a low load returns its connections.
//! docs/decisions/2026-11-30-connections-stay-with-a-thread.md has the figures.
//!
//! Nothing here polls: a thread measures itself after it has answered a request.

mod load;
#[cfg(test)]
mod tests;

pub use load::ThreadLoad;

use super::frame::FrameReader;
use crate::env::blocking::ThreadHandle;
use crate::env::clock::Clock;
use crate::env::{Env, usage};
use parking_lot::Mutex;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// The maximum number of threads.
const THREADS_MAX: usize = 16;
/// The maximum number of threads for reads of cold files that one thread's runtime starts.
const BLOCKING_THREADS_MAX: usize = 64;

/// A connection between two requests, while it moves to another thread.
pub struct Moving<C> {
    /// The state of the connection.
    pub connection: C,
    /// Its socket.
    pub stream: TcpStream,
    /// The bytes that were read from the socket and belong to requests that have not started.
    pub reader: FrameReader,
}

/// Serves the connections that arrive at a thread: it starts a task on the current runtime for
/// each.
pub type Serve<C> = Box<dyn Fn(Seat<C>, Moving<C>) + Send + Sync>;

/// The threads of one node. `C` is the state that a connection takes along when it moves.
pub struct ConnectionThreads<C> {
    threads: Vec<Thread<C>>,
    serve: Serve<C>,
    stopping: CancellationToken,
    clock: Clock,
}

struct Thread<C> {
    load: Arc<ThreadLoad>,
    arrivals: mpsc::UnboundedSender<Moving<C>>,
    state: Mutex<ThreadState<C>>,
}

enum ThreadState<C> {
    /// Holds the connections that arrive before the thread starts.
    NotStarted(mpsc::UnboundedReceiver<Moving<C>>),
    /// The handle of the thread. The main thread has none.
    Started(Option<ThreadHandle>),
}

/// A connection's place on a thread.
pub struct Seat<C> {
    threads: Arc<ConnectionThreads<C>>,
    index: usize,
    /// The measurement in which the connection was counted as active.
    counted: u32,
}

impl<C: Send + 'static> ConnectionThreads<C> {
    /// Creates up to `count` threads. `main` is the load of the thread that will run `serve_first`.
    pub fn new(count: usize, main: Arc<ThreadLoad>, clock: Clock, serve: Serve<C>) -> Arc<Self> {
        let others = (1..count.clamp(1, THREADS_MAX)).map(|_| Arc::default());
        let threads = std::iter::once(main).chain(others).map(|load| {
            let (arrivals, received) = mpsc::unbounded_channel();
            Thread { load, arrivals, state: Mutex::new(ThreadState::NotStarted(received)) }
        });
        Arc::new(Self { threads: threads.collect(), serve, stopping: CancellationToken::new(), clock })
    }

    /// Serves the connections of the first thread on the caller's runtime, until `end`.
    pub async fn serve_first(self: Arc<Self>) {
        let state = std::mem::replace(&mut *self.threads[0].state.lock(), ThreadState::Started(None));
        if let ThreadState::NotStarted(received) = state {
            self.serve_arrivals(0, received).await;
        }
    }

    /// Serves a new connection.
    pub fn add(self: &Arc<Self>, moving: Moving<C>) {
        self.send(load::place(&self.busy()), moving);
    }

    /// Tells the threads to end. Connections that are still open are closed.
    pub fn end(&self) {
        self.stopping.cancel();
    }

    /// Waits until the threads have ended.
    pub fn join(&self) {
        for thread in &self.threads {
            let stopped = std::mem::replace(&mut *thread.state.lock(), ThreadState::Started(None));
            if let ThreadState::Started(Some(handle)) = stopped
                && handle.join().is_err()
            {
                error!("a thread that serves connections ended early");
            }
        }
    }

    fn busy(&self) -> Vec<u32> {
        let now = self.clock.uptime();
        self.threads.iter().map(|thread| thread.load.busy(now)).collect()
    }

    fn send(self: &Arc<Self>, index: usize, moving: Moving<C>) {
        let index = match self.start(index) {
            Ok(()) => index,
            Err(error) => {
                error!(%error, "a thread for connections could not be started");
                0
            }
        };
        // The send fails only if the thread has ended with the node. The connection is then closed.
        let _ = self.threads[index].arrivals.send(moving);
    }

    /// Starts a thread if it does not run. The node itself runs the first one.
    fn start(self: &Arc<Self>, index: usize) -> io::Result<()> {
        let mut state = self.threads[index].state.lock();
        if index == 0 || matches!(&*state, ThreadState::Started(_)) {
            return Ok(());
        }
        let runtime = self.runtime(index)?;
        let (begin, begun) = std::sync::mpsc::sync_channel(1);
        let threads = self.clone();
        let handle = Env::default().thread(&format!("connections-{index}"), move || {
            if let Ok(received) = begun.recv() {
                runtime.block_on(threads.serve_arrivals(index, received));
            }
        })?;
        debug!(index, "started a thread for connections");
        if let ThreadState::NotStarted(received) = std::mem::replace(&mut *state, ThreadState::Started(Some(handle))) {
            // The thread waits for this message.
            let _ = begin.send(received);
        }
        Ok(())
    }

    fn runtime(&self, index: usize) -> io::Result<Runtime> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        measured(&mut builder, &self.threads[index].load, self.clock);
        builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()
    }

    async fn serve_arrivals(self: Arc<Self>, index: usize, mut received: mpsc::UnboundedReceiver<Moving<C>>) {
        loop {
            let arrived = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                arrived = received.recv() => arrived,
            };
            let Some(moving) = arrived else { return };
            (self.serve)(Seat { threads: self.clone(), index, counted: 0 }, moving);
        }
    }
}

/// Makes a single-threaded runtime measure its load.
pub fn measured(builder: &mut tokio::runtime::Builder, load: &Arc<ThreadLoad>, clock: Clock) {
    let (sleeping, waking) = (load.clone(), load.clone());
    builder
        .on_thread_park(move || sleeping.sleeps(clock.uptime()))
        .on_thread_unpark(move || waking.wakes(clock.uptime()));
}

impl<C: Send + 'static> Seat<C> {
    /// Records that a request of the connection was answered. Returns the thread that the
    /// connection should move to, if any.
    pub fn served(&mut self) -> Option<usize> {
        let load = &self.threads.threads[self.index].load;
        if let Some(active) = load.served(&mut self.counted, self.threads.clock.uptime(), usage::run_delay) {
            load.set_leaving(load::balance(&self.threads.busy(), self.index, active));
        }
        load.leave()
    }

    /// Moves the connection to another thread.
    pub fn move_to(self, index: usize, moving: Moving<C>) {
        self.threads.send(index, moving);
    }
}

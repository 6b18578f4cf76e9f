//! The only module that moves work off the async threads: short reads of cold files, and threads
//! that may block.

use super::Env;
use std::io;
use tokio::runtime::Handle;

/// A thread that was started.
#[derive(Debug)]
pub enum ThreadHandle {
    /// A thread of the operating system.
    System(std::thread::JoinHandle<()>),
    /// A task in its place.
    Task(tokio::task::JoinHandle<()>),
}

impl ThreadHandle {
    /// Waits for the end of a thread of the system, and blocks meanwhile. Errors: it panicked.
    pub fn join(self) -> std::thread::Result<()> {
        match self {
            ThreadHandle::System(thread) => thread.join(),
            // It ends by itself, or with its runtime.
            ThreadHandle::Task(_) => Ok(()),
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        match self {
            ThreadHandle::System(thread) => thread.is_finished(),
            ThreadHandle::Task(task) => task.is_finished(),
        }
    }
}

impl Env {
    /// Runs blocking work on the pool. The work is done even if the future is dropped.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let running = match self.0 {
            None => tokio::task::spawn_blocking(work),
            Some(simulator) => {
                let delay = simulator.delay();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    work()
                })
            }
        };
        running.await.map_err(io::Error::other)
    }

    /// Starts a dedicated thread. Where threads may not wait ([`Env::threads_may_wait`]), `work`
    /// must not. Errors: the system has no more threads.
    pub fn thread(self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<ThreadHandle> {
        match self.0 {
            None => std::thread::Builder::new().name(name.into()).spawn(work).map(ThreadHandle::System),
            Some(simulator) => {
                let delay = simulator.delay();
                Ok(ThreadHandle::Task(tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    work();
                })))
            }
        }
    }

    /// Starts a thread that runs one future, which may use timers. Errors: the system has no more
    /// threads.
    pub fn task_thread(self, name: &str, task: impl Future<Output = ()> + Send + 'static) -> io::Result<ThreadHandle> {
        match self.0 {
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
                self.thread(name, move || runtime.block_on(task))
            }
            Some(_) => Ok(ThreadHandle::Task(tokio::spawn(task))),
        }
    }

    /// Starts a thread that runs the tasks that are spawned on its runtime, until `end` completes.
    /// The tasks may use timers and sockets. Errors: the system has no more threads.
    pub fn runtime_thread(
        self,
        name: &str,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<(Handle, ThreadHandle)> {
        match self.0 {
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().enable_io().build()?;
                let handle = runtime.handle().clone();
                Ok((handle, self.thread(name, move || runtime.block_on(end))?))
            }
            Some(_) => Ok((Handle::current(), ThreadHandle::Task(tokio::spawn(end)))),
        }
    }

    /// Runs `work` on every item with up to `threads` threads, and returns when all items are done.
    pub fn for_each<T: Send + Sync>(self, threads: usize, items: Vec<T>, work: impl Fn(&T) + Sync) {
        let threads = threads.min(items.len());
        if threads <= 1 || !self.threads_may_wait() {
            items.iter().for_each(work);
            return;
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        work(item);
                    }
                });
            }
        });
    }
}

//! The threads without which a node does not work. If one of them panics, the node ends: the other
//! services would wait for it for ever.

use super::NodeFault;
use crate::env::Env;
use crate::env::blocking::ThreadHandle;
use std::io;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Sends a fault when it is dropped by a panic.
struct PanicSentinel {
    thread: &'static str,
    end: UnboundedSender<NodeFault>,
}

impl Drop for PanicSentinel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The send fails only after the node has stopped.
            let _ = self.end.send(NodeFault::Panicked { thread: self.thread });
        }
    }
}

/// Starts a thread that runs one future, whose fault or panic ends the node. Errors: the system has
/// no more threads.
pub(super) fn vital<E: Into<NodeFault>>(
    name: &'static str,
    end: &UnboundedSender<NodeFault>,
    env: Env,
    work: impl Future<Output = Result<(), E>> + Send + 'static,
) -> io::Result<ThreadHandle> {
    let sentinel = PanicSentinel { thread: name, end: end.clone() };
    env.task_thread(name, async move {
        if let Err(fault) = work.await {
            let _ = sentinel.end.send(fault.into());
        }
    })
}

/// Starts a thread that runs one future, so that the future does not wait while the main thread is
/// busy. `tasks` waits for its end. A panic ends the node. Errors: the system has no more threads.
pub(super) fn vital_task(
    name: &'static str,
    end: &UnboundedSender<NodeFault>,
    tasks: &TaskTracker,
    env: Env,
    task: impl Future<Output = ()> + Send + 'static,
) -> io::Result<ThreadHandle> {
    let (running, ended) = oneshot::channel::<()>();
    tasks.spawn(async move { drop(ended.await) });
    vital(name, end, env, async move {
        let _running = running;
        task.await;
        Ok::<(), NodeFault>(())
    })
}

/// A thread that runs the tasks of a runtime of its own, until it is told to stop.
pub(super) struct TaskThread {
    /// Spawns tasks on the thread.
    pub(super) handle: Handle,
    stop: oneshot::Sender<()>,
    thread: ThreadHandle,
}

impl TaskThread {
    /// Starts the thread. A panic of the thread ends the node. Errors: the system has no more
    /// threads.
    pub(super) fn start(name: &'static str, end: &UnboundedSender<NodeFault>, env: Env) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let sentinel = PanicSentinel { thread: name, end: end.clone() };
        let (handle, thread) = env.runtime_thread(name, async move {
            let _sentinel = sentinel;
            drop(stopped.await);
        })?;
        Ok(Self { handle, stop, thread })
    }

    /// Ends the thread's tasks where they wait, and waits for the thread.
    pub(super) fn stop(self) {
        // The send fails only after the thread has panicked.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[test]
    fn a_thread_that_panics_ends_the_node() {
        let (end, mut faults) = unbounded_channel();
        let nothing: Vec<u8> = Vec::new();
        let works = async move {
            assert_eq!(nothing[0], 1);
            Ok::<(), NodeFault>(())
        };
        let env: Env = <_>::default();
        let thread = vital("fragile", &end, env, works).unwrap();
        assert!(thread.join().is_err());
        assert!(matches!(faults.try_recv(), Ok(NodeFault::Panicked { thread: "fragile" })));
        vital("sound", &end, env, async { Ok::<(), NodeFault>(()) }).unwrap().join().unwrap();
        assert!(faults.try_recv().is_err());
    }
}

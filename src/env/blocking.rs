//! The only module that moves work off the async threads: short reads of cold files, and threads
//! that may block.

use std::io;
use std::thread::JoinHandle;

/// Runs blocking work on the pool.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Starts a dedicated thread. Errors: the system has no more threads.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// Runs `work` on every item with up to `threads` threads, and returns when all items are done.
pub fn for_each<T: Send + Sync>(threads: usize, items: Vec<T>, work: impl Fn(&T) + Sync) {
    let threads = threads.min(items.len());
    if threads <= 1 {
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

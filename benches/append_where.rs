//! Compares the cost of an append in place, on the connection's task, with an append on a thread of
//! the log dir that answers it. For each batch size, prints the time of an append, the longest
//! time, how many took over a millisecond, and the CPU time of the process for each append. The
//! page cache holds all bytes that are written.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{BatchBuilder, Validated};
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, mpsc};
use std::time::Instant;
use storage::{LeaderAppend, Log, LogConfig, LogDir, OpenFiles, Origin};
use tokio::sync::oneshot;

/// The number of bytes for each line.
const BYTES: usize = 512 << 20;
/// The limit of appends for small batches.
const APPENDS_MAX: usize = 50_000;

fn batch(bytes: usize) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append(Timestamp(1), None, Some(&vec![7; bytes]));
    let bytes: Bytes = builder.finish().expect("a batch");
    Validated::trusted(&bytes).expect("a batch")
}

fn append(log: &Log, batch: &Validated) {
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        now: Timestamp(1),
        transaction_version: 0,
        guard: None,
    };
    log.append_as_leader(std::slice::from_ref(batch), how).expect("an append");
}

type Job = (Validated, oneshot::Sender<()>);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(storage::disk::RealDisk);
    let dir = LogDir::open(disk, OpenFiles::new(100), folder.path().to_path_buf(), 1).expect("a log dir");
    for (name, size) in [("1 KB", 1 << 10), ("16 KB", 16 << 10), ("1 MB", 1 << 20)] {
        let count = (BYTES / size).min(APPENDS_MAX);
        for round in 1..=2 {
            let log = |way: &str| {
                let topic = format!("{way}-{size}-{round}");
                let created =
                    dir.create(&TopicPartition::new(topic.as_str(), 0), None, LogConfig::default(), Timestamp(0));
                Arc::new(created.expect("a log"))
            };
            let (in_place, own_batch) = (log("place"), batch(size));
            let times = runtime.block_on(runtime.spawn(measured(count, async move || append(&in_place, &own_batch))));
            print(&format!("round {round}: {name} in place"), times.expect("the task"));
            let (jobs, inbox) = mpsc::channel::<Job>();
            let (on_thread, own_batch) = (log("thread"), batch(size));
            let thread = std::thread::spawn(move || {
                while let Ok((batch, done)) = inbox.recv() {
                    append(&on_thread, &batch);
                    let _ = done.send(());
                }
            });
            let ask = async move || {
                let (done, answered) = oneshot::channel();
                jobs.send((own_batch.clone(), done)).expect("the thread");
                answered.await.expect("the thread");
            };
            let times = runtime.block_on(runtime.spawn(measured(count, ask)));
            print(&format!("round {round}: {name} on a thread"), times.expect("the task"));
            thread.join().expect("the thread");
        }
    }
}

/// Returns the microseconds of each append, and the CPU microseconds of the process for each
/// append.
async fn measured(count: usize, mut append: impl AsyncFnMut()) -> (Vec<f64>, f64) {
    let before = cpu_microseconds();
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        append().await;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    (times, cpu_microseconds() - before)
}

fn print(name: &str, (mut times, cpu): (Vec<f64>, f64)) {
    times.sort_by(f64::total_cmp);
    let count = times.len() as f64;
    let slow = times.iter().filter(|time| **time > 1000.0).count();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{name}: median {median:.1} us, longest {longest:.0} us, {slow} over 1 ms, CPU {:.1} us each",
        cpu / count
    );
}

fn cpu_microseconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

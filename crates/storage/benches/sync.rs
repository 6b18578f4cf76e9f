//! Compares ways to make the newest bytes of several files survive a power cut, on the file system
//! of the temporary folder. Each round appends to every file and then waits for the disk. The
//! rounds use these ways alternately:
//!
//! - one `fdatasync` after another,
//! - `fdatasync` in parallel on some threads, which a journal may serve with one commit,
//! - `syncfs`: one call for all files, and for everything else that was written to that file
//!   system,
//! - `fdatasync` of files that were extended and synced ahead, so that their size does not change,
//!   in turn and in parallel.
//!
//! Prints milliseconds (median and 95th percentile) and CPU time of each round, first on an idle
//! disk and then while 50 MB/s are written at the same time.

use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

const ROUNDS: usize = 60;
const BYTES: usize = 4096;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    InTurn,
    SideBySide(usize),
    SyncFs,
    ExtendedInTurn,
    ExtendedSideBySide(usize),
}

const WAYS: [(&str, Way); 7] = [
    ("in turn", Way::InTurn),
    ("4 threads", Way::SideBySide(4)),
    ("16 threads", Way::SideBySide(16)),
    ("64 threads", Way::SideBySide(64)),
    ("syncfs", Way::SyncFs),
    ("extended, in turn", Way::ExtendedInTurn),
    ("extended, 16 threads", Way::ExtendedSideBySide(16)),
];

fn files(folder: &Path, way: usize, count: usize) -> Vec<File> {
    let extended = matches!(WAYS[way].1, Way::ExtendedInTurn | Way::ExtendedSideBySide(_));
    let open = |number: usize| {
        let path = folder.join(format!("{way}-{number}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).expect("a file");
        if extended {
            // The blocks are written, not only reserved: the first write to a reserved block
            // changes the journal.
            file.write_all_at(&vec![0; BYTES * ROUNDS], 0).expect("room");
        }
        file.sync_all().expect("a sync");
        file
    };
    (0..count).map(open).collect()
}

/// A pool of threads that sync files in parallel.
struct Pool {
    work: Arc<Mutex<Vec<Arc<File>>>>,
    begin: Arc<Barrier>,
    end: Arc<Barrier>,
    is_over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Pool {
    fn new(threads: usize) -> Pool {
        let (work, is_over) = (Arc::new(Mutex::new(Vec::<Arc<File>>::new())), Arc::new(AtomicBool::new(false)));
        let (begin, end) = (Arc::new(Barrier::new(threads + 1)), Arc::new(Barrier::new(threads + 1)));
        let spawn = |_| {
            let (work, begin, end, is_over) = (work.clone(), begin.clone(), end.clone(), is_over.clone());
            std::thread::spawn(move || {
                loop {
                    begin.wait();
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    loop {
                        let Some(file) = work.lock().expect("work").pop() else { break };
                        file.sync_data().expect("a sync");
                    }
                    end.wait();
                }
            })
        };
        let threads = (0..threads).map(spawn).collect();
        Pool { work, begin, end, is_over, threads }
    }

    fn sync(&self, files: &[Arc<File>]) {
        *self.work.lock().expect("work") = files.to_vec();
        self.begin.wait();
        self.end.wait();
    }

    fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.begin.wait();
        self.threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    println!("a disk that is left alone");
    (0..2).for_each(|_| compare(folder.path()));
    let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (path, over, count) = (folder.path().join("beside"), is_over.clone(), written.clone());
    let beside = std::thread::spawn(move || write_beside(&path, &over, &count));
    println!("50 MB/s written beside");
    compare(folder.path());
    is_over.store(true, Ordering::SeqCst);
    beside.join().expect("the thread");
    println!("({} MB were written beside)", written.load(Ordering::SeqCst));
}

fn write_beside(path: &Path, is_over: &AtomicBool, written: &AtomicUsize) {
    let (mut file, begun) = (File::create(path).expect("a file"), Instant::now());
    while !is_over.load(Ordering::SeqCst) {
        file.write_all(&[1; 1 << 20]).expect("room");
        let megabytes = written.fetch_add(1, Ordering::SeqCst) + 1;
        if megabytes.is_multiple_of(1024) {
            file.rewind().expect("its start");
        }
        let due = Duration::from_millis(20) * u32::try_from(megabytes).expect("not so many");
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
}

fn compare(folder: &Path) {
    for count in [1, 4, 16, 64] {
        let files: Vec<Vec<Arc<File>>> =
            (0..WAYS.len()).map(|way| self::files(folder, way, count).into_iter().map(Arc::new).collect()).collect();
        let pools: Vec<Option<Pool>> = WAYS
            .iter()
            .map(|(_, way)| match way {
                Way::SideBySide(threads) | Way::ExtendedSideBySide(threads) => Some(Pool::new(count.min(*threads))),
                _ => None,
            })
            .collect();
        let mut times = vec![Vec::new(); WAYS.len()];
        let mut cpu = vec![0.0; WAYS.len()];
        for round in 0..ROUNDS {
            for (index, (_, way)) in WAYS.iter().enumerate() {
                let mine = &files[index];
                mine.iter().for_each(|file| {
                    file.write_all_at(&[7; BYTES], (round * BYTES) as u64).expect("room");
                });
                let (begun, before) = (Instant::now(), cpu_milliseconds());
                match (way, &pools[index]) {
                    (Way::SyncFs, _) => rustix::fs::syncfs(&*mine[0]).expect("a sync"),
                    (_, Some(pool)) => pool.sync(mine),
                    _ => mine.iter().for_each(|file| file.sync_data().expect("a sync")),
                }
                times[index].push(begun.elapsed().as_secs_f64() * 1e3);
                cpu[index] += cpu_milliseconds() - before;
            }
        }
        println!("{count} files of which each has {BYTES} new bytes");
        for (index, (name, _)) in WAYS.iter().enumerate() {
            let times = &mut times[index];
            times.sort_by(f64::total_cmp);
            let (median, late) = (times[ROUNDS / 2], times[ROUNDS * 95 / 100]);
            println!("  {name:22} {median:8.2} ms  {late:8.2} ms  CPU {:6.2} ms", cpu[index] / ROUNDS as f64);
        }
        pools.into_iter().flatten().for_each(Pool::end);
    }
}

fn cpu_milliseconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

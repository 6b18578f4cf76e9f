//! Measures how long an append waits for the disk during a steady stream, on the file system of the
//! temporary folder. Writes of 64 KB are due at fixed times. They go in turn to eight files, which
//! are replaced when they reach 256 MB and are never synced. A time counts from the moment at which
//! the write was due. The ways run one after another:
//!
//! - into the page cache, written back when the kernel decides,
//! - the same, with the write-back started every 8 MB of a file (`sync_file_range`, on a thread),
//! - into files whose blocks were reserved before (`fallocate`), without and with early write-back,
//! - bypassing the page cache (`O_DIRECT`).
//!
//! `WRITE_BACK_MB` is the rate in MB/s (150), and `WRITE_BACK_SECONDS` the duration of each way
//! (30). The benchmark needs room for rate times duration.

use rustix::fs::{FallocateFlags, OFlags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use storage::disk::{Disk as _, OpenMode, RealDisk};

const FILES: usize = 8;
const WRITE: usize = 64 << 10;
const BEGIN: u64 = 8 << 20;
const FILE_BYTES: u64 = 256 << 20;

#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    is_begun: bool,
    is_reserved: bool,
    is_direct: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "buffered", is_begun: false, is_reserved: false, is_direct: false },
    Way { name: "buffered, begun", is_begun: true, is_reserved: false, is_direct: false },
    Way { name: "reserved", is_begun: false, is_reserved: true, is_direct: false },
    Way { name: "reserved, begun", is_begun: true, is_reserved: true, is_direct: false },
    Way { name: "direct", is_begun: false, is_reserved: false, is_direct: true },
];

struct Stream {
    file: File,
    path: PathBuf,
    length: u64,
    begun: u64,
    generation: usize,
}

impl Stream {
    fn new(folder: &Path, number: usize, generation: usize, way: Way) -> Stream {
        let path = folder.join(format!("{number}-{generation}"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if way.is_direct {
            options.custom_flags(OFlags::DIRECT.bits() as i32);
        }
        let file = options.open(&path).expect("a file");
        if way.is_reserved {
            rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, FILE_BYTES).expect("room");
        }
        Stream { file, path, length: 0, begun: 0, generation }
    }
}

/// Returns bytes at an address that `O_DIRECT` accepts.
fn aligned(buffer: &[u8]) -> &[u8] {
    let offset = buffer.as_ptr().align_offset(4096);
    &buffer[offset..offset + WRITE]
}

fn begin(stream: &mut Stream, beginner: &Sender<(PathBuf, u64, u64)>) {
    if stream.length - stream.begun >= BEGIN {
        let _ = beginner.send((stream.path.clone(), stream.begun, stream.length - stream.begun));
        stream.begun = stream.length;
    }
}

/// Returns the times of all writes, in milliseconds.
fn run(way: Way, rate: f64, seconds: u64) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut streams: Vec<Stream> = (0..FILES).map(|number| Stream::new(folder.path(), number, 0, way)).collect();
    let buffer = vec![7; WRITE + 4096];
    let data = aligned(&buffer);
    let (beginner, begun) = channel::<(PathBuf, u64, u64)>();
    let thread = std::thread::spawn(move || {
        for (path, position, length) in begun {
            let file = Arc::new(RealDisk).open(&path, OpenMode::Write).expect("a file");
            file.start_writeback(position, length).expect("a write-back");
        }
    });
    let every = Duration::from_secs_f64(WRITE as f64 / (rate * 1e6));
    let start = Instant::now();
    let mut times = Vec::new();
    for number in 0.. {
        let due = start + every * number;
        if due > start + Duration::from_secs(seconds) {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = number as usize % FILES;
        let stream = &mut streams[at];
        stream.file.write_all_at(data, stream.length).expect("a write");
        stream.length += WRITE as u64;
        if way.is_begun {
            begin(stream, &beginner);
        }
        times.push(due.elapsed().as_secs_f64() * 1e3);
        if stream.length >= FILE_BYTES {
            let next = stream.generation + 1;
            *stream = Stream::new(folder.path(), at, next, way);
        }
    }
    drop(beginner);
    thread.join().expect("the thread");
    times
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    // `cargo test --benches` only checks that it runs.
    let seconds = if std::env::args().any(|word| word == "--bench") { number("WRITE_BACK_SECONDS", 30) } else { 0 };
    let rate = number("WRITE_BACK_MB", 150) as f64;
    println!("{:18} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "p50", "p99", "p99.9", "longest");
    for way in WAYS {
        let mut times = run(way, rate, seconds);
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[(part * (times.len() - 1) as f64) as usize];
        println!("{:18} {:9.3} {:9.3} {:9.3} {:9.3}", way.name, at(0.5), at(0.99), at(0.999), at(1.0));
        // Writes back the dirty pages of one way, so that the next way does not wait for them.
        rustix::fs::sync();
    }
}

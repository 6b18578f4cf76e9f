//! Files that no broker wrote: whatever is in a log dir, opening it never panics, and allocates
//! memory only in proportion to the files. What is served afterwards is valid. The files are
//! Kafka's golden ones, damaged the same way in each run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    unsafe_code,
    reason = "a test with an allocator that counts"
)]

use damage::Numbers;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

#[path = "../../../fuzz/entries/damage.rs"]
mod damage;
#[path = "../../../fuzz/entries/segments.rs"]
mod segments;

/// The memory for opening, reading and writing, independent of the files: the buffers of a
/// recovery, twice.
const BASE_BYTES: usize = 6 << 20;
/// The memory for each byte of a file. It includes the simulated disk, which holds the current and
/// the synced contents of each file.
const BYTES_PER_BYTE: usize = 24;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with the current and the peak memory of this thread.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counters are cells without a
// destructor and never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.get().saturating_add(layout.size());
        TAKEN.set(taken);
        PEAK.set(PEAK.get().max(taken));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.set(TAKEN.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A file of an input, an offset, and the bytes there.
type Piece = (u8, u8, Vec<u8>);

fn piece(name: &str, bytes: Vec<u8>) -> Option<Piece> {
    let (offset, suffix) = match storage::names::parse_segment_file(name) {
        Some((offset, suffix)) => (segments::OFFSETS.iter().position(|known| *known == offset.0)?, suffix),
        None => (0, name),
    };
    let kind = segments::FILES.iter().position(|(known, _)| known.trim_start_matches("../") == suffix)?;
    Some((kind as u8, offset as u8, bytes))
}

fn golden(partition: &str) -> Vec<Piece> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.3.1");
    let mut pieces = Vec::new();
    for folder in [root.join(partition), root] {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            let text = std::fs::read(entry.path()).unwrap();
            let text = match String::from_utf8(text) {
                // The checkpoints' entries are renamed to this partition.
                Ok(text) => text.replace(&partition.replace("-0", " 0"), "t 0").into_bytes(),
                Err(error) => error.into_bytes(),
            };
            pieces.extend(piece(entry.file_name().to_str().unwrap(), text));
        }
    }
    pieces.sort();
    assert!(pieces.len() > 12, "{}", pieces.len());
    pieces
}

fn run(choice: u8, pieces: &[Piece], numbers: &mut Numbers) {
    let mut input = vec![choice];
    let mut bytes_given = 0;
    for (kind, offset, bytes) in pieces {
        segments::file(&mut input, *kind, *offset, bytes);
        bytes_given += bytes.len();
    }
    if numbers.below(8) == 0 {
        damage::damage(&mut input, numbers);
    }
    let before = TAKEN.get();
    PEAK.set(before);
    segments::run(&input);
    let taken = PEAK.get() - before;
    let allowed = BASE_BYTES + BYTES_PER_BYTE * (bytes_given + input.len());
    assert!(taken < allowed, "{taken} bytes taken where {allowed} are allowed, for {input:02x?}");
}

#[test]
fn damaged_files_of_a_log_dir_do_no_harm() {
    let mut numbers = Numbers(11);
    for partition in ["txn-0", "plain.topic_x-y-0"] {
        let golden = golden(partition);
        for round in 0..damage::rounds(200) {
            let mut pieces = golden.clone();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(pieces.len());
                match numbers.below(8) {
                    0 => drop(pieces.remove(at)),
                    1 => pieces[at].1 = numbers.below(segments::OFFSETS.len()) as u8,
                    2 => pieces[at].0 = numbers.below(segments::FILES.len()) as u8,
                    _ => damage::damage(&mut pieces[at].2, &mut numbers),
                }
            }
            run((round & 7) as u8, &pieces, &mut numbers);
        }
    }
}

#[test]
fn garbage_as_any_file_does_no_harm() {
    let mut numbers = Numbers(13);
    for round in 0..damage::rounds(200) {
        let mut pieces = Vec::new();
        for _ in 0..1 + numbers.below(4) {
            let kind = numbers.below(segments::FILES.len()) as u8;
            let offset = numbers.below(segments::OFFSETS.len()) as u8;
            let length = numbers.below(200);
            let zeros = numbers.below(3) == 0;
            let bytes = (0..length).map(|_| if zeros { 0 } else { numbers.next() as u8 }).collect();
            pieces.push((kind, offset, bytes));
        }
        run((round & 7) as u8, &pieces, &mut numbers);
    }
}

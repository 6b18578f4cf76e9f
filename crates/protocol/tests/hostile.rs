//! Bytes that no client sends. For every message in every version, decoding never panics and takes
//! at most a small multiple of the frame's memory. What decodes can be encoded again, and the
//! result is stable.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code, reason = "a test with an allocator that counts")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use damage::{Numbers, damage};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use protocol::{ApiKey, Message, decode_from};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

#[path = "../../../fuzz/entries/damage.rs"]
mod damage;
#[path = "../../../fuzz/entries/frames.rs"]
mod frames;
#[path = "../../../fuzz/entries/requests.rs"]
mod requests;

/// Memory that an empty frame may take, in bytes.
const BASE_BYTES: usize = 64 * 1024;
/// Memory that each byte of a frame may take, in bytes.
const BYTES_PER_BYTE: usize = 48;
/// The number of damaged copies of each golden message.
const COPIES: u64 = 16;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which also counts the current thread's memory and its highest value.
struct Counting;

impl Counting {
    fn add(bytes: usize) {
        let taken = TAKEN.get().saturating_add(bytes);
        TAKEN.set(taken);
        PEAK.set(PEAK.get().max(taken));
    }

    fn remove(bytes: usize) {
        TAKEN.set(TAKEN.get().saturating_sub(bytes));
    }
}

// SAFETY: every call goes to the system's allocator unchanged. The counters are cells without a
// destructor and never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::remove(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // During the move, both the old and the new block exist.
        Counting::add(size);
        let moved = unsafe { System.realloc(pointer, layout, size) };
        Counting::remove(layout.size());
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Kind {
    name: &'static str,
    versions: std::ops::RangeInclusive<i16>,
    /// Decodes and encodes again. Returns the highest memory use of the decoding.
    decode: fn(&Bytes, i16) -> Result<usize, String>,
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<usize, String> {
    let before = TAKEN.get();
    PEAK.set(before);
    let result = decode_from::<M>(bytes.clone(), version);
    let peak = PEAK.get() - before;
    if let Ok(message) = result {
        requests::stable(&message, version)?;
    }
    Ok(peak)
}

macro_rules! kinds {
    ($($module:ident :: $name:ident,)*) => {
        [$({
            type M = protocol::messages::$module::$name;
            Kind { name: M::NAME, versions: M::MIN_VERSION..=M::MAX_VERSION, decode: decode::<M> }
        },)*]
    };
}

fn check(kind: &Kind, bytes: &Bytes, version: i16) -> Result<(), String> {
    let shown = || format!("{} v{version} from {:02x?}", kind.name, &bytes[..bytes.len().min(400)]);
    let peak = (kind.decode)(bytes, version).map_err(|fault| format!("{}: {fault}", shown()))?;
    let limit = BASE_BYTES + BYTES_PER_BYTE * bytes.len();
    if peak > limit { Err(format!("{} took {peak} bytes, allowed {limit}", shown())) } else { Ok(()) }
}

/// Reads the golden messages: name, version, bytes. The longest texts are left out: copying them is
/// slow and they show nothing new.
fn golden(file: &str) -> Vec<(String, i16, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    let packed = File::open(folder.join(format!("{file}.tsv.gz"))).unwrap();
    let mut found = Vec::new();
    for line in BufReader::new(GzDecoder::new(packed)).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split('\t').collect();
        if let ["golden", name, filling, version, bytes, _] = words[..]
            && filling != "LONGEST"
        {
            found.push((name.to_owned(), version.parse().unwrap(), STANDARD_NO_PAD.decode(bytes).unwrap()));
        }
    }
    found
}

#[test]
fn damaged_messages_neither_panic_nor_take_much_memory() {
    let kinds: BTreeMap<_, _> = protocol::every_message!(kinds).into_iter().map(|kind| (kind.name, kind)).collect();
    let mut numbers = Numbers(4);
    let mut count = 0;
    for (name, version, whole) in ["requests", "responses", "records"].into_iter().flat_map(golden) {
        for _ in 0..COPIES {
            let mut copy = whole.clone();
            damage(&mut copy, &mut numbers);
            count += 1;
            if let Err(fault) = check(&kinds[name.as_str()], &Bytes::from(copy), version) {
                panic!("{fault}");
            }
        }
    }
    println!("{count} damaged messages");
}

#[test]
fn the_fuzz_targets_accept_damaged_messages() {
    let kinds: BTreeMap<_, _> = requests::KINDS.iter().enumerate().map(|(at, kind)| (kind.name, at)).collect();
    let mut numbers = Numbers(5);
    for (name, version, whole) in ["requests", "responses", "records"].into_iter().flat_map(golden) {
        let input = requests::input(kinds[name.as_str()], version, &whole);
        requests::run(&input);
        for _ in 0..damage::rounds(2) {
            let mut copy = input.clone();
            damage(&mut copy, &mut numbers);
            requests::run(&copy);
        }
    }
}

#[test]
fn the_fuzz_targets_accept_damaged_frames_and_stored_records() {
    let mut numbers = Numbers(6);
    let mut run = |whole: Vec<u8>| {
        frames::run(&whole);
        for _ in 0..damage::rounds(4) {
            let mut copy = whole.clone();
            damage(&mut copy, &mut numbers);
            frames::run(&copy);
        }
    };
    for (_, _, body) in golden("records") {
        // As a record of the metadata log of each type, and as key and value of a coordinator's
        // record.
        for kind in 0..32 {
            run([&[1, 1, kind, 0][..], &body].concat());
            run([&[2, 2, 0, kind][..], &body].concat());
        }
    }
    for key in ApiKey::ALL {
        for version in 0..4i16 {
            let prefix = [&(*key as i16).to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 7]].concat();
            run([&[0], &prefix[..], &[0, 3], b"rdk", &[0]].concat());
        }
    }
}

#[test]
fn a_count_that_fills_the_frame_takes_no_more_than_the_frame_allows() {
    // A count that the following zeros just cover: the most elements that a frame can claim.
    for kind in protocol::every_message!(kinds) {
        for version in kind.versions.clone() {
            for prefix in 0..24 {
                for count in [&[0, 0, 0x10, 0][..], &[0x80, 0x20]] {
                    let mut bytes = vec![0u8; prefix];
                    bytes.extend_from_slice(count);
                    bytes.resize(prefix + 4200, 0);
                    if let Err(fault) = check(&kind, &Bytes::from(bytes), version) {
                        panic!("{fault}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_neither_panic_nor_take_much_memory(kind: prop::sample::Index, version: prop::sample::Index, bytes: Vec<u8>) {
        let kinds = protocol::every_message!(kinds);
        let kind = &kinds[kind.index(kinds.len())];
        let version = kind.versions.start() + version.index(kind.versions.clone().count()) as i16;
        prop_assert_eq!(check(kind, &Bytes::from(bytes), version), Ok(()));
    }
}

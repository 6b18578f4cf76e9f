//! Bytes that no client would send: for every message in every version, decoding never panics and never takes more memory than a small multiple of
//! the frame; and whatever does decode, encodes to something stable.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code, reason = "a test with an allocator that counts")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use protocol::{EncodeError, Message, decode_from, encode_to_bytes};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// Memory that a frame of no length may take, in bytes.
const BASE_BYTES: usize = 64 * 1024;
/// Memory that each byte of a frame may take, in bytes.
const BYTES_PER_BYTE: usize = 48;
/// Damaged copies of each golden instance.
const COPIES: u64 = 16;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what the current thread has taken and the most that it ever had.
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

// SAFETY: every call goes to the system's allocator unchanged; the counters are cells without a destructor and never allocate.
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
        // While it moves, both the old and the new block are there.
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
    /// Decodes and encodes again; how much memory the decoding took at most.
    decode: fn(&Bytes, i16) -> Result<usize, String>,
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<usize, String> {
    let before = TAKEN.get();
    PEAK.set(before);
    let result = decode_from::<M>(bytes.clone(), version);
    let peak = PEAK.get() - before;
    if let Ok(message) = result {
        stable(&message, version)?;
    }
    Ok(peak)
}

/// What was decoded has bytes, and these bytes stay the same when they are decoded and encoded once more.
fn stable<M: Message>(message: &M, version: i16) -> Result<(), String> {
    let first = match encode_to_bytes(message, version) {
        Ok(bytes) => bytes,
        // A text that grew when what was not UTF-8 in it was replaced.
        Err(EncodeError::TooLong(_)) => return Ok(()),
        Err(error) => return Err(format!("decoded, but: {error}")),
    };
    let again = decode_from::<M>(first.clone(), version).map_err(|error| format!("its own bytes: {error}"))?;
    match encode_to_bytes(&again, version) {
        Ok(second) if second == first => Ok(()),
        other => Err(format!("{first:02x?} became {other:02x?}")),
    }
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

/// A small generator of numbers (splitmix64), so that a run is the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Damage as the wire and the hostile do it: bytes changed, lengths blown up, cut off, doubled, swapped.
fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    const EDGES: [&[u8]; 8] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x7f, 0xff],
        &[0],
        &[0xff, 0xff, 0x7f],
    ];
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            2 => {
                bytes.splice(at..at, EDGES[numbers.below(EDGES.len())].iter().copied());
            }
            3 => {
                let edge = EDGES[numbers.below(EDGES.len())];
                let end = bytes.len().min(at + edge.len());
                bytes.splice(at..end, edge.iter().copied());
            }
            4 => bytes.truncate(bytes.len().saturating_sub(1)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = numbers.next() as u8;
                }
            }
        }
    }
}

#[test]
fn damaged_messages_neither_panic_nor_take_much_memory() {
    let kinds: BTreeMap<_, _> = protocol::every_message!(kinds).into_iter().map(|kind| (kind.name, kind)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    let mut numbers = Numbers(4);
    let mut count = 0;
    for file in ["requests", "responses", "records"] {
        let packed = File::open(folder.join(format!("{file}.tsv.gz"))).unwrap();
        for line in BufReader::new(GzDecoder::new(packed)).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split('\t').collect();
            let ["golden", name, filling, version, bytes, _] = words[..] else { continue };
            // The longest text makes slow copies and shows nothing that the others do not.
            if filling == "LONGEST" {
                continue;
            }
            let (kind, version) = (&kinds[name], version.parse().unwrap());
            let whole = STANDARD_NO_PAD.decode(bytes).unwrap();
            for _ in 0..COPIES {
                let mut copy = whole.clone();
                damage(&mut copy, &mut numbers);
                count += 1;
                if let Err(fault) = check(kind, &Bytes::from(copy), version) {
                    panic!("{fault}");
                }
            }
        }
    }
    println!("{count} damaged messages");
}

#[test]
fn a_count_that_fills_the_frame_takes_no_more_than_the_frame_allows() {
    // In front of a frame of zeros, a count that the bytes just cover: the most elements that a frame can ask for.
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

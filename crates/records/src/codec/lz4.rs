//! The head of an LZ4 frame: what Kafka demands of it, and the checksum that it wrote wrongly in message format 0.
//!
//! ```text
//! 04 22 4d 18   magic
//! FLG BD        version 01 in the top bits of FLG, then block independence, block checksums, content size, content checksum
//! [8 bytes]     the content size, where FLG says so
//! HC            second byte of xxHash32 over FLG.., or over everything from the magic in message format 0 (KAFKA-3160)
//! ```

use std::io;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Magic, FLG, BD, content size, HC.
const HEAD_LEN_MAX: usize = 15;

/// The frame's head with a right checksum, and what follows it.
pub(super) struct Head<'a> {
    bytes: [u8; HEAD_LEN_MAX],
    len: usize,
    pub(super) rest: &'a [u8],
}

impl Head<'_> {
    pub(super) fn into_bytes(self) -> ([u8; HEAD_LEN_MAX], usize) {
        (self.bytes, self.len)
    }
}

/// Errors: this is no frame that Kafka would read. `ignore_checksum` is for message format 0.
pub(super) fn head(frame: &[u8], ignore_checksum: bool) -> io::Result<Head<'_>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let flags = match frame {
        [a, b, c, d, flags, ..] if [*a, *b, *c, *d] == MAGIC => *flags,
        _ => return Err(invalid("Stream unsupported (invalid magic bytes)")),
    };
    if flags >> 6 != 1 {
        return Err(invalid("the frame's version is not 1"));
    }
    if flags & 0x20 == 0 {
        return Err(invalid("Dependent block stream is unsupported (BlockIndependence must be set)"));
    }
    let len = if flags & 0x08 != 0 { 15 } else { 7 };
    let head = frame.get(..len).ok_or_else(|| invalid("the frame ends in its head"))?;
    let mut bytes = [0; HEAD_LEN_MAX];
    bytes[..len].copy_from_slice(head);
    if ignore_checksum {
        bytes[len - 1] = (xxhash32(&bytes[4..len - 1]) >> 8) as u8;
    }
    Ok(Head { bytes, len, rest: &frame[len..] })
}

/// xxHash32 with seed 0 of fewer than 16 bytes, which is all that a frame's head has.
fn xxhash32(input: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
    let mut hash = PRIMES[4].wrapping_add(input.len() as u32);
    let (words, tail) = input.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]));
        hash = hash.rotate_left(17).wrapping_mul(PRIMES[3]);
    }
    for byte in tail {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIMES[4]));
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 16
}

//! Damage as on the wire or from an attacker, the same in each run. It replaces a fuzzer on a
//! stable toolchain.

/// The number of damaged copies of each golden input: this number, or `FUZZ_ROUNDS`.
#[allow(dead_code, reason = "not all that damage have a number to choose")]
pub fn rounds(default: u64) -> u64 {
    std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A small random number generator (splitmix64) with the same numbers in each run.
pub struct Numbers(pub u64);

impl Numbers {
    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Damages bytes: changes bytes, increases lengths, cuts, repeats or swaps parts.
pub fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
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

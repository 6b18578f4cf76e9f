//! Kafka's UUID: 16 bytes, printed as 22 characters of URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

/// A 128-bit id of a topic, a log dir, a cluster or a broker incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text is not 22 characters of URL-safe base64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a base64 UUID of 22 characters")]
pub struct ParseUuidError(pub String);

impl Uuid {
    /// All zeros: "absent" in formats without null.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// One, which Kafka reserves for the id of the metadata topic.
    pub const ONE: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Creates a version 4 UUID from 16 random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// Whether all bits are zero.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Returns `None` for the zero UUID.
    pub fn non_zero(self) -> Option<Self> {
        (!self.is_zero()).then_some(self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(22);
        for group in self.0.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for digit in 0..=group.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63]));
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseUuidError(text.chars().take(64).collect());
        let text = text.strip_suffix("==").unwrap_or(text);
        if text.len() != 22 {
            return Err(error());
        }
        let mut bits = 0u128;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|c| *c == byte).ok_or_else(error)? as u128;
            // 22 digits have 132 bits. The last digit has two bits of the UUID and four zeros.
            bits = if index < 21 { bits << 6 | digit } else { bits << 2 | digit >> 4 };
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_kafkas() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        for byte in 0..=255u8 {
            let id = Uuid(std::array::from_fn(|i| byte.wrapping_mul(i as u8 + 3)));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!("AAAA".parse::<Uuid>().is_err());
        assert!("AAAAAAAAAAAAAAAAAAAA*Q".parse::<Uuid>().is_err());
    }
}

//! Zigzag varints: the numbers inside a record.
//!
//! Each byte has seven bits, the lowest group first. The sign is folded into the lowest bit, as in
//! protobuf's `sint32` and `sint64`.

/// Appends `value`.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut bits = (value << 1 ^ value >> 63) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Appends `value`. Its bytes are those of the same `i64`.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_i64(out, i64::from(value));
}

/// Returns the number of bytes that `value` takes.
pub(crate) fn len_i64(value: i64) -> usize {
    let bits = (value << 1 ^ value >> 63) as u64;
    (63 - (bits | 1).leading_zeros() as usize) / 7 + 1
}

/// Takes a varint of at most five bytes off the front of `bytes`. Returns `None` if they end first
/// or the varint is longer.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let bits = take(bytes, 5)? as u32;
    Some((bits >> 1) as i32 ^ -((bits & 1) as i32))
}

/// Takes a varint of at most ten bytes off the front of `bytes`. Returns `None` if they end first
/// or the varint is longer.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let bits = take(bytes, 10)?;
    Some((bits >> 1) as i64 ^ -((bits & 1) as i64))
}

#[inline]
fn take(bytes: &mut &[u8], length_max: usize) -> Option<u64> {
    let mut bits = 0u64;
    for (index, byte) in bytes.iter().take(length_max).enumerate() {
        bits |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(bits);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for value in [0, -1, 1, 63, -64, 64, -65, 300, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, value);
            assert_eq!(bytes.len(), len_i64(value), "{value}");
            let mut rest = bytes.as_slice();
            assert_eq!(take_i64(&mut rest), Some(value));
            assert!(rest.is_empty());
            if let Ok(value) = i32::try_from(value) {
                assert_eq!(take_i32(&mut bytes.as_slice()), Some(value));
            }
            assert_eq!(take_i64(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(take_i32(&mut [0xff; 6].as_slice()), None);
        assert_eq!(take_i64(&mut [0xff; 11].as_slice()), None);
    }
}

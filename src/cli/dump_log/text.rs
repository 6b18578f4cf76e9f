//! Decodes text like Java's `new String(bytes, UTF_8)`, which has its own rules for the replacement
//! of invalid UTF-8.

use std::borrow::Cow;

/// Decodes the text. Invalid sequences become U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let sound = match str::from_utf8(rest) {
            Ok(sound) => sound,
            Err(error) => str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
        };
        text.push_str(sound);
        rest = &rest[sound.len()..];
        if !rest.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            rest = &rest[malformed(rest)..];
        }
    }
    Cow::Owned(text)
}

/// Returns how many bytes one replacement covers. The bytes must not start with a valid character.
fn malformed(bytes: &[u8]) -> usize {
    let follows = |index: usize| bytes.get(index).is_some_and(|byte| byte & 0xc0 == 0x80);
    let second = bytes.get(1).copied();
    let count = match (bytes.first().copied().unwrap_or_default(), second) {
        (0xe0, Some(0x80..=0x9f)) => 1,
        // A surrogate is replaced with one character.
        (0xed, Some(0xa0..=0xbf)) if follows(2) => 3,
        (0xe0..=0xef, _) if follows(1) => 2,
        (0xf0, Some(0x80..=0x8f)) => 1,
        (0xf4, Some(0x90..=0xbf)) => 1,
        (0xf0..=0xf4, _) if follows(1) && follows(2) => 3,
        (0xf0..=0xf4, _) if follows(1) => 2,
        _ => 1,
    };
    // A sequence that the end cuts off is replaced up to the end.
    count.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `jshell` prints them, with the replacement written as `?`.
    #[test]
    fn malformed_bytes_are_replaced_as_in_java() {
        for (bytes, expected) in [
            (&b"plain \xc3\xa9"[..], "plain é"),
            (b"a\x80b", "a?b"),
            (b"a\xc3", "a?"),
            (b"\xc0\x80z", "??z"),
            (b"\xe0\x80\x80z", "???z"),
            (b"\xe4\xb8", "?"),
            (b"\xe4\xb8z", "?z"),
            (b"\xed\xa0\x80z", "?z"),
            (b"\xf0\x9f\x98z", "?z"),
            (b"\xf0\x9f", "?"),
            (b"\xf4\x90\x80\x80z", "????z"),
            (b"\xf8\x88z", "??z"),
        ] {
            assert_eq!(decode(bytes), expected.replace('?', "\u{fffd}"), "{bytes:x?}");
        }
    }
}

//! JSON formatted as Kafka's tools print it with Jackson.

use crate::config::java_double;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use std::io::{self, Write};

/// Returns the value on one line.
pub(super) fn text(value: &Value) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Jackson))?;
    Ok(String::from_utf8(bytes)?)
}

/// Writes control characters with upper-case digits, and doubles as Java does.
struct Jackson;

impl Formatter for Jackson {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(java_double(value).as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let letter = match escape {
            CharEscape::Quote => '"',
            CharEscape::ReverseSolidus => '\\',
            CharEscape::Solidus => '/',
            CharEscape::Backspace => 'b',
            CharEscape::FormFeed => 'f',
            CharEscape::LineFeed => 'n',
            CharEscape::CarriageReturn => 'r',
            CharEscape::Tab => 't',
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04X}"),
        };
        write!(writer, "\\{letter}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn letters_are_jacksons() {
        let value = json!({"b": "a\"\\/\u{1}\u{1f}\n\u{7f}é😀", "a": [1, null, true, 1024.0, 1e9, 5e-4], "c": {}});
        let expected =
            "{\"b\":\"a\\\"\\\\/\\u0001\\u001F\\n\u{7f}é😀\",\"a\":[1,null,true,1024.0,1.0E9,5.0E-4],\"c\":{}}";
        assert_eq!(text(&value).unwrap(), expected);
    }
}

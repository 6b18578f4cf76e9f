//! Java's property files, parsed and written like `java.util.Properties`.
//!
//! A logical line is `key=value`, `key:value` or `key value`. A backslash at the end of a line
//! joins the next line to it. `#` and `!` start comments. `\t \n \r \f \uXXXX` are escapes, and any
//! other escaped character means itself. Of several values for a key the last one wins.

use super::{ConfigError, Properties};
use std::fmt::Write as _;

/// Parses properties. Errors: an escape `\u` without four hexadecimal digits.
pub fn parse(text: &str) -> Result<Properties, ConfigError> {
    let mut properties = Properties::new();
    for line in logical_lines(text) {
        let (key, value) = split(&line);
        let read = |part: &[char]| unescape(part).ok_or_else(|| malformed(&line));
        properties.insert(read(key)?, read(value)?);
    }
    Ok(properties)
}

fn malformed(line: &[char]) -> ConfigError {
    let (key, _) = split(line);
    let key: String = key.iter().collect();
    ConfigError(format!("{key}: malformed \\uxxxx encoding; it takes four hexadecimal digits"))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// Joins natural lines into logical ones, without comments, blank lines and leading blanks.
fn logical_lines(text: &str) -> Vec<Vec<char>> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut current: Option<Vec<char>> = None;
    for natural in text.split('\n') {
        let natural = natural.trim_start_matches(is_blank);
        if current.is_none() && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.chars().rev().take_while(|character| *character == '\\').count();
        let mut line = current.take().unwrap_or_default();
        if backslashes % 2 == 1 {
            line.extend(natural[..natural.len() - 1].chars());
            current = Some(line);
        } else {
            line.extend(natural.chars());
            lines.push(line);
        }
    }
    lines.extend(current);
    lines.retain(|line| !line.is_empty());
    lines
}

/// Splits a logical line into key and value, both still escaped.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut escaped = false;
    let mut end = line.len();
    for (at, character) in line.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if *character == '\\' {
            escaped = true;
        } else if matches!(character, '=' | ':') || is_blank(*character) {
            end = at;
            break;
        }
    }
    let mut start = end;
    let mut has_separator = false;
    while let Some(character) = line.get(start) {
        if !has_separator && matches!(character, '=' | ':') {
            has_separator = true;
        } else if !is_blank(*character) {
            break;
        }
        start += 1;
    }
    (&line[..end], &line[start..])
}

fn unescape(text: &[char]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.iter().copied();
    while let Some(character) = characters.next() {
        let mut buffer = [0; 2];
        let plain = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    let mut unit = 0;
                    for _ in 0..4 {
                        unit = unit * 16 + u16::try_from(characters.next()?.to_digit(16)?).ok()?;
                    }
                    units.push(unit);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

/// Writes properties, sorted, one per line. `parse` reads the same properties back.
pub fn write<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        escape(&mut text, key, true);
        text.push('=');
        escape(&mut text, value, false);
        text.push('\n');
    }
    text
}

fn escape(text: &mut String, part: &str, is_key: bool) {
    let mut at_start = true;
    for character in part.chars() {
        match character {
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\u{c}' => text.push_str("\\f"),
            ' ' if is_key || at_start => text.push_str("\\ "),
            '\\' => text.push_str("\\\\"),
            '=' | ':' if is_key => {
                text.push('\\');
                text.push(character);
            }
            '#' | '!' if is_key && at_start => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
        at_start = false;
    }
}

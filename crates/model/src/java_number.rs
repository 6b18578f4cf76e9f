//! Numbers and truth values as Java's parsers read them, whose grammar is not Rust's: digits of
//! other scripts, hexadecimal doubles, suffixes.
//!
//! Configs are texts that Apache Kafka reads with these parsers, so that what is stored must be
//! read alike. `testdata/java-numbers.tsv` holds Java's own verdicts.

/// The zeros of the scripts that have digits in Java's Basic Multilingual Plane; nine more digits
/// follow each. Parsers read a text by UTF-16 units, so that no digit beyond the plane counts.
const ZEROS: [char; 37] = [
    '0', '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}', '\u{17e0}', '\u{1810}',
    '\u{1946}', '\u{19d0}', '\u{1a80}', '\u{1a90}', '\u{1b50}', '\u{1bb0}', '\u{1c40}', '\u{1c50}', '\u{a620}',
    '\u{a8d0}', '\u{a900}', '\u{a9d0}', '\u{a9f0}', '\u{aa50}', '\u{abf0}', '\u{ff10}',
];

/// Java's `Character.digit(character, 10)`.
pub fn digit(character: char) -> Option<u32> {
    let at = ZEROS.partition_point(|zero| *zero <= character).checked_sub(1)?;
    let value = u32::from(character) - u32::from(ZEROS[at]);
    (value <= 9).then_some(value)
}

/// Java's `Long.parseLong`.
pub fn parse_long(text: &str) -> Option<i64> {
    let (is_negative, digits) = signed(text);
    if digits.is_empty() {
        return None;
    }
    // Downwards, since there is one negative number more.
    let negative = digits
        .chars()
        .try_fold(0_i64, |value, digit_of| value.checked_mul(10)?.checked_sub(digit(digit_of)?.into()))?;
    if is_negative { Some(negative) } else { negative.checked_neg() }
}

/// Java's `Integer.parseInt`.
pub fn parse_int(text: &str) -> Option<i32> {
    parse_long(text)?.try_into().ok()
}

/// Java's `Short.parseShort`.
pub fn parse_short(text: &str) -> Option<i16> {
    parse_long(text)?.try_into().ok()
}

/// What Java's `equalsIgnoreCase` takes for `true` and `false`: the long s is an s too.
pub fn parse_boolean(text: &str) -> Option<bool> {
    let text = text.replace('\u{17f}', "s");
    let all = [("true", true), ("false", false)];
    all.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Java's `String.trim`: everything up to the space goes.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Java's `Double.parseDouble`.
pub fn parse_double(text: &str) -> Option<f64> {
    let (is_negative, digits) = signed(trim(text));
    let magnitude = match digits {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        digits => {
            let without_suffix = digits.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(digits);
            match without_suffix.strip_prefix("0x").or_else(|| without_suffix.strip_prefix("0X")) {
                Some(hexadecimal) => parse_hexadecimal(hexadecimal)?,
                // What begins so is read alike by Rust; `inf` and the like are not.
                None if without_suffix.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
                    without_suffix.parse().ok()?
                }
                None => return None,
            }
        }
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// The items of a list in a config: Java's `trim().split("\\s*,\\s*", -1)`, none of a text without
/// any.
pub fn list(text: &str) -> Vec<&str> {
    const BLANKS: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];
    let text = trim(text);
    if text.is_empty() { Vec::new() } else { text.split(',').map(|item| item.trim_matches(BLANKS)).collect() }
}

/// Whether there is a minus, and what follows the sign.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// `1.8p-1` without its sign and `0x`: hexadecimal digits, and an exponent of two, which must be
/// there.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (is_negative, digits) = signed(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Beyond any double, whatever stands before it: a text has fewer digits than this.
    let exponent = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40);
    let mut exponent = if is_negative { -exponent } else { exponent };
    let (mut bits, mut is_inexact) = (0_u64, false);
    for (digit, is_fraction) in whole.chars().map(|it| (it, false)).chain(fraction.chars().map(|digit| (digit, true))) {
        let value = u64::from(digit.to_digit(16)?);
        if bits >> 60 == 0 {
            bits = bits << 4 | value;
            exponent -= if is_fraction { 4 } else { 0 };
        } else {
            is_inexact |= value != 0;
            exponent += if is_fraction { 0 } else { 4 };
        }
    }
    Some(scaled(bits, exponent, is_inexact))
}

/// `bits` times two to the power of `exponent`, rounded to the nearest double and to the even one
/// of two; a little more than that where `is_inexact`.
fn scaled(bits: u64, exponent: i64, is_inexact: bool) -> f64 {
    const FRACTION_BITS: i64 = 52;
    const LEAST_EXPONENT: i64 = -1074;
    if bits == 0 {
        return 0.0;
    }
    let length = 64 - i64::from(bits.leading_zeros());
    // The exponent of the last bit that the double has: fewer bits than 53 below the least normal
    // number.
    let last = (exponent + length - 1 - FRACTION_BITS).max(LEAST_EXPONENT);
    if last > 1023 - FRACTION_BITS {
        return f64::INFINITY;
    }
    let bits = u128::from(bits);
    let dropped = last - exponent;
    let rounded = match dropped {
        // No more than 52: what is dropped is counted from the first bit.
        ..=0 => bits << -dropped,
        // Less than half of the least double.
        65.. => 0,
        dropped => {
            let kept = bits >> dropped;
            let rest = (bits & ((1 << dropped) - 1), is_inexact);
            let half = (1_u128 << (dropped - 1), false);
            let is_up = rest > half || (rest == half && kept & 1 == 1);
            kept + u128::from(is_up)
        }
    };
    // 53 bits, or 54 of which the last is 0: a whole number that a double holds, and a power of two
    // in two steps, of which none leaves the range before the end.
    let value = rounded as f64;
    let half = last / 2;
    value * power_of_two(half) * power_of_two(last - half)
}

/// Two to the power of an exponent between -1022 and 1023.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Java's verdicts; how they are made is said in the file.
    const GOLDEN: &str = include_str!("../testdata/java-numbers.tsv");

    /// The text of a JSON string; `None` where it is half of a surrogate pair, which no config can
    /// hold.
    fn text_of(json: &str) -> Option<String> {
        let mut units = Vec::new();
        let mut rest = json.trim_matches('"').chars();
        while let Some(character) = rest.next() {
            match (character, rest.clone().next()) {
                ('\\', Some('u')) => {
                    let digits: String = rest.by_ref().skip(1).take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap());
                }
                ('\\', _) => units.extend(rest.next().map(|escaped| escaped as u16)),
                (plain, _) => units.push(plain as u16),
            }
        }
        String::from_utf16(&units).ok()
    }

    #[test]
    fn numbers_are_read_as_java_reads_them() {
        let mut count = 0;
        for line in GOLDEN.lines().filter(|line| line.starts_with('"')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let Some(text) = text_of(fields[0]) else { continue };
            let trimmed = trim(&text);
            let shown = |number: Option<String>| number.unwrap_or_else(|| "-".into());
            assert_eq!(shown(parse_short(trimmed).map(|it| it.to_string())), fields[1], "short {line}");
            assert_eq!(shown(parse_int(trimmed).map(|it| it.to_string())), fields[2], "int {line}");
            assert_eq!(shown(parse_long(trimmed).map(|it| it.to_string())), fields[3], "long {line}");
            let bits = |value: f64| format!("{:016x}", if value.is_nan() { f64::NAN } else { value }.to_bits());
            assert_eq!(shown(parse_double(&text).map(bits)), fields[4], "double {line}");
            assert_eq!(shown(parse_boolean(trimmed).map(|it| it.to_string())), fields[5], "boolean {line}");
            let list = list(&text);
            let list = if list.is_empty() { None } else { Some(list.join("|")) };
            assert_eq!(list, text_of(fields[6]).filter(|_| fields[6] != "[]"), "list {line}");
            count += 1;
        }
        assert!(count > 250, "{count}");
    }

    #[test]
    fn digits_of_every_script_that_java_knows_count() {
        let zeros = GOLDEN.lines().find_map(|line| line.strip_prefix("# zeros ")).unwrap();
        let zeros: Vec<u32> = zeros.split(' ').map(|zero| u32::from_str_radix(zero, 16).unwrap()).collect();
        for code in 0..=0x10_ffff {
            let Some(character) = char::from_u32(code) else { continue };
            let expected = zeros.iter().find(|zero| (**zero..**zero + 10).contains(&code)).map(|zero| code - zero);
            assert_eq!(digit(character), expected, "{code:04x}");
        }
    }
}

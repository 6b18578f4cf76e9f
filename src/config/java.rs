//! What configurations inherit from Java: the order of its hash maps, how it prints a number, what it trims.
//!
//! Kafka answers DescribeConfigs in the order in which a `HashMap` of names is walked, and prints doubles with `Double.toString`.

/// Names in the order in which a Java `HashMap` that grew to `entries` walks them; the given order decides within a bucket.
pub(super) fn hash_order<T>(items: &mut [T], entries: usize, name: impl Fn(&T) -> &str) {
    model::java::hash_order(items, model::java::bucket_count(16, entries), |item| model::java::string_hash(name(item)));
}

/// Java's `String.trim`: everything up to the space goes.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Java's `Double.toString`.
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let fraction = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{fraction}E{exponent}")
}

/// Java's `Double.valueOf`, but for hexadecimal numbers.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    let text = trim(text);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match digits {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    let digits = digits.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(digits);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    digits.parse::<f64>().ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        let printed = [0.9, 0.5, f64::MAX, 1.0, 0.0001, 1e7, 123_456.75, -2.0, 1.5e300, 0.0].map(double);
        let expected =
            ["0.9", "0.5", "1.7976931348623157E308", "1.0", "1.0E-4", "1.0E7", "123456.75", "-2.0", "1.5E300", "0.0"];
        assert_eq!(printed, expected);
    }

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        for (text, value) in
            [(" 0.5f ", 0.5), ("1", 1.0), ("+2.", 2.0), (".5", 0.5), ("1e3", 1000.0), ("-Infinity", f64::NEG_INFINITY)]
        {
            assert_eq!(parse_double(text), Some(value), "{text}");
        }
        for text in ["x", "", "inf", "nan", "--1", "1,5", "infinity", "f"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
    }
}

//! Java's rules in configurations: the order of its hash maps, and how it prints a number.
//! `model::java_number` has how it parses one.
//!
//! Kafka answers DescribeConfigs in the iteration order of a `HashMap` of names, and prints doubles
//! with `Double.toString`.

pub(super) use model::java_number::trim;

/// Sorts names into the iteration order of a Java `HashMap` that grew to `entries` entries. Names
/// in the same bucket keep their order.
pub(super) fn hash_order<T>(items: &mut [T], entries: usize, name: impl Fn(&T) -> &str) {
    model::java::hash_order(items, model::java::bucket_count(16, entries), |item| model::java::string_hash(name(item)));
}

/// Formats a number like Java's `Double.toString`.
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
}

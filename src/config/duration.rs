//! Parses ISO-8601 durations like Java's `Duration.parse`: `PnDTnHnMn.nS`.

/// Returns a duration in milliseconds; `None` if it is negative or invalid.
pub fn parse_millis(text: &str) -> Option<i64> {
    let (sign, rest) = signed(text);
    let rest = rest.strip_prefix(['P', 'p'])?;
    let (days, time) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    if !days.is_empty() {
        let days = days.strip_suffix(['D', 'd'])?;
        total += millis(days, 86_400_000, false)?;
    }
    let mut rest = time;
    for (unit, factor) in [('H', 3_600_000), ('M', 60_000), ('S', 1000)] {
        let end = rest.find([unit, unit.to_ascii_lowercase()]);
        if let Some(end) = end {
            total += millis(&rest[..end], factor, unit == 'S')?;
            rest = &rest[end + 1..];
        }
    }
    let total = if sign { -total } else { total };
    if rest.is_empty() && total >= 0 { i64::try_from(total).ok() } else { None }
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn millis(number: &str, factor: i128, may_have_fraction: bool) -> Option<i128> {
    let (negative, number) = signed(number);
    let (whole, fraction) = match number.split_once(['.', ',']) {
        Some((whole, fraction)) if may_have_fraction && fraction.len() <= 9 => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 18 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let value = whole.parse::<i128>().ok()? * factor + thousandths.parse::<i128>().ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse_millis;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        for (text, millis) in [
            ("PT1H", 3_600_000),
            ("P1DT2H3M4.5S", 93_784_500),
            ("pt0s", 0),
            ("PT-1S", -1),
            ("-PT-1S", 1000),
            ("P2D", 172_800_000),
        ] {
            assert_eq!(parse_millis(text), (millis >= 0).then_some(millis), "{text}");
        }
        for text in ["", "P", "PT", "1H", "PT1", "P1H", "PT1S1H", "PT1.5H", "x", "P1DT", "PTS"] {
            assert_eq!(parse_millis(text), None, "{text}");
        }
    }
}

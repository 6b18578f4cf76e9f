//! The two text formats of metrics, and which of them a scraper requests.
//!
//! The differences are small but break readers. OpenMetrics names a counter's family without
//! `_total`, has units, and ends with `# EOF`. A reader of the classic format treats such a counter
//! as an untyped series.

use std::fmt::Write as _;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own, version 0.0.4: the default.
    Classic,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// Returns the format that an `Accept` header requests: OpenMetrics if the header names it and
    /// does not prefer plain text.
    pub fn accepted(header: &str) -> Self {
        let wanted = |media: &str| header.split(',').filter_map(|range| quality(range, media)).fold(0.0, f32::max);
        let open_metrics = wanted("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= wanted("text/plain") { Self::OpenMetrics } else { Self::Classic }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Returns the quality that a range of an `Accept` header gives a media type; `None` if it names
/// another type.
fn quality(range: &str, media: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media) {
        return None;
    }
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
}

/// Converts OpenMetrics text to the classic format.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let about = |kind: &str| line.strip_prefix(kind).and_then(|rest| rest.split_once(' '));
        if let Some(named) = about("# HELP ") {
            help = Some(named);
        } else if let Some((name, kind)) = about("# TYPE ") {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                "stateset" => ("", "gauge"),
                kind => ("", kind),
            };
            // Writing to a string cannot fail.
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_asks_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                          text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for header in [prometheus, "application/openmetrics-text", "text/plain;q=0.5, APPLICATION/openmetrics-text"] {
            assert_eq!(Exposition::accepted(header), Exposition::OpenMetrics, "{header}");
        }
        let plain = "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5";
        for header in ["", "*/*", "text/html", "text/plain", plain, "application/openmetrics-text;q=0", ";;,q=1"] {
            assert_eq!(Exposition::accepted(header), Exposition::Classic, "{header}");
        }
    }

    #[test]
    fn the_classic_format_has_its_own_names_and_types() {
        let open_metrics = "# HELP a_b Bytes.\n# TYPE a_b counter\n# UNIT a_b bytes\na_b_total 1\n# HELP g G.\n\
                            # TYPE g gauge\ng{x=\"# EOF\"} 2\n# TYPE u unknown\nu 3\n# EOF\n";
        let expected = "# HELP a_b_total Bytes.\n# TYPE a_b_total counter\na_b_total 1\n# HELP g G.\n# TYPE g gauge\n\
                        g{x=\"# EOF\"} 2\n# TYPE u untyped\nu 3\n";
        assert_eq!(classic(open_metrics), expected);
    }
}

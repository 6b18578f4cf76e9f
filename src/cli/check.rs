//! `gregor check`: reports whether a node can start on its folders, what it would recover, and what
//! would be lost. Nothing is written.

use super::{Check, output};
use crate::config::NodeConfig;
use crate::env::Env;
use crate::node::report::{self, DirReport, PartitionReport, Report, Verdict};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let report = match NodeConfig::read(&self.properties, &self.overrides) {
            Ok(config) => {
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                report::examine(&config, &disk, Env::default())
            }
            Err(error) => report::refused(error.to_string()),
        };
        let shown = match self.json {
            true => serde_json::to_string_pretty(&report)?,
            false => text(&report),
        };
        // The exit status carries the verdict, even if the report cannot be printed.
        output::done(shown.trim_end_matches('\n'));
        Ok(ExitCode::from(match report.verdict {
            Verdict::Starts => 0,
            Verdict::StartsWithWarnings => 1,
            Verdict::DoesNotStart => 2,
        }))
    }
}

/// Returns the report as text.
fn text(report: &Report) -> String {
    let mut text = String::new();
    if let (Some(cluster_id), Some(node_id)) = (&report.cluster_id, report.node_id) {
        let features: Vec<String> = report.features.iter().map(|(name, level)| format!("{name}={level}")).collect();
        let _ = writeln!(text, "cluster {cluster_id}, node {node_id}; {}\n", features.join(" "));
    }
    for dir in &report.log_dirs {
        write_dir(&mut text, dir);
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let verdict = match (report.verdict, &report.refusal) {
        (Verdict::DoesNotStart, Some(refusal)) => format!("Gregor does not start on this: {refusal}"),
        (Verdict::DoesNotStart, None) => "Gregor does not start on this.".into(),
        (Verdict::StartsWithWarnings, _) => format!("Gregor starts on this; warnings: {}", report.warnings.len()),
        (Verdict::Starts, _) => "Gregor starts on this.".into(),
    };
    let _ = writeln!(text, "{verdict}");
    text
}

fn write_dir(text: &mut String, dir: &DirReport) {
    let identity = match (&dir.directory_id, dir.is_formatted) {
        (Some(id), _) => format!("directory id {id}"),
        (None, true) => "a start gives it a directory id".into(),
        (None, false) => "not formatted: a start formats it".into(),
    };
    let stop = if dir.stopped_cleanly { "stopped cleanly" } else { "not stopped cleanly" };
    let _ = writeln!(text, "{}: {identity}, {stop}", dir.path.display());
    if dir.partitions.is_empty() {
        let _ = writeln!(text, "  no partitions\n");
        return;
    }
    let head = ["FOLDER", "SEGMENTS", "BYTES", "OFFSETS", "TO CHECK", "A START"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(dir.partitions.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for [name, segments, bytes, offsets, to_check, action] in &rows {
        let _ = writeln!(
            text,
            "  {name:<0$}  {segments:>1$}  {bytes:>2$}  {offsets:>3$}  {to_check:>4$}  {action}",
            widths[0], widths[1], widths[2], widths[3], widths[4],
        );
    }
    text.push('\n');
}

fn row(it: &PartitionReport) -> [String; 6] {
    [
        it.name.clone(),
        it.segments.to_string(),
        it.bytes.to_string(),
        it.offsets.map_or_else(|| "-".into(), |(start, end)| format!("{start}..{end}")),
        it.bytes_to_check.to_string(),
        it.action.clone(),
    ]
}

//! `gregor dump-log`: prints the contents of a log's files, line for line as Apache Kafka's
//! `kafka-dump-log`.
//!
//! Standard output and the exit code are equal to that tool's. Faults are printed on standard error
//! at the end, in its words. Where that tool ends with a stack trace, this one ends with one line.
//! Files are only read, and in pieces, so that the largest batch bounds the memory.

mod batches;
mod control;
mod decoder;
mod faults;
mod index;
mod json;
mod log_file;
mod old;
mod show;
mod state;
mod text;

use super::{DumpLog, output};
use anyhow::{Context as _, bail};
use batches::Batches;
use decoder::Decoder;
use faults::Faults;
use index::{Depth, IndexFile};
use show::Show;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes of output that are buffered before a write.
const OUT_BYTES: usize = 256 * 1024;
/// The name of the snapshot that `format` writes.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

impl DumpLog {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.refuse_classes()?;
        let mut out = BufWriter::with_capacity(OUT_BYTES, io::stdout().lock());
        let mut faults = Faults::default();
        // Faults found before an error are shown, as in Kafka's tool.
        let dumped = self.dump(&mut out, &mut faults);
        let flushed = out.flush();
        match dumped.and(flushed.map_err(output::unwritten)) {
            // Like every remark, they are lost if standard error cannot be written.
            Ok(()) => drop(faults.print(&mut io::stderr().lock())),
            // The reader has closed the pipe.
            Err(error) if is_broken_pipe(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn refuse_classes(&self) -> anyhow::Result<()> {
        for (option, class) in
            [("--value-decoder-class", &self.value_decoder_class), ("--key-decoder-class", &self.key_decoder_class)]
        {
            if class.is_some() {
                bail!(
                    "{option} names a Java class, which Gregor cannot load; leave it out, and keys and values are shown as text"
                );
            }
        }
        if self.remote_log_metadata_decoder {
            bail!("--remote-log-metadata-decoder is not supported, since there is no tiered storage");
        }
        Ok(())
    }

    fn dump(&self, out: &mut impl Write, faults: &mut Faults) -> anyhow::Result<()> {
        let decoder = self.decoder();
        let show = Show {
            records: self.deep_iteration || self.prints_data(),
            contents: self.prints_data(),
            metadata: !self.skip_record_metadata,
        };
        let depth = match (self.index_sanity_check, self.verify_index_only) {
            (true, _) => Depth::Sanity,
            (false, true) => Depth::Verify,
            (false, false) => Depth::Print,
        };
        for file in java_split(&self.files) {
            let path = java_path(file);
            let path = path.as_path();
            writeln!(out, "Dumping {}", path.display())?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match name.rfind('.').map(|dot| &name[dot..]) {
                Some(".log" | ".checkpoint") => {
                    write_title(out, &name)?;
                    let mut batches = Batches::open(path, self.max_bytes, show, decoder)?;
                    batches.dump(out, faults)?;
                }
                Some(".index") => {
                    IndexFile::offsets(path, base_offset(&name)?)?.dump_offsets(
                        out,
                        faults,
                        depth,
                        self.max_message_size,
                    )?;
                }
                Some(".timeindex") => IndexFile::times(path, base_offset(&name)?)?.dump_times(out, faults, depth)?,
                Some(".snapshot") => state::dump_producers(out, path)?,
                Some(".txnindex") => {
                    base_offset(&name)?;
                    state::dump_aborted(out, path)?;
                }
                _ => {
                    out.flush()?;
                    output::remark(format_args!("Ignoring unknown file {}", path.display()));
                }
            }
        }
        Ok(())
    }

    fn decoder(&self) -> Decoder {
        match self {
            Self { offsets_decoder: true, .. } => Decoder::Offsets,
            Self { transaction_log_decoder: true, .. } => Decoder::Transactions,
            Self { cluster_metadata_decoder: true, .. } => Decoder::Metadata,
            Self { share_group_state_decoder: true, .. } => Decoder::Shares,
            _ => Decoder::Text,
        }
    }

    fn prints_data(&self) -> bool {
        self.print_data_log || self.decoder() != Decoder::Text
    }
}

fn write_title(out: &mut impl Write, name: &str) -> anyhow::Result<()> {
    if name.ends_with(".log") {
        writeln!(out, "Log starting offset: {}", base_offset(name)?)?;
    } else if name == BOOTSTRAP {
        writeln!(out, "KRaft bootstrap snapshot")?;
    } else {
        let id = name.split_once('.').and_then(|(id, _)| id.split_once('-'));
        let id = id.and_then(|(offset, epoch)| Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?)));
        let (offset, epoch) =
            id.with_context(|| format!("{name} is not the name of a snapshot, which is <offset>-<epoch>.checkpoint"))?;
        writeln!(out, "Snapshot end offset: {offset}, epoch: {epoch}")?;
    }
    Ok(())
}

/// Parses the offset at the start of a file's name.
fn base_offset(name: &str) -> anyhow::Result<i64> {
    let digits = name.split('.').next().unwrap_or_default();
    digits.parse().with_context(|| format!("{name} does not begin with an offset"))
}

/// Splits like Java's `split(",")`: trailing empty items are dropped.
fn java_split(files: &str) -> Vec<&str> {
    let mut words: Vec<&str> = files.split(',').collect();
    while words.len() > 1 && words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    words
}

/// Normalizes a path like Java's `File`: removes doubled slashes and a trailing one.
fn java_path(text: &str) -> PathBuf {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '/' || !plain.ends_with('/') {
            plain.push(character);
        }
    }
    if plain.len() > 1 && plain.ends_with('/') {
        plain.pop();
    }
    PathBuf::from(plain)
}

/// Returns Java's absolute path, which keeps `.` and `..`.
fn absolute(path: &Path) -> String {
    let from = std::env::current_dir().unwrap_or_default();
    from.join(path).display().to_string()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;

//! `.index` and `.timeindex` files, and the check against their log.
//!
//! An entry of an offset index is an offset relative to the base (i32) and a position (i32). An
//! entry of a time index is a timestamp (i64) and a relative offset (i32). A preallocated index
//! ends with zeros, which stand for the base offset.

use super::faults::Faults;
use super::log_file::{LogFile, Prefix};
use anyhow::{Context as _, bail};
use records::{BatchView, LegacyMessage, RecordReader};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;
/// Bytes at the end of an index that a lookup tries first.
const WARM_BYTES: usize = 8192;

/// How much of an index is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only whether the broker would use it.
    Sanity,
    /// Whether it matches the log.
    Verify,
    /// All entries.
    Print,
}

/// An index and its log.
pub(super) struct IndexFile {
    path: PathBuf,
    base: i64,
    bytes: Vec<u8>,
    log: LogFile,
    /// The segment's offset index, if this is its time index.
    offsets: Vec<u8>,
}

impl IndexFile {
    /// Opens an offset index. Errors: the index or its log is missing.
    pub(super) fn offsets(path: &Path, base: i64) -> anyhow::Result<Self> {
        let log = LogFile::open(&sibling(path, "log"))?;
        Ok(Self { path: path.to_path_buf(), base, bytes: read(path)?, log, offsets: Vec::new() })
    }

    /// Opens a time index. Errors: the index, its log or the offset index is missing.
    pub(super) fn times(path: &Path, base: i64) -> anyhow::Result<Self> {
        let log = LogFile::open(&sibling(path, "log"))?;
        let offsets = read(&sibling(path, "index"))?;
        Ok(Self { path: path.to_path_buf(), base, bytes: read(path)?, log, offsets })
    }

    /// Shows an offset index. Errors: the damage at which Kafka's tool stops.
    pub(super) fn dump_offsets(
        mut self,
        out: &mut impl Write,
        faults: &mut Faults,
        depth: Depth,
        max_message_size: i32,
    ) -> anyhow::Result<()> {
        let (entries, rest) = self.bytes.as_chunks::<OFFSET_ENTRY_BYTES>();
        let entries: Vec<(i64, i32)> = entries.iter().map(|entry| offset_entry(entry, self.base)).collect();
        let Some((last, _)) = entries.last() else {
            writeln!(out, "{} is empty.", self.path.display())?;
            return Ok(());
        };
        if depth == Depth::Sanity {
            self.check_sanity(*last, rest.len(), OFFSET_ENTRY_BYTES)?;
            writeln!(out, "{} passed sanity check.", self.path.display())?;
            return Ok(());
        }
        for (number, (offset, position)) in entries.into_iter().enumerate() {
            if offset == self.base && number > 0 {
                return Ok(());
            }
            let end = self.log.slice_end(position, max_message_size)?;
            let batch = self.log.prefix(u64::from(position.cast_unsigned()), end)?;
            let batch = batch.with_context(|| format!("there is no whole batch at position {position} of the log"))?;
            let found = self.last_offset(batch)?;
            if found != offset {
                faults.index_mismatch(&self.path, offset, found);
            }
            if depth == Depth::Print {
                writeln!(out, "offset: {offset} position: {position}")?;
            }
        }
        Ok(())
    }

    /// Shows a time index. Errors: the damage at which Kafka's tool stops.
    pub(super) fn dump_times(mut self, out: &mut impl Write, faults: &mut Faults, depth: Depth) -> anyhow::Result<()> {
        let (entries, rest) = self.bytes.as_chunks::<TIME_ENTRY_BYTES>();
        let entries: Vec<(i64, i64)> = entries.iter().map(|entry| time_entry(entry, self.base)).collect();
        if depth == Depth::Sanity {
            if let (Some((first, _)), Some((last, offset))) = (entries.first(), entries.last()) {
                if last < first {
                    bail!(
                        "Corrupt time index found, time index file ({}) has non-zero size but the last timestamp is {last} which is less than the first timestamp {first}",
                        self.path.display()
                    );
                }
                self.check_sanity(*offset, rest.len(), TIME_ENTRY_BYTES)?;
            }
            self.check_length(rest.len(), TIME_ENTRY_BYTES)?;
            writeln!(out, "{} passed sanity check.", self.path.display())?;
            return Ok(());
        }
        let mut before = -1;
        let mut walk = Walk::default();
        for (number, (timestamp, offset)) in entries.into_iter().enumerate() {
            if offset == self.base && number > 0 {
                return Ok(());
            }
            match self.find(&mut walk, offset)? {
                None => faults.offset_not_found(&self.path, offset, -1),
                Some((_, last)) if last != offset => faults.offset_not_found(&self.path, offset, last),
                Some((batch, _)) => {
                    let found = self.max_timestamp(batch)?;
                    if found != timestamp {
                        faults.time_mismatch(&self.path, timestamp, found);
                    }
                    if before >= timestamp {
                        faults.time_disorder(&self.path, timestamp, before);
                    }
                }
            }
            if depth == Depth::Print {
                writeln!(out, "timestamp: {timestamp} offset: {offset}")?;
            }
            before = timestamp;
        }
        Ok(())
    }

    fn check_sanity(&self, last_offset: i64, rest: usize, entry_bytes: usize) -> anyhow::Result<()> {
        if last_offset < self.base {
            bail!(
                "Corrupt index found, index file ({}) has non-zero size but the last offset is {last_offset} which is less than the base offset {}",
                self.path.display(),
                self.base
            );
        }
        self.check_length(rest, entry_bytes)
    }

    fn check_length(&self, rest: usize, entry_bytes: usize) -> anyhow::Result<()> {
        if rest != 0 {
            let (path, length) = (self.path.display(), self.bytes.len());
            bail!(
                "Index file {path} is corrupt, found {length} bytes which is neither positive nor a multiple of {entry_bytes}."
            );
        }
        Ok(())
    }

    /// Returns the last offset of a batch as its header has it.
    fn last_offset(&mut self, batch: Prefix) -> anyhow::Result<i64> {
        if batch.magic < 2 {
            return Ok(batch.offset);
        }
        let header = self.log.bytes(batch.position, records::BATCH_OVERHEAD as u64)?;
        let delta = i32::from_be_bytes(std::array::from_fn(|index| header[23 + index]));
        Ok(batch.offset.wrapping_add(i64::from(delta)))
    }

    /// Returns the first batch, from the offset index's position on, that ends at an offset or
    /// after it. Errors: damage anywhere after that.
    fn find(&mut self, walk: &mut Walk, offset: i64) -> anyhow::Result<Option<(Prefix, i64)>> {
        let position = self.lookup(offset);
        let end = self.log.slice_end(position, i32::MAX)?;
        let start = u64::from(position.cast_unsigned());
        self.walk_to_end(walk, start, end)?;
        let mut at = start;
        while let Some(batch) = self.log.prefix(at, end)? {
            let last = self.last_offset(batch)?;
            if last >= offset {
                return Ok(Some((batch, last)));
            }
            at += batch.size_bytes;
        }
        Ok(None)
    }

    /// Reads all batches from a position to the end, unless an earlier call has done so.
    fn walk_to_end(&mut self, walk: &mut Walk, start: u64, end: u64) -> anyhow::Result<()> {
        while walk.is_whole && walk.at < start {
            match self.log.prefix(walk.at, end)? {
                Some(batch) => walk.at += batch.size_bytes,
                None => break,
            }
        }
        if walk.is_whole && walk.at == start {
            return Ok(());
        }
        let mut at = start;
        while let Some(batch) = self.log.prefix(at, end)? {
            at += batch.size_bytes;
        }
        *walk = Walk { at: start, is_whole: true };
        Ok(())
    }

    /// Returns the position of the last entry of the offset index at or below an offset. It takes
    /// the same steps as Kafka's search, because in an index that is out of order another search
    /// would find another entry.
    fn lookup(&self, offset: i64) -> i32 {
        let (entries, _) = self.offsets.as_chunks::<OFFSET_ENTRY_BYTES>();
        let entry = |number: usize| offset_entry(&entries[number], self.base);
        let Some(last) = entries.len().checked_sub(1) else { return 0 };
        let search = |mut low: usize, mut high: usize| {
            while low < high {
                let middle = (low + high).div_ceil(2);
                match entry(middle).0.cmp(&offset) {
                    std::cmp::Ordering::Greater => high = middle - 1,
                    std::cmp::Ordering::Less => low = middle,
                    std::cmp::Ordering::Equal => return middle,
                }
            }
            low
        };
        let first_warm = last.saturating_sub(WARM_BYTES / OFFSET_ENTRY_BYTES);
        if entry(first_warm).0 < offset {
            return entry(search(first_warm, last)).1;
        }
        if entry(0).0 > offset { 0 } else { entry(search(0, first_warm)).1 }
    }

    /// Returns the largest timestamp of a batch's records. Errors: records that cannot be read.
    fn max_timestamp(&mut self, batch: Prefix) -> anyhow::Result<i64> {
        let bytes = self.log.bytes(batch.position, batch.size_bytes)?;
        let mut largest = -1;
        if batch.magic < 2 {
            LegacyMessage::parse(bytes)?.records(|record| largest = largest.max(record.timestamp.0))?;
            return Ok(largest);
        }
        let batch = BatchView::unchecked(bytes).context("a batch is shorter than its header")?;
        let mut reader = RecordReader::new(&batch)?;
        while let Some(record) = reader.next_record() {
            largest = largest.max(record?.timestamp.0);
        }
        Ok(largest)
    }
}

/// The position from which all batches of a log are known to be readable, starting with a batch at
/// `at`.
#[derive(Debug, Default)]
struct Walk {
    at: u64,
    is_whole: bool,
}

fn offset_entry(entry: &[u8; OFFSET_ENTRY_BYTES], base: i64) -> (i64, i32) {
    let [a, b, c, d, position @ ..] = *entry;
    (base.wrapping_add(i64::from(i32::from_be_bytes([a, b, c, d]))), i32::from_be_bytes(position))
}

fn time_entry(entry: &[u8; TIME_ENTRY_BYTES], base: i64) -> (i64, i64) {
    let [a, b, c, d, e, f, g, h, offset @ ..] = *entry;
    (i64::from_be_bytes([a, b, c, d, e, f, g, h]), base.wrapping_add(i64::from(i32::from_be_bytes(offset))))
}

/// Returns the file of the same segment with another suffix.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{}.{suffix}", name.split('.').next().unwrap_or_default()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

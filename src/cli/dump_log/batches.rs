//! The batches and records of a log, one line each.

use super::control;
use super::decoder::Decoder;
use super::faults::Faults;
use super::log_file::{LogFile, Prefix};
use super::show::{Show, optional_long, timestamp_name};
use super::{old, text};
use anyhow::Context as _;
use records::{Attributes, BATCH_OVERHEAD, BatchView, RecordError, RecordReader, RecordView, increment_sequence};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A log whose batches are shown.
pub(super) struct Batches {
    path: PathBuf,
    log: LogFile,
    end: u64,
    is_limited: bool,
    show: Show,
    decoder: Decoder,
    last_offset: i64,
}

impl Batches {
    /// Opens a log. At most its first `max_bytes` bytes are shown.
    pub(super) fn open(path: &Path, max_bytes: i32, show: Show, decoder: Decoder) -> anyhow::Result<Self> {
        let log = LogFile::open(path)?;
        let end = log.slice_end(0, max_bytes)?;
        let is_limited = max_bytes != i32::MAX;
        Ok(Self { path: path.to_path_buf(), log, end, is_limited, show, decoder, last_offset: -1 })
    }

    /// Shows all batches. Errors: the damage at which Kafka's tool stops.
    pub(super) fn dump(&mut self, out: &mut impl Write, faults: &mut Faults) -> anyhow::Result<()> {
        let mut position = 0;
        while let Some(prefix) = self.log.prefix(position, self.end)? {
            if prefix.magic < 2 {
                self.dump_old(out, faults, prefix)?;
            } else {
                self.dump_batch(out, faults, prefix)?;
            }
            position += prefix.size_bytes;
        }
        let left = self.end - position;
        if left > 0 && !self.is_limited {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            writeln!(out, "Found {left} invalid bytes at the end of {name}")?;
        }
        Ok(())
    }

    fn dump_batch(&mut self, out: &mut impl Write, faults: &mut Faults, prefix: Prefix) -> anyhow::Result<()> {
        // A batch whose size is below a header is shown with the bytes that follow it.
        let shown = self.log.bytes(prefix.position, prefix.size_bytes.max(BATCH_OVERHEAD as u64))?;
        let head = Head::read(shown.first_chunk().context("a header is cut off")?);
        write_batch(out, prefix, &head, &shown[..usize::try_from(prefix.size_bytes)?])?;
        if !self.show.records {
            return Ok(());
        }
        let bytes = &shown[..usize::try_from(prefix.size_bytes)?];
        let batch = BatchView::unchecked(bytes).context("a batch is shorter than its header")?;
        let mut text =
            Records { show: self.show, decoder: self.decoder, path: &self.path, last: &mut self.last_offset };
        if batch.header().attributes.codec()? == records::Codec::None {
            return text.write(out, faults, &batch, &head);
        }
        // Compressed records are shown only after all of them could be read.
        let mut whole = Vec::new();
        let written = text.write(&mut whole, faults, &batch, &head);
        if !written.as_ref().is_err_and(|error| error.is::<RecordError>()) {
            out.write_all(&whole)?;
        }
        written
    }

    fn dump_old(&mut self, out: &mut impl Write, faults: &mut Faults, prefix: Prefix) -> anyhow::Result<()> {
        let bytes = self.log.bytes(prefix.position, prefix.size_bytes)?;
        old::write_message(out, prefix, bytes)?;
        if !self.show.records {
            return Ok(());
        }
        let (show, path, last) = (self.show, &self.path, &mut self.last_offset);
        old::write_records(out, bytes, show, self.decoder, &mut |offset| follow(path, faults, last, offset))
    }
}

/// Records a fault if an offset does not follow the one before.
fn follow(path: &Path, faults: &mut Faults, last: &mut i64, offset: i64) {
    if offset != last.wrapping_add(1) {
        faults.gap(path, *last, offset);
    }
    *last = offset;
}

/// A header's fields as they are, even if damaged.
struct Head {
    base_offset: i64,
    leader_epoch: i32,
    crc: u32,
    attributes: Attributes,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    record_count: i32,
}

impl Head {
    fn read(bytes: &[u8; BATCH_OVERHEAD]) -> Self {
        fn take<const N: usize>(bytes: &[u8; BATCH_OVERHEAD], at: usize) -> [u8; N] {
            std::array::from_fn(|index| bytes[at + index])
        }
        Self {
            base_offset: i64::from_be_bytes(take(bytes, 0)),
            leader_epoch: i32::from_be_bytes(take(bytes, 12)),
            crc: u32::from_be_bytes(take(bytes, 17)),
            attributes: Attributes(i16::from_be_bytes(take(bytes, 21))),
            last_offset_delta: i32::from_be_bytes(take(bytes, 23)),
            base_timestamp: i64::from_be_bytes(take(bytes, 27)),
            max_timestamp: i64::from_be_bytes(take(bytes, 35)),
            producer_id: i64::from_be_bytes(take(bytes, 43)),
            producer_epoch: i16::from_be_bytes(take(bytes, 51)),
            base_sequence: i32::from_be_bytes(take(bytes, 53)),
            record_count: i32::from_be_bytes(take(bytes, 57)),
        }
    }

    fn sequence(&self, offset_delta: i32) -> i32 {
        if self.base_sequence < 0 { -1 } else { increment_sequence(self.base_sequence, offset_delta) }
    }
}

fn write_batch(out: &mut impl Write, prefix: Prefix, head: &Head, bytes: &[u8]) -> anyhow::Result<()> {
    let Head { base_offset, record_count, base_sequence, producer_id, producer_epoch, leader_epoch, .. } = head;
    let last_offset = base_offset.wrapping_add(i64::from(head.last_offset_delta));
    // Kafka's rule: only -1 means that there is no sequence.
    let last_sequence =
        if *base_sequence == -1 { -1 } else { increment_sequence(*base_sequence, head.last_offset_delta) };
    write!(
        out,
        "baseOffset: {base_offset} lastOffset: {last_offset} count: {record_count} baseSequence: {base_sequence} lastSequence: {last_sequence} producerId: {producer_id} producerEpoch: {producer_epoch} partitionLeaderEpoch: {leader_epoch} isTransactional: {} isControl: {} deleteHorizonMs: {}",
        head.attributes.is_transactional(),
        head.attributes.is_control(),
        optional_long(head.attributes.has_delete_horizon().then_some(head.base_timestamp)),
    )?;
    let codec = head.attributes.codec()?;
    let is_valid = BatchView::unchecked(bytes).is_some_and(|batch| batch.verify_crc().is_ok());
    writeln!(
        out,
        " position: {} {}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {is_valid}",
        prefix.position,
        timestamp_name(head.attributes.timestamp_type()),
        head.max_timestamp,
        prefix.size_bytes,
        prefix.magic,
        head.crc,
    )?;
    Ok(())
}

/// Writes the records of one batch.
struct Records<'a> {
    show: Show,
    decoder: Decoder,
    path: &'a Path,
    last: &'a mut i64,
}

impl Records<'_> {
    fn write(
        &mut self,
        out: &mut impl Write,
        faults: &mut Faults,
        batch: &BatchView<'_>,
        head: &Head,
    ) -> anyhow::Result<()> {
        let mut reader = RecordReader::new(batch)?;
        while let Some(record) = reader.next_record() {
            let record = record?;
            follow(self.path, faults, self.last, record.offset.0);
            if self.show.metadata {
                write_record(out, head, &record)?;
            }
            if self.show.contents && !head.attributes.is_control() {
                self.decoder.write(out, self.show.margin(), record.offset.0, record.key, record.value)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn write_record(out: &mut impl Write, head: &Head, record: &RecordView<'_>) -> anyhow::Result<()> {
    let kind = timestamp_name(head.attributes.timestamp_type());
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    // Only offsets beyond the range of a batch do not fit. They wrap, as in Java.
    let offset_delta = record.offset.0.wrapping_sub(head.base_offset) as i32;
    write!(
        out,
        "| offset: {} {kind}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [",
        record.offset.0,
        record.timestamp.0,
        size(record.key),
        size(record.value),
        head.sequence(offset_delta),
    )?;
    for (number, (name, _)) in record.headers.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(out, "{comma}{}", text::decode(name))?;
    }
    write!(out, "]")?;
    if head.attributes.is_control() {
        control::write(out, record)?;
    }
    Ok(())
}

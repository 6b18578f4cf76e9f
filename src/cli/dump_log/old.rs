//! Messages of formats v0 and v1, one line each, and their records.

use super::decoder::Decoder;
use super::log_file::Prefix;
use super::show::{Show, timestamp_name};
use anyhow::{Context as _, bail};
use records::{Codec, LegacyMessage, LegacyRecord, RecordError};
use std::io::Write;

/// The size of the offset, the size field and the message's fields up to its key, in v0 and v1.
const HEADER_BYTES: [usize; 2] = [18, 26];

/// Writes the line of a message, compressed or not.
pub(super) fn write_message(out: &mut impl Write, prefix: Prefix, bytes: &[u8]) -> anyhow::Result<()> {
    write!(out, "offset: {}", prefix.offset)?;
    let Some(header) = usize::try_from(prefix.magic).ok().and_then(|magic| HEADER_BYTES.get(magic)) else {
        bail!("Invalid magic value {}", prefix.magic);
    };
    if bytes.len() < *header {
        bail!("a message of {} bytes is shorter than its header", bytes.len());
    }
    let attributes = bytes[17];
    let codec = Codec::from_id(attributes & 7)?;
    let stored = u32::from_be_bytes(std::array::from_fn(|index| bytes[12 + index]));
    let (kind, timestamp) = match prefix.magic {
        0 => ("NoTimestampType", -1),
        _ if attributes & 8 == 0 => ("CreateTime", timestamp(bytes)),
        _ => ("LogAppendTime", timestamp(bytes)),
    };
    // The checksum is checked before the fields, which may be damaged.
    let is_valid = stored == crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &bytes[16..]) as u32;
    writeln!(
        out,
        " position: {} {kind}: {timestamp} size: {} magic: {} compresscodec: {codec} crc: {stored} isvalid: {is_valid}",
        prefix.position, prefix.size_bytes, prefix.magic,
    )?;
    Ok(())
}

fn timestamp(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(std::array::from_fn(|index| bytes[18 + index]))
}

/// Writes the lines of the records in a message, and passes each offset to `follow`.
pub(super) fn write_records(
    out: &mut impl Write,
    bytes: &[u8],
    show: Show,
    decoder: Decoder,
    follow: &mut dyn FnMut(i64),
) -> anyhow::Result<()> {
    let outer = LegacyMessage::parse(bytes).context("a message is damaged")?;
    let kind = if outer.magic() == 0 { "NoTimestampType" } else { timestamp_name(outer.timestamp_type()) };
    let mut text = Vec::new();
    let mut offsets = Vec::new();
    let mut failed = None;
    let read = outer.records(|record| {
        offsets.push(record.offset.0);
        if failed.is_none() {
            failed = write_record(&mut text, kind, show, decoder, &record).err();
        }
    });
    // A message of format v1 is decompressed completely before any of it is shown.
    if outer.magic() == 0 || !matches!(read, Err(RecordError::Decompress(_))) {
        out.write_all(&text)?;
    }
    offsets.into_iter().for_each(follow);
    read?;
    failed.map_or(Ok(()), Err)
}

fn write_record(
    out: &mut Vec<u8>,
    kind: &str,
    show: Show,
    decoder: Decoder,
    record: &LegacyRecord<'_>,
) -> anyhow::Result<()> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    if show.metadata {
        write!(
            out,
            "| offset: {} {kind}: {} keySize: {} valueSize: {} isValid: {} crc: {}",
            record.offset.0,
            record.timestamp.0,
            size(record.key),
            size(record.value),
            record.message.verify_crc().is_ok(),
            record.message.crc(),
        )?;
    }
    if show.contents {
        decoder.write(out, show.margin(), record.offset.0, record.key, record.value)?;
    }
    writeln!(out)?;
    Ok(())
}

//! `.snapshot` files (producers up to an offset) and `.txnindex` files (aborted transactions of a
//! segment).

use super::super::output;
use super::absolute;
use super::show::optional_long;
use anyhow::{Context as _, bail};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The size of the fields before the producers: version, checksum, count.
const SNAPSHOT_HEADER_BYTES: usize = 10;
/// The size of one producer.
const PRODUCER_BYTES: usize = 46;
/// The size of one aborted transaction.
const ABORTED_BYTES: usize = 34;

/// Prints the producers of a snapshot. A damaged snapshot is reported on standard error and is not
/// an error.
pub(super) fn dump_producers(out: &mut impl Write, path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    match producers(&bytes) {
        Ok(producers) => producers.into_iter().try_for_each(|producer| write_producer(out, producer))?,
        Err(why) => {
            out.flush()?;
            output::remark(why);
        }
    }
    Ok(())
}

fn producers(bytes: &[u8]) -> Result<Vec<&[u8; PRODUCER_BYTES]>, String> {
    let schema = |why: &str| format!("Snapshot failed schema validation: {why}");
    match bytes.first_chunk().copied().map(i16::from_be_bytes) {
        Some(1) => {}
        Some(version) => return Err(schema(&format!("Snapshot contained an unknown file version {version}"))),
        None => return Err(schema("null")),
    }
    let head: &[u8; SNAPSHOT_HEADER_BYTES] = bytes.first_chunk().ok_or_else(|| schema("null"))?;
    let stored = u32::from_be_bytes(std::array::from_fn(|index| head[2 + index]));
    let count = i32::from_be_bytes(std::array::from_fn(|index| head[6 + index]));
    let body = &bytes[SNAPSHOT_HEADER_BYTES..];
    let Ok(entries) = usize::try_from(count) else {
        return Err(schema("non-nullable field producerEntries was serialized as null"));
    };
    if entries > body.len() {
        let left = body.len();
        return Err(schema(&format!(
            "Tried to allocate a collection of size {count}, but there are only {left} bytes remaining."
        )));
    }
    if entries.saturating_mul(PRODUCER_BYTES) > body.len() {
        return Err(schema("null"));
    }
    let computed = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[6..]) as u32;
    if stored != computed {
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        ));
    }
    Ok(body.as_chunks().0.iter().take(entries).collect())
}

fn write_producer(out: &mut impl Write, bytes: &[u8; PRODUCER_BYTES]) -> anyhow::Result<()> {
    let mut fields = Fields(bytes);
    let (id, epoch) = (fields.i64(), fields.i16());
    let (last_sequence, last_offset, offset_delta) = (fields.i32(), fields.i64(), fields.i32());
    let (timestamp, coordinator_epoch, txn_first_offset) = (fields.i64(), fields.i32(), fields.i64());
    write!(
        out,
        "producerId: {id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} currentTxnFirstOffset: {} lastTimestamp: {timestamp}",
        optional_long(Some(txn_first_offset).filter(|offset| *offset >= 0)),
    )?;
    if last_offset >= 0 {
        let first_sequence = decrement_sequence(last_sequence, offset_delta);
        write!(
            out,
            " firstSequence: {first_sequence} lastSequence: {last_sequence} lastOffset: {last_offset} offsetDelta: {offset_delta} timestamp: {timestamp}"
        )?;
    }
    writeln!(out)?;
    Ok(())
}

/// Returns the sequence number `decrement` numbers before. The largest number comes before 0.
fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    if sequence < decrement {
        i32::MAX.wrapping_sub(decrement.wrapping_sub(sequence)).wrapping_add(1)
    } else {
        sequence.wrapping_sub(decrement)
    }
}

/// Prints the aborted transactions of a segment. Trailing bytes that are not a whole entry are
/// ignored. Errors: an entry of a newer version.
pub(super) fn dump_aborted(out: &mut impl Write, path: &Path) -> anyhow::Result<()> {
    let bytes = match fs::read(path) {
        // A segment without aborted transactions does not have this file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("{} cannot be read", path.display()))?,
    };
    let (entries, _) = bytes.as_chunks::<ABORTED_BYTES>();
    // All entries are read before the first is shown.
    let newer = entries.iter().map(version).find(|version| *version > 0);
    if let Some(version) = newer {
        bail!(
            "Unexpected aborted transaction version {version} in transaction index {}, current version is 0",
            absolute(path)
        );
    }
    for entry in entries {
        let mut fields = Fields(&entry[2..]);
        writeln!(
            out,
            "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            version(entry),
            fields.i64(),
            fields.i64(),
            fields.i64(),
            fields.i64()
        )?;
    }
    Ok(())
}

/// Returns the version. The field has two bytes, of which Kafka reads the first.
fn version(entry: &[u8; ABORTED_BYTES]) -> i8 {
    entry[0].cast_signed()
}

/// Reads consecutive big-endian numbers. Past the end they are zero; no caller reads past it.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *head
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }
}

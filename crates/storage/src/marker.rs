//! Reads the one record of a control batch that ends a transaction. Control batches are never compressed.

use crate::producer::TxnMarker;
use model::Timestamp;
use records::{BatchHeader, ControlError, EndTransactionMarker};

/// The marker in a control batch's body; `None` where the batch was emptied by compaction or is of another kind.
pub(crate) fn read(
    header: &BatchHeader,
    body: &[u8],
    transaction_version: i16,
) -> Result<Option<TxnMarker>, &'static str> {
    if header.record_count == 0 {
        return Ok(None);
    }
    let (timestamp_delta, key, value) = first_record(body).ok_or("a control record is cut off")?;
    let marker = match EndTransactionMarker::parse(key, value) {
        Ok(marker) => marker,
        Err(ControlError::NotEndTransaction(_)) => return Ok(None),
        Err(_) => return Err("a control record is malformed"),
    };
    Ok(Some(TxnMarker {
        aborted: !marker.committed,
        coordinator_epoch: marker.coordinator_epoch,
        timestamp: Timestamp(header.base_timestamp.0.wrapping_add(timestamp_delta)),
        transaction_version,
    }))
}

type FirstRecord<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>);

fn first_record(body: &[u8]) -> Option<FirstRecord<'_>> {
    let mut rest = body;
    varint(&mut rest)?;
    rest = rest.get(1..)?;
    let timestamp_delta = varint(&mut rest)?;
    varint(&mut rest)?;
    let key = field(&mut rest)?;
    let value = field(&mut rest)?;
    Some((timestamp_delta, key, value))
}

#[allow(clippy::option_option, reason = "a null field, and a field that is cut off")]
fn field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(length) = usize::try_from(varint(rest)?) else { return Some(None) };
    let (field, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Some(field))
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for index in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

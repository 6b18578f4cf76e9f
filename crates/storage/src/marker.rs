//! Reads the marker that ends a transaction from its control batch.

use crate::producer::TxnMarker;
use records::{BatchHeader, ControlError, EndTransactionMarker, RecordReader};

/// Reads the marker in the body of a control batch. Returns `None` if compaction emptied the batch
/// or if its record is of another type.
pub(crate) fn read(
    header: &BatchHeader,
    body: &[u8],
    transaction_version: i16,
) -> Result<Option<TxnMarker>, &'static str> {
    const MALFORMED: &str = "a control record is malformed";
    let mut reader = RecordReader::of_body(header, body).map_err(|_| MALFORMED)?;
    let Some(record) = reader.next_record() else { return Ok(None) };
    let record = record.map_err(|_| MALFORMED)?;
    match EndTransactionMarker::parse(record.key, record.value) {
        Ok(end) => Ok(Some(TxnMarker { end, timestamp: record.timestamp, transaction_version })),
        Err(ControlError::NotEndTransaction(_)) => Ok(None),
        Err(_) => Err(MALFORMED),
    }
}

//! Batches of the metadata log and of snapshots, which the `records` crate writes and reads. They
//! have create time, no compression and no producer, and control records are never mixed with data.

use crate::control::{ControlRecord, ControlRecordError};
use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp};
use records::{BATCH_OVERHEAD, BatchBuilder, BatchView, Codec, LOG_OVERHEAD, RecordReader};

/// An error of a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The bytes are more or fewer than the header says.
    #[error("its length is wrong")]
    Length,
    /// The bytes are not a batch, or the batch is damaged.
    #[error(transparent)]
    Batch(#[from] records::BatchError),
    /// The batch is compressed. Batches of the metadata log never are.
    #[error("attributes {attributes:#x} are not those of the metadata log")]
    Attributes {
        /// The attributes.
        attributes: i16,
    },
    /// Its lengths or counts contradict each other.
    #[error("its records do not fit its header")]
    Records,
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] records::RecordError),
    /// The batch cannot be written: it has more or larger records than a batch can hold.
    #[error(transparent)]
    Build(#[from] records::BuildError),
    /// A control record cannot be written.
    #[error("a control record cannot be written: {0}")]
    Encode(#[from] protocol::EncodeError),
}

/// A parsed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedBatch {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The epoch in which it was written.
    pub epoch: LeaderEpoch,
    /// Whether its records are control records.
    pub is_control: bool,
    /// The largest timestamp in it.
    pub max_timestamp: Timestamp,
    records: Vec<(Offset, Bytes, Bytes)>,
}

impl ParsedBatch {
    /// Returns the values of the records.
    pub fn values(&self) -> Vec<Bytes> {
        self.records.iter().map(|(_, _, value)| value.clone()).collect()
    }

    /// Returns the records of a control batch with their offsets, and nothing for a data batch.
    pub fn control_records(&self) -> Result<Vec<(Offset, ControlRecord)>, ControlRecordError> {
        let records = self.records.iter().filter(|_| self.is_control);
        records.map(|(offset, key, value)| Ok((*offset, ControlRecord::decode(key, value.clone())?))).collect()
    }
}

/// Builds a batch of metadata records.
pub fn data_batch(base: Offset, epoch: LeaderEpoch, now: Timestamp, values: &[Bytes]) -> Result<Bytes, BatchError> {
    let mut batch = BatchBuilder::new(base).leader_epoch(epoch);
    for value in values {
        batch.append(now, None, Some(value));
    }
    Ok(batch.finish()?)
}

/// Builds a batch of control records.
pub fn control_batch(
    base: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
    records: &[ControlRecord],
) -> Result<Bytes, BatchError> {
    let mut batch = BatchBuilder::new(base).leader_epoch(epoch).control();
    for record in records {
        let (key, value) = record.encode()?;
        batch.append(now, Some(&key), Some(&value));
    }
    Ok(batch.finish()?)
}

/// Returns the length of the batch at the start of `prefix`, or `None` if there are fewer than 12
/// bytes or they are no batch.
pub fn batch_len(prefix: &[u8]) -> Option<usize> {
    let length: [u8; 4] = prefix.get(8..LOG_OVERHEAD)?.try_into().ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    (length >= BATCH_OVERHEAD - LOG_OVERHEAD).then_some(length + LOG_OVERHEAD)
}

/// A batch that a follower fetched.
#[derive(Debug)]
pub(crate) struct FetchedBatch {
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) epoch: LeaderEpoch,
    /// The records of a control batch, none of a data batch.
    pub(crate) control: Result<Vec<(Offset, ControlRecord)>, ControlRecordError>,
    pub(crate) bytes: Bytes,
}

/// Checks one whole batch before it is appended. The records of a data batch are not read.
pub(crate) fn read_fetched(bytes: Bytes) -> Result<FetchedBatch, BatchError> {
    let header = {
        let batch = BatchView::parse(&bytes)?;
        batch.verify_crc()?;
        *batch.header()
    };
    let control = if header.is_control() { parse_batch(bytes.clone())?.control_records() } else { Ok(Vec::new()) };
    Ok(FetchedBatch {
        base: header.base_offset,
        last: header.last_offset(),
        epoch: header.partition_leader_epoch.ok_or(BatchError::Records)?,
        control,
        bytes,
    })
}

/// Parses and checks one whole batch. Its records are slices of `bytes`.
pub fn parse_batch(bytes: Bytes) -> Result<ParsedBatch, BatchError> {
    if batch_len(&bytes) != Some(bytes.len()) {
        return Err(BatchError::Length);
    }
    let batch = BatchView::parse(&bytes)?;
    batch.verify_crc()?;
    let header = batch.header();
    if header.attributes.codec() != Ok(Codec::None) {
        return Err(BatchError::Attributes { attributes: header.attributes.0 });
    }
    let slice = |part: Option<&[u8]>| part.map(|part| bytes.slice_ref(part)).unwrap_or_default();
    let mut reader = RecordReader::new(&batch)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record?;
        records.push((record.offset, slice(record.key), slice(record.value)));
    }
    if records.last().is_none_or(|(offset, ..)| *offset != header.last_offset()) {
        return Err(BatchError::Records);
    }
    Ok(ParsedBatch {
        base: header.base_offset,
        last: header.last_offset(),
        epoch: header.partition_leader_epoch.unwrap_or(LeaderEpoch(-1)),
        is_control: header.is_control(),
        max_timestamp: header.max_timestamp,
        records,
    })
}

//! Reads a snapshot's container batch by batch, so that a large snapshot need not fit in memory.
//!
//! A snapshot is complete only with its footer. A truncated file is refused.

use crate::batch::{BatchError, parse_batch};
use crate::control::{ControlRecord, ControlRecordError};
use bytes::Bytes;
use model::Timestamp;

pub use crate::batch::batch_len;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A batch is damaged.
    #[error("a batch of the snapshot is not usable: {0}")]
    Batch(#[from] BatchError),
    /// A control record is damaged or too new.
    #[error(transparent)]
    Control(#[from] ControlRecordError),
    /// The first record is not the header.
    #[error("the snapshot does not begin with a header")]
    NoHeader,
    /// There is no footer.
    #[error("the snapshot has no footer: it is not complete")]
    NoFooter,
    /// There is data after the footer.
    #[error("the snapshot goes on after its footer")]
    AfterFooter,
}

/// The content of one batch of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum SnapshotPart {
    /// Control records.
    Control(Vec<ControlRecord>),
    /// The values of metadata records, framed.
    Data(Vec<Bytes>),
}

/// Checks a snapshot's batches while they are read.
#[derive(Debug, Default)]
pub struct SnapshotReader {
    header: Option<Timestamp>,
    has_footer: bool,
}

impl SnapshotReader {
    /// Creates a reader at the first batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next batch. `batch_len` gives its length.
    pub fn batch(&mut self, bytes: Bytes) -> Result<SnapshotPart, SnapshotError> {
        if self.has_footer {
            return Err(SnapshotError::AfterFooter);
        }
        let batch = parse_batch(bytes)?;
        if batch.is_control {
            let records: Vec<_> = batch.control_records()?.into_iter().map(|(_, record)| record).collect();
            if let Some(ControlRecord::SnapshotHeader { last_contained_log_timestamp }) = records.first() {
                self.header = Some(*last_contained_log_timestamp);
            }
            self.has_footer = records.contains(&ControlRecord::SnapshotFooter);
            return if self.header.is_some() {
                Ok(SnapshotPart::Control(records))
            } else {
                Err(SnapshotError::NoHeader)
            };
        }
        if self.header.is_none() {
            return Err(SnapshotError::NoHeader);
        }
        Ok(SnapshotPart::Data(batch.values()))
    }

    /// Returns the timestamp of the last record that the snapshot covers, once the first batch is
    /// read.
    pub fn last_contained_log_timestamp(&self) -> Option<Timestamp> {
        self.header
    }

    /// Ends the reading after the last batch. Errors: there was no footer.
    pub fn finish(self) -> Result<(), SnapshotError> {
        if self.has_footer { Ok(()) } else { Err(SnapshotError::NoFooter) }
    }
}

/// Reads a whole snapshot that is in memory.
pub fn read_snapshot(mut file: Bytes) -> Result<Vec<SnapshotPart>, SnapshotError> {
    let mut reader = SnapshotReader::new();
    let mut parts = Vec::new();
    while !file.is_empty() {
        let len = batch_len(&file).filter(|len| *len <= file.len()).ok_or(BatchError::Length)?;
        parts.push(reader.batch(file.split_to(len))?);
    }
    reader.finish()?;
    Ok(parts)
}

//! A valid batch whose place in the log is not known yet.

use crate::batch::{crc32c_of, field, put};
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, BatchView, TimestampType};
use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp};

/// A valid batch without its final base offset and leader epoch.
#[derive(Clone, Debug)]
pub struct Validated {
    header: BatchHeader,
    /// The header's bytes as the producer sent them, since the checksum also covers bits without a
    /// meaning.
    bytes: [u8; BATCH_OVERHEAD],
    body: Bytes,
}

impl Validated {
    /// Takes a batch that the broker itself built, without checking its records.
    pub fn trusted(batch: &Bytes) -> Result<Self, BatchError> {
        let view = BatchView::parse(batch)?;
        Ok(Self::of(&view, batch))
    }

    /// Takes a batch. `batch` must start with the bytes of `view`.
    pub(super) fn of(view: &BatchView<'_>, batch: &Bytes) -> Self {
        let mut bytes = [0; BATCH_OVERHEAD];
        bytes.copy_from_slice(&view.bytes()[..BATCH_OVERHEAD]);
        Self { header: *view.header(), bytes, body: batch.slice(BATCH_OVERHEAD..view.bytes().len()) }
    }

    /// Returns the header. Base offset and leader epoch are the producer's and have no meaning. All
    /// other fields are final.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Returns the records, compressed as the header says.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the header and the body to append, in this order.
    pub fn assign(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> ([u8; BATCH_OVERHEAD], Bytes) {
        let mut bytes = self.bytes;
        put(&mut bytes, 0, base_offset.0.to_be_bytes());
        put(&mut bytes, field::LEADER_EPOCH, leader_epoch.0.to_be_bytes());
        (bytes, self.body.clone())
    }

    /// Sets the timestamp type and the largest timestamp. Updates the checksum if that changes
    /// anything.
    pub(super) fn set_max_timestamp(&mut self, kind: TimestampType, max: Timestamp) {
        if self.header.timestamp_type() == kind && self.header.max_timestamp == max {
            return;
        }
        self.header.attributes = self.header.attributes.with_timestamp_type(kind).without_unknown();
        self.header.max_timestamp = max;
        put(&mut self.bytes, field::ATTRIBUTES, self.header.attributes.0.to_be_bytes());
        put(&mut self.bytes, field::MAX_TIMESTAMP, max.0.to_be_bytes());
        self.set_crc();
    }

    /// Takes producer id, epoch and base sequence from `batch`.
    pub(super) fn set_producer(&mut self, batch: &BatchView<'_>) {
        let fields = field::PRODUCER_ID..field::RECORD_COUNT;
        self.bytes[fields.clone()].copy_from_slice(&batch.bytes()[fields]);
        let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *batch.header();
        self.header = BatchHeader { producer_id, producer_epoch, base_sequence, ..self.header };
        self.set_crc();
    }

    fn set_crc(&mut self) {
        self.header.crc = crc32c_of(&[&self.bytes[field::ATTRIBUTES..], &self.body]);
        put(&mut self.bytes, field::CRC, self.header.crc.to_be_bytes());
    }
}

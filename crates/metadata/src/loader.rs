//! The loader: turns committed batches of the metadata log into images. It holds back a metadata
//! transaction (KIP-868) until it ends.
//!
//! Between a `BeginTransactionRecord` and its end, nobody may see the transaction. The loader keeps
//! the state before it: that state may be published meanwhile, and an abort returns to it.

use crate::delta::{ApplyError, Changes, Delta};
use crate::image::{Image, Provenance};
use model::{LeaderEpoch, Offset, Timestamp};
use protocol::MetadataRecord;

/// One batch of the log, decoded.
#[derive(Clone, Debug)]
pub struct LoadedBatch<'a> {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The batch's leader epoch.
    pub epoch: LeaderEpoch,
    /// The batch's append time.
    pub timestamp: Timestamp,
    /// The records in order. Control records are left out, but count into `last_offset`.
    pub records: &'a [MetadataRecord],
    /// The last offset of the batch.
    pub last_offset: Offset,
}

/// A transaction that has begun and not ended.
#[derive(Clone, Debug)]
struct OpenTransaction {
    /// The offset of its first record.
    begin: Offset,
    /// Everything before it.
    before: Delta,
}

/// Applies batches and gives out images at their ends.
#[derive(Clone, Debug)]
pub struct Loader {
    delta: Delta,
    transaction: Option<OpenTransaction>,
}

impl Loader {
    /// Starts from an image.
    pub fn new(image: &Image) -> Self {
        Self { delta: Delta::new(image), transaction: None }
    }

    /// Loads a snapshot. It replaces `image` and ends a transaction that was open in the log before
    /// it.
    pub fn from_snapshot<'a>(
        image: &Image,
        provenance: Provenance,
        records: impl IntoIterator<Item = &'a MetadataRecord>,
    ) -> Result<Self, ApplyError> {
        let mut delta = Delta::for_snapshot(image);
        for record in records {
            delta.apply(record)?;
        }
        delta.set_provenance(provenance);
        Ok(Self { delta, transaction: None })
    }

    /// Applies a committed batch.
    pub fn apply(&mut self, batch: &LoadedBatch<'_>) -> Result<(), ApplyError> {
        let mut offset = batch.base_offset;
        for record in batch.records {
            self.apply_record(record, offset, batch)?;
            offset = offset.plus(1);
        }
        self.delta.set_provenance(Provenance {
            last_offset: Some(batch.last_offset),
            epoch: batch.epoch,
            last_timestamp: batch.timestamp,
        });
        Ok(())
    }

    /// Returns the loader after one more batch, and does not change this one: a batch that cannot
    /// be applied leaves no trace. It notes no changes, since nothing is published from it.
    pub fn after(&self, batch: &LoadedBatch<'_>) -> Result<Self, ApplyError> {
        let mut next = self.clone();
        next.apply(batch)?;
        next.delta.forget_changes();
        Ok(next)
    }

    fn apply_record(
        &mut self,
        record: &MetadataRecord,
        offset: Offset,
        batch: &LoadedBatch<'_>,
    ) -> Result<(), ApplyError> {
        let out_of_place = ApplyError::Transaction(record.name());
        match record {
            MetadataRecord::BeginTransaction(_) if self.transaction.is_none() => {
                let mut before = self.delta.clone();
                if offset > batch.base_offset {
                    let last_offset = Some(offset.plus(-1));
                    let last_timestamp = batch.timestamp;
                    before.set_provenance(Provenance { last_offset, epoch: batch.epoch, last_timestamp });
                }
                self.transaction = Some(OpenTransaction { begin: offset, before });
                Ok(())
            }
            MetadataRecord::EndTransaction(_) => self.transaction.take().map(|_| ()).ok_or(out_of_place),
            MetadataRecord::AbortTransaction(_) => {
                self.delta = self.transaction.take().ok_or(out_of_place)?.before;
                Ok(())
            }
            MetadataRecord::BeginTransaction(_) => Err(out_of_place),
            _ => self.delta.apply(record),
        }
    }

    /// The offset at which the open transaction began. While one is open, no snapshot may be made
    /// past it.
    pub fn open_transaction(&self) -> Option<Offset> {
        self.transaction.as_ref().map(|transaction| transaction.begin)
    }

    /// The image that may be seen: it lacks the records of an open transaction.
    pub fn image(&self) -> &Image {
        self.transaction.as_ref().map_or(&self.delta, |transaction| &transaction.before).image()
    }

    /// The image with the records of an open transaction. The active controller decides on it.
    pub fn uncommitted_image(&self) -> &Image {
        self.delta.image()
    }

    /// Takes the image that may be seen, and what changed since the last call.
    pub fn publish(&mut self) -> (Image, Changes) {
        match &mut self.transaction {
            None => {
                let next = Delta::new(self.delta.image());
                std::mem::replace(&mut self.delta, next).finish()
            }
            Some(transaction) => {
                // The delta still notes what the transaction changed, together with what is
                // published here. To publish that twice is harmless.
                let next = Delta::new(transaction.before.image());
                std::mem::replace(&mut transaction.before, next).finish()
            }
        }
    }
}

//! Several steps of one decision, each of which sees what the steps before it decided.

use crate::VersionedRecord;
use crate::delta::Delta;
use crate::image::Image;
use model::{ApiError, ErrorCode};

/// The records of the steps so far. Only what a further step reads is applied.
pub(super) struct Draft<'a> {
    image: &'a Image,
    delta: Option<Delta>,
    applied: usize,
    pub(super) records: Vec<VersionedRecord>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(image: &'a Image) -> Self {
        Self { image, delta: None, applied: 0, records: Vec::new() }
    }

    /// Adds the records of a step. Errors: UNKNOWN_SERVER_ERROR where the records before it cannot
    /// be applied.
    pub(super) fn add<R: IntoIterator<Item = VersionedRecord>>(
        &mut self,
        step: impl FnOnce(&Image) -> R,
    ) -> Result<(), ApiError> {
        for it in &self.records[self.applied..] {
            let delta = self.delta.get_or_insert_with(|| Delta::new(self.image));
            let cannot = |error: crate::ApplyError| ApiError::new(ErrorCode::UnknownServerError, error.to_string());
            delta.apply(&it.record).map_err(cannot)?;
        }
        self.applied = self.records.len();
        let records = step(self.delta.as_ref().map_or(self.image, Delta::image));
        self.records.extend(records);
        Ok(())
    }
}

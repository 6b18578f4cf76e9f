//! The end of a metadata log, which elections compare.

use model::{LeaderEpoch, Offset};

/// The end of a log: an offset, and the epoch of the record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndOffset {
    /// The epoch of the last record.
    pub epoch: LeaderEpoch,
    /// The offset after it.
    pub offset: Offset,
}

impl EndOffset {
    /// Whether a log that ends here has everything that a majority may have acknowledged of a log
    /// that ends at `other`.
    pub fn is_as_long_as(&self, other: &Self) -> bool {
        (self.epoch, self.offset) >= (other.epoch, other.offset)
    }
}

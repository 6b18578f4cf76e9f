//! Tagged fields that the schema does not know (KIP-482).

use super::{EncodeError, Writer};
use bytes::Bytes;
use std::ops::RangeBounds;

/// Unknown tagged fields in the order of arrival. An empty list, the usual case, takes one word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::box_collection,
    reason = "every structure of every message holds one, and nearly all are empty: a word, not three"
)]
pub struct UnknownTaggedFields(Option<Box<Vec<(u32, Bytes)>>>);

impl UnknownTaggedFields {
    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |fields| fields.len())
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a field.
    pub fn push(&mut self, tag: u32, bytes: Bytes) {
        self.0.get_or_insert_default().push((tag, bytes));
    }

    /// Iterates over the fields: number and bytes.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, Bytes)> {
        self.0.iter().flat_map(|fields| fields.iter())
    }

    /// Writes the fields whose numbers lie in a range, so that known and unknown fields form one
    /// order.
    pub(crate) fn write(&self, w: &mut Writer, tags: impl RangeBounds<u32>) -> Result<(), EncodeError> {
        for (tag, bytes) in self.iter().filter(|(tag, _)| tags.contains(tag)) {
            w.unsigned_varint(*tag);
            w.unsigned_varint_of(bytes.len())?;
            w.raw(bytes);
        }
        Ok(())
    }
}

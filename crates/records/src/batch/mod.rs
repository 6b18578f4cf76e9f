//! Format v2 of a record batch (KIP-98), to the byte; all numbers big-endian.
//!
//! ```text
//!  0 base_offset            i64
//!  8 batch_length           i32   of all that follows this field
//! 12 partition_leader_epoch i32   -1: none
//! 16 magic                  i8    2
//! 17 crc                    u32   CRC-32C of everything from 21 on
//! 21 attributes             i16   bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//! 23 last_offset_delta      i32
//! 27 base_timestamp         i64   the delete horizon where bit 6 is set (KIP-534)
//! 35 max_timestamp          i64
//! 43 producer_id            i64   -1: none
//! 51 producer_epoch         i16   -1: none
//! 53 base_sequence          i32   -1: none
//! 57 record_count           i32
//! 61 records, compressed as one where the codec says so
//! ```
//!
//! The offset, the length, the leader epoch and the magic are outside the checksum. So a broker can
//! assign the offset and the leader epoch in place.

mod crc;
mod error;
mod header;
mod view;

pub use error::BatchError;
pub use header::{Attributes, BATCH_OVERHEAD, BatchHeader, LOG_OVERHEAD, increment_sequence};
pub use view::{BatchView, Batches};

pub(crate) use crc::{crc32c, crc32c_of};
pub(crate) use header::{field, length_and_magic, put};

#[cfg(test)]
mod tests;

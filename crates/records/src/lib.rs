//! Record batches, Kafka's unit on the wire and on disk, in format v2. Messages of older formats
//! are only read ([`LegacyMessage`]).
//!
//! A batch is a header of 61 bytes and a body of records, which may be compressed as a whole. This
//! crate reads batches without copying ([`BatchHeader`], [`BatchView`], [`Batches`],
//! [`RecordReader`]), builds them ([`BatchBuilder`]), checks what producers send ([`validate`]) and
//! knows the control records. It does no I/O and reads no clock.
//!
//! Invariants: no input makes it panic. Constants and the size of the caller's input bound what it
//! allocates, never a length that the bytes claim.

mod batch;
mod builder;
mod codec;
mod control;
mod legacy;
mod record;
mod validate;
mod varint;

pub use batch::{
    Attributes, BATCH_OVERHEAD, BatchError, BatchHeader, BatchView, Batches, LOG_OVERHEAD, increment_sequence,
};
pub use builder::{BatchBuilder, BuildError};
pub use codec::{Codec, Compression, TimestampType, UnknownCodec};
pub use control::{ControlError, ControlType, EndTransactionMarker};
pub use legacy::{LegacyMessage, LegacyRecord};
pub use record::{Headers, RECORD_BYTES_MAX, RecordError, RecordReader, RecordView};
pub use validate::{
    INVALID_RECORDS_MAX, InvalidRecord, ProduceError, Validated, ValidationRules, begins_transactional,
    check_produce_request, validate,
};

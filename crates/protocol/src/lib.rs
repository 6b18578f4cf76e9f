//! Kafka's messages: every request, response and stored record of Apache Kafka 4.3.1. `cargo xtask
//! codegen` generates them from `schemas/`.
//!
//! Structures carry no version: `Message::decode` and `Message::encode` take it. Decoding never
//! reads past the frame and never allocates more than a small multiple of its size. Records and
//! bytes stay slices of the frame. Unknown tagged fields are kept. A null is an `Option`. Numbers
//! keep the wire's conventions (-1 for none); callers turn them into domain types.

mod codec;
mod frame;
#[allow(clippy::all, clippy::too_many_lines, unused_mut, unused_variables, missing_docs, reason = "generated")]
#[rustfmt::skip]
#[path = "generated/mod.rs"]
/// One module for each message, named after it.
pub mod messages;

#[cfg(feature = "json")]
pub use codec::ToJsonValue;
pub use codec::{
    DecodeError, EncodeError, FramePart, Message, Reader, Records, Str, UnknownTaggedFields, Writer, decode_from,
    encode_to_bytes, encode_versioned,
};
pub use frame::{RequestPrefix, peek_client_id, read_request_header, write_request, write_response};
pub use messages::api_key::ApiKey;
pub use messages::group_log_record::GroupRecord;
pub use messages::metadata_log_record::MetadataRecord;
pub use messages::share_log_record::ShareRecord;
pub use messages::transaction_log_record::TransactionRecord;

#[cfg(test)]
mod tests;

//! The domain's words: ids, offsets, epochs, timestamps and error codes; and [`java`], the order that Kafka's answers take from Java's maps.
//!
//! Everything here is a value without behaviour. `-1` for "none" exists only in the wire and disk
//! formats. Here an absent value is an `Option`. The names are Kafka's own terms.

mod error;
mod ids;
pub mod java;
mod time;
mod uuid;

pub use error::{ApiError, ErrorCode};
pub use ids::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, ProducerEpoch, ProducerId,
    Timestamp, TopicId, TopicIdPartition, TopicPartition,
};
pub use time::{Monotonic, Now};
pub use uuid::{ParseUuidError, Uuid};

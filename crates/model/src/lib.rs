//! The domain's words: ids, offsets, epochs, timestamps and error codes; [`java`], the order that
//! Kafka's answers take from Java's maps; and [`java_number`], numbers as Java's parsers read them.
//!
//! Everything here is a value without behaviour. `-1` for "none" exists only in the wire and disk
//! formats. Here an absent value is an `Option`. The names are Kafka's own terms.

mod error;
mod ids;
pub mod java;
pub mod java_number;
mod time;
mod uuid;

pub use error::{ApiError, ErrorCode};
pub use ids::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, ProducerEpoch, ProducerId,
    Timestamp, TopicId, TopicIdPartition, TopicPartition, VerificationGuard,
};
pub use time::{Monotonic, Now};
pub use uuid::{ParseUuidError, Uuid};

/// The metadata log's topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

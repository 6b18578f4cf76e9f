//! Newtypes of ids, offsets and epochs.

use crate::Uuid;
use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> $inner {
                value.0
            }
        }

        impl $name {
            /// Returns `None` for a negative number, which the formats use for "absent".
            pub fn from_wire(value: $inner) -> Option<Self> {
                (value >= 0).then_some(Self(value))
            }

            /// Returns the number, or -1 for `None`.
            pub fn to_wire(value: Option<Self>) -> $inner {
                value.map_or(-1, |value| value.0)
            }
        }
    )*};
}

number! {
    /// A node of the cluster, as broker or controller (`node.id`).
    BrokerId(i32);
    /// A partition's number within its topic.
    PartitionIndex(i32);
    /// A position in a partition's log, counted in records.
    Offset(i64);
    /// Counts the leaders of a partition, or of the metadata quorum.
    LeaderEpoch(i32);
    /// Counts the changes of a partition's state at the controller.
    PartitionEpoch(i32);
    /// One registration of a broker. Its value is the offset of the registration record.
    BrokerEpoch(i64);
    /// The identity of an idempotent producer.
    ProducerId(i64);
    /// Fences earlier incarnations of a producer id.
    ProducerEpoch(i16);
    /// Milliseconds since 1970-01-01T00:00Z.
    Timestamp(i64);
}

/// Names one verification of a transaction (KIP-890): the append that opens the transaction in a
/// partition's log must carry it. It is never written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerificationGuard(pub u64);

impl Offset {
    /// Returns the offset `count` records later. The result never exceeds `i64::MAX`, whatever
    /// count a damaged file holds.
    pub fn plus(self, count: i64) -> Self {
        Offset(self.0.saturating_add(count))
    }
}

/// A topic's identity. A deleted topic's id is never used again, not even by a new topic with the
/// same name.
pub type TopicId = Uuid;
/// A log dir's identity, stored in its `meta.properties` (KIP-858).
pub type DirectoryId = Uuid;

/// A partition, named by its topic's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Creates the name of a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition: PartitionIndex(partition) }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition, named by its topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIdPartition {
    /// The topic's id.
    pub topic_id: TopicId,
    /// The partition's number.
    pub partition: PartitionIndex,
}

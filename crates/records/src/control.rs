//! Control records: what brokers write into logs for other brokers. Clients skip them.
//!
//! The key is a version (i16, 0) and a type (i16). The value of an end-transaction marker is a
//! version (i16, 0) and the epoch of the transaction coordinator (i32). The values of raft's
//! control records are messages of the protocol.

/// The types of control records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// A transaction was aborted.
    Abort,
    /// A transaction was committed.
    Commit,
    /// Raft: a leader starts its epoch.
    LeaderChange,
    /// Raft: a snapshot begins.
    SnapshotHeader,
    /// Raft: a snapshot ends.
    SnapshotFooter,
    /// Raft: the version of the quorum's own protocol (`kraft.version`).
    KraftVersion,
    /// Raft: the set of voters.
    KraftVoters,
    /// An unknown type from a later version, to be skipped.
    Unknown(i16),
}

/// An invalid control record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The key is too short for its fields.
    #[error(
        "Invalid value size found for end control record key. Must have at least 4 bytes, but found only {size_bytes}"
    )]
    KeyTooShort {
        /// Bytes of the key, or 0 if there is no key.
        size_bytes: usize,
    },
    /// A negative version in the key.
    #[error("Invalid version found for control record: {0}. May indicate data corruption")]
    Version(i16),
    /// The value is not a marker's.
    #[error("the value of an end-transaction marker has {size_bytes} bytes or a negative version")]
    MarkerValue {
        /// Bytes of the value.
        size_bytes: usize,
    },
    /// The record does not end a transaction.
    #[error("a control record of type {0:?} ends no transaction")]
    NotEndTransaction(ControlType),
}

impl ControlType {
    /// Reads a control record's key. Bytes after the type are ignored.
    pub fn from_key(key: Option<&[u8]>) -> Result<Self, ControlError> {
        let key = key.unwrap_or_default();
        let &[v0, v1, t0, t1, ..] = key else {
            return Err(ControlError::KeyTooShort { size_bytes: key.len() });
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(ControlError::Version(version));
        }
        Ok(match i16::from_be_bytes([t0, t1]) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            other => ControlType::Unknown(other),
        })
    }

    /// Returns the key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let kind: i16 = match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KraftVersion => 5,
            ControlType::KraftVoters => 6,
            ControlType::Unknown(kind) => kind,
        };
        let [t0, t1] = kind.to_be_bytes();
        [0, 0, t0, t1]
    }
}

/// The marker that ends a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Whether the transaction was committed; if not, it was aborted.
    pub committed: bool,
    /// The leader epoch of the coordinator that decided. It fences late markers.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads a marker from a control record.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, ControlError> {
        let committed = match ControlType::from_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            other => return Err(ControlError::NotEndTransaction(other)),
        };
        let value = value.unwrap_or_default();
        match *value {
            [v0, v1, e0, e1, e2, e3, ..] if i16::from_be_bytes([v0, v1]) >= 0 => {
                Ok(Self { committed, coordinator_epoch: i32::from_be_bytes([e0, e1, e2, e3]) })
            }
            _ => Err(ControlError::MarkerValue { size_bytes: value.len() }),
        }
    }

    /// Returns the type of its record.
    pub fn control_type(self) -> ControlType {
        if self.committed { ControlType::Commit } else { ControlType::Abort }
    }

    /// Returns the value of its record.
    pub fn value(self) -> [u8; 6] {
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [0, 0, e0, e1, e2, e3]
    }
}

//! Control records, which raft itself writes to the log and to snapshots.
//!
//! A control record's key is a version (int16, 0) and a type (int16), which [`ControlType`] reads
//! and writes. Its value is the message of that type, which begins with its own version. Control
//! batches are never mixed with data.

use crate::voters::{KRaftVersion, VoterSet};
use bytes::Bytes;
use model::{BrokerId, Timestamp};
use protocol::messages::kraft_version_record::KRaftVersionRecord;
use protocol::messages::leader_change_message::{LeaderChangeMessage, Voter as LeaderChangeVoter};
use protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::messages::voters_record::VotersRecord;
use protocol::{DecodeError, EncodeError, Message, decode_from, encode_to_bytes};
use records::{ControlError, ControlType};

/// A control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// The first record of an epoch: its leader.
    LeaderChange(LeaderChange),
    /// The first record of a snapshot.
    SnapshotHeader {
        /// The timestamp of the last record that the snapshot covers.
        last_contained_log_timestamp: Timestamp,
    },
    /// The last record of a snapshot. Without it the file is incomplete.
    SnapshotFooter,
    /// The level of `kraft.version` from here on.
    KRaftVersion(KRaftVersion),
    /// The voters from here on.
    Voters(VoterSet),
    /// A type that raft has no use for.
    Other(ControlType),
}

/// The result of an election.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderChange {
    /// The leader.
    pub leader: BrokerId,
    /// The voters.
    pub voters: Vec<BrokerId>,
    /// The voters that voted for the leader.
    pub granting_voters: Vec<BrokerId>,
}

/// Why a control record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ControlRecordError {
    /// The bytes do not match the format.
    #[error("a control record cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A key without a type, or with a negative version.
    #[error(transparent)]
    Key(#[from] ControlError),
    /// A version that is not known.
    #[error("{kind} has version {version}, which is not known")]
    Version {
        /// The kind of the record.
        kind: &'static str,
        /// The version.
        version: i16,
    },
    /// This node does not support the level of `kraft.version`.
    #[error("kraft.version {0} is not supported")]
    KRaftVersion(i16),
}

impl ControlRecord {
    /// Returns the record's key and value. Errors: a voter with a name too long for the format.
    pub fn encode(&self) -> Result<([u8; 4], Bytes), EncodeError> {
        let (kind, value) = match self {
            Self::LeaderChange(change) => (ControlType::LeaderChange, encode_to_bytes(&leader_change(change), 0)?),
            Self::SnapshotHeader { last_contained_log_timestamp: Timestamp(timestamp) } => {
                let header = SnapshotHeaderRecord { last_contained_log_timestamp: *timestamp, ..Default::default() };
                (ControlType::SnapshotHeader, encode_to_bytes(&header, 0)?)
            }
            Self::SnapshotFooter => {
                (ControlType::SnapshotFooter, encode_to_bytes(&SnapshotFooterRecord::default(), 0)?)
            }
            Self::KRaftVersion(version) => {
                let record = KRaftVersionRecord { kraft_version: version.level(), ..Default::default() };
                (ControlType::KraftVersion, encode_to_bytes(&record, 0)?)
            }
            Self::Voters(voters) => (ControlType::KraftVoters, encode_to_bytes(&voters.to_record(), 0)?),
            Self::Other(kind) => (*kind, Bytes::new()),
        };
        Ok((kind.key(), value))
    }

    /// Reads a record of a control batch.
    pub fn decode(key: &[u8], value: Bytes) -> Result<Self, ControlRecordError> {
        Ok(match ControlType::from_key(Some(key))? {
            ControlType::LeaderChange => {
                let message: LeaderChangeMessage = decode_own_version(value)?;
                Self::LeaderChange(LeaderChange {
                    leader: BrokerId(message.leader_id),
                    voters: message.voters.iter().map(|voter| BrokerId(voter.voter_id)).collect(),
                    granting_voters: message.granting_voters.iter().map(|voter| BrokerId(voter.voter_id)).collect(),
                })
            }
            ControlType::SnapshotHeader => {
                let header: SnapshotHeaderRecord = decode_own_version(value)?;
                Self::SnapshotHeader { last_contained_log_timestamp: Timestamp(header.last_contained_log_timestamp) }
            }
            ControlType::SnapshotFooter => {
                decode_own_version::<SnapshotFooterRecord>(value)?;
                Self::SnapshotFooter
            }
            ControlType::KraftVersion => {
                let record: KRaftVersionRecord = decode_own_version(value)?;
                let level = record.kraft_version;
                Self::KRaftVersion(KRaftVersion::from_level(level).ok_or(ControlRecordError::KRaftVersion(level))?)
            }
            ControlType::KraftVoters => {
                Self::Voters(VoterSet::from_record(&decode_own_version::<VotersRecord>(value)?))
            }
            other @ (ControlType::Abort | ControlType::Commit | ControlType::Unknown(_)) => Self::Other(other),
        })
    }
}

/// Kafka writes version 0 under every `kraft.version`. It has no directory ids of voters, which
/// version 1 has.
fn leader_change(change: &LeaderChange) -> LeaderChangeMessage {
    let voters = |ids: &[BrokerId]| {
        ids.iter().map(|id| LeaderChangeVoter { voter_id: id.0, ..Default::default() }).collect::<Vec<_>>()
    };
    LeaderChangeMessage {
        leader_id: change.leader.0,
        voters: voters(&change.voters),
        granting_voters: voters(&change.granting_voters),
        ..Default::default()
    }
}

/// Reads a message whose first field is its version.
fn decode_own_version<M: Message>(value: Bytes) -> Result<M, ControlRecordError> {
    let version = match *value {
        [high, low, ..] => i16::from_be_bytes([high, low]),
        _ => 0,
    };
    if !(M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
        return Err(ControlRecordError::Version { kind: M::NAME, version });
    }
    Ok(decode_from(value, version)?)
}

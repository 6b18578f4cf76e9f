//! The file `quorum-state`: the election state that a replica must not forget, as the JSON that
//! Kafka writes.
//!
//! ```text
//! data_version 0 (kraft.version 0)
//! {"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}
//! data_version 1 (kraft.version 1, KIP-853)
//! {"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
//! ```
//! The file has no line end. It is replaced as a whole: written to another name, fsynced, renamed,
//! and the directory fsynced.

use crate::voters::{KRaftVersion, ReplicaKey, VoterSet};
use model::{BrokerId, LeaderEpoch, Uuid};
use serde_json::Value;

/// The name of the file in the metadata partition's folder.
pub const QUORUM_STATE_FILE: &str = "quorum-state";

/// The election state of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElectionState {
    /// The newest epoch that this replica has seen.
    pub epoch: LeaderEpoch,
    /// Its leader, once known.
    pub leader: Option<BrokerId>,
    /// The replica that this replica voted for in the epoch.
    pub voted: Option<ReplicaKey>,
}

/// Why `quorum-state` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    /// The content is not a JSON object.
    #[error("quorum-state is not a JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is missing or has the wrong type.
    #[error("quorum-state has no usable {0:?}")]
    Field(&'static str),
    /// A later version wrote the file.
    #[error("quorum-state has the data_version {0}, which is not known")]
    Version(i64),
}

impl ElectionState {
    /// Returns the content of the file. Under `kraft.version` 0 it names the voters, under 1 the
    /// directory id of the voted replica.
    pub fn encode(&self, kraft_version: KRaftVersion, voters: &VoterSet) -> Vec<u8> {
        let leader = BrokerId::to_wire(self.leader);
        let epoch = self.epoch;
        let voted = BrokerId::to_wire(self.voted.map(|voted| voted.id));
        let text = if kraft_version.voters_are_in_the_log() {
            let directory = self.voted.map_or(Uuid::ZERO, |voted| voted.wire_directory_id());
            format!(
                r#"{{"leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"votedDirectoryId":"{directory}","data_version":1}}"#
            )
        } else {
            let voters = voters.ids().map(|id| format!(r#"{{"voterId":{id}}}"#)).collect::<Vec<_>>().join(",");
            format!(
                r#"{{"clusterId":"","leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"appliedOffset":0,"currentVoters":[{voters}],"data_version":0}}"#
            )
        };
        text.into_bytes()
    }

    /// Reads a file of either version.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuorumStateError> {
        let object: serde_json::Map<String, Value> = serde_json::from_slice(bytes)?;
        let data_version = integer(&object, "data_version")?;
        if !(0..=1).contains(&data_version) {
            return Err(QuorumStateError::Version(data_version));
        }
        let directory = match object.get("votedDirectoryId") {
            None => Uuid::ZERO,
            Some(value) => {
                value.as_str().and_then(|text| text.parse().ok()).ok_or(QuorumStateError::Field("votedDirectoryId"))?
            }
        };
        let epoch = LeaderEpoch::from_wire(int32(&object, "leaderEpoch")?).unwrap_or_default();
        let leader = BrokerId::from_wire(int32(&object, "leaderId")?);
        let voted = BrokerId::from_wire(int32(&object, "votedId")?)
            .map(|id| ReplicaKey { id, directory_id: directory.non_zero() });
        Ok(Self { epoch, leader, voted })
    }
}

/// Returns the voters that the file names, which only `kraft.version` 0 writes. They only tell
/// which cluster a folder belongs to.
pub fn configured_voters(bytes: &[u8]) -> Result<Vec<BrokerId>, QuorumStateError> {
    let object: serde_json::Map<String, Value> = serde_json::from_slice(bytes)?;
    let voters = object.get("currentVoters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let id = |voter: &Value| voter.get("voterId").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
    voters.iter().map(|voter| id(voter).map(BrokerId).ok_or(QuorumStateError::Field("currentVoters"))).collect()
}

fn integer(object: &serde_json::Map<String, Value>, field: &'static str) -> Result<i64, QuorumStateError> {
    object.get(field).and_then(Value::as_i64).ok_or(QuorumStateError::Field(field))
}

fn int32(object: &serde_json::Map<String, Value>, field: &'static str) -> Result<i32, QuorumStateError> {
    i32::try_from(integer(object, field)?).map_err(|_| QuorumStateError::Field(field))
}

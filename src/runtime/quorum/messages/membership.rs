//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter (KIP-853).

use super::{code, replica};
use model::{BrokerId, ErrorCode, LeaderEpoch};
use protocol::Str;
use protocol::messages::add_raft_voter_request::{self, AddRaftVoterRequest};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use protocol::messages::update_raft_voter_request::{self, KRaftVersionFeature, UpdateRaftVoterRequest};
use protocol::messages::update_raft_voter_response::{CurrentLeader, UpdateRaftVoterResponse};
use raft::{Endpoint, QuorumReply, QuorumView, ReceivedReply, ReplicaKey, Voter, VoterChangeReply};

/// Writes the request to add a voter.
pub fn add_request(cluster_id: &Str, voter: &Voter, timeout_ms: i32, ack_when_committed: bool) -> AddRaftVoterRequest {
    let listeners = voter.endpoints.iter().map(|it| add_raft_voter_request::Listener {
        name: (&*it.listener).into(),
        host: (&*it.host).into(),
        port: it.port,
        ..Default::default()
    });
    AddRaftVoterRequest {
        cluster_id: Some(cluster_id.clone()),
        timeout_ms,
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.wire_directory_id(),
        listeners: listeners.collect(),
        ack_when_committed,
        ..Default::default()
    }
}

/// Writes the request to remove a voter.
pub fn remove_request(cluster_id: &Str, voter: &ReplicaKey) -> RemoveRaftVoterRequest {
    RemoveRaftVoterRequest {
        cluster_id: Some(cluster_id.clone()),
        voter_id: voter.id.0,
        voter_directory_id: voter.wire_directory_id(),
        ..Default::default()
    }
}

/// Writes the request to change a voter's addresses and levels of `kraft.version`.
pub fn update_request(cluster_id: &Str, epoch: Option<LeaderEpoch>, voter: &Voter) -> UpdateRaftVoterRequest {
    let listeners = voter.endpoints.iter().map(|it| update_raft_voter_request::Listener {
        name: (&*it.listener).into(),
        host: (&*it.host).into(),
        port: it.port,
        ..Default::default()
    });
    let (min_supported_version, max_supported_version) = voter.kraft_versions;
    UpdateRaftVoterRequest {
        cluster_id: Some(cluster_id.clone()),
        current_leader_epoch: epoch.map_or(-1, |epoch| epoch.0),
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.wire_directory_id(),
        listeners: listeners.collect(),
        kraft_version_feature: KRaftVersionFeature {
            min_supported_version,
            max_supported_version,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Reads a voter's new addresses and levels. `None` if it has no id.
pub fn update_of(request: &UpdateRaftVoterRequest) -> Option<Voter> {
    let endpoints = request.listeners.iter().map(|it| Endpoint {
        listener: it.name.as_str().into(),
        host: it.host.as_str().into(),
        port: it.port,
    });
    let feature = &request.kraft_version_feature;
    Some(Voter {
        key: replica(request.voter_id, request.voter_directory_id)?,
        endpoints: endpoints.collect(),
        kraft_versions: (feature.min_supported_version, feature.max_supported_version),
    })
}

/// Writes the answer to `UpdateRaftVoter`, with the leader's address on the listener of the
/// request.
pub fn update_reply(view: &QuorumView, listener: &str) -> UpdateRaftVoterResponse {
    let mut current_leader =
        CurrentLeader { leader_id: BrokerId::to_wire(view.leader), leader_epoch: view.epoch.0, ..Default::default() };
    if let Some(at) = view.leader_endpoints.iter().find(|endpoint| &*endpoint.listener == listener) {
        current_leader.host = (&*at.host).into();
        current_leader.port = i32::from(at.port);
    }
    UpdateRaftVoterResponse { error_code: view.error.code(), current_leader, ..Default::default() }
}

/// Reads the answer to `AddRaftVoter`, which names no leader.
pub fn added(response: AddRaftVoterResponse, _: &str) -> Result<ReceivedReply, ErrorCode> {
    Ok(without_leader(response.error_code, response.error_message))
}

/// Reads the answer to `RemoveRaftVoter`, which names no leader.
pub fn removed(response: RemoveRaftVoterResponse, _: &str) -> Result<ReceivedReply, ErrorCode> {
    Ok(without_leader(response.error_code, response.error_message))
}

fn without_leader(error: i16, message: Option<Str>) -> ReceivedReply {
    let view = QuorumView { error: code(error), leader: None, epoch: LeaderEpoch(0), leader_endpoints: Vec::new() };
    QuorumReply::ChangeVoters(VoterChangeReply { view, message: message.map(String::from) })
}

/// Reads the answer to `UpdateRaftVoter`.
pub fn updated(response: UpdateRaftVoterResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    let leader = response.current_leader;
    let endpoint = u16::try_from(leader.port).ok().filter(|port| *port > 0).map(|port| Endpoint {
        listener: listener.into(),
        host: leader.host.as_str().into(),
        port,
    });
    let view = QuorumView {
        error: code(response.error_code),
        leader: BrokerId::from_wire(leader.leader_id),
        epoch: LeaderEpoch(leader.leader_epoch),
        leader_endpoints: endpoint.into_iter().collect(),
    };
    Ok(QuorumReply::ChangeVoters(VoterChangeReply { view, message: None }))
}

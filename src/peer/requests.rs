//! The requests that this node sends, each with its answer and the versions that it can send: one
//! table. Below `api`, no other code chooses a version.

use bytes::Bytes;
use protocol::messages as m;
use protocol::{ApiKey, DecodeError, Message, Reader};

/// A request to another node.
pub trait PeerRequest: Message + Send + 'static {
    /// Its answer.
    type Response: Message + Send + 'static;
    /// Its API key.
    const API_KEY: ApiKey;
    /// The oldest and the newest version that this node sends.
    const VERSIONS: (i16, i16);

    /// Moves values to the fields that this version has for them.
    fn fit(&mut self, _version: i16) {}
}

macro_rules! requests {
    ($($key:ident $oldest:literal-$latest:literal $request:path => $response:path $(, fit $fit:expr)?;)*) => {
        $(impl PeerRequest for $request {
            type Response = $response;
            const API_KEY: ApiKey = ApiKey::$key;
            const VERSIONS: (i16, i16) = ($oldest, $latest);
            $(fn fit(&mut self, version: i16) {
                let fit: fn(&mut Self, i16) = $fit;
                fit(self, version);
            })?
        })*
    };
}

#[rustfmt::skip]
requests! {
    ApiVersions            3-4   m::api_versions_request::ApiVersionsRequest => m::api_versions_response::ApiVersionsResponse;
    Fetch                  12-18 m::fetch_request::FetchRequest => m::fetch_response::FetchResponse, fit fit_fetch;
    ListOffsets            4-10  m::list_offsets_request::ListOffsetsRequest => m::list_offsets_response::ListOffsetsResponse;
    CreateTopics           5-7   m::create_topics_request::CreateTopicsRequest => m::create_topics_response::CreateTopicsResponse;
    Vote                   0-2   m::vote_request::VoteRequest => m::vote_response::VoteResponse;
    BeginQuorumEpoch       0-1   m::begin_quorum_epoch_request::BeginQuorumEpochRequest => m::begin_quorum_epoch_response::BeginQuorumEpochResponse;
    EndQuorumEpoch         0-1   m::end_quorum_epoch_request::EndQuorumEpochRequest => m::end_quorum_epoch_response::EndQuorumEpochResponse;
    FetchSnapshot          0-1   m::fetch_snapshot_request::FetchSnapshotRequest => m::fetch_snapshot_response::FetchSnapshotResponse;
    AlterPartition         2-3   m::alter_partition_request::AlterPartitionRequest => m::alter_partition_response::AlterPartitionResponse, fit fit_alter_partition;
    Envelope               0-0   m::envelope_request::EnvelopeRequest => m::envelope_response::EnvelopeResponse;
    BrokerRegistration     0-4   m::broker_registration_request::BrokerRegistrationRequest => m::broker_registration_response::BrokerRegistrationResponse, fit fit_registration;
    BrokerHeartbeat        0-2   m::broker_heartbeat_request::BrokerHeartbeatRequest => m::broker_heartbeat_response::BrokerHeartbeatResponse, fit fit_heartbeat;
    AllocateProducerIds    0-0   m::allocate_producer_ids_request::AllocateProducerIdsRequest => m::allocate_producer_ids_response::AllocateProducerIdsResponse;
    ControllerRegistration 0-0   m::controller_registration_request::ControllerRegistrationRequest => m::controller_registration_response::ControllerRegistrationResponse;
    WriteTxnMarkers        1-2   m::write_txn_markers_request::WriteTxnMarkersRequest => m::write_txn_markers_response::WriteTxnMarkersResponse, fit fit_markers;
    AddPartitionsToTxn     4-5   m::add_partitions_to_txn_request::AddPartitionsToTxnRequest => m::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
    AssignReplicasToDirs   0-0   m::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest => m::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
    AddRaftVoter           0-1   m::add_raft_voter_request::AddRaftVoterRequest => m::add_raft_voter_response::AddRaftVoterResponse;
    RemoveRaftVoter        0-0   m::remove_raft_voter_request::RemoveRaftVoterRequest => m::remove_raft_voter_response::RemoveRaftVoterResponse;
    UpdateRaftVoter        0-0   m::update_raft_voter_request::UpdateRaftVoterRequest => m::update_raft_voter_response::UpdateRaftVoterResponse;
}

/// A caller names the replica in `replica_state`. Before version 15 (KIP-903) the request has only
/// its id.
fn fit_fetch(request: &mut m::fetch_request::FetchRequest, version: i16) {
    if version < 15 {
        request.replica_id = std::mem::take(&mut request.replica_state).replica_id;
    }
}

/// Before version 4 (KAFKA-17492) a feature may not have 0 as its lowest level.
fn fit_registration(request: &mut m::broker_registration_request::BrokerRegistrationRequest, version: i16) {
    if version < 4 {
        request.features.retain(|feature| feature.min_supported_version > 0);
    }
}

/// Before version 1 (KIP-858) a heartbeat has no offline log dirs, before version 2 (KIP-1066) no
/// cordoned ones.
fn fit_heartbeat(request: &mut m::broker_heartbeat_request::BrokerHeartbeatRequest, version: i16) {
    if version < 1 {
        request.offline_log_dirs.clear();
    }
    if version < 2 {
        request.cordoned_log_dirs = None;
    }
}

/// Before version 3 (KIP-903) the ISR has no broker epochs.
fn fit_alter_partition(request: &mut m::alter_partition_request::AlterPartitionRequest, version: i16) {
    if version < 3 {
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let members = std::mem::take(&mut partition.new_isr_with_epochs);
            partition.new_isr = members.iter().map(|member| member.broker_id).collect();
        }
    }
}

/// Before version 2 (KIP-1228) a marker does not say the transaction's version.
fn fit_markers(request: &mut m::write_txn_markers_request::WriteTxnMarkersRequest, version: i16) {
    if version < 2 {
        request.markers.iter_mut().for_each(|marker| marker.transaction_version = 0);
    }
}

/// Reads the answer to a request. Errors: bytes that do not fit the version, or bytes after it.
pub(super) fn read<Q: PeerRequest>(body: Bytes, version: i16) -> Result<Q::Response, DecodeError> {
    let mut body = Reader::new(body);
    let response = Q::Response::decode(&mut body, version)?;
    body.finish()?;
    Ok(response)
}

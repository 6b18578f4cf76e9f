//! Vote, BeginQuorumEpoch and EndQuorumEpoch.

use super::{leader_on, only, replica, view, whole};
use model::{BrokerId, ErrorCode, LeaderEpoch, METADATA_TOPIC, Offset};
use protocol::Str;
use protocol::messages::begin_quorum_epoch_request::{self, BeginQuorumEpochRequest};
use protocol::messages::begin_quorum_epoch_response::{self, BeginQuorumEpochResponse};
use protocol::messages::end_quorum_epoch_request::{self, EndQuorumEpochRequest};
use protocol::messages::end_quorum_epoch_response::{self, EndQuorumEpochResponse};
use protocol::messages::vote_request::{self, VoteRequest};
use protocol::messages::vote_response::{self, VoteResponse};
use raft::{EndOffset, Endpoint, QuorumReply, QuorumView, ReceivedReply};

/// Writes a request for a vote.
pub fn vote_request(cluster_id: &Str, vote: &raft::VoteRequest) -> VoteRequest {
    let partition = vote_request::PartitionData {
        replica_epoch: vote.epoch.0,
        replica_id: vote.candidate.id.0,
        replica_directory_id: vote.candidate.wire_directory_id(),
        voter_directory_id: vote.voter.map(|voter| voter.wire_directory_id()).unwrap_or_default(),
        last_offset_epoch: vote.log_end.epoch.0,
        last_offset: vote.log_end.offset.0,
        pre_vote: vote.pre_vote,
        ..Default::default()
    };
    let topic = vote_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    VoteRequest {
        cluster_id: Some(cluster_id.clone()),
        voter_id: BrokerId::to_wire(vote.voter.map(|voter| voter.id)),
        topics: vec![topic],
        ..Default::default()
    }
}

/// Writes the announcement of a leader.
pub fn begin_request(cluster_id: &Str, begin: &raft::BeginQuorumEpochRequest) -> BeginQuorumEpochRequest {
    let partition = begin_quorum_epoch_request::PartitionData {
        voter_directory_id: begin.voter.map(|voter| voter.wire_directory_id()).unwrap_or_default(),
        leader_id: begin.leader.0,
        leader_epoch: begin.epoch.0,
        ..Default::default()
    };
    let topic = begin_quorum_epoch_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let endpoints = begin.leader_endpoints.iter().map(|it| begin_quorum_epoch_request::LeaderEndpoint {
        name: (&*it.listener).into(),
        host: (&*it.host).into(),
        port: it.port,
        ..Default::default()
    });
    BeginQuorumEpochRequest {
        cluster_id: Some(cluster_id.clone()),
        voter_id: BrokerId::to_wire(begin.voter.map(|voter| voter.id)),
        topics: vec![topic],
        leader_endpoints: endpoints.collect(),
        ..Default::default()
    }
}

/// Writes the resignation of a leader.
pub fn end_request(cluster_id: &Str, end: &raft::EndQuorumEpochRequest) -> EndQuorumEpochRequest {
    let candidates = end.preferred_candidates.iter().map(|candidate| end_quorum_epoch_request::ReplicaInfo {
        candidate_id: candidate.id.0,
        candidate_directory_id: candidate.wire_directory_id(),
        ..Default::default()
    });
    let partition = end_quorum_epoch_request::PartitionData {
        leader_id: end.leader.0,
        leader_epoch: end.epoch.0,
        preferred_successors: end.preferred_candidates.iter().map(|candidate| candidate.id.0).collect(),
        preferred_candidates: candidates.collect(),
        ..Default::default()
    };
    let topic = end_quorum_epoch_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let endpoints = end.leader_endpoints.iter().map(|it| end_quorum_epoch_request::LeaderEndpoint {
        name: (&*it.listener).into(),
        host: (&*it.host).into(),
        port: it.port,
        ..Default::default()
    });
    EndQuorumEpochRequest {
        cluster_id: Some(cluster_id.clone()),
        topics: vec![topic],
        leader_endpoints: endpoints.collect(),
        ..Default::default()
    }
}

/// Reads a request for a vote. `None` if it names no candidate or no end of a log.
pub fn vote_of(request: &VoteRequest, partition: &vote_request::PartitionData) -> Option<raft::VoteRequest> {
    if partition.last_offset < 0 || partition.last_offset_epoch < 0 {
        return None;
    }
    let (epoch, offset) = (LeaderEpoch(partition.last_offset_epoch), Offset(partition.last_offset));
    Some(raft::VoteRequest {
        epoch: LeaderEpoch(partition.replica_epoch),
        candidate: replica(partition.replica_id, partition.replica_directory_id)?,
        voter: replica(request.voter_id, partition.voter_directory_id),
        log_end: EndOffset { epoch, offset },
        pre_vote: partition.pre_vote,
    })
}

/// Reads the announcement of a leader. `None` if it names no leader.
pub fn begin_of(
    request: &BeginQuorumEpochRequest,
    partition: &begin_quorum_epoch_request::PartitionData,
) -> Option<raft::BeginQuorumEpochRequest> {
    let endpoints = request.leader_endpoints.iter().map(|it| endpoint(&it.name, &it.host, it.port));
    Some(raft::BeginQuorumEpochRequest {
        leader: BrokerId::from_wire(partition.leader_id)?,
        epoch: LeaderEpoch(partition.leader_epoch),
        voter: replica(request.voter_id, partition.voter_directory_id),
        leader_endpoints: endpoints.collect(),
    })
}

/// Reads the resignation of a leader. `None` if it names no leader.
pub fn end_of(
    request: &EndQuorumEpochRequest,
    partition: &end_quorum_epoch_request::PartitionData,
) -> Option<raft::EndQuorumEpochRequest> {
    let by_key =
        partition.preferred_candidates.iter().filter_map(|it| replica(it.candidate_id, it.candidate_directory_id));
    let by_id = partition.preferred_successors.iter().filter_map(|id| replica(*id, Default::default()));
    let has_keys = !partition.preferred_candidates.is_empty();
    let endpoints = request.leader_endpoints.iter().map(|it| endpoint(&it.name, &it.host, it.port));
    Some(raft::EndQuorumEpochRequest {
        leader: BrokerId::from_wire(partition.leader_id)?,
        epoch: LeaderEpoch(partition.leader_epoch),
        preferred_candidates: if has_keys { by_key.collect() } else { by_id.collect() },
        leader_endpoints: endpoints.collect(),
    })
}

fn endpoint(listener: &Str, host: &Str, port: u16) -> Endpoint {
    Endpoint { listener: listener.as_str().into(), host: host.as_str().into(), port }
}

/// Writes the answer to `Vote`. `listener` is that of the request, `None` if the
/// version has no endpoints.
pub fn vote_reply(view: &QuorumView, granted: bool, listener: Option<&str>) -> VoteResponse {
    let partition = vote_response::PartitionData {
        error_code: view.error.code(),
        leader_id: BrokerId::to_wire(view.leader),
        leader_epoch: view.epoch.0,
        vote_granted: granted,
        ..Default::default()
    };
    let topic = vote_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let leader = listener.and_then(|listener| leader_on(view, listener));
    let endpoint = leader.map(|(node_id, at)| vote_response::NodeEndpoint {
        node_id,
        host: (&*at.host).into(),
        port: at.port,
        ..Default::default()
    });
    VoteResponse { topics: vec![topic], node_endpoints: endpoint.into_iter().collect(), ..Default::default() }
}

/// Reads the answer to `Vote`. Errors: it was refused as a whole, or it is not
/// about one partition.
pub fn voted(response: VoteResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    whole(response.error_code)?;
    let it = only(only(response.topics)?.partitions)?;
    let endpoints = response.node_endpoints.into_iter().map(|it| (it.node_id, it.host, it.port));
    let view = view((it.error_code, it.leader_id, it.leader_epoch), listener, endpoints);
    Ok(QuorumReply::Vote { view, granted: it.vote_granted })
}

/// Writes the answer to `BeginQuorumEpoch`. `listener` is that of the request, `None` if the
/// version has no endpoints.
pub fn begin_reply(view: &QuorumView, listener: Option<&str>) -> BeginQuorumEpochResponse {
    let partition = begin_quorum_epoch_response::PartitionData {
        error_code: view.error.code(),
        leader_id: BrokerId::to_wire(view.leader),
        leader_epoch: view.epoch.0,

        ..Default::default()
    };
    let topic = begin_quorum_epoch_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let leader = listener.and_then(|listener| leader_on(view, listener));
    let endpoint = leader.map(|(node_id, at)| begin_quorum_epoch_response::NodeEndpoint {
        node_id,
        host: (&*at.host).into(),
        port: at.port,
        ..Default::default()
    });
    BeginQuorumEpochResponse {
        topics: vec![topic],
        node_endpoints: endpoint.into_iter().collect(),
        ..Default::default()
    }
}

/// Reads the answer to `BeginQuorumEpoch`. Errors: it was refused as a whole, or it is not
/// about one partition.
pub fn begun(response: BeginQuorumEpochResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    whole(response.error_code)?;
    let it = only(only(response.topics)?.partitions)?;
    let endpoints = response.node_endpoints.into_iter().map(|it| (it.node_id, it.host, it.port));
    let view = view((it.error_code, it.leader_id, it.leader_epoch), listener, endpoints);
    Ok(QuorumReply::BeginQuorumEpoch(view))
}

/// Writes the answer to `EndQuorumEpoch`. `listener` is that of the request, `None` if the
/// version has no endpoints.
pub fn end_reply(view: &QuorumView, listener: Option<&str>) -> EndQuorumEpochResponse {
    let partition = end_quorum_epoch_response::PartitionData {
        error_code: view.error.code(),
        leader_id: BrokerId::to_wire(view.leader),
        leader_epoch: view.epoch.0,

        ..Default::default()
    };
    let topic = end_quorum_epoch_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let leader = listener.and_then(|listener| leader_on(view, listener));
    let endpoint = leader.map(|(node_id, at)| end_quorum_epoch_response::NodeEndpoint {
        node_id,
        host: (&*at.host).into(),
        port: at.port,
        ..Default::default()
    });
    EndQuorumEpochResponse { topics: vec![topic], node_endpoints: endpoint.into_iter().collect(), ..Default::default() }
}

/// Reads the answer to `EndQuorumEpoch`. Errors: it was refused as a whole, or it is not
/// about one partition.
pub fn ended(response: EndQuorumEpochResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    whole(response.error_code)?;
    let it = only(only(response.topics)?.partitions)?;
    let endpoints = response.node_endpoints.into_iter().map(|it| (it.node_id, it.host, it.port));
    let view = view((it.error_code, it.leader_id, it.leader_epoch), listener, endpoints);
    Ok(QuorumReply::EndQuorumEpoch(view))
}

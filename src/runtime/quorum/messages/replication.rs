//! Fetch and FetchSnapshot of the metadata log.

use super::{code, leader_on, only, replica, view, whole};
use crate::runtime::metadata_log::METADATA_TOPIC_ID;
use bytes::Bytes;
use model::{BrokerId, ErrorCode, LeaderEpoch, METADATA_TOPIC, Offset};
use protocol::Str;
use protocol::messages::fetch_request::{self, FetchRequest, ReplicaState};
use protocol::messages::fetch_response::{self, FetchResponse};
use protocol::messages::fetch_snapshot_request::{self, FetchSnapshotRequest};
use protocol::messages::fetch_snapshot_response::{self, FetchSnapshotResponse};
use raft::{
    EndOffset, FetchContent, FetchReply, FetchSnapshotReply, KnownHighWatermark, QuorumReply, QuorumView,
    ReceivedReply, ReplicaKey, SnapshotId, SnapshotPiece,
};

/// The high watermark of a replica that does not want to be woken by it (KIP-1166).
const NOT_TOLD: i64 = i64::MAX;

/// Writes a fetch.
pub fn fetch_request(cluster_id: &Str, fetch: &raft::FetchRequest) -> FetchRequest {
    let max_bytes = i32::try_from(fetch.max_bytes).unwrap_or(i32::MAX);
    let partition = fetch_request::FetchPartition {
        current_leader_epoch: fetch.epoch.0,
        fetch_offset: fetch.log_end.offset.0,
        last_fetched_epoch: fetch.log_end.epoch.0,
        partition_max_bytes: max_bytes,
        replica_directory_id: fetch.replica.map(|key| key.wire_directory_id()).unwrap_or_default(),
        high_watermark: match fetch.high_watermark {
            KnownHighWatermark::NotTold => NOT_TOLD,
            KnownHighWatermark::Unknown => -1,
            KnownHighWatermark::At(offset) => offset.0,
        },
        ..Default::default()
    };
    let topic = fetch_request::FetchTopic {
        topic: METADATA_TOPIC.into(),
        topic_id: METADATA_TOPIC_ID,
        partitions: vec![partition],
        ..Default::default()
    };
    let replica_id = BrokerId::to_wire(fetch.replica.map(|key| key.id));
    FetchRequest {
        cluster_id: Some(cluster_id.clone()),
        replica_state: ReplicaState { replica_id, ..Default::default() },
        max_wait_ms: i32::try_from(fetch.max_wait_ms).unwrap_or(i32::MAX),
        max_bytes,
        topics: vec![topic],
        ..Default::default()
    }
}

/// Reads a fetch. `None` if a number in it is negative.
pub fn fetch_of(request: &FetchRequest, partition: &fetch_request::FetchPartition) -> Option<raft::FetchRequest> {
    let (epoch, offset) = (partition.last_fetched_epoch, partition.fetch_offset);
    if epoch < 0 || offset < 0 || partition.current_leader_epoch < 0 {
        return None;
    }
    let replica_id = request.replica_id.max(request.replica_state.replica_id);
    Some(raft::FetchRequest {
        replica: replica(replica_id, partition.replica_directory_id),
        epoch: LeaderEpoch(partition.current_leader_epoch),
        log_end: EndOffset { epoch: LeaderEpoch(epoch), offset: Offset(offset) },
        high_watermark: match partition.high_watermark {
            NOT_TOLD => KnownHighWatermark::NotTold,
            offset if offset < 0 => KnownHighWatermark::Unknown,
            offset => KnownHighWatermark::At(Offset(offset)),
        },
        max_wait_ms: u64::try_from(request.max_wait_ms).ok()?,
        max_bytes: u32::try_from(request.max_bytes.min(partition.partition_max_bytes)).unwrap_or(0),
    })
}

/// Writes the answer to a fetch. `listener` is that of the request, `None` if the version has no
/// endpoints.
pub fn fetch_reply(reply: FetchReply<Bytes>, listener: Option<&str>) -> FetchResponse {
    let view = &reply.view;
    let leader = listener.and_then(|listener| leader_on(view, listener));
    let endpoint = leader.map(|(node_id, at)| fetch_response::NodeEndpoint {
        node_id,
        host: (&*at.host).into(),
        port: i32::from(at.port),
        ..Default::default()
    });
    let mut partition = fetch_response::PartitionData {
        error_code: view.error.code(),
        high_watermark: Offset::to_wire(reply.high_watermark),
        log_start_offset: reply.log_start.0,
        current_leader: fetch_response::LeaderIdAndEpoch {
            leader_id: BrokerId::to_wire(view.leader),
            leader_epoch: view.epoch.0,
            ..Default::default()
        },
        records: Some(Bytes::new().into()),
        ..Default::default()
    };
    match reply.content {
        FetchContent::Nothing => {}
        FetchContent::Records(bytes) => partition.records = Some(bytes.into()),
        FetchContent::Diverging(end) => {
            partition.diverging_epoch.epoch = end.epoch.0;
            partition.diverging_epoch.end_offset = end.offset.0;
        }
        FetchContent::Snapshot(id) => {
            partition.snapshot_id.epoch = id.epoch.0;
            partition.snapshot_id.end_offset = id.end.0;
        }
    }
    let topic = fetch_response::FetchableTopicResponse {
        topic: METADATA_TOPIC.into(),
        topic_id: METADATA_TOPIC_ID,
        partitions: vec![partition],
        ..Default::default()
    };
    FetchResponse { responses: vec![topic], node_endpoints: endpoint.into_iter().collect(), ..Default::default() }
}

/// Reads the answer to a fetch. Errors: it was refused as a whole, or it is not about one
/// partition.
pub fn fetched(response: FetchResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    whole(response.error_code)?;
    let it = only(only(response.responses)?.partitions)?;
    let endpoints = response.node_endpoints.into_iter().map(|it| {
        // A port that is none cannot be reached.
        (it.node_id, it.host, u16::try_from(it.port).unwrap_or(0))
    });
    let leader = (it.error_code, it.current_leader.leader_id, it.current_leader.leader_epoch);
    let view = view(leader, listener, endpoints);
    let content = if view.error != ErrorCode::None {
        FetchContent::Nothing
    } else if it.diverging_epoch.epoch >= 0 {
        let (epoch, offset) = (LeaderEpoch(it.diverging_epoch.epoch), Offset(it.diverging_epoch.end_offset));
        if offset.0 < 0 {
            return Err(ErrorCode::UnknownServerError);
        }
        FetchContent::Diverging(EndOffset { epoch, offset })
    } else if it.snapshot_id.end_offset >= 0 || it.snapshot_id.epoch >= 0 {
        FetchContent::Snapshot(snapshot_id(it.snapshot_id.end_offset, it.snapshot_id.epoch)?)
    } else {
        FetchContent::Records(it.records.as_ref().and_then(|records| records.bytes()).cloned().unwrap_or_default())
    };
    Ok(QuorumReply::Fetch(FetchReply {
        view,
        high_watermark: Offset::from_wire(it.high_watermark),
        log_start: Offset(it.log_start_offset.max(0)),
        content,
    }))
}

fn snapshot_id(end: i64, epoch: i32) -> Result<SnapshotId, ErrorCode> {
    if end < 0 || epoch < 0 {
        return Err(ErrorCode::UnknownServerError);
    }
    Ok(SnapshotId { end: Offset(end), epoch: LeaderEpoch(epoch) })
}

/// Writes a request for a piece of a snapshot.
pub fn snapshot_request(cluster_id: &Str, fetch: &raft::FetchSnapshotRequest) -> FetchSnapshotRequest {
    let partition = fetch_snapshot_request::PartitionSnapshot {
        current_leader_epoch: fetch.epoch.0,
        snapshot_id: fetch_snapshot_request::SnapshotId {
            end_offset: fetch.id.end.0,
            epoch: fetch.id.epoch.0,
            ..Default::default()
        },
        position: i64::try_from(fetch.position).unwrap_or(i64::MAX),
        replica_directory_id: fetch.replica.map(|key| key.wire_directory_id()).unwrap_or_default(),
        ..Default::default()
    };
    let topic = fetch_snapshot_request::TopicSnapshot {
        name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchSnapshotRequest {
        cluster_id: Some(cluster_id.clone()),
        replica_id: BrokerId::to_wire(fetch.replica.map(|key| key.id)),
        max_bytes: i32::try_from(fetch.max_bytes).unwrap_or(i32::MAX),
        topics: vec![topic],
        ..Default::default()
    }
}

/// Reads a request for a piece of a snapshot. Errors: the code for a snapshot or a position that
/// cannot exist.
pub fn snapshot_of(
    request: &FetchSnapshotRequest,
    partition: &fetch_snapshot_request::PartitionSnapshot,
) -> Result<raft::FetchSnapshotRequest, ErrorCode> {
    let replica: Option<ReplicaKey> = replica(request.replica_id, partition.replica_directory_id);
    let id = snapshot_id(partition.snapshot_id.end_offset, partition.snapshot_id.epoch);
    Ok(raft::FetchSnapshotRequest {
        replica,
        epoch: LeaderEpoch(partition.current_leader_epoch),
        id: id.map_err(|_| ErrorCode::SnapshotNotFound)?,
        position: u64::try_from(partition.position).map_err(|_| ErrorCode::PositionOutOfRange)?,
        max_bytes: u32::try_from(request.max_bytes).unwrap_or(0),
    })
}

/// Writes the answer to a request for a piece of a snapshot. `listener` is that of the request,
/// `None` if the version has no endpoints.
pub fn snapshot_reply(reply: FetchSnapshotReply<Bytes>, listener: Option<&str>) -> FetchSnapshotResponse {
    let view: &QuorumView = &reply.view;
    let leader = listener.and_then(|listener| leader_on(view, listener));
    let endpoint = leader.map(|(node_id, at)| fetch_snapshot_response::NodeEndpoint {
        node_id,
        host: (&*at.host).into(),
        port: at.port,
        ..Default::default()
    });
    let mut partition = fetch_snapshot_response::PartitionSnapshot {
        error_code: view.error.code(),
        current_leader: fetch_snapshot_response::LeaderIdAndEpoch {
            leader_id: BrokerId::to_wire(view.leader),
            leader_epoch: view.epoch.0,
            ..Default::default()
        },
        ..Default::default()
    };
    if let Some(piece) = reply.piece {
        partition.snapshot_id.end_offset = piece.id.end.0;
        partition.snapshot_id.epoch = piece.id.epoch.0;
        partition.size = i64::try_from(piece.size).unwrap_or(i64::MAX);
        partition.position = i64::try_from(piece.position).unwrap_or(i64::MAX);
        partition.unaligned_records = piece.bytes.into();
    }
    let topic = fetch_snapshot_response::TopicSnapshot {
        name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchSnapshotResponse { topics: vec![topic], node_endpoints: endpoint.into_iter().collect(), ..Default::default() }
}

/// Reads the answer to a request for a piece of a snapshot. Errors: it was refused as a whole, or
/// it is not about one partition.
pub fn snapshot_fetched(response: FetchSnapshotResponse, listener: &str) -> Result<ReceivedReply, ErrorCode> {
    whole(response.error_code)?;
    let it = only(only(response.topics)?.partitions)?;
    let endpoints = response.node_endpoints.into_iter().map(|it| (it.node_id, it.host, it.port));
    let leader = (it.error_code, it.current_leader.leader_id, it.current_leader.leader_epoch);
    let view = view(leader, listener, endpoints);
    let piece = match code(it.error_code) {
        ErrorCode::None => Some(SnapshotPiece {
            id: snapshot_id(it.snapshot_id.end_offset, it.snapshot_id.epoch)?,
            size: u64::try_from(it.size).map_err(|_| ErrorCode::UnknownServerError)?,
            position: u64::try_from(it.position).map_err(|_| ErrorCode::UnknownServerError)?,
            bytes: it.unaligned_records.bytes().cloned().unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece }))
}

//! What one replica writes, the other reads: every message in every version that can carry it, and
//! answers up to a limit.

use super::messages::*;
use super::{QuorumPeers, QuorumPeersParts};
use crate::peer::{Dial, Io, RESPONSE_BYTES_MAX};
use bytes::Bytes;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, Uuid};
use protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use protocol::{Message, Str, decode_from, encode_to_bytes};
use raft::{
    Destination, EndOffset, Endpoint, FetchContent, FetchReply, FetchSnapshotReply, KnownHighWatermark, QuorumReply,
    QuorumRequest, QuorumView, ReplicaKey, SnapshotId, SnapshotPiece,
};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

const LISTENER: &str = "CONTROLLER";

fn over_the_wire<M: Message>(message: &M, version: i16) -> M {
    decode_from(encode_to_bytes(message, version).unwrap(), version).unwrap()
}

fn cluster() -> Str {
    "AAAAAAAAAAAAAAAAAAAAAQ".into()
}

fn key(id: i32) -> ReplicaKey {
    ReplicaKey { id: BrokerId(id), directory_id: Some(Uuid([u8::try_from(id).unwrap(); 16])) }
}

fn endpoint() -> Endpoint {
    Endpoint { listener: LISTENER.into(), host: "two".into(), port: 9093 }
}

fn view(error: ErrorCode, has_endpoints: bool) -> QuorumView {
    let leader_endpoints = if has_endpoints { vec![endpoint()] } else { Vec::new() };
    QuorumView { error, leader: Some(BrokerId(2)), epoch: LeaderEpoch(7), leader_endpoints }
}

/// The listener of a request whose answer has endpoints from version `since` on.
fn listener(version: i16, since: i16) -> Option<&'static str> {
    (version >= since).then_some(LISTENER)
}

#[test]
fn a_vote_is_read_as_it_was_written() {
    for version in 0..=2 {
        let has_keys = version >= 1;
        let known = |id| if has_keys { key(id) } else { ReplicaKey { directory_id: None, ..key(id) } };
        let vote = raft::VoteRequest {
            epoch: LeaderEpoch(8),
            candidate: known(1),
            voter: has_keys.then(|| key(2)),
            log_end: EndOffset { epoch: LeaderEpoch(7), offset: Offset(40) },
            pre_vote: version >= 2,
        };
        let sent = over_the_wire(&vote_request(&cluster(), &vote), version);
        assert_eq!(sent.cluster_id, Some(cluster()));
        assert_eq!(vote_of(&sent, &sent.topics[0].partitions[0]), Some(vote));
        let view = view(ErrorCode::None, has_keys);
        let reply = over_the_wire(&vote_reply(&view, true, listener(version, 1)), version);
        assert_eq!(voted(reply, LISTENER), Ok(QuorumReply::Vote { view, granted: true }));
    }
}

#[test]
fn a_leader_announces_itself_and_resigns() {
    for version in 0..=1 {
        let has_keys = version >= 1;
        let leader_endpoints = if has_keys { vec![endpoint()] } else { Vec::new() };
        let begin = raft::BeginQuorumEpochRequest {
            leader: BrokerId(2),
            epoch: LeaderEpoch(7),
            voter: has_keys.then(|| key(1)),
            leader_endpoints: leader_endpoints.clone(),
        };
        let sent = over_the_wire(&begin_request(&cluster(), &begin), version);
        assert_eq!(begin_of(&sent, &sent.topics[0].partitions[0]), Some(begin));
        let preferred = [1, 3].map(|id| if has_keys { key(id) } else { ReplicaKey { directory_id: None, ..key(id) } });
        let end = raft::EndQuorumEpochRequest {
            leader: BrokerId(2),
            epoch: LeaderEpoch(7),
            preferred_candidates: preferred.to_vec(),
            leader_endpoints,
        };
        let sent = over_the_wire(&end_request(&cluster(), &end), version);
        assert_eq!(end_of(&sent, &sent.topics[0].partitions[0]), Some(end));
        let view = view(ErrorCode::FencedLeaderEpoch, has_keys);
        let reply = over_the_wire(&begin_reply(&view, listener(version, 1)), version);
        assert_eq!(begun(reply, LISTENER), Ok(QuorumReply::BeginQuorumEpoch(view.clone())));
        let reply = over_the_wire(&end_reply(&view, listener(version, 1)), version);
        assert_eq!(ended(reply, LISTENER), Ok(QuorumReply::EndQuorumEpoch(view)));
    }
}

#[test]
fn a_fetch_is_read_as_it_was_written() {
    for (version, high_watermark) in [
        (17, KnownHighWatermark::NotTold),
        (18, KnownHighWatermark::NotTold),
        (18, KnownHighWatermark::Unknown),
        (18, KnownHighWatermark::At(Offset(30))),
    ] {
        let fetch = raft::FetchRequest {
            replica: Some(key(1)),
            epoch: LeaderEpoch(7),
            log_end: EndOffset { epoch: LeaderEpoch(6), offset: Offset(40) },
            high_watermark,
            max_wait_ms: 500,
            max_bytes: 1 << 20,
        };
        let sent = over_the_wire(&fetch_request(&cluster(), &fetch), version);
        assert_eq!(fetch_of(&sent, &sent.topics[0].partitions[0]), Some(fetch));
        let snapshot = SnapshotId { end: Offset(20), epoch: LeaderEpoch(3) };
        for (error, content) in [
            (ErrorCode::None, FetchContent::Records(Bytes::new())),
            (ErrorCode::None, FetchContent::Records(Bytes::from_static(b"batches"))),
            (ErrorCode::None, FetchContent::Diverging(EndOffset { epoch: LeaderEpoch(5), offset: Offset(33) })),
            (ErrorCode::None, FetchContent::Snapshot(snapshot)),
            (ErrorCode::NotLeaderOrFollower, FetchContent::Nothing),
        ] {
            let view = view(error, true);
            let reply = FetchReply { view, high_watermark: Some(Offset(38)), log_start: Offset(20), content };
            let sent = over_the_wire(&fetch_reply(reply.clone(), Some(LISTENER)), version);
            assert_eq!(fetched(sent, LISTENER), Ok(QuorumReply::Fetch(reply)));
        }
    }
}

#[test]
fn a_piece_of_a_snapshot_is_read_as_it_was_written() {
    for version in 0..=1 {
        let has_keys = version >= 1;
        let id = SnapshotId { end: Offset(20), epoch: LeaderEpoch(3) };
        let fetch = raft::FetchSnapshotRequest {
            replica: Some(if has_keys { key(1) } else { ReplicaKey { directory_id: None, ..key(1) } }),
            epoch: LeaderEpoch(7),
            id,
            position: 4_000,
            max_bytes: 1 << 20,
        };
        let sent = over_the_wire(&snapshot_request(&cluster(), &fetch), version);
        assert_eq!(snapshot_of(&sent, &sent.topics[0].partitions[0]), Ok(fetch));
        let piece = SnapshotPiece { id, size: 9_000, position: 4_000, bytes: Bytes::from_static(b"a piece") };
        for (error, piece) in [(ErrorCode::None, Some(piece)), (ErrorCode::SnapshotNotFound, None)] {
            let reply = FetchSnapshotReply { view: view(error, has_keys), piece };
            let sent = over_the_wire(&snapshot_reply(reply.clone(), listener(version, 1)), version);
            assert_eq!(snapshot_fetched(sent, LISTENER), Ok(QuorumReply::FetchSnapshot(reply)));
        }
    }
}

#[test]
fn negative_numbers_and_answers_about_something_else_are_refused() {
    let cluster = cluster();
    let vote = raft::VoteRequest {
        epoch: LeaderEpoch(8),
        candidate: key(1),
        voter: None,
        log_end: EndOffset::default(),
        pre_vote: false,
    };
    let whole = vote_request(&cluster, &vote);
    type Partition = protocol::messages::vote_request::PartitionData;
    let breaks: [fn(&mut Partition); 3] =
        [|it| it.replica_id = -1, |it| it.last_offset = -1, |it| it.last_offset_epoch = -1];
    for break_it in breaks {
        let mut partition = whole.topics[0].partitions[0].clone();
        break_it(&mut partition);
        assert_eq!(vote_of(&whole, &partition), None);
    }
    let mut reply = vote_reply(&view(ErrorCode::None, true), true, Some(LISTENER));
    reply.topics.push(reply.topics[0].clone());
    assert_eq!(voted(reply, LISTENER), Err(ErrorCode::UnknownServerError));
    let refused = protocol::messages::vote_response::VoteResponse {
        error_code: ErrorCode::InconsistentClusterId.code(),
        ..Default::default()
    };
    assert_eq!(voted(refused, LISTENER), Err(ErrorCode::InconsistentClusterId));
}

/// Reads a request of which only its correlation id matters.
async fn received(remote: &mut DuplexStream) -> i32 {
    let length = remote.read_i32().await.unwrap();
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    remote.read_exact(&mut frame).await.unwrap();
    i32::from_be_bytes(*frame[4..].first_chunk().unwrap())
}

/// Asks for that many bytes of the log, and gets the beginning of an answer of this length.
async fn begins_to_answer(max_bytes: u32, length: usize) -> ErrorCode {
    let (near, mut remote) = tokio::io::duplex(1 << 16);
    let near = parking_lot::Mutex::new(Some(near));
    let dial: Dial = Arc::new(move |_, _| {
        let near = near.lock().take();
        Box::pin(async move { Ok(Box::new(near.ok_or(ErrorKind::ConnectionRefused)?) as Box<dyn Io>) })
    });
    let (timeout, fetch_timeout) = (Duration::from_secs(3600), Duration::from_secs(2));
    let (node_id, cluster_id, runtime) = (BrokerId(1), cluster(), Handle::current());
    let mut peers = QuorumPeers::new(QuorumPeersParts { node_id, cluster_id, timeout, fetch_timeout, dial, runtime });
    let fetch = raft::FetchRequest {
        replica: Some(key(1)),
        epoch: LeaderEpoch(7),
        log_end: EndOffset::default(),
        high_watermark: KnownHighWatermark::NotTold,
        max_wait_ms: 500,
        max_bytes,
    };
    let to = Destination { replica: Some(key(2)), endpoints: vec![endpoint()] };
    let (sender, answered) = oneshot::channel();
    peers.send(&to, QuorumRequest::Fetch(fetch), Box::new(move |result| sender.send(result).unwrap()));
    let asked = received(&mut remote).await;
    let fetch = ApiVersion { api_key: 1, min_version: 12, max_version: 18, ..Default::default() };
    let served = ApiVersionsResponse { api_keys: vec![fetch], ..Default::default() };
    let frame = protocol::write_response(asked, 3, &served).unwrap().into_bytes().unwrap();
    remote.write_all(&frame).await.unwrap();
    received(&mut remote).await;
    remote.write_all(&u32::try_from(length).unwrap().to_be_bytes()).await.unwrap();
    answered.await.unwrap().unwrap_err()
}

/// A hostile leader gets no memory for more.
#[tokio::test(start_paused = true)]
async fn an_answer_may_be_as_large_as_what_was_asked_for_and_a_batch() {
    for asked in [1, 100 << 20] {
        let allowed = asked as usize + RESPONSE_BYTES_MAX;
        // The rest of the answer does not come.
        let begun = Instant::now();
        assert_eq!(begins_to_answer(asked, allowed).await, ErrorCode::RequestTimedOut);
        assert_eq!(begun.elapsed().as_secs(), 2, "a fetch has its own timeout");
        assert_eq!(begins_to_answer(asked, allowed + 1).await, ErrorCode::NetworkException);
    }
}

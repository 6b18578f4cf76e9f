//! A connection against a peer that does what the test says, over a pipe in memory or a socket.

use super::*;
use bytes::{BufMut as _, Bytes, BytesMut};
use model::Uuid;
use parking_lot::Mutex;
use protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::fetch_request::{FetchRequest, ReplicaState};
use protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData as FetchedPartition};
use protocol::messages::vote_request::{PartitionData, TopicData, VoteRequest};
use protocol::messages::vote_response::VoteResponse;
use protocol::{Message, Reader, Records, read_request_header};
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The peer's end of a connection.
struct Remote(DuplexStream);

/// A request as the peer received it.
struct Received {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<Str>,
    body: Reader,
}

impl Received {
    fn read<M: Message>(&mut self) -> M {
        M::decode(&mut self.body, self.version).unwrap()
    }
}

impl Remote {
    async fn receive(&mut self) -> Received {
        let length = self.0.read_i32().await.unwrap();
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut frame).await.unwrap();
        let frame = Bytes::from(frame);
        let prefix = protocol::RequestPrefix::peek(&frame).unwrap();
        let key = ApiKey::from_code(prefix.api_key).unwrap();
        let mut body = Reader::new(frame);
        let header = read_request_header(&mut body, key, prefix.api_version).unwrap();
        let (version, correlation_id) = (prefix.api_version, prefix.correlation_id);
        Received { key, version, correlation_id, client_id: header.client_id, body }
    }

    async fn answer<M: Message>(&mut self, to: &Received, response: &M) {
        let frame = protocol::write_response(to.correlation_id, to.version, response).unwrap();
        self.0.write_all(&frame.into_bytes().unwrap()).await.unwrap();
    }

    /// Answers the request for the versions.
    async fn negotiate(mut self, served: &[(ApiKey, i16, i16)]) -> Self {
        let asked = self.receive().await;
        assert_eq!((asked.key, asked.version), (ApiKey::ApiVersions, 3));
        let api_keys = served.iter().map(|(key, min_version, max_version)| ApiVersion {
            api_key: *key as i16,
            min_version: *min_version,
            max_version: *max_version,
            ..Default::default()
        });
        self.answer(&asked, &ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }).await;
        self
    }

    /// Waits until the connection is closed.
    async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
    }
}

/// A connection whose attempts succeed as often as the test gave it a pipe.
fn peer(pipes: usize) -> (Peer, VecDeque<Remote>, Arc<Mutex<Vec<Instant>>>) {
    let (mut near, mut far) = (VecDeque::new(), VecDeque::new());
    for _ in 0..pipes {
        let (one, other) = tokio::io::duplex(1 << 16);
        near.push_back(one);
        far.push_back(Remote(other));
    }
    let (near, attempts) = (Mutex::new(near), Arc::new(Mutex::new(Vec::new())));
    let noted = attempts.clone();
    let dial: Dial = Arc::new(move |host, port| {
        assert_eq!((host, port), ("two", 9093));
        noted.lock().push(Instant::now());
        let pipe = near.lock().pop_front();
        Box::pin(async move {
            let pipe = pipe.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(pipe) as Box<dyn Io>)
        })
    });
    let (peer, task) = Peer::new(parts("two", 9093), dial);
    tokio::spawn(task);
    (peer, far, attempts)
}

fn parts(host: &str, port: u16) -> PeerParts {
    PeerParts {
        name: "controller 2".into(),
        host: host.into(),
        port,
        client_id: "raft-client-1".into(),
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_millis(500),
    }
}

const VOTE: (ApiKey, i16, i16) = (ApiKey::Vote, 0, 2);

fn vote(pre_vote: bool) -> VoteRequest {
    let partition = PartitionData { replica_epoch: 7, replica_id: 1, pre_vote, ..Default::default() };
    let topic = TopicData { topic_name: "t".into(), partitions: vec![partition], ..Default::default() };
    VoteRequest { voter_id: 2, topics: vec![topic], ..Default::default() }
}

fn answer_of(code: i16) -> VoteResponse {
    VoteResponse { error_code: code, ..Default::default() }
}

#[tokio::test]
async fn requests_are_answered_in_order_and_in_the_newest_version_of_both() {
    let (peer, mut remotes, _) = peer(1);
    let asked = tokio::spawn({
        let peer = peer.clone();
        async move { tokio::join!(peer.ask(vote(false), TIMEOUT), peer.ask(vote(false), TIMEOUT)) }
    });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[(ApiKey::Vote, 0, 1)]).await;
    // Both arrive before the first is answered.
    let (mut first, second) = (remote.receive().await, remote.receive().await);
    assert_eq!((first.key, first.version, first.client_id.as_deref()), (ApiKey::Vote, 1, Some("raft-client-1")));
    assert_eq!(first.read::<VoteRequest>(), vote(false));
    remote.answer(&first, &answer_of(1)).await;
    remote.answer(&second, &answer_of(2)).await;
    let (one, two) = asked.await.unwrap();
    assert_eq!((one.unwrap().error_code, two.unwrap().error_code), (1, 2));
}

#[tokio::test]
async fn a_request_that_the_peer_does_not_know_fails_alone() {
    let (peer, mut remotes, _) = peer(1);
    let fetch =
        FetchRequest { replica_state: ReplicaState { replica_id: 1, ..Default::default() }, ..Default::default() };
    let asked = tokio::spawn(async move {
        // Version 1 has no pre-vote. A peer without Envelope has no such request.
        let envelope = protocol::messages::envelope_request::EnvelopeRequest::default();
        tokio::join!(peer.ask(vote(true), TIMEOUT), peer.ask(envelope, TIMEOUT), peer.ask(fetch, TIMEOUT))
    });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[(ApiKey::Vote, 0, 1), (ApiKey::Fetch, 4, 13)]).await;
    let mut received = remote.receive().await;
    assert_eq!((received.key, received.version), (ApiKey::Fetch, 13));
    assert_eq!(received.read::<FetchRequest>().replica_id, 1, "older versions have the id in another place");
    remote.answer(&received, &FetchResponse::default()).await;
    let (vote, envelope, fetch) = asked.await.unwrap();
    assert_eq!(vote.unwrap_err().reason, PeerFailure::Unsupported("Vote"));
    assert_eq!(envelope.unwrap_err().reason, PeerFailure::Unsupported("Envelope"));
    fetch.unwrap();
}

#[tokio::test]
async fn heartbeats_reach_controllers_that_know_no_cordoned_log_dirs() {
    for (latest, offline_log_dirs) in [(0, vec![]), (1, vec![Uuid::ONE]), (2, vec![Uuid::ONE])] {
        let (peer, mut remotes, _) = peer(1);
        let heartbeat = BrokerHeartbeatRequest {
            broker_id: 1,
            offline_log_dirs: vec![Uuid::ONE],
            cordoned_log_dirs: Some(vec![]),
            ..Default::default()
        };
        let asked = tokio::spawn(async move { peer.ask(heartbeat, TIMEOUT).await });
        let mut remote = remotes.pop_front().unwrap().negotiate(&[(ApiKey::BrokerHeartbeat, 0, latest)]).await;
        let mut received = remote.receive().await;
        let read = received.read::<BrokerHeartbeatRequest>();
        assert_eq!((read.offline_log_dirs, read.cordoned_log_dirs.is_some()), (offline_log_dirs, latest == 2));
        remote.answer(&received, &BrokerHeartbeatResponse::default()).await;
        asked.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_goes_fails_every_request_in_flight_at_once() {
    let (peer, mut remotes, _) = peer(2);
    let hour = Duration::from_secs(3_600);
    let asked = tokio::spawn({
        let peer = peer.clone();
        async move { tokio::join!(peer.ask(vote(false), hour), peer.ask(vote(false), hour)) }
    });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    remote.receive().await;
    remote.receive().await;
    drop(remote);
    let (one, two) = asked.await.unwrap();
    let error = one.unwrap_err();
    assert_eq!(error.to_string(), "controller 2 (two:9093): the connection was lost: closed by the peer");
    assert!(matches!(two.unwrap_err().reason, PeerFailure::Lost(_)));
    // The next request connects again.
    let again = tokio::spawn(async move { peer.ask(vote(false), hour).await });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    let received = remote.receive().await;
    remote.answer(&received, &answer_of(0)).await;
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_reached_is_tried_with_a_bounded_backoff() {
    let (peer, _, attempts) = peer(0);
    for _ in 0..7 {
        let error = peer.ask(vote(false), TIMEOUT).await.unwrap_err();
        assert_eq!(error.to_string(), "controller 2 (two:9093): it cannot be reached: connection refused");
    }
    let attempts = attempts.lock();
    let waits: Vec<_> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    // Timers have whole milliseconds.
    let expected = [50, 100, 200, 400, 500, 500];
    assert!(waits.iter().zip(expected).all(|(wait, expected)| wait.abs_diff(expected) <= 1), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn each_request_has_its_own_timeout() {
    let (peer, mut remotes, _) = peer(2);
    let started = Instant::now();
    // Nobody answers the question for the versions, and so neither is sent.
    let (short, long) = (Duration::from_millis(300), Duration::from_millis(900));
    let (one, two) = tokio::join!(peer.ask(vote(false), short), async {
        let asked = peer.ask(vote(false), long).await;
        (asked, started.elapsed())
    });
    assert_eq!(one.unwrap_err().reason, PeerFailure::TimedOut("Vote"));
    assert_eq!(two.0.unwrap_err().reason, PeerFailure::TimedOut("Vote"));
    assert!(two.1.abs_diff(long) <= Duration::from_millis(1));
    let asked = tokio::spawn({
        let peer = peer.clone();
        async move { tokio::join!(peer.ask(vote(false), short), peer.ask(vote(false), long)) }
    });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    remote.receive().await;
    // A peer that does not answer one request answers none behind it.
    let (one, two) = asked.await.unwrap();
    assert_eq!(one.unwrap_err().reason, PeerFailure::TimedOut("Vote"));
    assert!(matches!(two.unwrap_err().reason, PeerFailure::Lost(_)));
    remote.is_closed().await;
}

/// What a hostile peer sends in place of an answer to the request with this correlation id.
type Hostile = fn(i32) -> Vec<u8>;

const HOSTILE: [(&str, Hostile); 6] = [
    ("another correlation id", |id| frame(&answer_to(id + 1))),
    ("no correlation id", |_| frame(&[0, 0])),
    ("an oversized frame", |_| i32::MAX.to_be_bytes().to_vec()),
    ("a negative length", |_| (-1i32).to_be_bytes().to_vec()),
    ("a cut body", |id| {
        let whole = answer_to(id);
        frame(&whole[..whole.len() - 1])
    }),
    ("bytes after the body", |id| frame(&[answer_to(id), vec![1, 2, 3]].concat())),
];

fn answer_to(correlation_id: i32) -> Vec<u8> {
    protocol::write_response(correlation_id, 2, &answer_of(0)).unwrap().into_bytes().unwrap()[4..].to_vec()
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.extend_from_slice(body);
    frame.to_vec()
}

#[tokio::test]
async fn bytes_that_are_no_answer_end_the_connection() {
    for (what, bytes) in HOSTILE {
        let (peer, mut remotes, _) = peer(1);
        let asked =
            tokio::spawn(async move { tokio::join!(peer.ask(vote(false), TIMEOUT), peer.ask(vote(false), TIMEOUT)) });
        let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
        let first = remote.receive().await;
        remote.receive().await;
        remote.0.write_all(&bytes(first.correlation_id)).await.unwrap();
        let (one, two) = asked.await.unwrap();
        assert!(matches!(one.unwrap_err().reason, PeerFailure::Malformed(_)), "{what}");
        assert!(matches!(two.unwrap_err().reason, PeerFailure::Malformed(_)), "{what}");
        remote.is_closed().await;
    }
}

#[tokio::test]
async fn an_answer_may_be_as_large_as_the_caller_allows() {
    let (peer, mut remotes, _) = peer(1);
    let request = FetchRequest { max_bytes: 1, ..Default::default() };
    let asked = tokio::spawn(async move { peer.ask_up_to(2 * RESPONSE_BYTES_MAX, request, TIMEOUT).await });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[(ApiKey::Fetch, 12, 18)]).await;
    let received = remote.receive().await;
    let records = Records::Bytes(vec![7; RESPONSE_BYTES_MAX + 1].into());
    let partition = FetchedPartition { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    remote.answer(&received, &response).await;
    assert!(asked.await.unwrap().unwrap() == response);
}

#[tokio::test]
async fn an_answer_above_what_the_caller_allows_ends_the_connection_before_it_comes() {
    for (allowed, length) in [(1_000, 1_001), (RESPONSE_BYTES_MAX + 1_000, RESPONSE_BYTES_MAX as i32 + 1_001)] {
        let (peer, mut remotes, _) = peer(1);
        let request = FetchRequest { max_bytes: 1, ..Default::default() };
        let asked = tokio::spawn(async move { peer.ask_up_to(allowed, request, TIMEOUT).await });
        let mut remote = remotes.pop_front().unwrap().negotiate(&[(ApiKey::Fetch, 12, 18)]).await;
        remote.receive().await;
        remote.0.write_all(&length.to_be_bytes()).await.unwrap();
        let reason = asked.await.unwrap().unwrap_err().reason;
        let expected = format!("a response of {length} bytes, where {allowed} are allowed");
        assert_eq!(reason, PeerFailure::Malformed(expected));
        remote.is_closed().await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (peer, mut remotes, _) = peer(1);
    let asked = tokio::spawn(async move {
        peer.ask(vote(false), TIMEOUT).await.unwrap();
        peer
    });
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    let received = remote.receive().await;
    remote.answer(&received, &answer_of(0)).await;
    let _peer = asked.await.unwrap();
    remote.answer(&received, &answer_of(0)).await;
    remote.is_closed().await;
}

#[tokio::test]
async fn hostile_versions_end_the_connection() {
    let hostile: [(&str, Hostile); 3] = [
        ("another correlation id", |id| frame(&(id + 1).to_be_bytes())),
        ("an oversized frame", |_| i32::MAX.to_be_bytes().to_vec()),
        ("a count without elements", |id| frame(&[&id.to_be_bytes()[..], &[0, 0, 0xff, 0xff, 0xff, 0x7f]].concat())),
    ];
    for (what, bytes) in hostile {
        let (peer, mut remotes, _) = peer(1);
        let asked = tokio::spawn(async move { peer.ask(vote(false), TIMEOUT).await });
        let mut remote = remotes.pop_front().unwrap();
        let received = remote.receive().await;
        remote.0.write_all(&bytes(received.correlation_id)).await.unwrap();
        assert!(matches!(asked.await.unwrap().unwrap_err().reason, PeerFailure::Malformed(_)), "{what}");
        remote.is_closed().await;
    }
}

#[tokio::test]
async fn too_many_requests_are_refused_at_once() {
    let (peer, mut remotes, _) = peer(1);
    let refused = Arc::new(Mutex::new(0));
    for _ in 0..4 * IN_FLIGHT_MAX {
        let refused = refused.clone();
        peer.send(vote(false), TIMEOUT, move |answer| {
            if answer.is_err_and(|error| error.reason == PeerFailure::Busy) {
                *refused.lock() += 1;
            }
        });
    }
    assert_eq!(*refused.lock(), 3 * IN_FLIGHT_MAX);
    // Those that were taken are sent.
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    for _ in 0..IN_FLIGHT_MAX {
        remote.receive().await;
    }
}

#[tokio::test]
async fn without_a_handle_the_connection_ends() {
    let (peer, mut remotes, _) = peer(1);
    let (sender, answered) = oneshot::channel();
    peer.send(vote(false), TIMEOUT, move |answer| drop(sender.send(answer)));
    let mut remote = remotes.pop_front().unwrap().negotiate(&[VOTE]).await;
    remote.receive().await;
    drop(peer);
    assert_eq!(answered.await.unwrap().unwrap_err().reason, PeerFailure::Stopped);
    remote.is_closed().await;
}

#[tokio::test]
async fn a_connection_over_tcp_ends_with_its_process() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (peer, task) = Peer::new(parts("127.0.0.1", port), tcp());
    tokio::spawn(task);
    let asked = tokio::spawn({
        let peer = peer.clone();
        async move { peer.ask(vote(false), Duration::from_secs(3_600)).await }
    });
    let (stream, _) = listener.accept().await.unwrap();
    drop((stream, listener));
    let error = asked.await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with(&format!("controller 2 (127.0.0.1:{port}): it cannot be reached")));
    assert!(peer.ask(vote(false), Duration::from_secs(3_600)).await.is_err());
}

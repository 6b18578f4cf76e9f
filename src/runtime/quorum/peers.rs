//! The connections to the other replicas of the metadata log: one for each, made when there is
//! something to send.

use super::Answer;
use super::messages::{
    add_request, added, begin_request, begun, end_request, ended, fetch_request, fetched, remove_request, removed,
    snapshot_fetched, snapshot_request, update_request, updated, vote_request, voted,
};
use crate::peer::{Dial, Peer, PeerError, PeerFailure, PeerParts, PeerRequest, RESPONSE_BYTES_MAX};
use model::{BrokerId, ErrorCode};
use protocol::Str;
use raft::{Destination, Endpoint, QuorumRequest, ReceivedReply, VoterChange, VoterChangeRequest};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::{info, warn};

/// The wait before another attempt to connect, as of Kafka's controllers.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest wait before another attempt to connect.
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// The most connections to replicas. A quorum has fewer; addresses that are not used any more are
/// dropped.
const PEERS_MAX: usize = 64;
/// After this many refusals in a row, the reason is logged. During an election, a few are normal.
const REFUSALS_MIN: u32 = 20;

/// What the connections need.
pub struct QuorumPeersParts {
    /// `node.id`.
    pub node_id: BrokerId,
    /// The cluster's id.
    pub cluster_id: Str,
    /// `controller.quorum.request.timeout.ms`
    pub timeout: Duration,
    /// The timeout of fetches, which is not longer.
    pub fetch_timeout: Duration,
    /// Opens connections.
    pub dial: Dial,
    /// Runs the connections' tasks.
    pub runtime: Handle,
}

/// The connections to the other replicas.
pub struct QuorumPeers {
    parts: QuorumPeersParts,
    client_id: Str,
    /// By host and port.
    peers: BTreeMap<(Arc<str>, u16), QuorumPeer>,
}

/// The connection to one replica.
#[derive(Clone)]
struct QuorumPeer {
    /// Its id, if it is known.
    replica: Option<BrokerId>,
    endpoint: Endpoint,
    peer: Peer,
    told: Arc<Told>,
}

/// What was logged about a replica.
#[derive(Default)]
struct Told {
    /// Whether it was logged that this replica does not answer.
    is_gone: AtomicBool,
    /// How many answers in a row have refused this node for a reason that does not pass by itself.
    refusals: AtomicU32,
}

impl QuorumPeers {
    /// Creates an empty set of connections.
    pub fn new(parts: QuorumPeersParts) -> Self {
        let client_id = format!("raft-client-{}", parts.node_id).into();
        Self { parts, client_id, peers: BTreeMap::new() }
    }

    /// Sends a request of the machine, and gives it the answer. It does not wait.
    pub fn send(&mut self, to: &Destination, request: QuorumRequest, answer: Answer) {
        let Some(endpoint) = to.endpoints.first() else {
            // Its address is not known.
            return answer(Err(ErrorCode::BrokerNotAvailable));
        };
        let peer = self.peer(to, endpoint);
        let cluster_id = &self.parts.cluster_id;
        match request {
            QuorumRequest::Vote(vote) => self.ask(peer, vote_request(cluster_id, &vote), voted, answer),
            QuorumRequest::BeginQuorumEpoch(begin) => self.ask(peer, begin_request(cluster_id, &begin), begun, answer),
            QuorumRequest::EndQuorumEpoch(end) => self.ask(peer, end_request(cluster_id, &end), ended, answer),
            QuorumRequest::Fetch(fetch) => {
                let request = fetch_request(cluster_id, &fetch);
                self.ask_up_to(self.fetch_limits(fetch.max_bytes), peer, request, fetched, answer);
            }
            QuorumRequest::FetchSnapshot(fetch) => {
                let request = snapshot_request(cluster_id, &fetch);
                self.ask_up_to(self.fetch_limits(fetch.max_bytes), peer, request, snapshot_fetched, answer);
            }
            QuorumRequest::ChangeVoters(change) => self.change_voters(peer, &change, answer),
        }
    }

    /// Returns the most bytes and the timeout of an answer with so many bytes of a log or snapshot.
    /// A batch above them comes whole, and has at most 8 MB.
    fn fetch_limits(&self, asked_bytes: u32) -> (usize, Duration) {
        let bytes_max = usize::try_from(asked_bytes).unwrap_or(usize::MAX).saturating_add(RESPONSE_BYTES_MAX);
        (bytes_max, self.parts.fetch_timeout)
    }

    fn change_voters(&self, peer: QuorumPeer, asked: &VoterChangeRequest, answer: Answer) {
        let cluster_id = &self.parts.cluster_id;
        match &asked.change {
            VoterChange::Add(voter) => {
                let timeout_ms = i32::try_from(self.parts.timeout.as_millis()).unwrap_or(i32::MAX);
                let request = add_request(cluster_id, voter, timeout_ms, asked.waits_for_commit);
                self.ask(peer, request, added, answer);
            }
            VoterChange::Remove(voter) => self.ask(peer, remove_request(cluster_id, voter), removed, answer),
            VoterChange::Update(voter) => {
                self.ask(peer, update_request(cluster_id, asked.epoch, voter), updated, answer);
            }
            // It is asked of this node's own replica alone.
            VoterChange::UpgradeKRaftVersion => answer(Err(ErrorCode::UnsupportedVersion)),
        }
    }

    /// Returns the connection to an address.
    fn peer(&mut self, to: &Destination, endpoint: &Endpoint) -> QuorumPeer {
        let address = (endpoint.host.clone(), endpoint.port);
        let replica = to.replica.map(|key| key.id);
        // A bootstrap server gets its name when it is known, and an address may get another node.
        if let Some(known) = self.peers.get(&address).filter(|known| known.replica == replica || replica.is_none()) {
            return known.clone();
        }
        if self.peers.len() >= PEERS_MAX {
            self.peers.clear();
        }
        let name = match replica {
            Some(id) => format!("controller {id}"),
            None => "bootstrap controller".to_owned(),
        };
        let parts = PeerParts {
            name: name.into(),
            host: (&*endpoint.host).into(),
            port: endpoint.port,
            client_id: self.client_id.clone(),
            backoff: BACKOFF,
            backoff_max: BACKOFF_MAX,
        };
        let (peer, task) = Peer::new(parts, self.parts.dial.clone());
        self.parts.runtime.spawn(task);
        let peer = QuorumPeer { replica, endpoint: endpoint.clone(), peer, told: Arc::default() };
        self.peers.insert(address, peer.clone());
        peer
    }

    fn ask<Q: PeerRequest>(
        &self,
        to: QuorumPeer,
        request: Q,
        read: impl FnOnce(Q::Response, &str) -> Result<ReceivedReply, ErrorCode> + Send + 'static,
        answer: Answer,
    ) {
        self.ask_up_to((RESPONSE_BYTES_MAX, self.parts.timeout), to, request, read, answer);
    }

    fn ask_up_to<Q: PeerRequest>(
        &self,
        (response_bytes_max, timeout): (usize, Duration),
        to: QuorumPeer,
        request: Q,
        read: impl FnOnce(Q::Response, &str) -> Result<ReceivedReply, ErrorCode> + Send + 'static,
        answer: Answer,
    ) {
        let QuorumPeer { endpoint, peer, told, .. } = to;
        let name = peer.name().clone();
        peer.send_up_to(response_bytes_max, request, timeout, move |answered| {
            let is_stopped = answered.as_ref().is_err_and(|error| error.reason == PeerFailure::Stopped);
            let failure = answered.as_ref().err().map(ToString::to_string);
            let answered = answered.map_err(|error| code_of(&error));
            let result = answered.and_then(|response| read(response, &endpoint.listener));
            if !is_stopped {
                note(&told, &name, &result, failure);
            }
            answer(result);
        });
    }
}

/// Logs that a replica does not answer, is of another cluster or refuses this node, and that it
/// answers again, once each.
fn note(told: &Told, name: &str, answer: &Result<ReceivedReply, ErrorCode>, failure: Option<String>) {
    let refusal = answer.as_ref().ok().and_then(|reply| refusal(reply.view().error));
    let refusals = match refusal {
        Some(_) => told.refusals.fetch_add(1, Ordering::Relaxed) + 1,
        None => {
            told.refusals.store(0, Ordering::Relaxed);
            0
        }
    };
    if let Some(refusal) = refusal.filter(|_| refusals == REFUSALS_MIN) {
        warn!("{name} refuses this node: {refusal}");
    }
    let problem = match (answer, failure) {
        (_, Some(failure)) => failure,
        (Err(ErrorCode::InconsistentClusterId), _) => {
            format!("{name}: it belongs to another cluster (INCONSISTENT_CLUSTER_ID)")
        }
        _ => {
            if told.is_gone.swap(false, Ordering::Relaxed) {
                info!("{name} answers again");
            }
            return;
        }
    };
    if !told.is_gone.swap(true, Ordering::Relaxed) {
        warn!("another controller does not answer; it is asked again: {problem}");
    }
}

/// Returns why a replica that answers does not serve this node, if that does not pass by itself.
fn refusal(error: ErrorCode) -> Option<&'static str> {
    match error {
        ErrorCode::UnknownServerError => {
            Some("it has the same node.id (UNKNOWN_SERVER_ERROR); each node of a cluster needs a node.id of its own")
        }
        ErrorCode::UnknownLeaderEpoch => Some(
            "the quorum is at an earlier epoch than this node's metadata log (UNKNOWN_LEADER_EPOCH), so this folder is of a later \
             state of the quorum, or of another one",
        ),
        _ => None,
    }
}

fn code_of(error: &PeerError) -> ErrorCode {
    match error.reason {
        PeerFailure::Unsupported(_) => ErrorCode::UnsupportedVersion,
        PeerFailure::TimedOut(_) => ErrorCode::RequestTimedOut,
        PeerFailure::Unreachable(_)
        | PeerFailure::Lost(_)
        | PeerFailure::Unwritable(..)
        | PeerFailure::Malformed(_)
        | PeerFailure::Busy
        | PeerFailure::Stopped => ErrorCode::NetworkException,
    }
}

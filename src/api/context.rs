//! The context of a handler besides its request: the broker's services, the connection, and the
//! request's header.

use crate::broker::Broker;
use crate::config::Listener;
use crate::runtime::lost_brokers::HeartbeatConnection;
use crate::security::{Authentication, Identity, java_address};
use futures_util::future::BoxFuture;
use metadata::acl::Subject;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};
use parking_lot::Mutex;
use protocol::{ApiKey, FramePart, Message, Str};
use raft::{QuorumRequest, QuorumView, ReceivedReply};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use storage::FileRegion;

/// A client's connection, as the handlers see it.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: u64,
    /// The listener that accepted the connection.
    pub listener: Arc<Listener>,
    /// The client's address.
    pub peer: SocketAddr,
    /// Name and version of the client's software, from its ApiVersions request (KIP-511).
    pub software: Mutex<Option<(Str, Str)>>,
    /// The client id of a request that was refused.
    pub refused_client_id: Mutex<Option<Str>>,
    /// The broker whose heartbeats come on this connection.
    pub heartbeats: Mutex<Option<HeartbeatConnection>>,
    /// How far its client has come to log in; `None` on a listener without SASL.
    pub authentication: Option<Mutex<Authentication>>,
    identity: OnceLock<Identity>,
    subject: OnceLock<Subject>,
    anonymous: OnceLock<Subject>,
}

impl Connection {
    /// Creates a connection that has sent nothing yet.
    pub fn new(id: u64, listener: Arc<Listener>, peer: SocketAddr) -> Self {
        let (software, refused_client_id, heartbeats) = Default::default();
        let authentication = listener.protocol.is_sasl().then(Mutex::default);
        let (identity, subject, anonymous) = Default::default();
        Self {
            id,
            listener,
            peer,
            software,
            refused_client_id,
            heartbeats,
            authentication,
            identity,
            subject,
            anonymous,
        }
    }

    /// Creates the connection of a client whose request another node forwarded.
    pub fn forwarded(id: u64, listener: Arc<Listener>, peer: SocketAddr, identity: Identity) -> Self {
        Self { identity: OnceLock::from(identity), authentication: None, ..Self::new(id, listener, peer) }
    }

    /// Notes who the client is. A second call changes nothing.
    pub fn identify(&self, identity: Identity) {
        let _ = self.identity.set(identity);
    }

    /// Whether the client has yet to log in.
    pub fn must_log_in(&self) -> bool {
        self.authentication.as_ref().is_some_and(|authentication| !authentication.lock().is_done())
    }

    /// Returns who the client is. A connection that is not authenticated is anonymous.
    pub fn identity(&self) -> &Identity {
        static ANONYMOUS: Identity = Identity::ANONYMOUS;
        self.identity.get().unwrap_or(&ANONYMOUS)
    }

    /// Returns the client as ACLs know it. Who asks before the client is authenticated gets an
    /// anonymous one, and the client afterwards.
    pub fn subject(&self) -> &Subject {
        let of = |identity: &Identity| Subject {
            principal: Str::from(identity.principal.to_string()),
            host: java_address(self.peer.ip()),
        };
        match self.identity.get() {
            Some(identity) => self.subject.get_or_init(|| of(identity)),
            None => self.anonymous.get_or_init(|| of(&Identity::ANONYMOUS)),
        }
    }

    /// Returns the client's identity for the log: name and version of its software, and the client
    /// id of a request that was refused.
    pub fn client(&self) -> (Option<String>, Option<Str>) {
        let software = self.software.lock().as_ref().map(|(name, version)| format!("{name} {version}"));
        (software, self.refused_client_id.lock().clone())
    }

    /// Returns the client's address as Kafka shows it in descriptions of groups: `/127.0.0.1`.
    pub fn client_host(&self) -> Str {
        Str::from(format!("/{}", self.peer.ip().to_canonical()))
    }
}

/// The context of one request.
#[derive(Clone)]
pub struct Context {
    /// The services.
    pub broker: Arc<Broker>,
    /// The connection that sent the request.
    pub connection: Arc<Connection>,
    /// The request's API key.
    pub key: ApiKey,
    /// The request's version. Only `api` compares it.
    pub version: i16,
    /// The number that the response must carry.
    pub correlation_id: i32,
    /// Whether the client's version is not served. Only ApiVersions answers such a request.
    pub version_is_unknown: bool,
    /// The name that the client gives itself.
    pub client_id: Option<Str>,
}

pub use crate::replica::is_internal;
pub use crate::runtime::metadata_log::{METADATA_TOPIC, METADATA_TOPIC_ID};

/// Whether a request to the quorum names the metadata log and nothing else: one topic with this
/// name or id, and its one partition.
pub fn is_metadata_log<T>(topics: &[T], is_its: impl Fn(&T) -> bool, has_partition_0: impl Fn(&T) -> bool) -> bool {
    matches!(topics, [topic] if is_its(topic) && has_partition_0(topic))
}

/// Returns the leader epoch that a client sends: `None` for -1. A number below -1 is an epoch
/// before all others, except in Fetch, which treats it as none.
pub fn believed_epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}

/// A broker with its address on this request's listener.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// The host that it advertises on this listener.
    pub host: Str,
    /// The port that it advertises on this listener.
    pub port: i32,
    /// Its rack.
    pub rack: Option<Str>,
}

impl Context {
    /// Whether a request of another node names this cluster, or none.
    pub fn is_of_this_cluster(&self, cluster_id: Option<&str>) -> bool {
        cluster_id.is_none_or(|id| id == self.broker.node.cluster_id)
    }

    /// Gives a request to the replica of the metadata log on this node. `None` where the node
    /// stops.
    pub async fn quorum(&self, request: QuorumRequest) -> Option<ReceivedReply> {
        tokio::select! {
            biased;
            () = self.broker.controllers_stopping.cancelled() => None,
            reply = self.broker.controller.quorum(request) => reply,
        }
    }

    /// Returns what this node knows about the quorum, with an error.
    pub fn quorum_view(&self, error: ErrorCode) -> QuorumView {
        let facts = self.broker.controller.quorum_facts();
        let (leader, epoch, leader_endpoints) = (facts.leader, facts.epoch, facts.leader_endpoints.clone());
        QuorumView { error, leader, epoch, leader_endpoints }
    }

    /// Returns a broker that is not fenced, with its address on this listener.
    pub fn node(&self, id: i32) -> Option<Node> {
        let image = self.broker.image();
        let broker = image.cluster.brokers.get(&BrokerId(id)).filter(|broker| !broker.fenced)?;
        let at = broker.listener(&self.connection.listener.name)?;
        Some(Node { id, host: at.host.clone(), port: i32::from(at.port), rack: broker.rack.clone() })
    }

    /// Returns the id of any broker that is not fenced. Older clients take it for the controller.
    /// -1 if there is none.
    pub fn any_broker(&self) -> i32 {
        let image = self.broker.image();
        image.cluster.brokers.values().find(|broker| !broker.fenced).map_or(-1, |broker| broker.id.0)
    }

    /// Returns leader and epoch of a partition, and the leader's address, if the error code says
    /// that this node is not the leader (KIP-951).
    pub fn leader_elsewhere(
        &self,
        code: ErrorCode,
        id: TopicId,
        name: &str,
        index: i32,
    ) -> Option<((i32, i32), Option<Node>)> {
        if !matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            return None;
        }
        let image = self.broker.image();
        let topic = if id.is_zero() { image.topics.by_name(name) } else { image.topics.by_id(id) }?;
        let partition = topic.partition(PartitionIndex(index))?;
        let leader = BrokerId::to_wire(partition.leader);
        Some(((leader, partition.leader_epoch.0), self.node(leader)))
    }

    /// Returns the log start offset of a partition on this broker.
    pub fn log_start_offset(&self, id: TopicId, name: &str, index: i32) -> Option<Offset> {
        let image = self.broker.image();
        let topic = if id.is_zero() { image.topics.by_name(name) } else { image.topics.by_id(id) }?;
        Some(self.broker.replicas.of(topic, index).ok()?.log_start_offset())
    }

    /// Returns the sender of the request, as groups know their members.
    pub fn client(&self) -> coordinator::Client {
        coordinator::Client { id: self.client_id.clone().unwrap_or_default(), host: self.connection.client_host() }
    }

    /// Returns the values needed to write the response's frame. A handler takes them before it
    /// gives the context away.
    pub fn reply_head(&self) -> ReplyHead {
        let Context { broker, key, version, correlation_id, .. } = self;
        ReplyHead { broker: broker.clone(), key: *key, version: *version, correlation_id: *correlation_id }
    }
}

/// The values needed to write the response's frame.
pub struct ReplyHead {
    broker: Arc<Broker>,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl ReplyHead {
    /// Writes a response frame and counts its errors. Errors: the request's version cannot carry
    /// the response.
    pub fn write<P: Message>(&self, response: &P) -> Result<Reply, Refused> {
        let mut is_not_controller = false;
        response.errors(&mut |code| {
            self.broker.metrics.requests.answered(self.key, code);
            is_not_controller |= code == ErrorCode::NotController.code();
        });
        let parts = protocol::write_response(self.correlation_id, self.version, response)?.finish();
        Ok(Reply { parts, is_not_controller, ..Reply::default() })
    }
}

/// The outcome of a request.
pub enum Outcome {
    /// The response is ready.
    Reply(Reply),
    /// The response waits for replicas. Later requests of the same connection may start.
    Later(BoxFuture<'static, Reply>),
    /// No response: a produce with acks=0.
    Silence,
}

/// A response frame, ready to be sent.
#[derive(Debug, Default)]
pub struct Reply {
    /// Length, header and body.
    pub parts: Vec<FramePart>,
    /// The file regions for the parts that are `Elsewhere`, in order.
    pub regions: Vec<FileRegion>,
    /// Whether to close the connection after this frame: a response was promised but cannot be
    /// written.
    pub close: bool,
    /// Whether an error in it is NOT_CONTROLLER.
    pub is_not_controller: bool,
}

impl Reply {
    /// Returns the bytes of the whole frame.
    pub fn len(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                FramePart::Bytes(bytes) => bytes.len(),
                FramePart::Elsewhere { len } => *len as usize,
            })
            .sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// A request that gets no response. Its connection is closed, as in Kafka.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bytes are not a request.
    #[error("a request that cannot be read: {0}")]
    Malformed(#[from] protocol::DecodeError),
    /// The API key does not exist or is not served on this listener.
    #[error("request kind {0} is not served on this listener")]
    Key(i16),
    /// A version that is not served.
    #[error("version {version} of {} is not served; versions {} to {} are", key.name(), served.0, served.1)]
    Version {
        /// The API key.
        key: ApiKey,
        /// The version.
        version: i16,
        /// The versions that are served.
        served: (i16, i16),
    },
    /// The request is well formed but has no meaning.
    #[error("a request without a meaning: {0}")]
    Meaningless(&'static str),
    /// The request's version cannot carry the response, or a produce with acks=0 failed.
    #[error("{0}")]
    Reply(String),
}

impl From<protocol::EncodeError> for Refused {
    fn from(error: protocol::EncodeError) -> Self {
        Refused::Reply(format!("the reply cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecurityProtocol;
    use crate::security::Principal;

    #[test]
    fn who_asked_before_the_login_does_not_decide_who_the_client_is() {
        let listener = Listener {
            name: "CLIENTS".into(),
            host: String::new(),
            port: 0,
            protocol: SecurityProtocol::SaslPlaintext,
            is_controller: false,
        };
        let connection = Connection::new(1, Arc::new(listener), SocketAddr::from(([127, 0, 0, 1], 1)));
        assert_eq!(connection.subject().principal, "User:ANONYMOUS");
        let identity =
            |name| Identity { principal: Principal::user(Str::const_new(name)), is_token_authenticated: false };
        connection.identify(identity("alice"));
        assert_eq!(connection.subject().principal, "User:alice");
        connection.identify(identity("mallory"));
        assert_eq!(connection.subject().principal, "User:alice");
    }
}

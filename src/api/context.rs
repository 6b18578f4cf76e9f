//! What a handler knows besides its request: the broker's services, the connection, and the request's header.

use crate::broker::Broker;
use crate::config::Listener;
use futures_util::future::BoxFuture;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};
use parking_lot::Mutex;
use protocol::{ApiKey, FramePart, Message, Str};
use std::net::SocketAddr;
use std::sync::Arc;
use storage::FileRegion;

/// A client's connection, as far as requests care.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: u64,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// The client's address.
    pub peer: SocketAddr,
    /// Name and version of the client's software, from its ApiVersions request (KIP-511).
    pub software: Mutex<Option<(Str, Str)>>,
}

impl Connection {
    /// A connection that has sent nothing yet.
    pub fn new(id: u64, listener: Arc<Listener>, peer: SocketAddr) -> Self {
        Self { id, listener, peer, software: Mutex::new(None) }
    }

    /// The client's address as Kafka shows it in descriptions of groups: `/127.0.0.1`.
    pub fn client_host(&self) -> Str {
        Str::from(format!("/{}", self.peer.ip().to_canonical()))
    }
}

/// One request's surroundings.
#[derive(Clone)]
pub struct Context {
    /// The services.
    pub broker: Arc<Broker>,
    /// Where the request came from.
    pub connection: Arc<Connection>,
    /// The request's kind.
    pub key: ApiKey,
    /// The request's version. It is compared in `api` alone.
    pub version: i16,
    /// What the response must carry.
    pub correlation_id: i32,
    /// Whether the client asked in a version that is not served, which ApiVersions alone answers.
    pub version_is_unknown: bool,
    /// The client's name for itself.
    pub client_id: Option<Str>,
}

/// What may be done to a topic, as bits: nobody is refused anything without an authorizer.
pub const TOPIC_OPERATIONS: i32 = 3576;
/// What may be done to a group.
pub const GROUP_OPERATIONS: i32 = 3400;
/// What may be done to the cluster.
pub const CLUSTER_OPERATIONS: i32 = 8096;

pub use crate::replica::is_internal;
pub use crate::runtime::metadata_log::{METADATA_TOPIC, METADATA_TOPIC_ID};

/// Whether a request to the quorum is about the metadata log, the only one there is: one topic, of this name or id, and its one partition.
pub fn is_metadata_log<T>(topics: &[T], is_its: impl Fn(&T) -> bool, has_partition_0: impl Fn(&T) -> bool) -> bool {
    matches!(topics, [topic] if is_its(topic) && has_partition_0(topic))
}

/// A leader epoch that a client names; -1 stands for none, and what is below for an epoch before all others (Fetch alone takes that for none).
pub fn believed_epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}

/// A broker as this request's listener knows it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// The host that it advertises on this listener.
    pub host: Str,
    /// The port likewise.
    pub port: i32,
    /// Its rack.
    pub rack: Option<Str>,
}

impl Context {
    /// What whoever asks as a voter is told by a quorum of one, which has no other: INCONSISTENT_CLUSTER_ID, INVALID_REQUEST where it is not about the
    /// metadata log, and else INCONSISTENT_VOTER_SET.
    pub fn no_voter(&self, cluster_id: Option<&str>, is_metadata: bool) -> ErrorCode {
        match (cluster_id.is_none_or(|id| id == self.broker.node.cluster_id), is_metadata) {
            (false, _) => ErrorCode::InconsistentClusterId,
            (true, false) => ErrorCode::InvalidRequest,
            (true, true) => ErrorCode::InconsistentVoterSet,
        }
    }

    /// A broker that is not fenced, as clients of this listener reach it.
    pub fn node(&self, id: i32) -> Option<Node> {
        let image = self.broker.image();
        let broker = image.cluster.brokers.get(&BrokerId(id)).filter(|broker| !broker.fenced)?;
        let at = broker.listener(&self.connection.listener.name)?;
        Some(Node { id, host: at.host.clone(), port: i32::from(at.port), rack: broker.rack.clone() })
    }

    /// Some broker that is not fenced, which older clients take for the controller; -1 where there is none.
    pub fn any_broker(&self) -> i32 {
        let image = self.broker.image();
        image.cluster.brokers.values().find(|broker| !broker.fenced).map_or(-1, |broker| broker.id.0)
    }

    /// Leader and epoch of a partition, and the leader's address, where an answer says that this node is not it (KIP-951).
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

    /// Where a partition's log on this broker starts.
    pub fn log_start_offset(&self, id: TopicId, name: &str, index: i32) -> Option<Offset> {
        let image = self.broker.image();
        let topic = if id.is_zero() { image.topics.by_name(name) } else { image.topics.by_id(id) }?;
        Some(self.broker.replicas.of(topic, index).ok()?.log_start_offset())
    }

    /// Who sent the request, as groups know their members.
    pub fn client(&self) -> coordinator::Client {
        coordinator::Client { id: self.client_id.clone().unwrap_or_default(), host: self.connection.client_host() }
    }

    /// What the reply's frame opens with, kept while the context is given away.
    pub fn reply_head(&self) -> ReplyHead {
        let Context { broker, key, version, correlation_id, .. } = self;
        ReplyHead { broker: broker.clone(), key: *key, version: *version, correlation_id: *correlation_id }
    }
}

/// What a reply's frame is written with.
pub struct ReplyHead {
    broker: Arc<Broker>,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl ReplyHead {
    /// Writes a response frame and counts its errors. Errors: a response that its version cannot carry.
    pub fn write<P: Message>(&self, response: &P) -> Result<Reply, Refused> {
        response.errors(&mut |code| self.broker.metrics.requests.answered(self.key, code));
        let parts = protocol::write_response(self.correlation_id, self.version, response)?.finish();
        Ok(Reply { parts, ..Reply::default() })
    }
}

/// What becomes of a request.
pub enum Outcome {
    /// Its reply.
    Reply(Reply),
    /// A reply that waits for replicas, while requests behind it on the same connection may begin.
    Later(BoxFuture<'static, Reply>),
    /// No reply at all: a produce with acks=0.
    Silence,
}

/// A response frame, ready to be sent.
#[derive(Debug, Default)]
pub struct Reply {
    /// Length, header and body.
    pub parts: Vec<FramePart>,
    /// The file regions that stand where the parts say `Elsewhere`, in order.
    pub regions: Vec<FileRegion>,
    /// Whether the connection is closed after it: the end of a reply that was promised and cannot be written.
    pub close: bool,
}

impl Reply {
    /// Bytes of the whole frame.
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

/// A request that gets no reply: its connection is closed, as Kafka closes it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bytes are no request.
    #[error("a request that cannot be read: {0}")]
    Malformed(#[from] protocol::DecodeError),
    /// A kind that does not exist or is not served on this listener.
    #[error("request kind {0} is not served on this listener")]
    Key(i16),
    /// A version that is not served.
    #[error("version {version} of {} is not served", key.name())]
    Version {
        /// The kind.
        key: ApiKey,
        /// The version.
        version: i16,
    },
    /// A request that is well formed and means nothing.
    #[error("a request that means nothing: {0}")]
    Meaningless(&'static str),
    /// The reply cannot be written in the request's version, or a produce without acknowledgement failed.
    #[error("{0}")]
    Reply(String),
}

impl From<protocol::EncodeError> for Refused {
    fn from(error: protocol::EncodeError) -> Self {
        Refused::Reply(format!("the reply cannot be written: {error}"))
    }
}

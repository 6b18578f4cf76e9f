//! The active controller, wherever it is: in this process or on another node.
//!
//! A broker asks it by named requests ([`ControllerRequest`]). One on this node decides them at
//! once; one on another node gets them over a connection, and its errors are returned in the same
//! way. Which it is follows from the quorum's leader, which this node's replica of the metadata log
//! knows. A request that is on its way when the leader changes fails at once, and its caller asks
//! again.

use super::{ControllerContext, ControllerHandle, ControllerState, QuorumFacts};
use crate::peer::{Dial, Peer, PeerError, PeerFailure, PeerParts, PeerRequest};
use bytes::Bytes;
use metadata::decide::{self, Decided};
use model::{ApiError, BrokerId, ErrorCode};
use parking_lot::Mutex;
use protocol::Str;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::alter_partition_request::AlterPartitionRequest;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use raft::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The wait before another attempt to connect, as of Kafka's brokers.
const BACKOFF: Duration = Duration::from_millis(50);

/// The wait before a request is forwarded again.
const RETRY: Duration = Duration::from_millis(50);
/// How long a client's request is forwarded. The default of Kafka's `request.timeout.ms`.
const FORWARD_MAX: Duration = Duration::from_secs(30);

/// What became of a client's request.
#[derive(Debug)]
pub enum Forwarded {
    /// The controller's answer: header and body.
    Answered(Bytes),
    /// It is not forwarded, because this node's controller is active.
    Here,
    /// No controller could be reached in time, or it refused the Envelope.
    NotAnswered,
}

/// A request of a broker or a controller to the active controller.
pub trait ControllerRequest: PeerRequest {
    /// Decides it on this node.
    fn decide(&self, state: &ControllerState<'_>, context: &mut ControllerContext<'_>) -> Decided<Self::Response>;
    /// Returns the error of a whole answer.
    fn error_code(response: &Self::Response) -> i16;
}

macro_rules! controller_requests {
    ($($request:ident $decide:expr;)*) => {
        $(impl ControllerRequest for $request {
            fn decide(&self, state: &ControllerState<'_>, context: &mut ControllerContext<'_>) -> Decided<Self::Response> {
                let decide: fn(&Self, &ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<Self::Response> = $decide;
                decide(self, state, context)
            }

            fn error_code(response: &Self::Response) -> i16 {
                response.error_code
            }
        })*
    };
}

controller_requests! {
    BrokerRegistrationRequest |it, state, context| decide::register_broker(state.image, state.soft, context, it, state.next_offset);
    BrokerHeartbeatRequest |it, state, context| decide::heartbeat(state.image, state.soft, context, it);
    ControllerRegistrationRequest |it, state, _| decide::register_controller(state.image, it);
    AllocateProducerIdsRequest |it, state, _| decide::allocate_producer_ids(state.image, it);
    AlterPartitionRequest |it, state, context| decide::alter_partition(state.image, context, it);
    AssignReplicasToDirsRequest |it, state, context| decide::assign_replicas_to_dirs(state.image, context, it);
}

impl ControllerRequest for CreateTopicsRequest {
    fn decide(
        &self,
        state: &ControllerState<'_>,
        context: &mut ControllerContext<'_>,
    ) -> Decided<CreateTopicsResponse> {
        decide::create_topics(state.image, context, self, &|_| false)
    }

    /// Each topic has its own error.
    fn error_code(response: &CreateTopicsResponse) -> i16 {
        let is_not_controller = |topic: &&CreatableTopicResult| topic.error_code == ErrorCode::NotController.code();
        response.topics.iter().find(is_not_controller).map_or(0, |topic| topic.error_code)
    }
}

/// What connections to the active controller need.
#[derive(Clone)]
pub struct ActiveControllerParts {
    /// `node.id`.
    pub node_id: BrokerId,
    /// The handle of this node's controller.
    pub local: ControllerHandle,
    /// The longest time that a request may take.
    pub timeout: Duration,
    /// Opens connections.
    pub dial: Dial,
    /// Runs the connections' tasks.
    pub runtime: Handle,
}

/// The active controller, with a connection of its own to it. Clones share the connection.
#[derive(Clone)]
pub struct ActiveController {
    parts: Arc<ActiveControllerParts>,
    connection: Arc<Mutex<Option<(Endpoint, Peer)>>>,
}

impl std::fmt::Debug for ActiveController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveController").field("node_id", &self.parts.node_id).finish_non_exhaustive()
    }
}

impl ActiveController {
    /// Creates it. Nothing is connected before the first request.
    pub fn new(parts: ActiveControllerParts) -> Self {
        Self { parts: Arc::new(parts), connection: Arc::default() }
    }

    /// One that knows no other node and no active controller. Must be called on a runtime.
    #[cfg(test)]
    pub fn unknown(local: ControllerHandle) -> Self {
        Self::new(ActiveControllerParts {
            node_id: BrokerId(1),
            local,
            timeout: Duration::from_secs(1),
            dial: crate::peer::tcp(),
            runtime: Handle::current(),
        })
    }

    /// Returns the active controller over another connection: what is slow on this one delays
    /// nothing on that one.
    pub fn with_own_connection(&self) -> Self {
        Self { parts: self.parts.clone(), connection: Arc::default() }
    }

    /// Returns what opens connections to controllers.
    pub fn dial(&self) -> Dial {
        self.parts.dial.clone()
    }

    /// This node's controller, which is the active one if this node leads the quorum.
    pub fn local(&self) -> &ControllerHandle {
        &self.parts.local
    }

    /// Sends a request, and answers when the controller has committed its decision. Errors: those
    /// of the decision; NOT_CONTROLLER where no controller is known to be active, or it changed
    /// meanwhile; NETWORK_EXCEPTION where it could not be reached. After the last two the decision
    /// may have been made.
    pub async fn request<Q: ControllerRequest>(&self, request: Q) -> Result<Q::Response, ApiError> {
        let local = &self.parts.local;
        let mut quorum = local.watch_quorum();
        let facts = quorum.borrow_and_update().clone();
        let response = if facts.leader == Some(self.parts.node_id) {
            local.decide_at_commit(move |state, context| request.decide(state, context)).await?
        } else {
            let peer = self.peer(&facts)?;
            tokio::select! {
                biased;
                answered = peer.ask(request, self.parts.timeout) => answered.map_err(|error| unanswered(&error))?,
                Ok(()) = quorum.changed() => return Err(ErrorCode::NotController.into()),
            }
        };
        match ErrorCode::from_code(Q::error_code(&response)).unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => Ok(response),
            error => Err(error.into()),
        }
    }

    /// Whether this node's controller is the active one.
    pub fn is_here(&self) -> bool {
        self.parts.local.quorum_facts().is_active
    }

    /// Forwards a client's request. As in Kafka, it goes to the next controller when the active one
    /// changes or the connection is lost, until [`FORWARD_MAX`] is over.
    pub async fn forward(&self, envelope: EnvelopeRequest, stopping: &CancellationToken) -> Forwarded {
        let forwarding = async {
            loop {
                if let Some(forwarded) = self.try_to_forward(&envelope).await {
                    return forwarded;
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            biased;
            forwarded = tokio::time::timeout(FORWARD_MAX, forwarding) => forwarded.unwrap_or(Forwarded::NotAnswered),
            () = stopping.cancelled() => Forwarded::NotAnswered,
        }
    }

    /// Returns `None` if another attempt is due.
    async fn try_to_forward(&self, envelope: &EnvelopeRequest) -> Option<Forwarded> {
        let mut quorum = self.parts.local.watch_quorum();
        let facts = quorum.borrow_and_update().clone();
        if facts.leader == Some(self.parts.node_id) {
            return facts.is_active.then_some(Forwarded::Here);
        }
        let peer = self.peer(&facts).ok()?;
        let answered = tokio::select! {
            biased;
            answered = peer.ask(envelope.clone(), FORWARD_MAX) => answered,
            Ok(()) = quorum.changed() => return None,
        };
        match answered {
            Ok(EnvelopeResponse { error_code: 0, response_data: Some(data), .. }) => Some(Forwarded::Answered(data)),
            Ok(response) => {
                let error = ErrorCode::from_code(response.error_code).unwrap_or(ErrorCode::UnknownServerError);
                (error != ErrorCode::NotController).then(|| {
                    warn!(peer = %peer.name(), error = error.name(), "the active controller refused a forwarded request");
                    Forwarded::NotAnswered
                })
            }
            Err(error) => {
                debug!(%error, "a request could not be forwarded; it is sent again");
                None
            }
        }
    }

    /// Returns the connection to the active controller on another node.
    pub(super) fn peer(&self, facts: &QuorumFacts) -> Result<Peer, ApiError> {
        let unknown = || ApiError::new(ErrorCode::NotController, "no controller is known to be active");
        let leader = facts.leader.ok_or_else(unknown)?;
        let endpoint = facts.leader_endpoints.first().ok_or_else(unknown)?;
        let mut connection = self.connection.lock();
        if let Some((_, peer)) = connection.as_ref().filter(|(to, _)| to == endpoint) {
            return Ok(peer.clone());
        }
        let parts = PeerParts {
            name: format!("controller {leader}").into(),
            host: (&*endpoint.host).into(),
            port: endpoint.port,
            client_id: Str::from(self.parts.node_id.to_string()),
            backoff: BACKOFF,
            backoff_max: BACKOFF,
        };
        let (peer, task) = Peer::new(parts, self.parts.dial.clone());
        self.parts.runtime.spawn(task);
        *connection = Some((endpoint.clone(), peer.clone()));
        Ok(peer)
    }
}

/// Returns the error for a request that got no answer.
pub(super) fn unanswered(error: &PeerError) -> ApiError {
    let code = match error.reason {
        PeerFailure::TimedOut(_) => ErrorCode::RequestTimedOut,
        PeerFailure::Unsupported(_) => ErrorCode::UnsupportedVersion,
        PeerFailure::Unreachable(_)
        | PeerFailure::Lost(_)
        | PeerFailure::Unwritable(..)
        | PeerFailure::Malformed(_)
        | PeerFailure::Busy
        | PeerFailure::Stopped => ErrorCode::NetworkException,
    };
    ApiError::new(code, error.to_string())
}

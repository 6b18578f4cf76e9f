//! Connections to other nodes: [`Peer`] is one of them. A task of its own drives it
//! (`peer::connection`), connects when there is something to send, and connects again after a
//! failure, with a bounded backoff.
//!
//! A caller sends a typed request and gets the typed answer, or a [`PeerError`] that names the
//! peer. The version on the wire is chosen here (`peer::requests`) from what the peer serves, and
//! no caller sees it.
//!
//! Invariants:
//! - Every request is answered exactly once, at the latest when its timeout is over.
//! - When a connection ends, every request in flight fails at once.
//! - Bytes that are not the answer to the oldest request end the connection. A response takes
//!   memory only as its bytes arrive.

mod connection;
mod dial;
mod login;
mod requests;

#[cfg(test)]
mod tests;

pub use self::dial::{Dial, Io, tcp};
pub use self::login::Dials;
pub use self::requests::PeerRequest;

use self::connection::{Connection, Outgoing};
use crate::env::clock::deadline_in;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::{ApiKey, EncodeError, Str};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The most requests that wait for one peer's answer. More fail at once.
pub const IN_FLIGHT_MAX: usize = 256;
/// The largest response, unless the caller allows another size.
pub const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The address of a peer, and who connects to it.
#[derive(Clone, Debug)]
pub struct PeerParts {
    /// The peer, as errors name it: `controller 2`.
    pub name: Str,
    /// Its host.
    pub host: Str,
    /// Its port.
    pub port: u16,
    /// The client id of the requests.
    pub client_id: Str,
    /// The wait after a connection ended. It doubles with each attempt that fails.
    pub backoff: Duration,
    /// The longest wait before another attempt to connect.
    pub backoff_max: Duration,
}

/// One connection to another node. Clones share it. It ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Peer {
    to: Arc<str>,
    requests: mpsc::Sender<Outgoing>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{to}: {reason}")]
pub struct PeerError {
    /// The peer's name and address.
    pub to: Arc<str>,
    /// The reason.
    pub reason: PeerFailure,
}

/// The reason of a [`PeerError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFailure {
    /// No connection could be made. The request was not sent.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The connection ended before the answer. The peer may or may not have acted on the request.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// No answer came in time.
    #[error("it did not answer {0} in time")]
    TimedOut(&'static str),
    /// The peer serves no version of the request that this node can send.
    #[error("it serves no version of {0} that this node can send")]
    Unsupported(&'static str),
    /// The request cannot be written.
    #[error("{0} cannot be written: {1}")]
    Unwritable(&'static str, String),
    /// The peer sent bytes that are no answer.
    #[error("it sent no valid answer: {0}")]
    Malformed(String),
    /// Too many requests wait for this peer.
    #[error("{IN_FLIGHT_MAX} requests wait for it already")]
    Busy,
    /// This node stops.
    #[error("this node stops")]
    Stopped,
}

impl Peer {
    /// Creates a connection, and the task that drives it. Nothing is connected before the first
    /// request.
    pub fn new(parts: PeerParts, dial: Dial) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let to: Arc<str> = format!("{} ({}:{})", parts.name, parts.host, parts.port).into();
        let (requests, outgoing) = mpsc::channel(IN_FLIGHT_MAX);
        let connection = Connection::new(parts, dial, outgoing);
        (Self { to, requests }, connection.run())
    }

    /// Returns the peer's name and address.
    pub fn name(&self) -> &Arc<str> {
        &self.to
    }

    /// Sends a request and returns the answer. Dropping the future does not recall the request.
    pub async fn ask<Q: PeerRequest>(&self, request: Q, timeout: Duration) -> Result<Q::Response, PeerError> {
        self.ask_up_to(RESPONSE_BYTES_MAX, request, timeout).await
    }

    /// Does the same, with another limit for the size of the answer. A larger answer ends the
    /// connection before it takes memory.
    pub async fn ask_up_to<Q: PeerRequest>(
        &self,
        response_bytes_max: usize,
        request: Q,
        timeout: Duration,
    ) -> Result<Q::Response, PeerError> {
        let (sender, answered) = oneshot::channel();
        self.send_up_to(response_bytes_max, request, timeout, move |answer| drop(sender.send(answer)));
        answered.await.unwrap_or_else(|_| Err(PeerError { to: self.to.clone(), reason: PeerFailure::Stopped }))
    }

    /// Sends a request without waiting. `answer` is called exactly once, on the connection's task
    /// or before this returns.
    pub fn send<Q: PeerRequest>(
        &self,
        request: Q,
        timeout: Duration,
        answer: impl FnOnce(Result<Q::Response, PeerError>) + Send + 'static,
    ) {
        self.send_up_to(RESPONSE_BYTES_MAX, request, timeout, answer);
    }

    /// Does the same, with another limit for the size of the answer.
    pub fn send_up_to<Q: PeerRequest>(
        &self,
        response_bytes_max: usize,
        request: Q,
        timeout: Duration,
        answer: impl FnOnce(Result<Q::Response, PeerError>) + Send + 'static,
    ) {
        let to = self.to.clone();
        let outgoing = Outgoing {
            key: Q::API_KEY,
            versions: Q::VERSIONS,
            response_bytes_max,
            deadline: deadline_in(timeout),
            write: Box::new(move |header| {
                let mut request = request;
                request.fit(header.request_api_version);
                protocol::write_request(header, &request)?.into_bytes()
            }),
            complete: Box::new(move |received| {
                let decoded = received.and_then(|(body, version)| {
                    requests::read::<Q>(body, version).map_err(|error| PeerFailure::Malformed(error.to_string()))
                });
                let is_sound = !matches!(decoded, Err(PeerFailure::Malformed(_)));
                answer(decoded.map_err(|reason| PeerError { to, reason }));
                is_sound
            }),
        };
        if let Err(refused) = self.requests.try_send(outgoing) {
            let (outgoing, reason) = match refused {
                mpsc::error::TrySendError::Full(outgoing) => (outgoing, PeerFailure::Busy),
                mpsc::error::TrySendError::Closed(outgoing) => (outgoing, PeerFailure::Stopped),
            };
            outgoing.fail(reason);
        }
    }
}

/// Classifies a request that could not be written.
fn unwritable(key: ApiKey, error: &EncodeError) -> PeerFailure {
    match error {
        // A field is set that the peer's versions do not have.
        EncodeError::Version(..) | EncodeError::NotInVersion(..) => PeerFailure::Unsupported(key.name()),
        error => PeerFailure::Unwritable(key.name(), error.to_string()),
    }
}

/// Asks a node once what it serves and supports. Must be called on a runtime.
pub async fn ask_features(parts: PeerParts, dial: Dial, timeout: Duration) -> Result<ApiVersionsResponse, PeerError> {
    let (peer, task) = Peer::new(parts, dial);
    tokio::spawn(task);
    peer.ask(connection::question(), timeout).await
}

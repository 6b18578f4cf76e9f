//! What the replicas of the metadata log send each other, between the pure machine (`raft`) and the
//! wire.
//!
//! [`messages`] turns the machine's requests and replies into Kafka's and back, without versions.
//! [`QuorumPeers`] sends requests for the controller's thread, which never waits for an answer. The
//! requests of other nodes come in through `api` and
//! [`super::controller::ControllerHandle::quorum`].

pub mod messages;
mod peers;

#[cfg(test)]
mod tests;

pub use self::peers::{QuorumPeers, QuorumPeersParts};

use model::ErrorCode;
use raft::{Destination, QuorumRequest, ReceivedReply};

/// Takes the answer to a request of the machine, or why there is none.
pub type Answer = Box<dyn FnOnce(Result<ReceivedReply, ErrorCode>) + Send>;

/// Sends a request of the machine, and calls [`Answer`] exactly once. It does not wait.
pub type SendRequest = Box<dyn FnMut(Destination, QuorumRequest, Answer) + Send>;

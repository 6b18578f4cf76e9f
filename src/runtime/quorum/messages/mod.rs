//! The machine's messages as those of the wire, and back. The fields that a version lacks have
//! their defaults here, which mean none.

mod elections;
mod membership;
mod replication;

pub use self::elections::{
    begin_of, begin_reply, begin_request, begun, end_of, end_reply, end_request, ended, vote_of, vote_reply,
    vote_request, voted,
};
pub use self::membership::{
    add_request, added, remove_request, removed, update_of, update_reply, update_request, updated,
};
pub use self::replication::{
    fetch_of, fetch_reply, fetch_request, fetched, snapshot_fetched, snapshot_of, snapshot_reply, snapshot_request,
};

use model::{BrokerId, ErrorCode, LeaderEpoch, Uuid};
use raft::{Endpoint, QuorumView, ReplicaKey};

/// The replica with this id. `None` if there is none.
fn replica(id: i32, directory_id: Uuid) -> Option<ReplicaKey> {
    BrokerId::from_wire(id).map(|id| ReplicaKey { id, directory_id: directory_id.non_zero() })
}

/// Returns an error code. An unknown one is UNKNOWN_SERVER_ERROR.
fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// Refuses an answer that as a whole is an error.
fn whole(error: i16) -> Result<(), ErrorCode> {
    match code(error) {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}

/// Takes the only element of a list. Errors: an answer about something else.
fn only<T>(list: Vec<T>) -> Result<T, ErrorCode> {
    let mut list = list.into_iter();
    match (list.next(), list.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// Reads what a replica knows about the quorum, with the leader's endpoint on `listener`, the
/// listener of the connection.
fn view(
    (error, leader, epoch): (i16, i32, i32),
    listener: &str,
    endpoints: impl IntoIterator<Item = (i32, protocol::Str, u16)>,
) -> QuorumView {
    let of_leader = endpoints.into_iter().filter(|(id, ..)| *id == leader);
    QuorumView {
        error: code(error),
        leader: BrokerId::from_wire(leader),
        epoch: LeaderEpoch(epoch),
        leader_endpoints: of_leader
            .map(|(_, host, port)| Endpoint { listener: listener.into(), host: host.as_str().into(), port })
            .collect(),
    }
}

/// Returns the leader's id and its endpoint on `listener`, if both are known.
fn leader_on<'a>(view: &'a QuorumView, listener: &str) -> Option<(i32, &'a Endpoint)> {
    let endpoint = view.leader_endpoints.iter().find(|endpoint| &*endpoint.listener == listener)?;
    Some((view.leader?.0, endpoint))
}

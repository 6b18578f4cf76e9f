//! AddRaftVoter (key 80), versions 0-1: adds a voter to the metadata quorum (KIP-853).
//!
//! - 1: may be answered before the change is committed (KIP-1186).
//!
//! The new voter is asked for the levels of `kraft.version` that it supports. The machine decides
//! the rest.

use super::Context;
use super::authorization::Operation;
use crate::peer::{self, PeerParts};
use metadata::version::KRAFT_VERSION;
use model::{ApiError, ErrorCode, java};
use protocol::Str;
use protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use raft::{Endpoint, QuorumReply, QuorumRequest, ReplicaKey, Voter, VoterChange, VoterChangeRequest};
use std::time::Duration;

/// Adds the voter, or says why not.
pub(super) async fn handle(context: Context, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let error = add(&context, &request).await.err();
    AddRaftVoterResponse {
        error_code: error.as_ref().map_or(ErrorCode::None, |error| error.code).code(),
        error_message: error.and_then(|error| error.message).map(Into::into),
        ..Default::default()
    }
}

async fn add(context: &Context, request: &AddRaftVoterRequest) -> Result<(), ApiError> {
    context.need_or_say(Operation::Alter)?;
    check_cluster(context, request.cluster_id.as_deref())?;
    let quorum = context.broker.controller.describe().await.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let invalid = |message| ApiError::new(ErrorCode::InvalidRequest, message);
    let key = voter(request.voter_id, request.voter_directory_id)
        .ok_or_else(|| invalid("Add voter request didn't include a valid voter".to_owned()))?;
    let wanted = context.broker.config.listeners.controller_names.first().map_or("", String::as_str);
    let endpoints = Endpoints::of(&request.listeners);
    let Some(at) = endpoints.on(wanted) else {
        return Err(invalid(format!(
            "Add voter request didn't include the endpoint ({}) for the default listener ListenerName({wanted})",
            endpoints.shown()
        )));
    };
    quorum.check_addition(&key)?;
    let kraft_versions = kraft_versions(context, &key, at).await?;
    let voter = Voter { key, endpoints: endpoints.in_order(), kraft_versions };
    let change = VoterChange::Add(voter);
    let asked = VoterChangeRequest { epoch: None, change, waits_for_commit: request.ack_when_committed };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    changed(context, asked, timeout).await
}

/// Changes the voters. Errors: the machine's; REQUEST_TIMED_OUT if it is not committed in time.
pub(super) async fn changed(context: &Context, asked: VoterChangeRequest, timeout: Duration) -> Result<(), ApiError> {
    let answered = context.quorum(QuorumRequest::ChangeVoters(asked));
    match tokio::time::timeout(timeout, answered).await {
        Ok(Some(QuorumReply::ChangeVoters(reply))) => match (reply.view.error, reply.message) {
            (ErrorCode::None, _) => Ok(()),
            (error, Some(message)) => Err(ApiError::new(error, message)),
            (error, None) => Err(error.into()),
        },
        Ok(_) => Err(ErrorCode::BrokerNotAvailable.into()),
        Err(_) => Err(ErrorCode::RequestTimedOut.into()),
    }
}

/// Asks the new voter for the levels of `kraft.version` that it supports. Without an answer it is
/// not added.
async fn kraft_versions(context: &Context, key: &ReplicaKey, at: &Listener) -> Result<(i16, i16), ApiError> {
    let timeout_ms = context.broker.settings().controller_quorum_request_timeout_ms;
    let parts = PeerParts {
        name: format!("controller {}", key.id).into(),
        host: at.host.clone(),
        port: at.port,
        client_id: format!("raft-client-{}", context.broker.node.id).into(),
        backoff: Duration::ZERO,
        backoff_max: Duration::ZERO,
    };
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let answered = peer::ask_features(parts, context.broker.active_controller.dial(), timeout).await;
    let response = answered.map_err(|_| {
        let message = "Aborted add voter operation for since API_VERSIONS returned an error BROKER_NOT_AVAILABLE";
        ApiError::new(ErrorCode::RequestTimedOut, message)
    })?;
    let feature = response.supported_features.iter().find(|feature| feature.name == KRAFT_VERSION);
    Ok(feature.map_or((0, 0), |feature| (feature.min_version, feature.max_version)))
}

/// Checks the cluster id: another cluster's id is INCONSISTENT_CLUSTER_ID. A request without an id
/// passes.
pub(super) fn check_cluster(context: &Context, given: Option<&str>) -> Result<(), ApiError> {
    let own = &context.broker.node.cluster_id;
    match given {
        Some(given) if given != own => {
            let message = format!("The given id \"{given}\" doesn't match the cluster id \"{own}\"");
            Err(ApiError::new(ErrorCode::InconsistentClusterId, message))
        }
        _ => Ok(()),
    }
}

/// Returns the voter if it has the id and the directory id that every change of a voter needs.
pub(super) fn voter(id: i32, directory_id: model::Uuid) -> Option<ReplicaKey> {
    Some(ReplicaKey::new(id, directory_id)).filter(|voter| id >= 0 && voter.directory_id.is_some())
}

/// The endpoints of a voter by listener name in capitals, in the order of Java's maps. If a name
/// appears twice, the last endpoint counts.
struct Endpoints(Vec<(Str, Listener)>);

impl Endpoints {
    fn of(listeners: &[Listener]) -> Self {
        let mut endpoints: Vec<(Str, Listener)> = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let name = listener.name.to_uppercase();
            match endpoints.iter_mut().find(|(known, _)| *known == name) {
                Some((_, at)) => at.clone_from(listener),
                None => endpoints.push((name, listener.clone())),
            }
        }
        let buckets = java::bucket_count(listeners.len(), endpoints.len());
        java::hash_order(&mut endpoints, buckets, |(name, _)| java::string_hash(name));
        Self(endpoints)
    }

    fn in_order(&self) -> Vec<Endpoint> {
        let one = |(name, at): &(Str, Listener)| Endpoint {
            listener: name.as_str().into(),
            host: at.host.as_str().into(),
            port: at.port,
        };
        self.0.iter().map(one).collect()
    }

    fn on(&self, name: &str) -> Option<&Listener> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, at)| at)
    }

    /// Returns the endpoints as Kafka's messages show them.
    fn shown(&self) -> String {
        let one = |(name, at): &(Str, Listener)| format!("ListenerName({name})={}/<unresolved>:{}", at.host, at.port);
        format!("Endpoints(endpoints={{{}}})", self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, port: u16) -> Listener {
        Listener { name: name.into(), host: "h".into(), port, ..Default::default() }
    }

    #[test]
    fn endpoints_are_in_the_order_of_javas_maps() {
        let endpoints = Endpoints::of(&["one", "Two", "three", "four", "five"].map(|name| listener(name, 1)));
        let names: Vec<&str> = endpoints.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["FIVE", "TWO", "ONE", "THREE", "FOUR"]);
    }

    #[test]
    fn the_last_endpoint_of_a_listener_counts() {
        let endpoints = Endpoints::of(&[listener("a", 1), listener("A", 2)]);
        assert_eq!(endpoints.shown(), "Endpoints(endpoints={ListenerName(A)=h/<unresolved>:2})");
        assert_eq!(endpoints.on("A").map(|at| at.port), Some(2));
        assert_eq!(Endpoints::of(&[]).shown(), "Endpoints(endpoints={})");
    }

    #[test]
    fn a_voter_has_an_id_and_a_directory() {
        assert!(voter(1, model::Uuid([9; 16])).is_some());
        assert!(voter(-1, model::Uuid([9; 16])).is_none());
        assert!(voter(1, model::Uuid::ZERO).is_none());
    }
}

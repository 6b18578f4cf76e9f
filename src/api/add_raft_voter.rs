//! AddRaftVoter (key 80), versions 0-1: adds a voter to the metadata quorum (KIP-853).
//!
//! - 1: may be answered before the change is committed (KIP-1186).
//!
//! A quorum of one voter cannot grow yet, because no other node can follow it. Requests that Kafka
//! refuses get Kafka's error. A voter that could be added gets the error that Kafka gives to a
//! voter that does not fetch from the leader: it is lagging behind.

use super::Context;
use crate::peer;
use model::{ApiError, ErrorCode, java};
use protocol::Str;
use protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use raft::ReplicaKey;
use std::time::Duration;

/// Refuses the voter and says why.
pub(super) async fn handle(context: Context, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let refusal = refusal(&context, &request).await.unwrap_or_else(|error| error);
    AddRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.message.map(Into::into),
        ..Default::default()
    }
}

/// Returns why the voter is not added: an error of the request (`Err`), or what the voter lacks.
async fn refusal(context: &Context, request: &AddRaftVoterRequest) -> Result<ApiError, ApiError> {
    check_cluster(context, request.cluster_id.as_deref())?;
    let quorum = context.broker.controller.describe().await.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let invalid = |message| ApiError::new(ErrorCode::InvalidRequest, message);
    let voter = voter(request.voter_id, request.voter_directory_id)
        .ok_or_else(|| invalid("Add voter request didn't include a valid voter".to_owned()))?;
    let wanted = context.broker.config.listeners.controller_names.first().map_or("", String::as_str);
    let endpoints = Endpoints::of(&request.listeners);
    let Some(at) = endpoints.on(wanted) else {
        return Err(invalid(format!(
            "Add voter request didn't include the endpoint ({}) for the default listener ListenerName({wanted})",
            endpoints.shown()
        )));
    };
    quorum.check_addition(&voter)?;
    let timeout_ms = context.broker.settings().controller_quorum_request_timeout_ms;
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let message = if peer::accepts_connections(&at.host, at.port, timeout).await {
        format!("Aborted add voter operation for {} since it is lagging behind", voter.shown())
    } else {
        "Aborted add voter operation for since API_VERSIONS returned an error BROKER_NOT_AVAILABLE".to_owned()
    };
    Ok(ApiError::new(ErrorCode::RequestTimedOut, message))
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

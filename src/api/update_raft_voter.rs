//! UpdateRaftVoter (key 82), version 0: changes the listeners and the version range of a voter of
//! the metadata quorum (KIP-853).
//!
//! A quorum of one voter cannot change yet. The answer is Kafka's for a quorum whose
//! `kraft.version` is 0.

use super::Context;
use model::ErrorCode;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::update_raft_voter_response::{CurrentLeader, UpdateRaftVoterResponse};

/// Refuses the update.
pub(super) async fn handle(context: Context, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    let current_leader = leader(&context).await.unwrap_or_default();
    UpdateRaftVoterResponse { error_code: error.code(), current_leader, ..Default::default() }
}

/// Returns the quorum's leader and its address on the listener of the request.
async fn leader(context: &Context) -> Option<CurrentLeader> {
    let quorum = context.broker.controller.describe().await?;
    let image = context.broker.image();
    let node = image.cluster.controllers.get(&quorum.leader)?;
    let at = node.listeners.iter().find(|it| it.name == context.connection.listener.name)?;
    Some(CurrentLeader {
        leader_id: quorum.leader.0,
        leader_epoch: quorum.epoch.0,
        host: at.host.clone(),
        port: i32::from(at.port),
        ..Default::default()
    })
}

//! BeginQuorumEpoch (key 53), versions 0-1: tells the other voters of the quorum that a leader
//! starts its epoch (KIP-595).
//!
//! - 1: is flexible; adds the voter's id and directory, and endpoints (KIP-853).
//!
//! The quorum has one voter and no other replica. The answer has the code that Kafka gives to a
//! node that is not a voter.

use super::Context;
use super::context::{METADATA_TOPIC, is_metadata_log};
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;

/// Refuses the sender, which is not a voter.
pub(super) async fn handle(context: Context, request: BeginQuorumEpochRequest) -> BeginQuorumEpochResponse {
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| topic.topic_name == METADATA_TOPIC,
        |topic| topic.partitions.iter().map(|one| one.partition_index).eq([0]),
    );
    let error = context.no_voter(request.cluster_id.as_deref(), is_metadata);
    BeginQuorumEpochResponse { error_code: error.code(), ..Default::default() }
}

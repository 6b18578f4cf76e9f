//! Vote (key 52), versions 0-2: a message between the voters of the quorum (KIP-595).
//!
//! A quorum of one has no other replica: whoever asks is told by Kafka's codes that it does not belong.

use super::Context;
use super::context::{METADATA_TOPIC, is_metadata_log};
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;

/// Refuses whoever is no voter.
pub(super) async fn handle(context: Context, request: VoteRequest) -> VoteResponse {
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| topic.topic_name == METADATA_TOPIC,
        |topic| topic.partitions.iter().map(|one| one.partition_index).eq([0]),
    );
    let error = context.no_voter(request.cluster_id.as_deref(), is_metadata);
    VoteResponse { error_code: error.code(), ..Default::default() }
}

//! Vote (key 52), versions 0-2: asks a voter of the quorum for its vote (KIP-595).
//!
//! - 1: adds the voter's id and directory ids, and the leader's endpoint (KIP-853).
//! - 2: adds the pre-vote (KIP-996).
//!
//! The quorum has one voter and no other replica. The answer has the code that Kafka gives to a
//! node that is not a voter.

use super::Context;
use super::context::{METADATA_TOPIC, is_metadata_log};
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;

/// Refuses the sender, which is not a voter.
pub(super) async fn handle(context: Context, request: VoteRequest) -> VoteResponse {
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| topic.topic_name == METADATA_TOPIC,
        |topic| topic.partitions.iter().map(|one| one.partition_index).eq([0]),
    );
    let error = context.no_voter(request.cluster_id.as_deref(), is_metadata);
    VoteResponse { error_code: error.code(), ..Default::default() }
}

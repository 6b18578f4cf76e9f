//! ShareGroupHeartbeat (key 76), versions 1.
//!
//! Share groups are not served: what is no valid heartbeat is refused as Kafka refuses it, and a valid one with the answer of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;

/// Refuses the member.
pub(super) async fn handle(_: Context, request: ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    let (error, message) = match invalid(&request) {
        Some(message) => (ErrorCode::InvalidRequest, message.map(Str::const_new)),
        None => (ErrorCode::UnsupportedVersion, None),
    };
    ShareGroupHeartbeatResponse { error_code: error.code(), error_message: message, ..Default::default() }
}

/// What is wrong with a heartbeat, in the order in which Kafka looks, and what it says about it, if anything.
fn invalid(request: &ShareGroupHeartbeatRequest) -> Option<Option<&'static str>> {
    if request.member_id.is_empty() {
        Some(None)
    } else if is_blank(&request.member_id) {
        Some(Some("MemberId can't be empty."))
    } else if is_blank(&request.group_id) {
        Some(Some("GroupId can't be empty."))
    } else if request.member_epoch == 0 && request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) {
        Some(Some("SubscribedTopicNames must be set in first request."))
    } else if request.member_epoch < -1 {
        Some(Some("MemberEpoch is invalid."))
    } else {
        None
    }
}

/// Java trims every character up to the space.
fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter <= ' ')
}

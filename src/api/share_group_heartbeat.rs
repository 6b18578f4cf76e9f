//! ShareGroupHeartbeat (key 76), version 1: joins, keeps alive or leaves a share group (KIP-932).
//!
//! Share groups are not served. An invalid heartbeat gets Kafka's error. A valid one gets the
//! answer of a Kafka broker without share groups.

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

/// Returns the error of a heartbeat, checked in Kafka's order: `None` if it is valid, else the
/// message, if Kafka sends one.
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

/// Whether the text is blank. Java's trim removes every character up to the space.
fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter <= ' ')
}

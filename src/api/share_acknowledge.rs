//! ShareAcknowledge (key 79), versions 1-2: acknowledges records of a share group (KIP-932).
//!
//! - 2: may renew the lock of acquired records, and answers how long the lock lasts (KIP-1222).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups, unless
//! the request names no group or no member.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use protocol::messages::share_acknowledge_response::ShareAcknowledgeResponse;

/// Refuses the request.
pub(super) async fn handle(_: Context, request: ShareAcknowledgeRequest) -> ShareAcknowledgeResponse {
    let error = if request.group_id.is_none() || request.member_id.is_none_or(|member| member.is_empty()) {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::UnsupportedVersion
    };
    ShareAcknowledgeResponse { error_code: error.code(), ..Default::default() }
}

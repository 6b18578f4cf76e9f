//! ShareFetch (key 78), versions 1-2.
//!
//! Share groups are not served; the answer is that of a Kafka without them, unless the request names no group or no member.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_fetch_request::ShareFetchRequest;
use protocol::messages::share_fetch_response::ShareFetchResponse;

/// Refuses the request.
pub(super) async fn handle(_: Context, request: ShareFetchRequest) -> ShareFetchResponse {
    let error = if request.group_id.is_none() || request.member_id.is_none_or(|member| member.is_empty()) {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::UnsupportedVersion
    };
    ShareFetchResponse { error_code: error.code(), ..Default::default() }
}

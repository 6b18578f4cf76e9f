//! ShareFetch (key 78), versions 1-2: reads records for a member of a share group (KIP-932).
//!
//! - 2: adds the acquire mode (KIP-1206), and may renew the lock of acquired records (KIP-1222).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups, unless
//! the request names no group or no member.

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

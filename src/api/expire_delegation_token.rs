//! ExpireDelegationToken (key 40), versions 1-2.
//!
//! Tokens are given only over connections that are authenticated, and none is.

use super::Context;
use model::ErrorCode;
use protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use protocol::messages::expire_delegation_token_response::ExpireDelegationTokenResponse;

/// Refuses: the connection is not authenticated.
pub(super) async fn handle(_: Context, _: ExpireDelegationTokenRequest) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: -1,
        ..Default::default()
    }
}

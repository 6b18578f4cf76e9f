//! RenewDelegationToken (key 39), versions 1-2.
//!
//! Tokens are given only over connections that are authenticated, and none is.

use super::Context;
use model::ErrorCode;
use protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use protocol::messages::renew_delegation_token_response::RenewDelegationTokenResponse;

/// Refuses: the connection is not authenticated.
pub(super) async fn handle(_: Context, _: RenewDelegationTokenRequest) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: -1,
        ..Default::default()
    }
}

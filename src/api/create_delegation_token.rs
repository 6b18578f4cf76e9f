//! CreateDelegationToken (key 38), versions 1-3.
//!
//! Tokens are given only over connections that are authenticated, and none is.

use super::Context;
use model::ErrorCode;
use protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use protocol::messages::create_delegation_token_response::CreateDelegationTokenResponse;

/// Refuses: the connection is not authenticated.
pub(super) async fn handle(_: Context, _: CreateDelegationTokenRequest) -> CreateDelegationTokenResponse {
    CreateDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        ..Default::default()
    }
}

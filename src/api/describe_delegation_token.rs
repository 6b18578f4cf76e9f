//! DescribeDelegationToken (key 41), versions 1-3.
//!
//! Tokens are given only over connections that are authenticated, and none is.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use protocol::messages::describe_delegation_token_response::DescribeDelegationTokenResponse;

/// Refuses: the connection is not authenticated.
pub(super) async fn handle(_: Context, _: DescribeDelegationTokenRequest) -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        ..Default::default()
    }
}

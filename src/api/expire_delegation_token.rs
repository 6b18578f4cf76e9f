//! ExpireDelegationToken (key 40), versions 1-2: changes when a delegation token expires (KIP-48).
//!
//! - 2: is flexible.
//!
//! Kafka serves delegation tokens only on authenticated connections. No connection is authenticated
//! here.

use super::Context;
use model::ErrorCode;
use protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use protocol::messages::expire_delegation_token_response::ExpireDelegationTokenResponse;

/// Refuses the request, since the connection is not authenticated.
pub(super) async fn handle(_: Context, _: ExpireDelegationTokenRequest) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: -1,
        ..Default::default()
    }
}

//! RenewDelegationToken (key 39), versions 1-2: extends the life of a delegation token (KIP-48).
//!
//! - 2: is flexible.
//!
//! Kafka serves delegation tokens only on authenticated connections. No connection is authenticated
//! here.

use super::Context;
use model::ErrorCode;
use protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use protocol::messages::renew_delegation_token_response::RenewDelegationTokenResponse;

/// Refuses the request, since the connection is not authenticated.
pub(super) async fn handle(_: Context, _: RenewDelegationTokenRequest) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: -1,
        ..Default::default()
    }
}

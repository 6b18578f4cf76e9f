//! DescribeDelegationToken (key 41), versions 1-3: lists delegation tokens (KIP-48).
//!
//! - 2: is flexible.
//! - 3: answers the requester of each token (KIP-373).
//!
//! Kafka serves delegation tokens only on authenticated connections. No connection is authenticated
//! here. Kafka's controllers advertise this request but do not serve it.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use protocol::messages::describe_delegation_token_response::DescribeDelegationTokenResponse;

/// Refuses the request, since the connection is not authenticated.
pub(super) async fn handle(context: Context, _: DescribeDelegationTokenRequest) -> DescribeDelegationTokenResponse {
    let error = match context.connection.listener.is_controller {
        true => ErrorCode::UnknownServerError,
        false => ErrorCode::DelegationTokenRequestNotAllowed,
    };
    DescribeDelegationTokenResponse { error_code: error.code(), ..Default::default() }
}

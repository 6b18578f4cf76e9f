//! DescribeDelegationToken (key 41), versions 1-3.
//!
//! Tokens are given only over connections that are authenticated, and none is. Kafka's controllers advertise this request and do not serve it.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use protocol::messages::describe_delegation_token_response::DescribeDelegationTokenResponse;

/// Refuses: the connection is not authenticated.
pub(super) async fn handle(context: Context, _: DescribeDelegationTokenRequest) -> DescribeDelegationTokenResponse {
    let error = match context.connection.listener.is_controller {
        true => ErrorCode::UnknownServerError,
        false => ErrorCode::DelegationTokenRequestNotAllowed,
    };
    DescribeDelegationTokenResponse { error_code: error.code(), ..Default::default() }
}

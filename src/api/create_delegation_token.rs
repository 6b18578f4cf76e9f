//! CreateDelegationToken (key 38), versions 1-3: creates a delegation token (KIP-48).
//!
//! - 2: is flexible.
//! - 3: may name another owner, and the answer names the requester (KIP-373).
//!
//! Kafka serves delegation tokens only on authenticated connections. No connection is authenticated
//! here.

use super::Context;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use protocol::messages::create_delegation_token_response::CreateDelegationTokenResponse;

/// Refuses the request, since the connection is not authenticated.
pub(super) async fn handle(context: Context, request: CreateDelegationTokenRequest) -> CreateDelegationTokenResponse {
    let tells_requester = context.version >= 3;
    let requester = context.connection.identity().principal.clone();
    let requester = (requester.kind, requester.name);
    let owner = match (request.owner_principal_type, request.owner_principal_name) {
        (_, None) => Ok(requester.clone()),
        (_, Some(name)) if name.is_empty() => Ok(requester.clone()),
        (Some(kind), Some(name)) => Ok((kind, name)),
        // A principal without a type is invalid. Kafka fails on it before it checks anything else.
        (None, Some(_)) => Err(ErrorCode::UnknownServerError),
    };
    let refusal = owner.as_ref().err().copied().unwrap_or(ErrorCode::DelegationTokenRequestNotAllowed);
    let (principal_type, principal_name) = owner.unwrap_or_else(|_| requester.clone());
    CreateDelegationTokenResponse {
        error_code: refusal.code(),
        principal_type,
        principal_name,
        token_requester_principal_type: if tells_requester { requester.0 } else { Str::default() },
        token_requester_principal_name: if tells_requester { requester.1 } else { Str::default() },
        issue_timestamp_ms: -1,
        expiry_timestamp_ms: -1,
        max_timestamp_ms: -1,
        ..Default::default()
    }
}

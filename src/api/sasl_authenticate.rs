//! SaslAuthenticate (key 36), versions 0-2: carries the messages of a SASL mechanism (KIP-152).
//!
//! - 1: answers how long the session lives (KIP-368).
//! - 2: is flexible.
//!
//! `authentication` answers clients that log in. The others get ILLEGAL_SASL_STATE: they have
//! logged in already, or their listener has no SASL.

use super::Context;
use model::ErrorCode;
use protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;

/// Refuses the request, since the connection needs no authentication.
pub(super) async fn handle(_: Context, _: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some("SaslAuthenticate request received after successful authentication".into()),
        ..Default::default()
    }
}

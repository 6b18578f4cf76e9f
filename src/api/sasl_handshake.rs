//! SaslHandshake (key 17), versions 0-1: chooses a SASL mechanism (KIP-43).
//!
//! - 1: is followed by SaslAuthenticate requests (KIP-152).
//!
//! `authentication` answers clients that log in. The others get ILLEGAL_SASL_STATE: they have
//! logged in and their session does not end, or their listener has no SASL.

use super::Context;
use model::ErrorCode;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

/// Refuses the request: this client has nothing to choose.
pub(super) async fn handle(_: Context, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.code(), ..Default::default() }
}

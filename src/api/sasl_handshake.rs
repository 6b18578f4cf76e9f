//! SaslHandshake (key 17), versions 0-1: chooses a SASL mechanism (KIP-43).
//!
//! - 1: is followed by SaslAuthenticate requests (KIP-152).
//!
//! No listener uses SASL. On such a listener, Kafka answers ILLEGAL_SASL_STATE.

use super::Context;
use model::ErrorCode;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

/// Refuses the request, since the connection needs no authentication.
pub(super) async fn handle(_: Context, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.code(), ..Default::default() }
}

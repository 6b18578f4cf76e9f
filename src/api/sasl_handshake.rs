//! SaslHandshake (key 17), versions 0-1.
//!
//! No listener asks for SASL, and where none does, Kafka finds the connection in the wrong state.

use super::Context;
use model::ErrorCode;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

/// Refuses: the connection needs no authentication.
pub(super) async fn handle(_: Context, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.code(), ..Default::default() }
}

//! SaslAuthenticate (key 36), versions 0-2.
//!
//! No listener asks for SASL, and where none does, Kafka finds the connection in the wrong state.

use super::Context;
use model::ErrorCode;
use protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;

/// Refuses: the connection needs no authentication.
pub(super) async fn handle(_: Context, _: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some("SaslAuthenticate request received after successful authentication".into()),
        ..Default::default()
    }
}

//! Envelope (key 58), version 0: carries a request that a broker forwards to the controller
//! (KIP-590).
//!
//! Other brokers are not served yet.

use super::Context;
use model::ErrorCode;
use protocol::decode_from;
use protocol::messages::default_principal_data::DefaultPrincipalData;
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;

/// Refuses the request. As in Kafka, a request without a valid principal gets its own error.
pub(super) async fn handle(_: Context, request: EnvelopeRequest) -> EnvelopeResponse {
    let principal = request.request_principal.unwrap_or_default();
    let is_principal = matches!(&*principal, [high, low, ..]
        if decode_from::<DefaultPrincipalData>(principal.slice(2..), i16::from_be_bytes([*high, *low])).is_ok());
    let error =
        if is_principal { ErrorCode::ClusterAuthorizationFailed } else { ErrorCode::PrincipalDeserializationFailure };
    EnvelopeResponse { error_code: error.code(), ..Default::default() }
}

//! Envelope (key 58), version 0: a request that a broker forwards to the controller (KIP-590).
//!
//! Other brokers are not served yet.

use super::Context;
use model::ErrorCode;
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;

/// Refuses.
pub(super) async fn handle(_: Context, _: EnvelopeRequest) -> EnvelopeResponse {
    EnvelopeResponse { error_code: ErrorCode::ClusterAuthorizationFailed.code(), ..Default::default() }
}

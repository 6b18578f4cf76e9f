//! Envelope (key 58), version 0: carries a request that a broker forwards to the controller
//! (KIP-590).

use super::{Context, forwarding};
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;

/// Serves the request in the envelope.
pub(super) async fn handle(context: Context, request: EnvelopeRequest) -> EnvelopeResponse {
    match forwarding::open(context, request).await {
        Ok(data) => EnvelopeResponse { response_data: Some(data), ..Default::default() },
        Err(error) => EnvelopeResponse { error_code: error.code(), ..Default::default() },
    }
}

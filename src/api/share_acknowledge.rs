//! ShareAcknowledge (key 79), versions 1-2.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use protocol::messages::share_acknowledge_response::{ShareAcknowledgeResponse};

/// Refuses the request.
pub(super) async fn handle(_: Context, _: ShareAcknowledgeRequest) -> ShareAcknowledgeResponse {
    ShareAcknowledgeResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

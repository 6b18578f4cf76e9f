//! ShareFetch (key 78), versions 1-2.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_fetch_request::ShareFetchRequest;
use protocol::messages::share_fetch_response::{ShareFetchResponse};

/// Refuses the request.
pub(super) async fn handle(_: Context, _: ShareFetchRequest) -> ShareFetchResponse {
    ShareFetchResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

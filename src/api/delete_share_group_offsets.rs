//! DeleteShareGroupOffsets (key 92), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use protocol::messages::delete_share_group_offsets_response::{DeleteShareGroupOffsetsResponse};

/// Refuses the request.
pub(super) async fn handle(_: Context, _: DeleteShareGroupOffsetsRequest) -> DeleteShareGroupOffsetsResponse {
    DeleteShareGroupOffsetsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

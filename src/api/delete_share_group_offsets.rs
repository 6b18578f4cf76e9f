//! DeleteShareGroupOffsets (key 92), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them, unless the request names no group.

use super::Context;
use model::ErrorCode;
use protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponse;

/// Refuses the request.
pub(super) async fn handle(_: Context, request: DeleteShareGroupOffsetsRequest) -> DeleteShareGroupOffsetsResponse {
    if request.group_id.is_empty() {
        return DeleteShareGroupOffsetsResponse {
            error_code: ErrorCode::InvalidGroupId.code(),
            error_message: Some(ErrorCode::InvalidGroupId.message().into()),
            ..Default::default()
        };
    }
    DeleteShareGroupOffsetsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

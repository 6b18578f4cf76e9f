//! DeleteShareGroupOffsets (key 92), version 0: deletes the offsets of a share group (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups, unless
//! the request names no group.

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

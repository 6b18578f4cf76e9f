//! AlterShareGroupOffsets (key 91), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them, unless the request names no group.

use super::Context;
use model::ErrorCode;
use protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use protocol::messages::alter_share_group_offsets_response::AlterShareGroupOffsetsResponse;

/// Refuses the request.
pub(super) async fn handle(_: Context, request: AlterShareGroupOffsetsRequest) -> AlterShareGroupOffsetsResponse {
    if request.group_id.is_empty() {
        return AlterShareGroupOffsetsResponse {
            error_code: ErrorCode::InvalidGroupId.code(),
            error_message: Some(ErrorCode::InvalidGroupId.message().into()),
            ..Default::default()
        };
    }
    AlterShareGroupOffsetsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

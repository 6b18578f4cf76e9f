//! AlterShareGroupOffsets (key 91), version 0: sets the start offsets of a share group (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups, unless
//! the request names no group.

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

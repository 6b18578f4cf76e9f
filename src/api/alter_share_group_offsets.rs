//! AlterShareGroupOffsets (key 91), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use protocol::messages::alter_share_group_offsets_response::{AlterShareGroupOffsetsResponse};

/// Refuses the request.
pub(super) async fn handle(_: Context, _: AlterShareGroupOffsetsRequest) -> AlterShareGroupOffsetsResponse {
    AlterShareGroupOffsetsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}

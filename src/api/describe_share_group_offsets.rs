//! DescribeShareGroupOffsets (key 90), versions 0-1: lists the offsets of share groups (KIP-932).
//!
//! - 1: adds the lag (KIP-1226).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest;
use protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponse, DescribeShareGroupOffsetsResponseGroup,
};

/// Refuses each group.
pub(super) async fn handle(_: Context, request: DescribeShareGroupOffsetsRequest) -> DescribeShareGroupOffsetsResponse {
    let groups = request.groups.into_iter().map(|group| DescribeShareGroupOffsetsResponseGroup {
        group_id: group.group_id,
        error_code: ErrorCode::UnsupportedVersion.code(),
        ..Default::default()
    });
    DescribeShareGroupOffsetsResponse { groups: groups.collect(), ..Default::default() }
}

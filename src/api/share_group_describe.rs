//! ShareGroupDescribe (key 77), version 1: describes share groups (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups, unless a
//! group has no name.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use protocol::messages::share_group_describe_response::{DescribedGroup, ShareGroupDescribeResponse};

/// Refuses each group.
pub(super) async fn handle(_: Context, request: ShareGroupDescribeRequest) -> ShareGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|group_id| {
        let error = if group_id.is_empty() { ErrorCode::InvalidGroupId } else { ErrorCode::UnsupportedVersion };
        DescribedGroup { error_code: error.code(), group_id, ..Default::default() }
    });
    ShareGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

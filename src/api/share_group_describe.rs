//! ShareGroupDescribe (key 77), versions 1.
//!
//! Groups of this kind are not served; the answer is that of a Kafka with `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use protocol::messages::share_group_describe_response::{DescribedGroup, ShareGroupDescribeResponse};

/// Refuses each group.
pub(super) async fn handle(_: Context, request: ShareGroupDescribeRequest) -> ShareGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::UnsupportedVersion.code(),
        group_id,
        ..Default::default()
    });
    ShareGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

//! ConsumerGroupDescribe (key 69), versions 0-1.
//!
//! Groups of this kind are not served; the answer is that of a Kafka with `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use protocol::messages::consumer_group_describe_response::{ConsumerGroupDescribeResponse, DescribedGroup};

/// Refuses each group.
pub(super) async fn handle(_: Context, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::UnsupportedVersion.code(),
        group_id,
        ..Default::default()
    });
    ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

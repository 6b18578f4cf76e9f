//! StreamsGroupDescribe (key 89), versions 0.
//!
//! Groups of this kind are not served; the answer is that of a Kafka with `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use protocol::messages::streams_group_describe_response::{DescribedGroup, StreamsGroupDescribeResponse};

/// Refuses each group.
pub(super) async fn handle(_: Context, request: StreamsGroupDescribeRequest) -> StreamsGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::UnsupportedVersion.code(),
        group_id,
        ..Default::default()
    });
    StreamsGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

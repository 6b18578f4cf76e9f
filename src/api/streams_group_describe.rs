//! StreamsGroupDescribe (key 89), version 0: describes streams groups (KIP-1071).
//!
//! Groups of this type are not served. The answer is that of a Kafka broker with
//! `group.coordinator.rebalance.protocols=classic`.

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

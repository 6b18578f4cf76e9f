//! ConsumerGroupDescribe (key 69), versions 0-1: describes groups of the consumer protocol
//! (KIP-848).
//!
//! - 1: adds the type of each member (KIP-1099).
//!
//! Groups of this type are not served. The answer is that of a Kafka broker with
//! `group.coordinator.rebalance.protocols=classic`.

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

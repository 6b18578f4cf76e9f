//! OffsetDelete (key 47), version 0: deletes committed offsets of topics that a group does not consume (KIP-496).

use super::Context;
use coordinator::{Reply, Request};
use model::{ErrorCode, PartitionIndex};
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

/// Deletes the offsets of partitions that exist; the others are refused one by one.
pub(super) async fn handle(context: Context, mut request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = context.broker.image();
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        let known = image.topics.by_name(&topic.name).cloned();
        let mut unknown = Vec::new();
        topic.partitions.retain(|partition| {
            let index = PartitionIndex(partition.partition_index);
            let exists = known.as_ref().is_some_and(|known| known.partition(index).is_some());
            if !exists {
                unknown.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    ..Default::default()
                });
            }
            exists
        });
        if !unknown.is_empty() {
            refused.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: unknown, ..Default::default() });
        }
    }
    drop(image);
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let mut response = match context.broker.groups.request(Request::OffsetDelete(request)).await {
        Reply::OffsetDelete(response) => response,
        _ => OffsetDeleteResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    };
    if response.error_code == ErrorCode::None.code() {
        response.topics.extend(refused);
    }
    response
}

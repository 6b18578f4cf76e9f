//! OffsetForLeaderEpoch (key 23), versions 2-4: where a leader epoch ended (KIP-101, KIP-320). 3 names the replica, 4 is flexible.

use super::Context;
use super::context::believed_epoch;
use model::ErrorCode;
use protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderEpochRequest, OffsetForLeaderPartition};
use protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

/// Answers for each partition the end of the epoch, or of the last one before it.
pub(super) async fn handle(context: Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = context.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let known = image.topics.by_name(&topic.topic);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let found = match known {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(known) => end(&context, known, &asked),
            };
            match found {
                Ok((leader_epoch, end_offset)) => {
                    EpochEndOffset { partition: asked.partition, leader_epoch, end_offset, ..Default::default() }
                }
                Err(code) => {
                    EpochEndOffset { partition: asked.partition, error_code: code.code(), ..Default::default() }
                }
            }
        });
        OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: topic.topic, ..Default::default() }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

/// Epoch and exclusive end offset, -1 for both where the log knows neither.
fn end(
    context: &Context,
    topic: &metadata::image::Topic,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let partition = context.broker.replicas.of(topic, asked.partition)?;
    let current = partition.check_leader(believed_epoch(asked.current_leader_epoch))?;
    // An epoch below -1 is answered as one before all others.
    let Some(epoch) = believed_epoch(asked.leader_epoch) else { return Ok((-1, -1)) };
    if epoch == current {
        return Ok((epoch.0, partition.log_end_offset().0));
    }
    if epoch > current {
        return Ok((-1, -1));
    }
    Ok(partition.log().end_of_epoch(epoch).map_or((-1, -1), |(epoch, end)| (epoch.0, end.0)))
}

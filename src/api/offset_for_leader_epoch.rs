//! OffsetForLeaderEpoch (key 23), versions 2-4: finds where a leader epoch ends (KIP-101).
//!
//! - 2: adds the leader epoch that the client knows (KIP-320) and the throttle time.
//! - 3: names the replica (KIP-392).
//! - 4: is flexible.

use super::Context;
use super::authorization::{Operation, Resource};
use super::context::believed_epoch;
use model::ErrorCode;
use protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderEpochRequest, OffsetForLeaderPartition};
use protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use std::collections::HashSet;

/// Answers for each partition the end of the epoch, or of the last epoch before it.
pub(super) async fn handle(context: Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let forbidden = match context.may_also(Operation::ClusterAction, Resource::Cluster) {
        true => HashSet::new(),
        false => context.forbidden_topics(Operation::Describe, request.topics.iter().map(|topic| &topic.topic)),
    };
    let image = context.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let known = image.topics.by_name(&topic.topic);
        let is_forbidden = forbidden.contains(&topic.topic);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let found = match known {
                _ if is_forbidden => Err(ErrorCode::TopicAuthorizationFailed),
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

/// Returns the epoch and its exclusive end offset, both -1 if the log does not know the epoch.
fn end(
    context: &Context,
    topic: &metadata::image::Topic,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let partition = context.broker.replicas.of(topic, asked.partition)?;
    let current = partition.check_leader(believed_epoch(asked.current_leader_epoch))?;
    // An epoch below -1 is before all others.
    let Some(epoch) = believed_epoch(asked.leader_epoch) else { return Ok((-1, -1)) };
    if epoch == current {
        return Ok((epoch.0, partition.log_end_offset().0));
    }
    if epoch > current {
        return Ok((-1, -1));
    }
    Ok(partition.log().end_of_epoch(epoch).map_or((-1, -1), |(epoch, end)| (epoch.0, end.0)))
}

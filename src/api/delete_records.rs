//! DeleteRecords (key 21), versions 0-2: raises the log start offset (KIP-107).
//!
//! - 2: is flexible.

use super::authorization::Operation;
use super::{Context, error};
use model::{ErrorCode, Offset};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest};
use protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

/// Deletes the records below an offset in each partition; -1 stands for the high watermark. It runs
/// on the blocking pool, because the holder of a log's lock may wait for the disk.
pub(super) async fn handle(context: Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let env = context.broker.env;
    env.run(move || delete_all(&context, request)).await.unwrap_or_default()
}

fn delete_all(context: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let forbidden = context.forbidden_topics(Operation::Delete, request.topics.iter().map(|topic| &topic.name));
    let image = context.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let known = image.topics.by_name(&topic.name);
        let is_forbidden = forbidden.contains(&topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let deleted = match known {
                _ if is_forbidden => Err(ErrorCode::TopicAuthorizationFailed),
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(known) => delete(context, known, &asked),
            };
            let (error_code, low_watermark) = match deleted {
                Ok(start) => (0, start.0),
                Err(code) => (code.code(), -1),
            };
            DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code,
                ..Default::default()
            }
        });
        DeleteRecordsTopicResult { partitions: partitions.collect(), name: topic.name, ..Default::default() }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
}

fn delete(
    context: &Context,
    topic: &metadata::image::Topic,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let partition = context.broker.replicas.of(topic, asked.partition_index)?;
    partition.check_leader(None)?;
    if super::context::is_internal(&topic.name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let log = partition.log();
    let policy = log.config().cleanup_policy;
    if policy.compact && !policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = if asked.offset == -1 { log.high_watermark() } else { Offset(asked.offset) };
    if before.0 < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    partition.on_log(|log| log.delete_records(before)).map_err(|fault| error::of_storage(&fault))?;
    Ok(partition.log_start_offset())
}

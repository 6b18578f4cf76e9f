//! Produce (key 0), versions 3-13; advertised from 0 for old librdkafka (KAFKA-18659).
//!
//! 5 answers the log start offset; 7 allows zstd; 8 answers errors of single records (KIP-467); 9 is flexible; 10 names the current leader where
//! it is another (KIP-951); 12 is for transactions of version 2 (KIP-890); 13 names topics by id.

use super::context::ReplyHead;
use super::{Context, Outcome, Refused, error};
use crate::replica::{Append, AppendError, Appended, Partition};
use bytes::Bytes;
use futures_util::future::join_all;
use model::{ErrorCode, Offset};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use protocol::{Message, Reader, Records, Str};
use std::sync::Arc;
use std::time::Duration;

/// Kafka's own admin client may write to internal topics; nobody else.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What the version says about the request.
struct Facts {
    /// From version 7 on.
    zstd_is_known: bool,
    /// From version 13 on.
    topics_have_ids: bool,
}

/// Appends, and answers when as many replicas have the records as the producer wants.
pub(super) async fn handle(context: Context, mut body: Reader) -> Result<Outcome, Refused> {
    let request = ProduceRequest::decode(&mut body, context.version)?;
    drop(body);
    let facts = Facts { zstd_is_known: context.version >= 7, topics_have_ids: context.version >= 13 };
    let head = context.reply_head();
    let acks = request.acks;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let appended: Vec<Topic> =
        request.topic_data.into_iter().map(|topic| append_topic(&context, &facts, acks, topic)).collect();
    if acks == 0 {
        return without_answer(&appended);
    }
    let waits = acks == -1
        && appended
            .iter()
            .flat_map(|topic| &topic.partitions)
            .any(|one| matches!(&one.result, Ok(done) if !done.1.is_replicated(&done.0)));
    if !waits {
        return Ok(Outcome::Reply(respond(&context, &head, appended)?));
    }
    Ok(Outcome::Later(Box::pin(async move {
        let appended = replicated(appended, timeout).await;
        respond(&context, &head, appended).unwrap_or_default()
    })))
}

struct Topic {
    name: Str,
    id: model::Uuid,
    partitions: Vec<Done>,
}

struct Done {
    index: i32,
    result: Result<(Appended, Arc<Partition>), AppendError>,
}

fn append_topic(context: &Context, facts: &Facts, acks: i16, topic: TopicProduceData) -> Topic {
    let image = context.broker.image();
    let known =
        if facts.topics_have_ids { image.topics.by_id(topic.topic_id) } else { image.topics.by_name(&topic.name) };
    let unknown = if facts.topics_have_ids { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let partitions = topic.partition_data.into_iter().map(|data| {
        let index = data.index;
        let result = match known {
            None => Err(AppendError::from(unknown)),
            Some(known) => checked(context, facts, acks, data).and_then(|append| {
                let partition = context.broker.replicas.of(known, index)?;
                let appended = partition.append(append)?;
                context.broker.metrics.records_in.inc_by(appended.record_count);
                context.broker.metrics.bytes_in.inc_by(appended.size_bytes);
                Ok((appended, partition))
            }),
        };
        Done { index, result }
    });
    let partitions = partitions.collect();
    Topic { name: topic.name, id: topic.topic_id, partitions }
}

/// What can be said before the partition is looked at.
fn checked(context: &Context, facts: &Facts, acks: i16, data: PartitionProduceData) -> Result<Append, AppendError> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let records = match data.records {
        Some(Records::Bytes(bytes)) => bytes,
        Some(Records::Elsewhere { .. }) | None => Bytes::new(),
    };
    records::check_produce_request(&records, facts.zstd_is_known).map_err(AppendError::Invalid)?;
    Ok(Append {
        records,
        all_replicas: acks == -1,
        now: context.broker.clock.now(),
        may_write_internal: context.client_id.as_deref() == Some(ADMIN_CLIENT_ID),
    })
}

/// acks=0: silence, or when something failed the end of the connection, which is all that the producer can notice.
fn without_answer(appended: &[Topic]) -> Result<Outcome, Refused> {
    let failed = appended.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (topic, one)));
    for (topic, one) in failed {
        if let Err(error) = &one.result {
            return Err(Refused::Reply(format!(
                "a produce with acks=0 to {}-{} failed: {}",
                topic.name, one.index, error
            )));
        }
    }
    Ok(Outcome::Silence)
}

/// Waits until every partition's records are replicated, or says why they are not known to be.
async fn replicated(topics: Vec<Topic>, timeout: Duration) -> Vec<Topic> {
    let topics = topics.into_iter().map(|topic| async move {
        let partitions = topic.partitions.into_iter().map(|one| async move {
            let Ok((appended, partition)) = one.result else { return one };
            let result = match tokio::time::timeout(timeout, partition.replicated(&appended)).await {
                Ok(Ok(())) => Ok((appended, partition)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(ErrorCode::RequestTimedOut.into()),
            };
            Done { index: one.index, result }
        });
        Topic { name: topic.name, id: topic.id, partitions: join_all(partitions).await }
    });
    join_all(topics).await
}

fn respond(context: &Context, head: &ReplyHead, topics: Vec<Topic>) -> Result<super::Reply, Refused> {
    let mut response = ProduceResponse::default();
    for topic in topics {
        let partition_responses = topic
            .partitions
            .into_iter()
            .map(|one| match one.result {
                Ok((appended, partition)) => PartitionProduceResponse {
                    index: one.index,
                    base_offset: appended.base_offset.0,
                    log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.0),
                    log_start_offset: partition.log_start_offset().0,
                    ..Default::default()
                },
                Err(error) => {
                    let code = error::of_append(&error);
                    let leader = context.leader_elsewhere(code, topic.id, &topic.name, one.index);
                    if let Some((_, Some(node))) = &leader
                        && response.node_endpoints.iter().all(|known| known.node_id != node.id)
                    {
                        let (node_id, host, port) = (node.id, node.host.clone(), node.port);
                        response.node_endpoints.push(NodeEndpoint {
                            node_id,
                            host,
                            port,
                            rack: node.rack.clone(),
                            ..Default::default()
                        });
                    }
                    let start = context.log_start_offset(topic.id, &topic.name, one.index);
                    failed(one.index, code, error, start, leader.map(|(leader, _)| leader))
                }
            })
            .collect();
        let (name, topic_id) = (topic.name, topic.id);
        response.responses.push(TopicProduceResponse { name, topic_id, partition_responses, ..Default::default() });
    }
    head.write(&response)
}

/// An answer for records that were refused. `start` is the log's start, which Kafka names beside some errors.
fn failed(
    index: i32,
    code: ErrorCode,
    error: AppendError,
    start: Option<Offset>,
    leader: Option<(i32, i32)>,
) -> PartitionProduceResponse {
    let current_leader = leader.map_or_else(LeaderIdAndEpoch::default, |(leader_id, leader_epoch)| LeaderIdAndEpoch {
        leader_id,
        leader_epoch,
        ..Default::default()
    });
    let mut response = PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        current_leader,
        ..Default::default()
    };
    match error {
        AppendError::Refused(error) => response.error_message = error.message.map(Str::from),
        AppendError::Storage(_) => {}
        AppendError::Invalid(error) => {
            response.error_message = error.client_message().map(Str::from);
            if error.answers_log_start_offset() {
                response.log_start_offset = Offset::to_wire(start);
            }
            response.record_errors = error
                .invalid_records
                .into_iter()
                .map(|record| BatchIndexAndErrorMessage {
                    batch_index: record.batch_index,
                    batch_index_error_message: Some(record.message.into()),
                    ..Default::default()
                })
                .collect();
        }
    }
    response
}

//! ListOffsets (key 2), versions 1-11: finds the offset for a timestamp in each partition.
//!
//! - 2: adds the isolation level (KIP-98) and the throttle time.
//! - 4: adds leader epochs (KIP-320).
//! - 5: may answer OFFSET_NOT_AVAILABLE (KIP-207).
//! - 6: is flexible.
//! - 7: finds the largest timestamp (KIP-734).
//! - 8: finds the earliest local offset (KIP-405).
//! - 9: finds the last tiered offset (KIP-1005).
//! - 10: adds a time limit (KIP-1075).
//! - 11: finds the earliest offset that waits for its upload (KIP-1023).

use super::authorization::Operation;
use super::{Context, error};
use crate::replica::Partition;
use indexmap::IndexMap;
use metadata::image::Topic;
use model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use protocol::Str;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use std::sync::Arc;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Facts about all partitions that the version and the request give.
#[derive(Clone, Copy)]
struct Facts {
    version: i16,
    read_committed: bool,
    from_replica: bool,
    /// Whether the answer carries leader epochs.
    has_leader_epochs: bool,
    /// Whether the client knows OFFSET_NOT_AVAILABLE.
    knows_not_available: bool,
}

impl Facts {
    /// Whether the version knows a special timestamp.
    fn knows(&self, timestamp: i64) -> bool {
        let since = match timestamp {
            MAX_TIMESTAMP => 7,
            EARLIEST_LOCAL => 8,
            LATEST_TIERED => 9,
            EARLIEST_PENDING_UPLOAD => 11,
            other if other < EARLIEST_PENDING_UPLOAD => return false,
            _ => 1,
        };
        self.version >= since
    }
}

/// Finds the offset for each partition's timestamp.
pub(super) async fn handle(context: Context, mut request: ListOffsetsRequest) -> ListOffsetsResponse {
    let facts = Facts {
        version: context.version,
        read_committed: request.isolation_level == 1,
        from_replica: request.replica_id >= 0,
        has_leader_epochs: context.version >= 4,
        knows_not_available: context.version >= 5,
    };
    // Kafka has no error code for an unknown isolation level and fails.
    let isolation_is_known = matches!(request.isolation_level, 0 | 1);
    let forbidden = context.forbidden_topics(Operation::Describe, request.topics.iter().map(|topic| &topic.name));
    let refused = request.topics.extract_if(.., |topic| forbidden.contains(&topic.name));
    let refused: Vec<_> = refused.map(|topic| refuse(facts, topic)).collect();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (name, partitions) in each_once(request.topics) {
        let known = context.broker.image().topics.by_name(&name).cloned();
        let mut answers = Vec::with_capacity(partitions.len());
        for (index, asked) in partitions {
            let answer = match asked {
                _ if !isolation_is_known => Err(ErrorCode::UnknownServerError),
                None => Err(ErrorCode::InvalidRequest),
                Some(asked) => list_partition(&context, facts, known.as_deref(), &asked).await,
            };
            answers.push(answered(facts, index, answer));
        }
        topics.push(ListOffsetsTopicResponse { name, partitions: answers, ..Default::default() });
    }
    topics.extend(refused);
    ListOffsetsResponse { topics, ..Default::default() }
}

/// Returns the answer for a topic that the client may not see.
fn refuse(facts: Facts, topic: ListOffsetsTopic) -> ListOffsetsTopicResponse {
    let partitions = topic.partitions.iter();
    let refused = partitions.map(|it| answered(facts, it.partition_index, Err(ErrorCode::TopicAuthorizationFailed)));
    ListOffsetsTopicResponse { partitions: refused.collect(), name: topic.name, ..Default::default() }
}

/// Returns the partitions of each topic once. A partition that the request names twice is `None`,
/// which is refused. A topic without partitions gets no answer.
fn each_once(topics: Vec<ListOffsetsTopic>) -> IndexMap<Str, IndexMap<i32, Option<ListOffsetsPartition>>> {
    let mut once: IndexMap<Str, IndexMap<i32, Option<ListOffsetsPartition>>> = IndexMap::new();
    for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let partitions = once.entry(topic.name).or_default();
        for asked in topic.partitions {
            partitions.entry(asked.partition_index).and_modify(|one| *one = None).or_insert(Some(asked));
        }
    }
    once
}

async fn list_partition(
    context: &Context,
    facts: Facts,
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
) -> Result<ListedOffset, ErrorCode> {
    if !facts.knows(asked.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    find(facts, context.broker.replicas.of(topic, asked.partition_index)?, asked).await
}

/// What is listed for one partition: an offset with its timestamp and leader epoch.
#[derive(Default)]
struct ListedOffset {
    timestamp: Option<Timestamp>,
    offset: Option<Offset>,
    leader_epoch: Option<LeaderEpoch>,
}

fn answered(
    facts: Facts,
    partition_index: i32,
    answer: Result<ListedOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match answer {
        Err(code) => ListOffsetsPartitionResponse { partition_index, error_code: code.code(), ..Default::default() },
        Ok(listed) => ListOffsetsPartitionResponse {
            partition_index,
            timestamp: Timestamp::to_wire(listed.timestamp),
            offset: Offset::to_wire(listed.offset),
            leader_epoch: if facts.has_leader_epochs { LeaderEpoch::to_wire(listed.leader_epoch) } else { -1 },
            ..Default::default()
        },
    }
}

async fn find(
    facts: Facts,
    partition: Arc<Partition>,
    asked: &ListOffsetsPartition,
) -> Result<ListedOffset, ErrorCode> {
    let epoch = partition.check_leader(super::context::believed_epoch(asked.current_leader_epoch))?;
    let log = partition.log();
    let end = match (facts.from_replica, facts.read_committed) {
        (true, _) => log.log_end_offset(),
        (false, true) => log.last_stable_offset(),
        (false, false) => log.high_watermark(),
    };
    let epoch_at = |offset: Offset| partition.epoch_at(offset);
    // A new leader may know a lower high watermark than the leader before has told (KIP-207).
    let is_behind = !facts.from_replica && !partition.may_tell_high_watermark();
    let not_available =
        if facts.knows_not_available { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable };
    match asked.timestamp {
        LATEST if is_behind => Err(not_available),
        LATEST => Ok(ListedOffset { offset: Some(end), leader_epoch: Some(epoch), timestamp: None }),
        EARLIEST | EARLIEST_LOCAL => {
            let start = log.log_start_offset();
            Ok(ListedOffset { offset: Some(start), leader_epoch: epoch_at(start), timestamp: None })
        }
        // Nothing is tiered.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(ListedOffset::default()),
        timestamp => {
            let searched = partition.clone();
            let found = partition.env().run(move || match timestamp {
                MAX_TIMESTAMP => searched.log().offset_of_max_timestamp(),
                timestamp => searched.log().offset_for_timestamp(Timestamp(timestamp)),
            });
            let found = found.await.map_err(|_| ErrorCode::UnknownServerError)?;
            let found = found.map_err(|fault| error::of_storage(&fault))?;
            let listed = found.filter(|found| found.offset < end).map(|found| ListedOffset {
                timestamp: Some(found.timestamp),
                offset: Some(found.offset),
                leader_epoch: found.leader_epoch,
            });
            if listed.is_none() && is_behind {
                return Err(not_available);
            }
            Ok(listed.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::{AppendRequest, MarkerAppend, leading, led_in};
    use model::{Monotonic, ProducerEpoch, ProducerId};
    use records::{BatchBuilder, EndTransactionMarker};
    use storage::VerificationStart;

    const PRODUCER: ProducerId = ProducerId(7);
    const FACTS: Facts = Facts {
        version: 11,
        read_committed: false,
        from_replica: false,
        has_leader_epochs: true,
        knows_not_available: true,
    };

    /// Appends one record, in a transaction if there is an epoch.
    async fn append(partition: &Arc<Partition>, at: i64, epoch: Option<ProducerEpoch>) {
        let (now, mut guard) = (Timestamp(at), None);
        let mut batch = BatchBuilder::new(Offset(0));
        if let Some(epoch) = epoch {
            let (base_sequence, supports_epoch_bump) = (0, true);
            let start = VerificationStart { producer_id: PRODUCER, epoch, base_sequence, supports_epoch_bump, now };
            guard = partition.begin_verification(start).await.unwrap();
            batch = batch.producer(PRODUCER, epoch, Some(base_sequence)).transactional();
        }
        batch.append(now, None, Some(b"value"));
        let records = batch.finish().unwrap();
        let append = AppendRequest { records, all_replicas: false, may_write_internal: false, guard, now };
        partition.append(append).await.unwrap();
    }

    /// Returns the offsets of the latest record, of the first one at or after `time`, and of the
    /// one with the largest timestamp.
    async fn offsets(partition: &Arc<Partition>, read_committed: bool, time: i64) -> [Option<i64>; 3] {
        let facts = Facts { read_committed, ..FACTS };
        let mut found = [None; 3];
        for (found, timestamp) in found.iter_mut().zip([LATEST, time, MAX_TIMESTAMP]) {
            let asked = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
            *found = find(facts, partition.clone(), &asked).await.unwrap().offset.map(|offset| offset.0);
        }
        found
    }

    #[tokio::test]
    async fn a_new_leader_tells_no_end_before_its_high_watermark_has_reached_its_epoch() {
        let partition = leading(1, &[1, 2]);
        append(&partition, 100, None).await;
        // The follower has not fetched: the high watermark is 0, and the epoch starts at 1.
        partition.lead(&led_in(2, 1, &[1, 2]), Monotonic(1)).unwrap();
        let list = |facts: Facts, timestamp: i64| {
            let asked = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
            let partition = partition.clone();
            async move { find(facts, partition, &asked).await.map(|listed| listed.offset.map(|offset| offset.0)) }
        };
        assert_eq!(list(FACTS, LATEST).await, Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(list(FACTS, 50).await, Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(list(FACTS, EARLIEST).await, Ok(Some(0)));
        let old = Facts { knows_not_available: false, ..FACTS };
        assert_eq!(list(old, LATEST).await, Err(ErrorCode::LeaderNotAvailable));
        assert_eq!(list(Facts { from_replica: true, ..FACTS }, LATEST).await, Ok(Some(1)));
        partition.lead(&led_in(2, 2, &[1]), Monotonic(2)).unwrap();
        assert_eq!(list(FACTS, LATEST).await, Ok(Some(1)));
    }

    #[tokio::test]
    async fn both_isolations_end_where_their_readers_do() {
        let partition = leading(1, &[1]);
        append(&partition, 100, None).await;
        append(&partition, 200, Some(ProducerEpoch(0))).await;
        append(&partition, 300, None).await;
        // Offset 1 opens a transaction, so readers of committed records see offset 0 only.
        assert_eq!(offsets(&partition, false, 150).await, [Some(3), Some(1), Some(2)]);
        assert_eq!(offsets(&partition, true, 150).await, [Some(1), None, None]);
        assert_eq!(offsets(&partition, true, 50).await, [Some(1), Some(0), None]);
        let end = EndTransactionMarker { committed: false, coordinator_epoch: 0 };
        let (epoch, transaction_version, now) = (ProducerEpoch(1), 2, Timestamp(400));
        let marker = MarkerAppend { producer_id: PRODUCER, epoch, end, transaction_version, leader_epoch: None, now };
        partition.append_marker(marker).await.unwrap();
        // As in Kafka, aborted records and markers count.
        for read_committed in [false, true] {
            assert_eq!(offsets(&partition, read_committed, 150).await, [Some(4), Some(1), Some(3)]);
        }
    }
}

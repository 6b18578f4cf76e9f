//! Fetch (key 1), versions 4-18: reads record batches from partitions.
//!
//! - 5: adds the log start offset (KIP-107).
//! - 6: may answer KAFKA_STORAGE_ERROR (KIP-112).
//! - 7: adds sessions (KIP-227).
//! - 9: fences by leader epoch (KIP-320).
//! - 10: allows zstd (KIP-110).
//! - 11: adds the client's rack (KIP-392).
//! - 12: is flexible; answers by epoch where the log diverges, and the current leader (KIP-595).
//! - 13: names topics by id (KIP-516).
//! - 14: may answer OFFSET_MOVED_TO_TIERED_STORAGE (KIP-405).
//! - 15: moves the replica's id, and adds its broker epoch (KIP-903).
//! - 16: answers the endpoint of the current leader if it is another broker (KIP-951).
//! - 17: adds the replica's directory id (KIP-853).
//! - 18: adds the replica's high watermark (KIP-1166).

mod quorum;

use super::authorization::{Operation, Resource};
use super::context::ReplyHead;
use super::{Context, Outcome, Refused, Reply, error};
use crate::replica::session::{FetchSessions, SessionPlan, SessionRequest, Target, TargetKey, TopicKey};
use crate::replica::{FollowerRead, Partition, ReadError, ReadInfo, ReadRequest, Wake, Watch};
use indexmap::IndexMap;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, TopicId};
use protocol::messages::fetch_request::{FetchPartition, FetchRequest};
use protocol::messages::fetch_response::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use protocol::{Message, Reader, Records, Str};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use storage::{FileRegion, Isolation, Wait};

#[cfg(test)]
mod tests;

/// The replica id of a consumer.
const CONSUMER: i32 = -1;

/// Facts about the request that the version gives.
#[derive(Clone, Copy)]
struct Facts {
    /// From version 13 on.
    topics_have_ids: bool,
    /// From version 16 on.
    leaders_are_named: bool,
    /// From version 11 on.
    followers_may_answer: bool,
}

/// One partition of an answer. Its records are still in the file.
struct Answer {
    key: TargetKey,
    data: PartitionData,
    region: Option<FileRegion>,
    /// Whether this partition alone requires that the request is answered now.
    must_answer: bool,
}

impl Answer {
    fn size_bytes(&self) -> u64 {
        self.data.records.as_ref().map_or(0, |records| records.len() as u64)
    }
}

/// Reads the available records. Waits until there are as many bytes as the client wants, at most
/// for the client's maximum time.
pub(super) async fn handle(context: Context, mut body: Reader) -> Result<Outcome, Refused> {
    let request = FetchRequest::decode(&mut body, context.version)?;
    drop(body);
    let facts = Facts {
        topics_have_ids: context.version >= 13,
        leaders_are_named: context.version >= 16,
        followers_may_answer: context.version >= 11,
    };
    let head = context.reply_head();
    if context.connection.listener.is_controller {
        let response = quorum::fetch(&context, facts, &request).await;
        return Ok(Outcome::Reply(head.write(&response)?));
    }
    let session = session_of(&request, &facts);
    let now = context.broker.clock.now();
    let wanted = wanted(&request, &facts);
    let forgotten = forgotten(&request, &facts);
    let sessions = context.broker.fetch_sessions.clone();
    let plan = match sessions.begin(now, session, wanted, &forgotten) {
        Ok(plan) => plan,
        Err(error) => {
            let response = FetchResponse { error_code: error.code(), ..Default::default() };
            return Ok(Outcome::Reply(head.write(&response)?));
        }
    };
    let Some(isolation) = isolation(request.isolation_level) else {
        // As in Kafka, the unknown isolation level fails after the session's epoch has advanced by
        // one.
        return Ok(Outcome::Reply(head.write(&refused(&request, &facts, ErrorCode::UnknownServerError))?));
    };
    let plan = Arc::new(plan);
    let reading = Reading {
        forbidden: forbidden(&context, &request, &plan),
        ..Reading::new(&context, facts, &request, isolation)
    };
    let answers = reading.wait(&plan, request.max_wait_ms).await;
    Ok(Outcome::Reply(reading.reply(&head, &sessions, session, &plan, answers)?))
}

/// Returns the topics that the client may not read. A replica needs CLUSTER_ACTION for all of them.
/// Unknown topic ids are not among them.
fn forbidden(context: &Context, request: &FetchRequest, plan: &SessionPlan) -> Arc<HashSet<TopicKey>> {
    if context.broker.authorizer.is_none() {
        return Arc::default();
    }
    let is_replica = replica_id(request) >= 0;
    if is_replica && context.may(Operation::ClusterAction, Resource::Cluster) {
        return Arc::default();
    }
    let image = context.broker.image();
    let topics: HashSet<&TopicKey> = plan.targets.iter().map(|((topic, _), _)| topic).collect();
    let is_forbidden = |key: &&TopicKey| match key {
        TopicKey::Name(_) if is_replica => true,
        TopicKey::Id(id) if is_replica => image.topics.by_id(*id).is_some(),
        TopicKey::Name(name) => !context.may(Operation::Read, Resource::Topic(name)),
        TopicKey::Id(id) => {
            let topic = image.topics.by_id(*id);
            topic.is_some_and(|topic| !context.may(Operation::Read, Resource::Topic(&topic.name)))
        }
    };
    Arc::new(topics.into_iter().filter(is_forbidden).cloned().collect())
}

fn session_of(request: &FetchRequest, facts: &Facts) -> SessionRequest {
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        is_follower: replica_id(request) >= 0,
        uses_topic_ids: facts.topics_have_ids,
    }
}

/// Returns the isolation of a consumer, or `None` for a level that Kafka does not know.
fn isolation(level: i8) -> Option<Isolation> {
    match level {
        0 => Some(Isolation::HighWatermark),
        1 => Some(Isolation::Committed),
        _ => None,
    }
}

/// Returns the answer to a request that is refused as a whole. From version 13 on it names no
/// partitions.
fn refused(request: &FetchRequest, facts: &Facts, code: ErrorCode) -> FetchResponse {
    let mut response = FetchResponse { error_code: code.code(), ..Default::default() };
    if facts.topics_have_ids {
        return response;
    }
    for topic in &request.topics {
        let refused = |wish: &FetchPartition| error_data(wish.partition, code);
        response.responses.push(FetchableTopicResponse {
            topic: topic.topic.clone(),
            partitions: topic.partitions.iter().map(refused).collect(),
            ..Default::default()
        });
    }
    response
}

/// Returns the answer for a partition that cannot be read.
fn error_data(partition_index: i32, code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index,
        error_code: code.code(),
        high_watermark: -1,
        records: Some(Records::Bytes(bytes::Bytes::new())),
        ..Default::default()
    }
}

/// Returns the id of the replica that fetches. Version 15 moved the field.
fn replica_id(request: &FetchRequest) -> i32 {
    if request.replica_state.replica_id != CONSUMER { request.replica_state.replica_id } else { request.replica_id }
}

fn topic_key(facts: &Facts, id: TopicId, name: &Str) -> TopicKey {
    if facts.topics_have_ids { TopicKey::Id(id) } else { TopicKey::Name(name.clone()) }
}

fn wanted(request: &FetchRequest, facts: &Facts) -> Vec<(TargetKey, Target)> {
    let topics = request.topics.iter();
    let partitions = topics.flat_map(|topic| {
        let key = topic_key(facts, topic.topic_id, &topic.topic);
        topic.partitions.iter().map(move |wish| {
            let target = Target {
                fetch_offset: wish.fetch_offset,
                current_leader_epoch: wish.current_leader_epoch,
                last_fetched_epoch: wish.last_fetched_epoch,
                log_start_offset: wish.log_start_offset,
                max_bytes: wish.partition_max_bytes,
            };
            ((key.clone(), wish.partition), target)
        })
    });
    // A partition that the request names twice keeps its first place, and its last values count.
    let once: IndexMap<TargetKey, Target> = partitions.collect();
    once.into_iter().collect()
}

fn forgotten(request: &FetchRequest, facts: &Facts) -> Vec<TargetKey> {
    let topics = request.forgotten_topics_data.iter();
    let partitions = topics.flat_map(|topic| {
        let key = topic_key(facts, topic.topic_id, &topic.topic);
        topic.partitions.iter().map(move |partition| (key.clone(), *partition))
    });
    partitions.collect()
}

/// The facts that all reads of one request share.
#[derive(Clone)]
struct Reading {
    context: Context,
    facts: Facts,
    isolation: Isolation,
    /// The replica that fetches, if it is one, and its broker epoch (KIP-903).
    replica: Option<(BrokerId, Option<BrokerEpoch>)>,
    /// The consumer's rack, if the leader looks for a follower there (KIP-392).
    rack: Option<Str>,
    /// The topics that the client may not read.
    forbidden: Arc<HashSet<TopicKey>>,
    /// When the request came.
    begun: Monotonic,
    /// The client's limit. If it is negative, the request fails when there are records to read.
    max_bytes: i32,
    min_bytes: u64,
}

/// One pass over the partitions.
struct Pass {
    answers: Vec<Answer>,
    bytes: u64,
    /// Whether the request must be answered now for another reason than enough bytes.
    must_answer: bool,
}

/// The read of one partition within a pass.
struct PartitionRead<'a> {
    key: &'a TargetKey,
    target: &'a Target,
    /// What the other partitions leave of the client's limit. Negative if that limit is.
    left_bytes: i32,
    /// Whether to return the first batch whole even above the limits.
    at_least_one_batch: bool,
    wait: Wait,
    round: Round,
}

/// Whether a pass is the first of its request. As in Kafka, only that one tells what a replica has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Later,
}

/// The bytes to read are not in memory, and the pass may not wait for the disk.
struct WouldBlock;

impl Pass {
    /// Reads again only the targets that have moved since the pass, within the part of the limit
    /// that the other targets leave.
    fn read_moved(
        &mut self,
        targets: &[(TargetKey, Target)],
        moved: &[usize],
        max_bytes: i32,
        read: impl Fn(&PartitionRead) -> Result<Answer, WouldBlock>,
    ) -> Result<(), WouldBlock> {
        for &index in moved {
            let (Some((key, target)), Some(before)) = (targets.get(index), self.answers.get(index)) else {
                continue;
            };
            let others = self.bytes.saturating_sub(before.size_bytes());
            let left_bytes = if others == 0 { max_bytes } else { bytes_left(max_bytes, others) };
            let answer = read(&PartitionRead {
                key,
                target,
                left_bytes,
                at_least_one_batch: others == 0,
                wait: Wait::Try,
                round: Round::Later,
            })?;
            self.bytes = others + answer.size_bytes();
            self.must_answer |= answer.must_answer;
            self.answers[index] = answer;
        }
        Ok(())
    }
}

/// Returns what is left of a limit, at least 0.
fn bytes_left(limit: i32, used: u64) -> i32 {
    limit.saturating_sub_unsigned(u32::try_from(used).unwrap_or(u32::MAX)).max(0)
}

impl Reading {
    fn new(context: &Context, facts: Facts, request: &FetchRequest, isolation: Isolation) -> Self {
        let settings = context.broker.settings();
        let (most, selects) = (settings.fetch_max_bytes, settings.selects_replicas_by_rack());
        Self {
            rack: Some(request.rack_id.clone()).filter(|rack| selects && !rack.is_empty()),
            context: context.clone(),
            facts,
            isolation,
            replica: BrokerId::from_wire(replica_id(request))
                .map(|id| (id, BrokerEpoch::from_wire(request.replica_state.replica_epoch))),
            forbidden: Arc::default(),
            begun: context.broker.clock.monotonic(),
            max_bytes: request.max_bytes.min(most),
            min_bytes: u64::try_from(request.min_bytes.min(most)).unwrap_or(0),
        }
    }

    /// Reads. While there are too few bytes, reads again the partitions that have moved, until the
    /// deadline or until the broker stops.
    async fn wait(&self, plan: &Arc<SessionPlan>, max_wait_ms: i32) -> Vec<Answer> {
        let wake = Wake::new();
        let deadline = tokio::time::sleep(Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0)));
        tokio::pin!(deadline);
        let mut pass = self.pass(plan, Round::First).await;
        if max_wait_ms <= 0 || plan.targets.is_empty() || self.is_enough(&pass) {
            return pass.answers;
        }
        let targets = plan.targets.iter().enumerate();
        let watched = targets.filter_map(|(index, (key, _))| {
            let partition = self.partition(key).ok()?;
            Some(match self.replica {
                Some(_) => partition.watch_end_as(&wake, index),
                None => partition.watch_as(&wake, index),
            })
        });
        let watches: Vec<Watch> = watched.collect();
        if !watches.is_empty() {
            // Reads again after the watches are set, so that no append in between is missed.
            pass = self.pass(plan, Round::Later).await;
        }
        while !self.is_enough(&pass) {
            tokio::select! {
                biased;
                () = wake.woken() => {}
                () = &mut deadline => return self.pass(plan, Round::Later).await.answers,
                () = self.context.broker.stopping.cancelled() => return pass.answers,
            }
            let moved = wake.take_moved();
            if pass.read_moved(&plan.targets, &moved, self.max_bytes, |read| self.answer_of(read)).is_err() {
                pass = self.pass(plan, Round::Later).await;
            }
        }
        pass.answers
    }

    fn is_enough(&self, pass: &Pass) -> bool {
        pass.must_answer || pass.bytes >= self.min_bytes
    }

    fn partition(&self, key: &TargetKey) -> Result<Arc<Partition>, ErrorCode> {
        if self.forbidden.contains(&key.0) {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        let image = self.context.broker.image();
        let topic = match &key.0 {
            TopicKey::Id(id) => image.topics.by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
            TopicKey::Name(name) => image.topics.by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
        };
        self.context.broker.replicas.of(topic, key.1)
    }

    /// Reads in place if all bytes are in memory, else on the pool of blocking threads.
    async fn pass(&self, plan: &Arc<SessionPlan>, round: Round) -> Pass {
        if let Ok(pass) = self.read(plan, Wait::Try, round) {
            return pass;
        }
        let (this, plan) = (self.clone(), plan.clone());
        let waited = self.context.broker.env.run(move || this.read(&plan, Wait::Block, round)).await;
        match waited {
            Ok(Ok(pass)) => pass,
            // A read that may wait never returns `WouldBlock`.
            Ok(Err(WouldBlock)) | Err(_) => Pass { answers: Vec::new(), bytes: 0, must_answer: true },
        }
    }

    fn read(&self, plan: &SessionPlan, wait: Wait, round: Round) -> Result<Pass, WouldBlock> {
        let mut left_bytes = self.max_bytes;
        let mut pass = Pass { answers: Vec::with_capacity(plan.targets.len()), bytes: 0, must_answer: false };
        for (key, target) in &plan.targets {
            // The first batch is sent whole even above the limits, so that every reader makes
            // progress.
            let at_least_one_batch = pass.bytes == 0;
            let answer = self.answer_of(&PartitionRead { key, target, left_bytes, at_least_one_batch, wait, round })?;
            let size = answer.size_bytes();
            left_bytes = bytes_left(left_bytes, size);
            pass.bytes += size;
            pass.must_answer |= answer.must_answer;
            pass.answers.push(answer);
        }
        Ok(pass)
    }

    /// Reads one partition. Returns its answer, which may be an error.
    fn answer_of(&self, read: &PartitionRead) -> Result<Answer, WouldBlock> {
        if let Some(preferred) = self.preferred_read_replica(read) {
            return Ok(self.sent_elsewhere(read, preferred));
        }
        match self.read_partition(read) {
            Err(ReadError::Storage(storage::Error::WouldBlock)) => Err(WouldBlock),
            Ok(found) => Ok(self.answered(read.key, found)),
            Err(error) => Ok(self.failed(read.key, &error)),
        }
    }

    fn read_partition(&self, read: &PartitionRead) -> Result<ReadInfo, ReadError> {
        let target = read.target;
        let limit = u32::try_from(target.max_bytes.min(read.left_bytes));
        let partition = self.partition(read.key)?;
        let mut found = partition.read(&ReadRequest {
            offset: Offset(target.fetch_offset),
            current_leader_epoch: LeaderEpoch::from_wire(target.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch::from_wire(target.last_fetched_epoch),
            max_bytes: limit.unwrap_or(0),
            at_least_one_batch: read.at_least_one_batch || limit.is_err(),
            isolation: self.isolation,
            wait: read.wait,
            leader_only: !self.facts.followers_may_answer,
            follower: self.follower(read),
        })?;
        if found.region.is_some() && self.is_throttled(&partition) {
            found.region = None;
        }
        // Kafka checks the limit only if there is something to read. It has no error code for a
        // negative limit.
        if limit.is_err() && found.region.is_some() { Err(ErrorCode::UnknownServerError.into()) } else { Ok(found) }
    }

    /// Whether the leader's replication quota is exceeded, and keeps records from this follower.
    fn is_throttled(&self, partition: &Partition) -> bool {
        let Some((follower, _)) = self.replica else { return false };
        let broker = &self.context.broker;
        broker.replicas.quotas.leader.is_exceeded(broker.clock.monotonic())
            && partition.is_throttled_leader()
            && !partition.is_in_sync(follower)
    }

    /// Counts the bytes of throttled partitions that a follower gets.
    fn count_throttled(&self, answers: &[Answer]) {
        let quota = &self.context.broker.replicas.quotas.leader;
        if self.replica.is_none() || !quota.is_limited() {
            return;
        }
        let is_named = |answer: &&Answer| self.partition(&answer.key).is_ok_and(|it| it.is_throttled_leader());
        let bytes = answers.iter().filter(|answer| answer.region.is_some()).filter(is_named).map(Answer::size_bytes);
        quota.record(bytes.sum(), self.context.broker.clock.monotonic());
    }

    /// Returns the follower in the consumer's rack that it should read from instead.
    fn preferred_read_replica(&self, read: &PartitionRead) -> Option<BrokerId> {
        let rack = self.rack.as_ref().filter(|_| self.replica.is_none() && self.facts.followers_may_answer)?;
        let is_in_rack = |id: BrokerId| {
            self.context.node(id.0).and_then(|node| node.rack).is_some_and(|of_broker| of_broker == *rack)
        };
        self.partition(read.key).ok()?.preferred_read_replica(Offset(read.target.fetch_offset), &is_in_rack)
    }

    /// Returns the answer that sends a consumer to another replica. It has no records.
    fn sent_elsewhere(&self, read: &PartitionRead, preferred: BrokerId) -> Answer {
        let believed = LeaderEpoch::from_wire(read.target.current_leader_epoch);
        let offsets = self.partition(read.key).and_then(|partition| partition.offsets_for(believed));
        match offsets {
            Ok(offsets) => {
                let mut answer =
                    self.answered(read.key, ReadInfo { region: None, offsets, aborted: None, diverging: None });
                answer.data.preferred_read_replica = preferred.0;
                Answer { must_answer: true, ..answer }
            }
            Err(code) => self.failed(read.key, &code.into()),
        }
    }

    fn follower(&self, read: &PartitionRead) -> Option<FollowerRead> {
        let (broker_id, broker_epoch) = self.replica?;
        Some(FollowerRead {
            broker_id,
            broker_epoch,
            log_start_offset: Offset(read.target.log_start_offset),
            now: self.begun,
            is_counted: read.round == Round::First,
        })
    }

    fn answered(&self, key: &TargetKey, read: ReadInfo) -> Answer {
        let len = read.region.as_ref().map_or(0, |region| region.length);
        let mut data = PartitionData {
            partition_index: key.1,
            high_watermark: read.offsets.high_watermark.0,
            last_stable_offset: read.offsets.last_stable_offset.0,
            log_start_offset: read.offsets.log_start_offset.0,
            records: Some(Records::Elsewhere { len }),
            ..Default::default()
        };
        data.aborted_transactions = read.aborted.map(|list| {
            let aborted = list.into_iter().map(|one| AbortedTransaction {
                producer_id: one.producer_id.0,
                first_offset: one.first_offset.0,
                ..Default::default()
            });
            aborted.collect()
        });
        if let Some((epoch, end)) = read.diverging {
            data.diverging_epoch.epoch = epoch.0;
            data.diverging_epoch.end_offset = end.0;
        }
        let must_answer = read.diverging.is_some();
        Answer { key: key.clone(), data, region: read.region, must_answer }
    }

    fn failed(&self, key: &TargetKey, error: &ReadError) -> Answer {
        let code = error::of_read(error);
        let mut data = error_data(key.1, code);
        if unknown_rank(code.code()) == 0 {
            // Kafka answers null here for every partition that it knows, readable or not.
            data.aborted_transactions = None;
        }
        if let Some((leader_id, leader_epoch)) = self.leader(key, code) {
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() };
        }
        Answer { key: key.clone(), data, region: None, must_answer: true }
    }

    fn leader(&self, key: &TargetKey, code: ErrorCode) -> Option<(i32, i32)> {
        let (id, name) = match &key.0 {
            TopicKey::Id(id) => (*id, Str::default()),
            TopicKey::Name(name) => (TopicId::ZERO, name.clone()),
        };
        let leader = self.context.leader_elsewhere(code, id, &name, key.1).filter(|_| self.facts.leaders_are_named)?;
        Some(leader.0)
    }

    /// Drops from an incremental answer what has not changed, and writes the rest into a frame.
    fn reply(
        &self,
        head: &ReplyHead,
        sessions: &FetchSessions,
        session: SessionRequest,
        plan: &SessionPlan,
        mut answers: Vec<Answer>,
    ) -> Result<Reply, Refused> {
        let now = self.context.broker.clock.now();
        self.count_throttled(&answers);
        // As in Kafka, unknown partitions come last.
        answers.sort_by_key(|one| unknown_rank(one.data.error_code));
        let (mut said, mut regions): (Vec<_>, Vec<_>) =
            answers.into_iter().map(|answer| ((answer.key, answer.data), answer.region)).unzip();
        // A partition with records is never dropped, so the regions stay in the order of the
        // answers.
        regions.retain(Option::is_some);
        let session_id = match sessions.complete(now, session, plan, self.context.broker.env.random_number(), &mut said)
        {
            Ok(id) => id,
            Err(error) => {
                let (error_code, session_id) = (error.code(), session.id);
                return head.write(&FetchResponse { error_code, session_id, ..Default::default() });
            }
        };
        let mut response = FetchResponse { session_id, ..Default::default() };
        for ((topic, _), data) in said {
            self.name_node(&mut response, &data);
            let (id, name) = match topic {
                TopicKey::Id(id) => (id, Str::default()),
                TopicKey::Name(name) => (TopicId::ZERO, name),
            };
            match response.responses.last_mut() {
                Some(last) if last.topic_id == id && last.topic == name => last.partitions.push(data),
                _ => response.responses.push(FetchableTopicResponse {
                    topic: name,
                    topic_id: id,
                    partitions: vec![data],
                    ..Default::default()
                }),
            }
        }
        let regions: Vec<FileRegion> = regions.into_iter().flatten().collect();
        let metrics = &self.context.broker.metrics;
        let counter = if self.replica.is_some() { &metrics.replication.bytes_out } else { &metrics.bytes_out };
        counter.inc_by(regions.iter().map(|region| u64::from(region.length)).sum());
        Ok(Reply { regions, ..head.write(&response)? })
    }

    /// Adds the endpoint of the leader that a partition's answer names.
    fn name_node(&self, response: &mut FetchResponse, data: &PartitionData) {
        let leader = data.current_leader.leader_id;
        if leader < 0 || response.node_endpoints.iter().any(|node| node.node_id == leader) {
            return;
        }
        if let Some(node) = self.context.node(leader) {
            let (host, port, rack) = (node.host, node.port, node.rack);
            response.node_endpoints.push(NodeEndpoint { node_id: leader, host, port, rack, ..Default::default() });
        }
    }
}

/// Returns the rank of an answer in Kafka's order: known partitions, then unknown topic ids, then
/// unknown partitions.
fn unknown_rank(code: i16) -> u8 {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::UnknownTopicId) => 1,
        Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::TopicAuthorizationFailed) => 2,
        _ => 0,
    }
}

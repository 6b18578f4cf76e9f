//! Copies the partitions that one broker leads: one task, one fetch session, all partitions.
//!
//! A round asks each partition that got an answer or changed what it wants, sends one request, and
//! gives the answer back to the partitions. Appends run in place, as a leader's do. Truncations,
//! and appends that must wait for a sync, run on the pool of blocking threads. The task waits for
//! its leader's answer, for a change of its partitions, or for the backoff of a partition; it polls
//! nothing.
//!
//! A leader answers the requests of a connection in order. So a partition that is added while a
//! fetch waits for records would wait too. Then the connection is closed and the fetch sent again
//! with that partition, at most once in `GIVE_UP_INTERVAL_MS`.

mod session;

#[cfg(test)]
mod tests;

use self::session::{FollowerSession, SessionRequest, Wish};
use super::partition::Partition;
use super::quota::ReplicationQuotas;
use crate::env::Env;
use crate::env::clock::Clock;
use ::replica::{BoundQuestion, FetchAnswer, FetchPosition, FollowerNext, LeaderLogBound};
use bytes::Bytes;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::{Records, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use storage::Wait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// ListOffsets: the log end offset, for a replica.
const LATEST: i64 = -1;
/// ListOffsets: the log start offset.
const EARLIEST: i64 = -2;

/// The least time between two fetches in flight that are given up. It doubles while none is
/// answered, so that a fetch with many bytes arrives at last.
const GIVE_UP_INTERVAL_MS: i64 = 50;
/// The most times that the interval is doubled.
const GIVE_UP_DOUBLINGS_MAX: u32 = 5;

/// What stands around the records of an answer, at most.
const AROUND_BYTES: usize = 1 << 20;
/// What stands around the records of one partition, at most: the name of its topic has up to 249
/// bytes.
const AROUND_PARTITION_BYTES: usize = 512;

/// The connection to a leader. A failure is a text for the log.
pub trait LeaderLink: Send + Sync {
    /// Sends a Fetch request. An answer of more bytes than the limit is a failure.
    fn fetch(
        &self,
        request: FetchRequest,
        response_bytes_max: usize,
    ) -> impl Future<Output = Result<FetchResponse, String>> + Send;
    /// Sends a ListOffsets request.
    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
    ) -> impl Future<Output = Result<ListOffsetsResponse, String>> + Send;
    /// Closes the connection. The next request opens another one.
    fn close(&self);
}

/// The settings of all fetchers of a broker.
#[derive(Clone, Copy, Debug)]
pub struct FetcherSettings {
    /// `replica.fetch.wait.max.ms`
    pub max_wait_ms: i32,
    /// `replica.fetch.min.bytes`
    pub min_bytes: i32,
    /// `replica.fetch.response.max.bytes`
    pub max_bytes: i32,
    /// `replica.fetch.max.bytes`
    pub partition_max_bytes: i32,
    /// `replica.fetch.backoff.ms`
    pub backoff_ms: i64,
    /// `socket.request.max.bytes`: the most bytes of a batch as a producer sends it.
    pub produced_bytes_max: usize,
}

/// What a `Fetcher` is made of.
#[derive(Debug)]
pub struct FetcherParts {
    /// This broker.
    pub broker_id: BrokerId,
    /// The broker that it fetches from.
    pub leader: BrokerId,
    /// The settings.
    pub settings: FetcherSettings,
    /// The replication quotas.
    pub quotas: Arc<ReplicationQuotas>,
    /// Counts the bytes that are copied.
    pub bytes_in: Counter,
    /// The environment.
    pub env: Env,
}

/// A fetcher's partitions. Others add and remove them while it runs.
#[derive(Debug)]
pub struct Fetcher {
    broker_id: BrokerId,
    leader: BrokerId,
    settings: FetcherSettings,
    env: Env,
    quotas: Arc<ReplicationQuotas>,
    bytes_in: Counter,
    clock: Clock,
    assigned: Mutex<AssignedPartitions>,
    /// Notified when the partitions changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct AssignedPartitions {
    all: BTreeMap<TopicIdPartition, Arc<Partition>>,
    /// Those that were added, removed or told of another epoch since the fetcher looked.
    changed: BTreeSet<TopicIdPartition>,
}

/// What the task of a fetcher knows of its partitions.
#[derive(Debug, Default)]
struct FetchState {
    session: FollowerSession,
    /// The partitions to ask what they want. The others still want what the session knows.
    due: BTreeSet<TopicIdPartition>,
    /// Partitions that wait for the end of a backoff.
    delayed: BTreeMap<TopicIdPartition, Monotonic>,
    /// Questions that partitions have.
    questions: Vec<(Arc<Partition>, BoundQuestion)>,
    /// Before this time no fetch in flight is given up.
    keep_until: Option<Monotonic>,
    /// How many fetches were given up since the last answer.
    given_up: u32,
    /// The largest `max.message.bytes` of a partition so far.
    max_message_bytes: usize,
}

/// An answer for one partition.
struct Answered {
    partition: Arc<Partition>,
    asked: FetchPosition,
    answer: FetchAnswer,
    records: Bytes,
}

impl FetchState {
    fn note(&mut self, partition: &Arc<Partition>, next: FollowerNext) {
        let id = partition.id();
        match next {
            FollowerNext::Fetch(position) => {
                return self.session.wish(id, Wish { position, log_start_offset: partition.log_start_offset() });
            }
            FollowerNext::Ask(question) => self.questions.push((partition.clone(), question)),
            FollowerNext::WaitUntil(at) => {
                self.delayed.insert(id, at);
            }
            FollowerNext::AwaitImage | FollowerNext::TruncateTo(_) => {}
        }
        self.session.unwish(id);
    }
}

impl Fetcher {
    /// Creates a fetcher without partitions.
    pub fn new(parts: FetcherParts) -> Arc<Fetcher> {
        let FetcherParts { broker_id, leader, settings, quotas, bytes_in, env } = parts;
        let (assigned, changed, clock) = (Mutex::default(), Notify::new(), env.clock());
        Arc::new(Fetcher { broker_id, leader, settings, env, quotas, bytes_in, clock, assigned, changed })
    }

    /// Adds a partition that follows this fetcher's leader, or tells that it follows it in another
    /// epoch.
    pub fn add(&self, partition: Arc<Partition>) {
        let id = partition.id();
        {
            let assigned = &mut *self.assigned.lock();
            assigned.all.insert(id, partition);
            assigned.changed.insert(id);
        }
        self.changed.notify_one();
    }

    /// Removes a partition. An answer that is on its way for it changes nothing.
    pub fn remove(&self, id: TopicIdPartition) {
        {
            let assigned = &mut *self.assigned.lock();
            assigned.all.remove(&id);
            assigned.changed.insert(id);
        }
        self.changed.notify_one();
    }

    /// Returns its partitions.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.assigned.lock().all.values().cloned().collect()
    }

    /// Whether it has no partition.
    pub fn is_empty(&self) -> bool {
        self.assigned.lock().all.is_empty()
    }

    /// Fetches until it is stopped. `broker_epoch` returns the epoch of this broker's registration.
    pub async fn run(
        self: Arc<Self>,
        link: impl LeaderLink,
        broker_epoch: impl Fn() -> Option<BrokerEpoch> + Send + Sync,
        stopping: CancellationToken,
    ) {
        let mut state = FetchState::default();
        while !stopping.is_cancelled() {
            self.look(&mut state).await;
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.round(&link, &mut state, broker_epoch()) => {}
            }
        }
    }

    async fn round(
        self: &Arc<Self>,
        link: &impl LeaderLink,
        state: &mut FetchState,
        broker_epoch: Option<BrokerEpoch>,
    ) {
        if !state.questions.is_empty() {
            let questions = std::mem::take(&mut state.questions);
            state.due.extend(questions.iter().map(|(partition, _)| partition.id()));
            return self.ask(link, questions).await;
        }
        if state.session.is_empty() {
            return self.sleep(state.delayed.values().min().copied()).await;
        }
        let request = self.request(state.session.request(), self.max_wait_ms(state), broker_epoch);
        let fetched = tokio::select! {
            biased;
            fetched = link.fetch(request, self.response_bytes_max(state)) => fetched,
            () = self.others_want_more(state) => {
                link.close();
                state.session.start_over();
                let interval_ms = GIVE_UP_INTERVAL_MS << state.given_up;
                state.given_up = (state.given_up + 1).min(GIVE_UP_DOUBLINGS_MAX);
                state.keep_until = Some(self.clock.monotonic().plus_ms(interval_ms));
                return;
            }
        };
        let refused = match fetched {
            Err(reason) => reason,
            Ok(response) => match ErrorCode::from_code(response.error_code) {
                None | Some(ErrorCode::None) => {
                    state.session.answered(response.session_id);
                    state.given_up = 0;
                    let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                    self.take(state, response).await;
                    if throttle_ms > 0 {
                        // The leader has asked for a pause (KIP-219).
                        tokio::time::sleep(Duration::from_millis(throttle_ms)).await;
                    }
                    return;
                }
                Some(code) if FollowerSession::is_lost(code) => return state.session.reset(),
                Some(code) => code.name().to_owned(),
            },
        };
        warn!(leader = self.leader.0, reason = refused, "the leader does not answer fetches; they are sent again");
        state.due.extend(state.session.ids());
        self.delay(state.session.epochs());
        state.session.reset();
    }

    /// Returns the most bytes that the leader may answer: what is asked for, or one batch above
    /// that, which comes whole, and what stands around the records. A batch is at most as large as
    /// a producer's request, or as its topic allows: the leader may have compressed it in another
    /// way.
    fn response_bytes_max(&self, state: &FetchState) -> usize {
        let asked = usize::try_from(self.settings.max_bytes).unwrap_or(0);
        let batch = self.settings.produced_bytes_max.max(state.max_message_bytes);
        let around = AROUND_BYTES.saturating_add(state.session.len().saturating_mul(AROUND_PARTITION_BYTES));
        asked.saturating_add(batch).saturating_add(around).min(i32::MAX as usize)
    }

    fn delay(&self, asked: impl Iterator<Item = (TopicIdPartition, LeaderEpoch)>) {
        let now = self.clock.monotonic();
        for (id, epoch) in asked {
            let partition = self.assigned.lock().all.get(&id).cloned();
            if let Some(partition) = partition {
                partition.fetch_unanswered(epoch, now);
            }
        }
    }

    /// Returns how long the leader may wait for records. A partition whose backoff ends before is
    /// not kept waiting.
    fn max_wait_ms(&self, state: &FetchState) -> i32 {
        let now = self.clock.monotonic();
        let left = state.delayed.values().min().map_or(u64::MAX, |at| at.ms_since(now));
        self.settings.max_wait_ms.min(i32::try_from(left).unwrap_or(i32::MAX))
    }

    /// Waits until a partition that the fetch in flight does not ask for may be fetched: it was
    /// added, or follows in another epoch. The leader would answer only when it has records of
    /// other partitions, after up to `replica.fetch.wait.max.ms`.
    async fn others_want_more(&self, state: &FetchState) {
        while !self.is_more_wanted(state) {
            self.changed.notified().await;
        }
        // More may come at once, and an answer may be on its way.
        let left = state.keep_until.map_or(0, |at| at.ms_since(self.clock.monotonic()));
        tokio::time::sleep(Duration::from_millis(left.max(1))).await;
    }

    fn is_more_wanted(&self, state: &FetchState) -> bool {
        let assigned = self.assigned.lock();
        let changed = assigned.changed.iter().filter_map(|id| assigned.all.get(id));
        let now = self.clock.monotonic();
        let is_exceeded = self.quotas.follower.is_exceeded(now);
        let allowed = changed.filter(|partition| !(is_exceeded && is_throttled(partition)));
        let mut next = allowed.map(|partition| (partition.id(), partition.follower_next(now)));
        next.any(|(id, next)| match next {
            FollowerNext::Fetch(position) => state.session.asked(&id) != Some(position),
            FollowerNext::Ask(_) | FollowerNext::TruncateTo(_) => true,
            FollowerNext::WaitUntil(_) | FollowerNext::AwaitImage => false,
        })
    }

    /// Waits until a partition may ask again, or the partitions change.
    async fn sleep(&self, wake_at: Option<Monotonic>) {
        let Some(at) = wake_at else { return self.changed.notified().await };
        let left = Duration::from_millis(at.ms_since(self.clock.monotonic()));
        tokio::select! {
            biased;
            () = self.changed.notified() => {}
            () = tokio::time::sleep(left) => {}
        }
    }

    /// Asks the partitions that are due what they want. Partitions may truncate first.
    async fn look(self: &Arc<Self>, state: &mut FetchState) {
        let now = self.clock.both();
        state.due.extend(state.delayed.extract_if(.., |_, at| *at <= now.monotonic).map(|(id, _)| id));
        let due: Vec<(TopicIdPartition, Option<Arc<Partition>>)> = {
            let assigned = &mut *self.assigned.lock();
            state.due.append(&mut assigned.changed);
            std::mem::take(&mut state.due).into_iter().map(|id| (id, assigned.all.get(&id).cloned())).collect()
        };
        let exceeded_ms = self.quotas.follower.exceeded_for_ms(now.monotonic);
        let mut truncating = Vec::new();
        for (id, partition) in due {
            state.delayed.remove(&id);
            let Some(partition) = partition else {
                state.session.unwish(id);
                continue;
            };
            state.max_message_bytes = state.max_message_bytes.max(partition.max_batch_bytes());
            match partition.follower_next(now.monotonic) {
                FollowerNext::TruncateTo(_) => truncating.push(partition),
                FollowerNext::Fetch(_) if exceeded_ms > 0 && is_throttled(&partition) => {
                    // The quota may be raised meanwhile.
                    let backoff_ms = self.settings.backoff_ms.min(i64::try_from(exceeded_ms).unwrap_or(i64::MAX));
                    state.note(&partition, FollowerNext::WaitUntil(now.monotonic.plus_ms(backoff_ms)));
                }
                next => state.note(&partition, next),
            }
        }
        if truncating.is_empty() {
            return;
        }
        let work = move || -> Vec<_> {
            truncating.into_iter().map(|partition| (partition.next_as_follower(now), partition)).collect()
        };
        for (next, partition) in self.env.run(work).await.unwrap_or_default() {
            match next {
                Ok(next) => state.note(&partition, next),
                Err(fault) => {
                    cannot_follow(&partition, &fault);
                    state.note(&partition, FollowerNext::WaitUntil(now.monotonic.plus_ms(self.settings.backoff_ms)));
                }
            }
        }
    }

    fn request(&self, request: SessionRequest, max_wait_ms: i32, broker_epoch: Option<BrokerEpoch>) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (id, wish) in &request.wishes {
            let partition = FetchPartition {
                partition: id.partition.0,
                current_leader_epoch: wish.position.leader_epoch.0,
                fetch_offset: wish.position.offset.0,
                last_fetched_epoch: LeaderEpoch::to_wire(wish.position.last_fetched_epoch),
                log_start_offset: wish.log_start_offset.0,
                partition_max_bytes: self.settings.partition_max_bytes,
                ..Default::default()
            };
            match topics.last_mut() {
                Some(last) if last.topic_id == id.topic_id => last.partitions.push(partition),
                _ => {
                    topics.push(FetchTopic { topic_id: id.topic_id, partitions: vec![partition], ..Default::default() })
                }
            }
        }
        let forgotten = request.forgotten.iter().map(|id| ForgottenTopic {
            topic_id: id.topic_id,
            partitions: vec![id.partition.0],
            ..Default::default()
        });
        FetchRequest {
            replica_state: ReplicaState {
                replica_id: self.broker_id.0,
                replica_epoch: BrokerEpoch::to_wire(broker_epoch),
                ..Default::default()
            },
            max_wait_ms,
            min_bytes: self.settings.min_bytes,
            max_bytes: self.settings.max_bytes,
            session_id: request.id,
            session_epoch: request.epoch,
            forgotten_topics_data: forgotten.collect(),
            topics,
            ..Default::default()
        }
    }

    /// Gives an answer to the partitions: on this thread, or on the pool of blocking threads what
    /// must wait for the disk.
    async fn take(self: &Arc<Self>, state: &mut FetchState, response: FetchResponse) {
        let mut waiting = Vec::new();
        for topic in response.responses {
            for data in topic.partitions {
                let id = TopicIdPartition { topic_id: topic.topic_id, partition: PartitionIndex(data.partition_index) };
                let partition = self.assigned.lock().all.get(&id).cloned();
                let (Some(partition), Some(asked)) = (partition, state.session.asked(&id)) else { continue };
                state.due.insert(id);
                let (answer, records) = answer_of(data);
                let answered = Answered { partition, asked, answer, records };
                self.count(&answered);
                if !answered.take(self.clock, Wait::Try) {
                    waiting.push(answered);
                }
            }
        }
        if self.quotas.follower.is_exceeded(self.clock.monotonic()) {
            // The session may name throttled partitions that got no answer.
            state.due.extend(state.session.ids());
        }
        if waiting.is_empty() {
            return;
        }
        let clock = self.clock;
        let work = move || {
            for answered in waiting {
                answered.take(clock, Wait::Block);
            }
        };
        if let Err(fault) = self.env.run(work).await {
            error!(leader = self.leader.0, error = %fault, "an answer of the leader could not be handled");
        }
    }

    /// Counts the bytes of an answer.
    fn count(&self, answered: &Answered) {
        if answered.records.is_empty() {
            return;
        }
        self.bytes_in.inc_by(answered.records.len() as u64);
        if answered.partition.is_throttled_follower() {
            self.quotas.follower.record(answered.records.len() as u64, self.clock.monotonic());
        }
    }

    /// Asks for the ends of the leader's logs.
    async fn ask(self: &Arc<Self>, link: &impl LeaderLink, questions: Vec<(Arc<Partition>, BoundQuestion)>) {
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for (partition, question) in &questions {
            let asked = ListOffsetsPartition {
                partition_index: partition.id().partition.0,
                current_leader_epoch: question.leader_epoch.0,
                timestamp: match question.bound {
                    LeaderLogBound::End => LATEST,
                    LeaderLogBound::Start => EARLIEST,
                },
                ..Default::default()
            };
            match topics.last_mut() {
                Some(last) if *last.name == *partition.topic() => last.partitions.push(asked),
                _ => {
                    let name = Str::from(partition.topic());
                    topics.push(ListOffsetsTopic { name, partitions: vec![asked], ..Default::default() });
                }
            }
        }
        let request = ListOffsetsRequest { replica_id: self.broker_id.0, topics, ..Default::default() };
        let response = match link.list_offsets(request).await {
            Ok(response) => response,
            Err(reason) => {
                warn!(leader = self.leader.0, reason, "the leader does not answer ListOffsets; it is sent again");
                return self.delay(questions.iter().map(|(it, question)| (it.id(), question.leader_epoch)));
            }
        };
        let clock = self.clock;
        let work = move || {
            for (partition, question) in questions {
                let answer = bound_in(&response, &partition);
                if let Err(fault) = partition.take_bound(&question, answer, clock.both()) {
                    cannot_follow(&partition, &fault);
                }
            }
        };
        if let Err(fault) = self.env.run(work).await {
            error!(leader = self.leader.0, error = %fault, "an answer of the leader could not be handled");
        }
    }
}

impl Answered {
    /// Gives it to the partition. Returns whether it was taken: what must wait for the disk is not
    /// if it may not wait.
    fn take(&self, clock: Clock, wait: Wait) -> bool {
        match self.partition.take_fetch(&self.asked, &self.answer, &self.records, clock.both(), wait) {
            Err(storage::Error::WouldBlock) => return false,
            Err(fault) => cannot_follow(&self.partition, &fault),
            Ok(_) => {}
        }
        true
    }
}

/// Whether the follower's quota counts for a partition: it is named, and this replica lags.
fn is_throttled(partition: &Partition) -> bool {
    partition.is_throttled_follower() && partition.follower_lag() != Some(0)
}

fn cannot_follow(partition: &Partition, fault: &storage::Error) {
    error!(partition = %partition.name(), error = %fault, "a follower cannot write its log");
}

/// Returns the answer for one partition, and its records.
fn answer_of(data: PartitionData) -> (FetchAnswer, Bytes) {
    let diverging = LeaderEpoch::from_wire(data.diverging_epoch.epoch);
    let answer = FetchAnswer {
        error: error_of(data.error_code),
        diverging: diverging.map(|epoch| (epoch, Offset(data.diverging_epoch.end_offset))),
        high_watermark: Offset(data.high_watermark),
        log_start_offset: Offset(data.log_start_offset),
    };
    let records = match data.records {
        Some(Records::Bytes(bytes)) => bytes,
        Some(Records::Elsewhere { .. }) | None => Bytes::new(),
    };
    (answer, records)
}

/// Returns the error of a code. One that this broker does not know is an unknown error.
fn error_of(code: i16) -> Option<ErrorCode> {
    Some(ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)).filter(|code| *code != ErrorCode::None)
}

/// Returns a partition's offset from an answer. A partition without an answer is an unknown error.
fn bound_in(response: &ListOffsetsResponse, partition: &Partition) -> Result<Offset, ErrorCode> {
    let topics = response.topics.iter().filter(|topic| *topic.name == *partition.topic());
    let mut answers = topics.flat_map(|topic| &topic.partitions);
    let own = answers.find(|answer| answer.partition_index == partition.id().partition.0);
    let own = own.ok_or(ErrorCode::UnknownServerError)?;
    match error_of(own.error_code) {
        Some(code) => Err(code),
        None => Ok(Offset(own.offset)),
    }
}

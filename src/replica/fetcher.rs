//! Copies the partitions that one broker leads: one task, one fetch session, all partitions.
//!
//! A round asks each partition what it wants (`Partition::next_as_follower`), sends one request,
//! and gives the answer back to the partitions. Truncations and appends run on the pool of blocking
//! threads. The task waits for its leader's answer, for a change of its partitions, or for the
//! backoff of a partition; it polls nothing.

mod session;

#[cfg(test)]
mod tests;

use self::session::{FollowerSession, SessionRequest, Wish};
use super::partition::Partition;
use crate::env::Env;
use crate::env::clock::Clock;
use ::replica::{BoundQuestion, FetchAnswer, FetchPosition, FollowerNext, LeaderLogBound};
use bytes::Bytes;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::{Records, Str};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// ListOffsets: the log end offset, for a replica.
const LATEST: i64 = -1;
/// ListOffsets: the log start offset.
const EARLIEST: i64 = -2;

/// The connection to a leader. A failure is a text for the log.
pub trait LeaderLink: Send + Sync {
    /// Sends a Fetch request.
    fn fetch(&self, request: FetchRequest) -> impl Future<Output = Result<FetchResponse, String>> + Send;
    /// Sends a ListOffsets request.
    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
    ) -> impl Future<Output = Result<ListOffsetsResponse, String>> + Send;
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
}

/// A fetcher's partitions. Others add and remove them while it runs.
#[derive(Debug)]
pub struct Fetcher {
    broker_id: BrokerId,
    leader: BrokerId,
    settings: FetcherSettings,
    env: Env,
    clock: Clock,
    partitions: Mutex<BTreeMap<TopicIdPartition, Arc<Partition>>>,
    /// Notified when the partitions changed.
    changed: Notify,
}

/// What the partitions want.
#[derive(Debug, Default)]
struct Wanted {
    wishes: BTreeMap<TopicIdPartition, Wish>,
    questions: Vec<(Arc<Partition>, BoundQuestion)>,
    /// The first end of a backoff.
    wake_at: Option<Monotonic>,
}

/// An answer for one partition.
struct Answered {
    partition: Arc<Partition>,
    asked: FetchPosition,
    answer: FetchAnswer,
    records: Bytes,
}

impl Fetcher {
    /// Creates a fetcher without partitions.
    pub fn new(broker_id: BrokerId, leader: BrokerId, settings: FetcherSettings, env: Env) -> Arc<Fetcher> {
        let (partitions, changed) = (Mutex::default(), Notify::new());
        Arc::new(Fetcher { broker_id, leader, settings, env, clock: env.clock(), partitions, changed })
    }

    /// Adds a partition that follows this fetcher's leader, or tells that it follows it in another
    /// epoch.
    pub fn add(&self, partition: Arc<Partition>) {
        self.partitions.lock().insert(partition.id(), partition);
        self.changed.notify_one();
    }

    /// Removes a partition. An answer that is on its way for it changes nothing.
    pub fn remove(&self, id: TopicIdPartition) {
        self.partitions.lock().remove(&id);
        self.changed.notify_one();
    }

    /// Whether it has no partition.
    pub fn is_empty(&self) -> bool {
        self.partitions.lock().is_empty()
    }

    /// Fetches until it is stopped. `broker_epoch` returns the epoch of this broker's registration.
    pub async fn run(
        self: Arc<Self>,
        link: impl LeaderLink,
        broker_epoch: impl Fn() -> Option<BrokerEpoch> + Send + Sync,
        stopping: CancellationToken,
    ) {
        let mut session = FollowerSession::default();
        while !stopping.is_cancelled() {
            let wanted = self.wanted().await;
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.round(&link, &mut session, wanted, broker_epoch()) => {}
            }
        }
    }

    async fn round(
        self: &Arc<Self>,
        link: &impl LeaderLink,
        session: &mut FollowerSession,
        wanted: Wanted,
        broker_epoch: Option<BrokerEpoch>,
    ) {
        if !wanted.questions.is_empty() {
            return self.ask(link, wanted.questions).await;
        }
        if wanted.wishes.is_empty() {
            return self.sleep(wanted.wake_at).await;
        }
        let request = self.request(session.request(&wanted.wishes), broker_epoch);
        let fetched = link.fetch(request).await;
        let refused = match fetched {
            Err(reason) => Some(reason),
            Ok(response) => match ErrorCode::from_code(response.error_code) {
                None | Some(ErrorCode::None) => {
                    session.answered(response.session_id);
                    let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                    self.take(session, response).await;
                    // The leader has asked for a pause (KIP-219).
                    return tokio::time::sleep(Duration::from_millis(throttle_ms)).await;
                }
                Some(code) if FollowerSession::is_lost(code) => None,
                Some(code) => Some(code.name().to_owned()),
            },
        };
        session.reset();
        if let Some(reason) = refused {
            warn!(leader = self.leader.0, reason, "the leader does not answer fetches; they are sent again");
            self.delay(wanted.wishes.iter().map(|(id, wish)| (*id, wish.position.leader_epoch)));
        }
    }

    fn delay(&self, asked: impl Iterator<Item = (TopicIdPartition, LeaderEpoch)>) {
        let now = self.clock.monotonic();
        for (id, epoch) in asked {
            let partition = self.partitions.lock().get(&id).cloned();
            if let Some(partition) = partition {
                partition.fetch_unanswered(epoch, now);
            }
        }
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

    /// Asks each partition what it wants. Partitions may truncate first.
    async fn wanted(self: &Arc<Self>) -> Wanted {
        let this = self.clone();
        self.env.run(move || this.look()).await.unwrap_or_default()
    }

    fn look(&self) -> Wanted {
        let partitions: Vec<Arc<Partition>> = self.partitions.lock().values().cloned().collect();
        let mut wanted = Wanted::default();
        for partition in partitions {
            match partition.next_as_follower(self.clock.both()) {
                Ok(FollowerNext::Fetch(position)) => {
                    let log_start_offset = partition.log_start_offset();
                    wanted.wishes.insert(partition.id(), Wish { position, log_start_offset });
                }
                Ok(FollowerNext::Ask(question)) => wanted.questions.push((partition, question)),
                Ok(FollowerNext::WaitUntil(at)) => {
                    wanted.wake_at = Some(wanted.wake_at.map_or(at, |earlier| earlier.min(at)));
                }
                Ok(FollowerNext::AwaitImage | FollowerNext::TruncateTo(_)) => {}
                Err(fault) => cannot_follow(&partition, &fault),
            }
        }
        wanted
    }

    fn request(&self, request: SessionRequest, broker_epoch: Option<BrokerEpoch>) -> FetchRequest {
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
            max_wait_ms: self.settings.max_wait_ms,
            min_bytes: self.settings.min_bytes,
            max_bytes: self.settings.max_bytes,
            session_id: request.id,
            session_epoch: request.epoch,
            forgotten_topics_data: forgotten.collect(),
            topics,
            ..Default::default()
        }
    }

    /// Gives an answer to the partitions.
    async fn take(self: &Arc<Self>, session: &FollowerSession, response: FetchResponse) {
        let mut answered = Vec::new();
        for topic in response.responses {
            for data in topic.partitions {
                let id = TopicIdPartition { topic_id: topic.topic_id, partition: PartitionIndex(data.partition_index) };
                let partition = self.partitions.lock().get(&id).cloned();
                let (Some(partition), Some(asked)) = (partition, session.asked(&id)) else { continue };
                let (answer, records) = answer_of(data);
                answered.push(Answered { partition, asked, answer, records });
            }
        }
        if answered.is_empty() {
            return;
        }
        let clock = self.clock;
        let work = move || {
            for Answered { partition, asked, answer, records } in answered {
                if let Err(fault) = partition.take_fetch(&asked, &answer, &records, clock.both()) {
                    cannot_follow(&partition, &fault);
                }
            }
        };
        if let Err(fault) = self.env.run(work).await {
            error!(leader = self.leader.0, error = %fault, "an answer of the leader could not be handled");
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

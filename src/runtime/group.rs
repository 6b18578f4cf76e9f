//! Drives the group coordinators: one task for each partition of `__consumer_offsets` that this broker leads.
//!
//! A turn takes a command, decides, appends the decision's records as batches, applies them, makes the soft changes, and holds the replies back
//! until the high watermark has passed the last record that was applied when the decision was made, also when it has no records of its own. When
//! the leadership ends, what was held back is answered NOT_COORDINATOR.
//!
//! The task alone changes its shard. Metrics look at it in between, under a lock that is held for one decision or one bounded look, never over an
//! append or an await.

use crate::replica::{Partition, Wake};
use crate::runtime::clock::Clock;
use crate::runtime::{blocking, random};
use arc_swap::ArcSwap;
use bytes::Bytes;
use coordinator::{
    BatchContext, Command, Context, Decision, Entry, GroupConfig, GroupShard, NewRecord, Reply, ReplyId, Request,
};
use model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};
use parking_lot::{Mutex, RwLock};
use protocol::Str;
use records::{BatchBuilder, Codec};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

/// The topic in which groups and their offsets are kept.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Requests that may wait for one shard.
const INBOX: usize = 4096;
/// Why the loading of a shard may end early without a fault.
const LEADERSHIP_ENDED: &str = "the leadership ended";
/// A shard without a deadline looks again after this time at the latest.
const NO_DEADLINE: Duration = Duration::from_secs(60);

/// All group coordinators of this broker.
#[derive(Debug)]
pub struct GroupCoordinators {
    shards: RwLock<HashMap<i32, Shard>>,
    /// Partitions of the offsets topic; 0 while it does not exist.
    partition_count: AtomicI32,
    config: Arc<ArcSwap<GroupConfig>>,
    /// `offsets.topic.compression.codec`
    codec: Codec,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Shard {
    epoch: LeaderEpoch,
    inbox: mpsc::Sender<Message>,
    is_loaded: Arc<AtomicBool>,
    groups: Arc<Mutex<GroupShard>>,
}

/// What the coordinators of this broker know at one moment.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Groups of every type.
    pub group_count: usize,
    /// Committed offsets of all groups.
    pub offset_count: usize,
    /// Some of them, or all.
    pub offsets: Vec<Committed>,
}

/// How far a group has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub group: Str,
    /// The topic.
    pub topic: Str,
    /// The partition.
    pub partition: PartitionIndex,
    /// The committed offset, as the client sent it.
    pub offset: i64,
}

#[derive(Debug)]
enum Message {
    Request(Box<Request>, oneshot::Sender<Reply>),
    TopicsDeleted(Vec<(TopicId, Str)>),
}

impl GroupCoordinators {
    /// None yet.
    pub fn new(config: GroupConfig, codec: Codec, clock: Clock) -> Self {
        Self {
            shards: RwLock::default(),
            partition_count: AtomicI32::new(0),
            codec,
            config: Arc::new(ArcSwap::from_pointee(config)),
            clock,
        }
    }

    /// Sets what the shards obey from now on.
    pub fn set_config(&self, config: GroupConfig) {
        self.config.store(Arc::new(config));
    }

    /// The offsets topic has so many partitions.
    pub fn set_partition_count(&self, count: i32) {
        self.partition_count.store(count, Ordering::SeqCst);
    }

    /// This broker leads a partition: its shard is loaded and serves. An older leadership of it ends.
    pub fn lead(&self, partition: Arc<Partition>, epoch: LeaderEpoch) {
        let index = partition.id().partition.0;
        let mut shards = self.shards.write();
        if shards.get(&index).is_some_and(|shard| shard.epoch >= epoch) {
            return;
        }
        let (inbox, messages) = mpsc::channel(INBOX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let shard = Arc::new(Mutex::new(GroupShard::new()));
        shards.insert(index, Shard { epoch, inbox, is_loaded: is_loaded.clone(), groups: shard.clone() });
        let turn = Driver {
            partition,
            epoch,
            shard,
            clock: self.clock,
            config: self.config.clone(),
            codec: self.codec,
            waiting: HashMap::new(),
            held: VecDeque::new(),
            next_reply: 0,
            applied: None,
        };
        tokio::spawn(turn.run(messages, is_loaded));
    }

    /// This broker no longer leads a partition.
    pub fn resign(&self, index: i32) {
        self.shards.write().remove(&index);
    }

    /// This broker coordinates nothing any more.
    pub fn resign_all(&self) {
        self.shards.write().clear();
    }

    /// Topics are gone: every shard drops their offsets.
    pub fn topics_deleted(&self, topics: &[(TopicId, Str)]) {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        for shard in shards {
            let message = Message::TopicsDeleted(topics.to_vec());
            tokio::spawn(async move { shard.inbox.send(message).await });
        }
    }

    /// Asks the coordinator of the group that the request names.
    pub async fn request(&self, request: Request) -> Reply {
        match request.group_id().cloned() {
            Some(group) => self.request_for(&group, request).await,
            None => request.refused(ErrorCode::InvalidRequest),
        }
    }

    /// Asks the coordinator of a group.
    pub async fn request_for(&self, group: &str, request: Request) -> Reply {
        if group.is_empty() && needs_group_id(&request) {
            return request.refused(ErrorCode::InvalidGroupId);
        }
        let count = self.partition_count.load(Ordering::SeqCst);
        if count == 0 {
            return request.refused(ErrorCode::NotCoordinator);
        }
        let index = coordinator::partition_for(group, count);
        let shard = self.shards.read().get(&index.0).cloned();
        match shard {
            None => request.refused(ErrorCode::NotCoordinator),
            Some(shard) => shard.ask(request).await,
        }
    }

    /// Asks every coordinator of this broker.
    pub async fn request_all(&self, request: impl Fn() -> Request) -> Vec<Reply> {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        futures_util::future::join_all(shards.into_iter().map(|shard| {
            let request = request();
            async move { shard.ask(request).await }
        }))
        .await
    }

    /// Looks at what every loaded coordinator knows now, with so many committed offsets at most. Waits for no request and no disk.
    pub fn survey(&self, offsets_max: usize) -> Survey {
        let shards: Vec<Shard> = self.shards.read().values().cloned().collect();
        let mut survey = Survey::default();
        for shard in shards.iter().filter(|shard| shard.is_loaded.load(Ordering::SeqCst)) {
            let groups = shard.groups.lock();
            let census = groups.census();
            survey.group_count += census.classic_groups + census.carried_groups;
            survey.offset_count += census.offsets;
            let left = offsets_max - survey.offsets.len();
            survey.offsets.extend(groups.committed_offsets().take(left).map(|(group, topic, partition, offset)| {
                Committed { group: group.clone(), topic: topic.clone(), partition: PartitionIndex(partition), offset }
            }));
        }
        survey
    }
}

impl Shard {
    async fn ask(self, request: Request) -> Reply {
        if !self.is_loaded.load(Ordering::SeqCst) {
            return request.refused(ErrorCode::CoordinatorLoadInProgress);
        }
        let not_here = request.refused(ErrorCode::NotCoordinator);
        let (answer, answered) = oneshot::channel();
        if self.inbox.send(Message::Request(Box::new(request), answer)).await.is_err() {
            return not_here;
        }
        // Whoever waits for its reply does not keep the inbox open: its end is what ends the shard's task, which then answers.
        drop(self.inbox);
        answered.await.unwrap_or(not_here)
    }
}

/// One shard and its task's state.
struct Driver {
    partition: Arc<Partition>,
    epoch: LeaderEpoch,
    shard: Arc<Mutex<GroupShard>>,
    clock: Clock,
    config: Arc<ArcSwap<GroupConfig>>,
    codec: Codec,
    /// Requests without a reply yet.
    waiting: HashMap<ReplyId, oneshot::Sender<Reply>>,
    /// Replies that wait for the high watermark to pass an offset.
    held: VecDeque<(Offset, ReplyId, Reply)>,
    next_reply: u64,
    /// The last offset that was applied.
    applied: Option<Offset>,
}

impl Driver {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, is_loaded: Arc<AtomicBool>) {
        let started = self.clock.instant();
        self = match blocking::run(move || self.load()).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(reason)) if reason == LEADERSHIP_ENDED => return,
            Ok(Err(reason)) => {
                error!(%reason, "loading groups failed; the partition's groups are not served");
                return;
            }
            Err(reason) => {
                error!(%reason, "loading groups ended early");
                return;
            }
        };
        self.turn(Command::Loaded);
        is_loaded.store(true, Ordering::SeqCst);
        let micros = started.elapsed().as_micros();
        debug!(partition = %self.partition.name(), micros, "loaded groups");
        let wake = Wake::new();
        let _watch = self.partition.watch(&wake);
        loop {
            tokio::select! {
                biased;
                () = wake.woken(), if !self.held.is_empty() => self.release(),
                message = messages.recv() => match message {
                    None => break,
                    Some(Message::Request(request, answer)) => self.request(*request, answer),
                    Some(Message::TopicsDeleted(topics)) => self.turn(Command::TopicsDeleted(topics)),
                },
                () = tokio::time::sleep(self.until_deadline()) => self.tick(),
            }
        }
        self.refuse_all();
        debug!(partition = %self.partition.name(), "no longer coordinates its groups");
    }

    /// Replays the partition from its start to its end.
    fn load(mut self) -> Result<Self, String> {
        let partition = self.partition.clone();
        partition.replay(|header, record| {
            if partition.leader_epoch() != Some(self.epoch) {
                return Err(LEADERSHIP_ENDED.into());
            }
            let producer = header.producer_id.filter(|_| header.is_transactional());
            self.replay(header.partition_leader_epoch, producer, header.is_control(), record)?;
            self.applied = Some(record.offset);
            Ok(())
        })?;
        Ok(self)
    }

    fn replay(
        &mut self,
        epoch: Option<LeaderEpoch>,
        producer: Option<ProducerId>,
        is_control: bool,
        record: &records::RecordView<'_>,
    ) -> Result<(), String> {
        let at = BatchContext {
            offset: record.offset,
            leader_epoch: epoch.unwrap_or(self.epoch),
            timestamp: record.timestamp,
            producer,
        };
        let entry = if is_control {
            match records::ControlType::from_key(record.key) {
                Ok(records::ControlType::Commit) => Entry::Marker { committed: true },
                Ok(records::ControlType::Abort) => Entry::Marker { committed: false },
                _ => return Ok(()),
            }
        } else {
            let Some(key) = record.key else { return Ok(()) };
            Entry::Record { key: Bytes::copy_from_slice(key), value: record.value.map(Bytes::copy_from_slice) }
        };
        self.shard
            .lock()
            .apply(&at, entry)
            .map_err(|error| format!("the record at offset {} is not readable: {error}", record.offset))
    }

    fn until_deadline(&self) -> Duration {
        let Some(deadline) = self.shard.lock().next_deadline() else { return NO_DEADLINE };
        Duration::from_millis(deadline.ms_since(self.clock.monotonic())).min(NO_DEADLINE)
    }

    /// Handles every deadline that has passed.
    fn tick(&mut self) {
        while self.shard.lock().next_deadline().is_some_and(|deadline| deadline <= self.clock.monotonic()) {
            self.turn(Command::Tick);
        }
    }

    fn request(&mut self, request: Request, answer: oneshot::Sender<Reply>) {
        let id = ReplyId(self.next_reply);
        self.next_reply += 1;
        self.waiting.insert(id, answer);
        self.turn(Command::Request(id, request));
    }

    /// Decide, append, apply, hold the replies back.
    fn turn(&mut self, command: Command) {
        let now = self.clock.both();
        let config = self.config.load();
        let context = Context { now, random: random::bytes(), config: &config };
        let mut decision = self.shard.lock().decide(&context, &command);
        if !decision.records.is_empty()
            && let Err(code) = self.append(now.wall, &decision)
        {
            let failed = Command::AppendFailed(decision.into_unappended(command), code);
            decision = self.shard.lock().decide(&context, &failed);
            // What is decided about a failure has no records of its own.
        }
        drop(config);
        self.shard.lock().apply_soft(decision.soft);
        for (id, reply) in decision.replies {
            self.held.push_back((self.applied.map_or(Offset(0), |last| last.plus(1)), id, reply));
        }
        self.release();
    }

    /// Appends a decision's records and applies them. Errors: nothing was appended of what is atomic.
    fn append(&mut self, now: Timestamp, decision: &Decision) -> Result<(), ErrorCode> {
        let most = self.partition.max_batch_bytes();
        for batch in cut(&decision.records, decision.atomic, most) {
            let mut builder = BatchBuilder::new(Offset(0)).leader_epoch(self.epoch).compression(self.codec);
            for record in batch {
                builder.append(now, Some(&record.key), record.value.as_deref());
            }
            let bytes = builder.finish().map_err(|_| ErrorCode::UnknownServerError)?;
            let base = self.partition.append_state(bytes, self.epoch)?;
            for (index, record) in batch.iter().enumerate() {
                let offset = base.plus(i64::try_from(index).unwrap_or(i64::MAX));
                let at = BatchContext { offset, leader_epoch: self.epoch, timestamp: now, producer: None };
                let entry = Entry::Record { key: record.key.clone(), value: record.value.clone() };
                if let Err(reason) = self.shard.lock().apply(&at, entry) {
                    // What was decided here was written here: that it cannot be read is a fault of this program.
                    error!(%reason, "a record of this broker's own cannot be applied");
                }
                self.applied = Some(offset);
            }
        }
        Ok(())
    }

    /// Sends the replies whose records are committed.
    fn release(&mut self) {
        if self.partition.leader_epoch() != Some(self.epoch) {
            return self.refuse_all();
        }
        let high_watermark = self.partition.high_watermark();
        while let Some((end, id, reply)) = self.held.pop_front_if(|(end, ..)| *end <= high_watermark) {
            let _ = end;
            if let Some(answer) = self.waiting.remove(&id) {
                // Whoever asked may have gone.
                let _ = answer.send(reply);
            }
        }
    }

    /// The leadership is over: what was held back may never commit.
    fn refuse_all(&mut self) {
        let parked = std::mem::take(&mut *self.shard.lock()).resign();
        for (_, id, reply) in self.held.drain(..) {
            if let Some(answer) = self.waiting.remove(&id) {
                let _ = answer.send(reply.into_error(ErrorCode::NotCoordinator));
            }
        }
        for (id, reply) in parked {
            if let Some(answer) = self.waiting.remove(&id) {
                let _ = answer.send(reply);
            }
        }
        // Whoever is left gets NOT_COORDINATOR when its sender is dropped.
        self.waiting.clear();
    }
}

/// Whether a request must name a group. Commits and fetches of offsets may leave it empty, as Kafka's simple consumers do.
fn needs_group_id(request: &Request) -> bool {
    matches!(
        request,
        Request::JoinGroup { .. }
            | Request::SyncGroup(_)
            | Request::Heartbeat(_)
            | Request::LeaveGroup(_)
            | Request::OffsetDelete(_)
    )
}

/// Cuts records into batches of at most `most` bytes, unless they must be one.
fn cut(records: &[NewRecord], atomic: bool, most: usize) -> Vec<&[NewRecord]> {
    if atomic {
        return vec![records];
    }
    let size = |record: &NewRecord| record.key.len() + record.value.as_ref().map_or(0, Bytes::len) + 32;
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, record) in records.iter().enumerate() {
        bytes += size(record);
        if bytes > most && index > start {
            batches.push(&records[start..index]);
            (start, bytes) = (index, size(record));
        }
    }
    batches.push(&records[start..]);
    batches
}

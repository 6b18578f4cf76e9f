//! Incremental fetch sessions (KIP-227): what a client fetches is remembered, so that its requests name only what changed, and its answers
//! carry only partitions that have something to say.
//!
//! Invariant: a session's epoch grows by one with each request; a request of another epoch is refused, so that no answer is lost unnoticed.

use indexmap::IndexMap;
use model::{ErrorCode, Timestamp, TopicId};
use parking_lot::Mutex;
use protocol::Str;
use protocol::messages::fetch_response::PartitionData;
use std::collections::HashMap;

/// A session that was not used for this long may make room for another, in milliseconds.
const EVICTABLE_AFTER_MS: i64 = 120_000;
/// The session id of a request or an answer without a session.
pub const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session.
const FINAL_EPOCH: i32 = -1;

/// A topic as the client named it: by id from version 13 on, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(Str),
}

/// A partition as the client named it.
pub type TargetKey = (TopicKey, i32);

/// What is wanted of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The first offset to read.
    pub fetch_offset: i64,
    /// The leader epoch that the reader believes in; -1 for none.
    pub current_leader_epoch: i32,
    /// The epoch of the last record that the reader has; -1 for none.
    pub last_fetched_epoch: i32,
    /// A follower's log start offset; -1 from a consumer.
    pub log_start_offset: i64,
    /// Bytes of this partition, at most.
    pub max_bytes: i32,
}

/// What the last answer said of a partition.
#[derive(Clone, Debug)]
struct Cached {
    target: Target,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Cached {
    fn new(target: Target) -> Self {
        Self { target, high_watermark: -1, log_start_offset: -1 }
    }

    /// Whether the answer says anything new, and remembers it.
    fn update(&mut self, answer: &PartitionData) -> bool {
        let mut new = answer.records.as_ref().is_some_and(|records| !records.is_empty());
        if self.high_watermark != answer.high_watermark {
            new = true;
            self.high_watermark = answer.high_watermark;
        }
        if self.log_start_offset != answer.log_start_offset {
            new = true;
            self.log_start_offset = answer.log_start_offset;
        }
        if answer.preferred_read_replica != -1 || answer.diverging_epoch.epoch != -1 || answer.snapshot_id.epoch != -1 {
            new = true;
        }
        if answer.error_code != ErrorCode::None.code() {
            // The partition is told again when it has recovered, whatever its offsets are then.
            new = true;
            self.high_watermark = -1;
        }
        new
    }
}

#[derive(Debug)]
struct Session {
    partitions: IndexMap<TargetKey, Cached>,
    epoch: i32,
    /// A follower's, which a consumer's never replaces.
    is_follower: bool,
    uses_topic_ids: bool,
    created: Timestamp,
    last_used: Timestamp,
}

/// The request's side of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionRequest {
    /// The session, or `NO_SESSION`.
    pub id: i32,
    /// Its epoch, 0 to open one, -1 for none.
    pub epoch: i32,
    /// Whether a replica fetches.
    pub is_follower: bool,
    /// Whether topics are named by id.
    pub uses_topic_ids: bool,
}

/// How the answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// No session: every partition is answered.
    Sessionless,
    /// A session begins with the answer, if there is room for it: every partition is answered.
    Full,
    /// The session goes on: partitions without news are left out.
    Incremental {
        /// The session.
        id: i32,
        /// The epoch after this request.
        epoch: i32,
    },
}

/// What a request fetches, in the session's order.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    /// How the answer is made.
    pub kind: SessionKind,
    /// The partitions and what is wanted of each.
    pub targets: Vec<(TargetKey, Target)>,
}

/// All sessions of a broker (`max.incremental.fetch.session.cache.slots`).
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    sessions: Mutex<HashMap<i32, Session>>,
}

impl FetchSessions {
    /// Room for so many sessions.
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: Mutex::default() }
    }

    /// Sessions now.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a request up. Errors: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
    pub fn begin(
        &self,
        now: Timestamp,
        request: SessionRequest,
        wanted: Vec<(TargetKey, Target)>,
        forgotten: &[TargetKey],
    ) -> Result<SessionPlan, ErrorCode> {
        let mut sessions = self.sessions.lock();
        if request.epoch == INITIAL_EPOCH || request.epoch == FINAL_EPOCH {
            if request.id != NO_SESSION {
                sessions.remove(&request.id);
            }
            let kind = if request.epoch == FINAL_EPOCH { SessionKind::Sessionless } else { SessionKind::Full };
            return Ok(SessionPlan { kind, targets: wanted });
        }
        let session = sessions.get_mut(&request.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for (key, target) in wanted {
            match session.partitions.get_mut(&key) {
                Some(cached) => cached.target = target,
                None => {
                    session.partitions.insert(key, Cached::new(target));
                }
            }
        }
        for key in forgotten {
            session.partitions.shift_remove(key);
        }
        if session.partitions.is_empty() {
            sessions.remove(&request.id);
            return Ok(SessionPlan { kind: SessionKind::Sessionless, targets: Vec::new() });
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        Ok(SessionPlan {
            kind: SessionKind::Incremental { id: request.id, epoch: session.epoch },
            targets: session.partitions.iter().map(|(key, cached)| (key.clone(), cached.target.clone())).collect(),
        })
    }

    /// Completes an answer: opens the session or leaves out what says nothing new. Returns the session id of the answer. Errors: the session went
    /// on in another request meanwhile.
    pub fn complete(
        &self,
        now: Timestamp,
        request: SessionRequest,
        plan: &SessionPlan,
        random: u64,
        answers: &mut Vec<(TargetKey, PartitionData)>,
    ) -> Result<i32, ErrorCode> {
        match plan.kind {
            SessionKind::Sessionless => Ok(NO_SESSION),
            SessionKind::Full => Ok(self.open(now, request, plan, random, answers)),
            SessionKind::Incremental { id, epoch } => {
                let mut sessions = self.sessions.lock();
                let session = sessions.get_mut(&id).filter(|session| session.epoch == epoch);
                let session = session.ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
                answers.retain(|(key, answer)| {
                    let Some(cached) = session.partitions.get_mut(key) else { return true };
                    let news = cached.update(answer);
                    if answer.records.as_ref().is_some_and(|records| !records.is_empty()) {
                        // Who has been served goes to the end, so that everyone has a turn.
                        if let Some(served) = session.partitions.shift_remove(key) {
                            session.partitions.insert(key.clone(), served);
                        }
                    }
                    news
                });
                Ok(id)
            }
        }
    }

    fn open(
        &self,
        now: Timestamp,
        request: SessionRequest,
        plan: &SessionPlan,
        random: u64,
        answers: &[(TargetKey, PartitionData)],
    ) -> i32 {
        let mut sessions = self.sessions.lock();
        if plan.targets.is_empty() || !self.make_room(&mut sessions, now, request.is_follower, plan.targets.len()) {
            return NO_SESSION;
        }
        let mut partitions: IndexMap<TargetKey, Cached> =
            plan.targets.iter().map(|(key, target)| (key.clone(), Cached::new(target.clone()))).collect();
        for (key, answer) in answers {
            if let Some(cached) = partitions.get_mut(key) {
                cached.update(answer);
            }
        }
        let mut id = (random & 0x7fff_ffff) as i32;
        while id == NO_SESSION || sessions.contains_key(&id) {
            id = id.wrapping_add(1) & i32::MAX;
        }
        let session = Session {
            partitions,
            epoch: next_epoch(INITIAL_EPOCH),
            is_follower: request.is_follower,
            uses_topic_ids: request.uses_topic_ids,
            created: now,
            last_used: now,
        };
        sessions.insert(id, session);
        id
    }

    /// Whether there is a slot, if need be the one of a session that may be evicted: one long unused, or for a follower a consumer's, or a
    /// smaller one that has had its time.
    fn make_room(&self, sessions: &mut HashMap<i32, Session>, now: Timestamp, is_follower: bool, size: usize) -> bool {
        if sessions.len() < self.slots {
            return true;
        }
        let stale = sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used)
            .filter(|(_, session)| now.0 - session.last_used.0 > EVICTABLE_AFTER_MS)
            .map(|(id, _)| *id);
        let lesser = || {
            sessions
                .iter()
                .filter(|(_, session)| {
                    (is_follower && !session.is_follower) || now.0 - session.created.0 > EVICTABLE_AFTER_MS
                })
                .map(|(id, session)| ((session.is_follower, session.partitions.len()), *id))
                .min()
                .filter(|(rank, _)| *rank < (is_follower, size))
                .map(|(_, id)| id)
        };
        match stale.or_else(lesser) {
            Some(id) => sessions.remove(&id).is_some(),
            None => false,
        }
    }
}

/// Epochs run from 1 to the greatest int32 and start over.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

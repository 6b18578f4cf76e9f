//! Incremental fetch sessions (KIP-227): the broker remembers what a client fetches. So requests
//! name only what changed, and answers contain only partitions with news.
//!
//! Invariants: a session's epoch grows by one with each request. A request with another epoch is
//! refused, so that no lost answer goes unnoticed. A session is read and changed under its own
//! lock. The lock of all sessions is held only to find one, to add one and to make room. There are
//! never more sessions than slots. A follower's session is not evicted for a consumer's before its
//! time.

use indexmap::IndexMap;
use model::{ErrorCode, Timestamp, TopicId};
use parking_lot::Mutex;
use protocol::Str;
use protocol::messages::fetch_response::PartitionData;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

#[cfg(test)]
mod tests;

/// A session that was unused for this long may be evicted, in milliseconds.
const EVICTABLE_AFTER_MS: i64 = 120_000;
/// The session id of a request or an answer without a session.
pub const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request without a session.
const FINAL_EPOCH: i32 = -1;

/// A topic as the client named it: by id from version 13 on, before that by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(Str),
}

/// A partition as the client named it.
pub type TargetKey = (TopicKey, i32);

/// What a client fetches of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The first offset to read.
    pub fetch_offset: i64,
    /// The leader epoch that the reader knows, -1 for none.
    pub current_leader_epoch: i32,
    /// The epoch of the last record that the reader has, -1 for none.
    pub last_fetched_epoch: i32,
    /// A follower's log start offset, -1 from a consumer.
    pub log_start_offset: i64,
    /// The largest number of bytes of this partition.
    pub max_bytes: i32,
}

/// What the last answer said about a partition.
#[derive(Debug)]
struct CachedPartition {
    target: Target,
    high_watermark: i64,
    log_start_offset: i64,
    /// Whether the current answer has records of it.
    is_served: bool,
}

impl CachedPartition {
    fn new(target: Target) -> Self {
        Self { target, high_watermark: -1, log_start_offset: -1, is_served: false }
    }

    /// Remembers the answer. Returns whether it says anything new.
    fn update(&mut self, answer: &PartitionData) -> bool {
        self.is_served = answer.records.as_ref().is_some_and(|records| !records.is_empty());
        let mut new = self.is_served;
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
            // The partition is in the answer again once it has recovered, whatever its offsets are
            // then.
            new = true;
            self.high_watermark = -1;
        }
        new
    }
}

#[derive(Debug)]
struct Session {
    /// In the order in which they are read next.
    partitions: IndexMap<TargetKey, CachedPartition>,
    epoch: i32,
    uses_topic_ids: bool,
}

/// A session with its own lock, and the facts that an eviction needs without that lock.
#[derive(Debug)]
struct Slot {
    session: Mutex<Session>,
    is_follower: bool,
    created: Timestamp,
    last_used_ms: AtomicI64,
    partition_count: AtomicUsize,
}

impl Session {
    /// Applies the partitions of a request. A partition that it both names and forgets is
    /// forgotten.
    fn update(&mut self, wanted: &[(TargetKey, Target)], forgotten: &[TargetKey]) {
        for (key, target) in wanted {
            match self.partitions.get_mut(key) {
                Some(cached) => cached.target = target.clone(),
                None => {
                    self.partitions.insert(key.clone(), CachedPartition::new(target.clone()));
                }
            }
        }
        if !forgotten.is_empty() {
            let forgotten: HashSet<&TargetKey> = forgotten.iter().collect();
            self.partitions.retain(|key, _| !forgotten.contains(key));
        }
    }

    /// Removes answers without news, and moves the partitions with records to the end, so that each
    /// partition is read first at some time.
    fn leave_out(&mut self, answers: &mut Vec<(TargetKey, PartitionData)>) {
        let mut one_is_served = false;
        answers.retain(|(key, answer)| {
            let Some(cached) = self.partitions.get_mut(key) else { return true };
            let is_new = cached.update(answer);
            one_is_served |= cached.is_served;
            is_new
        });
        if one_is_served {
            self.partitions.sort_by(|_, one, _, other| one.is_served.cmp(&other.is_served));
            self.partitions.values_mut().for_each(|cached| cached.is_served = false);
        }
    }
}

impl Slot {
    fn last_used_ms(&self) -> i64 {
        self.last_used_ms.load(Ordering::Relaxed)
    }

    /// Whether the session was older than `EVICTABLE_AFTER_MS` when it was last used. Then any more
    /// valuable session may evict it.
    fn had_its_time(&self) -> bool {
        self.last_used_ms() - self.created.0 > EVICTABLE_AFTER_MS
    }
}

/// The part of a request that concerns the session.
#[derive(Clone, Copy, Debug)]
pub struct SessionRequest {
    /// The session id, or `NO_SESSION`.
    pub id: i32,
    /// Its epoch, 0 to open a session, -1 for none.
    pub epoch: i32,
    /// Whether a replica fetches.
    pub is_follower: bool,
    /// Whether topics are named by id.
    pub uses_topic_ids: bool,
}

/// The kind of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// No session: every partition is answered.
    Sessionless,
    /// A session starts with this answer, if there is room for it. Every partition is answered.
    Full,
    /// The session continues. Partitions without news are left out.
    Incremental {
        /// The session id.
        id: i32,
        /// The epoch after this request.
        epoch: i32,
    },
}

/// The partitions that a request fetches, in the session's order.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    /// The kind of the answer.
    pub kind: SessionKind,
    /// The partitions, each with what to fetch of it.
    pub targets: Vec<(TargetKey, Target)>,
}

/// All sessions of a broker (`max.incremental.fetch.session.cache.slots`).
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    /// Held while a session is looked up, added or removed, and never while one is read or changed.
    sessions: Mutex<BTreeMap<i32, Arc<Slot>>>,
}

impl FetchSessions {
    /// Creates sessions with this number of slots.
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: Mutex::default() }
    }

    /// Returns the number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a request. Errors: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH,
    /// FETCH_SESSION_TOPIC_ID_ERROR.
    pub fn begin(
        &self,
        now: Timestamp,
        request: SessionRequest,
        wanted: Vec<(TargetKey, Target)>,
        forgotten: &[TargetKey],
    ) -> Result<SessionPlan, ErrorCode> {
        if request.epoch == INITIAL_EPOCH || request.epoch == FINAL_EPOCH {
            let _removed = self.sessions.lock().remove(&request.id);
            let kind = if request.epoch == FINAL_EPOCH { SessionKind::Sessionless } else { SessionKind::Full };
            return Ok(SessionPlan { kind, targets: named_once(wanted) });
        }
        let slot = self.slot(request.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let session = &mut *slot.session.lock();
        if session.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(&wanted, forgotten);
        slot.partition_count.store(session.partitions.len(), Ordering::Relaxed);
        if session.partitions.is_empty() {
            // A thread that holds the lock of all sessions never waits for one session.
            let _removed = self.sessions.lock().remove(&request.id);
            // The partitions that the request names are answered once more, although it forgets
            // them.
            return Ok(SessionPlan { kind: SessionKind::Sessionless, targets: named_once(wanted) });
        }
        slot.last_used_ms.store(now.0, Ordering::Relaxed);
        session.epoch = next_epoch(session.epoch);
        Ok(SessionPlan {
            kind: SessionKind::Incremental { id: request.id, epoch: session.epoch },
            targets: session.partitions.iter().map(|(key, cached)| (key.clone(), cached.target.clone())).collect(),
        })
    }

    fn slot(&self, id: i32) -> Option<Arc<Slot>> {
        self.sessions.lock().get(&id).cloned()
    }

    /// Completes an answer: opens the session, or removes partitions without news. Returns the
    /// session id of the answer. Errors: another request continued the session meanwhile.
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
                // The session may have been evicted meanwhile. The answer is still valid and
                // complete.
                let Some(slot) = self.slot(id) else { return Ok(id) };
                let session = &mut *slot.session.lock();
                if session.epoch != epoch {
                    return Err(ErrorCode::InvalidFetchSessionEpoch);
                }
                session.leave_out(answers);
                Ok(id)
            }
        }
    }

    /// Opens a session if there is room, with the partitions in the order of the answers. A session
    /// without partitions gets them later.
    fn open(
        &self,
        now: Timestamp,
        request: SessionRequest,
        plan: &SessionPlan,
        random: u64,
        answers: &[(TargetKey, PartitionData)],
    ) -> i32 {
        let targets: HashMap<&TargetKey, &Target> = plan.targets.iter().map(|(key, target)| (key, target)).collect();
        let partitions = answers.iter().filter_map(|(key, answer)| {
            let mut cached = CachedPartition::new(Target::clone(targets.get(key)?));
            cached.update(answer);
            cached.is_served = false;
            Some((key.clone(), cached))
        });
        let partitions: IndexMap<TargetKey, CachedPartition> = partitions.collect();
        let slot = Slot {
            is_follower: request.is_follower,
            created: now,
            last_used_ms: AtomicI64::new(now.0),
            partition_count: AtomicUsize::new(partitions.len()),
            session: Mutex::new(Session {
                partitions,
                epoch: next_epoch(INITIAL_EPOCH),
                uses_topic_ids: request.uses_topic_ids,
            }),
        };
        let mut sessions = self.sessions.lock();
        if !self.make_room(&mut sessions, now, request.is_follower, plan.targets.len()) {
            return NO_SESSION;
        }
        let mut id = (random & 0x7fff_ffff) as i32;
        while id == NO_SESSION || sessions.contains_key(&id) {
            id = id.wrapping_add(1) & i32::MAX;
        }
        sessions.insert(id, Arc::new(slot));
        id
    }

    /// Whether there is a free slot, after an eviction if needed. Evicts the session that was
    /// unused longest, if that is long. Otherwise evicts the least valuable of the evictable
    /// sessions, if it is less valuable than the new one. A follower's session is worth more than a
    /// consumer's, and more partitions are worth more than fewer.
    fn make_room(
        &self,
        sessions: &mut BTreeMap<i32, Arc<Slot>>,
        now: Timestamp,
        is_follower: bool,
        size: usize,
    ) -> bool {
        if sessions.len() < self.slots {
            return true;
        }
        let stale = sessions
            .iter()
            .map(|(id, slot)| (slot.last_used_ms(), *id))
            .min()
            .filter(|(last_used, _)| now.0 - last_used > EVICTABLE_AFTER_MS)
            .map(|(_, id)| id);
        let lesser = || {
            sessions
                .iter()
                .filter(|(_, slot)| (is_follower && !slot.is_follower) || slot.had_its_time())
                .map(|(id, slot)| ((slot.is_follower, slot.partition_count.load(Ordering::Relaxed)), *id))
                .min()
                .filter(|(value, _)| *value < (is_follower, size))
                .map(|(_, id)| id)
        };
        match stale.or_else(lesser) {
            Some(id) => sessions.remove(&id).is_some(),
            None => false,
        }
    }
}

/// Returns the partitions of a request, each once: at its first position, with its last value.
fn named_once(wanted: Vec<(TargetKey, Target)>) -> Vec<(TargetKey, Target)> {
    IndexMap::<TargetKey, Target>::from_iter(wanted).into_iter().collect()
}

/// Returns the next epoch. Epochs run from 1 to the largest int32 and then start over.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

//! What a leader knows of one follower.

use crate::planted::{Bug, is_planted};
use model::{BrokerEpoch, BrokerId, Monotonic, Offset};

/// What the newest image says of a registered broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerStanding {
    /// The epoch of its registration.
    pub epoch: BrokerEpoch,
    /// Whether the controller has fenced it.
    pub is_fenced: bool,
    /// Whether it is in controlled shutdown.
    pub is_shutting_down: bool,
}

/// Looks a broker up in the newest image. `None` if it is not registered.
pub type Brokers<'a> = &'a dyn Fn(BrokerId) -> Option<BrokerStanding>;

/// A follower's fetch as the leader received it. It counts only if the leader found no fault: the
/// leader epochs agree, the log does not diverge, and the offset is in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    /// The follower.
    pub broker_id: BrokerId,
    /// The follower's broker epoch, if the request has it (KIP-903).
    pub broker_epoch: Option<BrokerEpoch>,
    /// The offset that it fetches from, which is its log end offset.
    pub log_end_offset: Offset,
    /// Its log start offset.
    pub log_start_offset: Offset,
    /// The leader's log start offset when it read for this fetch.
    pub leader_log_start_offset: Offset,
    /// The leader's log end offset when it read for this fetch.
    pub leader_log_end_offset: Offset,
    /// The time of the fetch.
    pub now: Monotonic,
}

impl FollowerFetch {
    /// Whether the leader's epochs show that the follower's log is like the leader's. If all its
    /// records lie below the leader's log start, they do not: the leader has forgotten in which
    /// epochs those offsets were written. The answer lets the follower remove these records.
    pub(crate) fn is_verified(&self) -> bool {
        self.log_end_offset > self.leader_log_start_offset
            || self.log_start_offset >= self.leader_log_start_offset
            || is_planted(Bug::ForgottenEpochsTrusted)
    }

    /// Whether the sender is an earlier incarnation of its broker. What its log held then says
    /// nothing of what it holds now.
    pub(crate) fn is_stale(&self, progress: &FollowerProgress, standing: Option<BrokerStanding>) -> bool {
        let Some(epoch) = self.broker_epoch else { return false };
        let registered = standing.filter(|it| !it.is_fenced).map(|it| it.epoch);
        (progress.broker_epoch > Some(epoch) || registered > Some(epoch)) && !is_planted(Bug::StaleFetchCounted)
    }
}

/// A follower's progress in this leader epoch, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    /// Its log end offset, once it has fetched.
    pub log_end_offset: Option<Offset>,
    /// Its log start offset, once it has fetched.
    pub log_start_offset: Option<Offset>,
    /// The broker epoch under which it fetched.
    pub broker_epoch: Option<BrokerEpoch>,
    /// The last time when it had everything that the leader had.
    pub last_caught_up: Option<Monotonic>,
    /// The previous fetch: its time, and the leader's log end offset at that time.
    last_fetch: Option<(Monotonic, Offset)>,
}

impl FollowerProgress {
    /// Creates the state of a follower of which only one thing is known: whether it is in the ISR.
    pub(crate) fn new(is_in_sync: bool, now: Monotonic) -> Self {
        FollowerProgress {
            log_end_offset: None,
            log_start_offset: None,
            broker_epoch: None,
            last_caught_up: is_in_sync.then_some(now),
            last_fetch: None,
        }
    }

    /// Notes a fetch. A fetch that reaches the leader's log end offset of the previous fetch shows
    /// that the follower was caught up at the time of that fetch. So a follower that is always a
    /// little behind a busy leader stays in sync.
    pub(crate) fn fetched(&mut self, fetch: &FollowerFetch) {
        let caught_up = match self.last_fetch {
            _ if fetch.log_end_offset >= fetch.leader_log_end_offset => Some(fetch.now),
            _ if is_planted(Bug::CaughtUpByAnyFetch) => Some(fetch.now),
            Some((at, leader_end)) if fetch.log_end_offset >= leader_end => Some(at),
            _ => None,
        };
        self.last_caught_up = self.last_caught_up.max(caught_up);
        self.log_end_offset = Some(fetch.log_end_offset);
        self.log_start_offset = Some(fetch.log_start_offset);
        self.broker_epoch = fetch.broker_epoch;
        let known_end = self.last_fetch.map_or(Offset(0), |(_, leader_end)| leader_end);
        self.last_fetch = Some((fetch.now, fetch.leader_log_end_offset.max(known_end)));
    }

    /// Whether it has everything that the leader has, or had it within `lag_max_ms`.
    pub(crate) fn is_caught_up(&self, leader_log_end_offset: Offset, now: Monotonic, lag_max_ms: u64) -> bool {
        self.log_end_offset == Some(leader_log_end_offset)
            || self.last_caught_up.is_some_and(|at| now.ms_since(at) <= lag_max_ms)
    }

    /// Whether the controller would take it into the ISR: it is not fenced, not in controlled
    /// shutdown, and has fetched under the broker epoch of its registration. A fetch without a
    /// broker epoch is from before KIP-903 and passes.
    pub(crate) fn is_eligible(&self, standing: Option<BrokerStanding>) -> bool {
        standing.is_some_and(|it| {
            !it.is_fenced
                && !it.is_shutting_down
                && self.log_end_offset.is_some()
                && self.broker_epoch.is_none_or(|epoch| epoch == it.epoch)
        })
    }
}

//! What a leader knows of one follower.

use model::{BrokerEpoch, BrokerId, Offset, Timestamp};

/// A follower's fetch as the leader received it.
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
    /// The leader's log end offset when it read for this fetch.
    pub leader_log_end_offset: Offset,
    /// The time of the fetch.
    pub now: Timestamp,
}

/// A follower's progress in this leader epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Its log end offset, once it has fetched.
    pub log_end_offset: Option<Offset>,
    /// Its log start offset, once it has fetched.
    pub log_start_offset: Option<Offset>,
    /// The broker epoch under which it fetched.
    pub broker_epoch: Option<BrokerEpoch>,
    /// The last time when it had everything that the leader had.
    pub last_caught_up: Option<Timestamp>,
    /// The previous fetch: its time, and the leader's log end offset at that time.
    last_fetch: Option<(Timestamp, Offset)>,
}

impl Follower {
    /// Creates the state of a follower of which only one thing is known: whether it is in the ISR.
    pub(crate) fn new(is_in_sync: bool, now: Timestamp) -> Self {
        Follower {
            log_end_offset: None,
            log_start_offset: None,
            broker_epoch: None,
            last_caught_up: is_in_sync.then_some(now),
            last_fetch: None,
        }
    }

    /// Notes a fetch. A fetch that reaches the leader's log end offset of the previous fetch shows
    /// that the follower was caught up at the time of that fetch.
    pub(crate) fn fetched(&mut self, fetch: &FollowerFetch) {
        let caught_up = match self.last_fetch {
            _ if fetch.log_end_offset >= fetch.leader_log_end_offset => Some(fetch.now),
            Some((at, leader_end)) if fetch.log_end_offset >= leader_end => Some(at),
            _ => None,
        };
        self.last_caught_up = self.last_caught_up.max(caught_up);
        self.log_end_offset = Some(fetch.log_end_offset);
        self.log_start_offset = Some(fetch.log_start_offset);
        self.broker_epoch = fetch.broker_epoch.or(self.broker_epoch);
        self.last_fetch = Some((fetch.now, fetch.leader_log_end_offset));
    }

    /// Whether it has everything that the leader has, or had it within `lag_max_ms`.
    pub(crate) fn is_caught_up(&self, leader_log_end_offset: Offset, now: Timestamp, lag_max_ms: i64) -> bool {
        self.log_end_offset == Some(leader_log_end_offset)
            || self.last_caught_up.is_some_and(|at| now.0.saturating_sub(at.0) <= lag_max_ms)
    }
}

//! Replication quotas (KIP-73): the bytes per second that this broker sends to, or takes from,
//! replicas that are not in sync. Only partitions that a topic's config names count.
//!
//! The rate is Kafka's: the bytes of the newest windows, divided by the time since the oldest of
//! them began, which counts as at least one window. A quota limits when the next bytes flow, not
//! how many: one fetch may exceed it.

use model::{BrokerId, Monotonic, PartitionIndex};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// The windows over which a rate is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaWindows {
    /// `replication.quota.window.num`
    pub count: usize,
    /// `replication.quota.window.size.seconds`, in milliseconds.
    pub size_ms: u64,
}

impl Default for QuotaWindows {
    fn default() -> Self {
        Self { count: 11, size_ms: 1_000 }
    }
}

#[derive(Debug, Default)]
struct QuotaState {
    windows: QuotaWindows,
    /// The limit in bytes per second, if there is one.
    bound: Option<u64>,
    /// The windows with bytes, the oldest first: when each began, and its bytes.
    samples: VecDeque<(Monotonic, u64)>,
}

/// One replication quota of this broker.
#[derive(Debug, Default)]
pub struct ReplicationQuota(Mutex<QuotaState>);

/// The replication quotas of this broker.
#[derive(Debug, Default)]
pub struct ReplicationQuotas {
    /// `leader.replication.throttled.rate`: the bytes that it sends.
    pub leader: ReplicationQuota,
    /// `follower.replication.throttled.rate`: the bytes that it takes.
    pub follower: ReplicationQuota,
}

/// The replicas of a topic that are throttled (`leader.replication.throttled.replicas`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// None of them.
    #[default]
    None,
    /// All of them.
    All,
    /// Those of these partitions on these brokers.
    Some(Vec<(PartitionIndex, BrokerId)>),
}

impl ThrottledReplicas {
    /// Whether a broker's replica of a partition is throttled.
    pub fn contains(&self, partition: PartitionIndex, broker: BrokerId) -> bool {
        match self {
            ThrottledReplicas::None => false,
            ThrottledReplicas::All => true,
            ThrottledReplicas::Some(replicas) => replicas.contains(&(partition, broker)),
        }
    }
}

impl QuotaState {
    /// Drops the windows that count no more. Returns the bytes of the others, and over how long
    /// they came.
    fn measured(&mut self, now: Monotonic) -> (u64, u64) {
        let kept_ms = self.windows.size_ms.saturating_mul(self.windows.count as u64);
        while self.samples.front().is_some_and(|(began, _)| now.ms_since(*began) >= kept_ms) {
            self.samples.pop_front();
        }
        let oldest = self.samples.front().map_or(now, |(began, _)| *began);
        let bytes = self.samples.iter().map(|(_, bytes)| *bytes).sum();
        (bytes, now.ms_since(oldest).max(self.windows.size_ms).max(1))
    }
}

impl ReplicationQuota {
    /// Sets the windows, before anything is measured.
    pub fn set_windows(&self, windows: QuotaWindows) {
        self.0.lock().windows = windows;
    }

    /// Sets the limit in bytes per second; `None` for no limit.
    pub fn set_bound(&self, bytes_per_second: Option<u64>) {
        let state = &mut *self.0.lock();
        state.bound = bytes_per_second;
        if state.bound.is_none() {
            state.samples.clear();
        }
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.0.lock().bound.is_some()
    }

    /// Counts bytes that flowed.
    pub fn record(&self, bytes: u64, now: Monotonic) {
        let state = &mut *self.0.lock();
        if state.bound.is_none() || bytes == 0 {
            return;
        }
        let (size_ms, count) = (state.windows.size_ms, state.windows.count.max(1));
        match state.samples.back_mut().filter(|(began, _)| now.ms_since(*began) < size_ms) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => {
                if state.samples.len() >= count {
                    state.samples.pop_front();
                }
                state.samples.push_back((now, bytes));
            }
        }
    }

    /// Returns for how many milliseconds no more bytes may flow; 0 if they may.
    pub fn exceeded_for_ms(&self, now: Monotonic) -> u64 {
        let state = &mut *self.0.lock();
        let Some(bound) = state.bound else { return 0 };
        let (bytes, elapsed_ms) = state.measured(now);
        // Divided by `bound` this is the time over which the bytes are within the limit.
        let due_ms = (u128::from(bytes) * 1_000).div_ceil(u128::from(bound.max(1)));
        let due_ms = u64::try_from(due_ms).unwrap_or(u64::MAX);
        let kept_ms = state.windows.size_ms.saturating_mul(state.windows.count as u64);
        due_ms.saturating_sub(elapsed_ms).min(kept_ms)
    }

    /// Whether no more bytes may flow now.
    pub fn is_exceeded(&self, now: Monotonic) -> bool {
        self.exceeded_for_ms(now) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_measured_over_the_newest_windows() {
        let quota = ReplicationQuota::default();
        let at = Monotonic;
        quota.record(1 << 40, at(0));
        assert_eq!(quota.exceeded_for_ms(at(0)), 0, "without a limit nothing is counted");
        quota.set_bound(Some(1_000));
        quota.record(1_000, at(0));
        assert!(!quota.is_exceeded(at(0)), "one window's bytes");
        quota.record(2_000, at(500));
        // 3,000 bytes are within the limit after three seconds.
        assert_eq!(quota.exceeded_for_ms(at(500)), 2_000);
        assert_eq!(quota.exceeded_for_ms(at(2_999)), 1);
        assert!(!quota.is_exceeded(at(3_000)));
        quota.record(1_000, at(3_000));
        assert_eq!(quota.exceeded_for_ms(at(3_000)), 1_000);
        // The oldest window counts no more after eleven seconds.
        quota.record(9_000, at(10_000));
        assert_eq!(quota.exceeded_for_ms(at(10_999)), 2_001);
        assert_eq!(quota.exceeded_for_ms(at(11_000)), 2_000);
        quota.set_bound(None);
        assert!(!quota.is_exceeded(at(11_000)));
    }

    #[test]
    fn a_wait_is_at_most_as_long_as_the_windows_count() {
        let quota = ReplicationQuota::default();
        quota.set_windows(QuotaWindows { count: 2, size_ms: 500 });
        quota.set_bound(Some(0));
        quota.record(u64::MAX, Monotonic(7));
        assert_eq!(quota.exceeded_for_ms(Monotonic(7)), 1_000);
        for now in 0..100 {
            quota.record(1, Monotonic(7 + now * 600));
        }
        assert_eq!(quota.0.lock().samples.len(), 2);
    }

    #[test]
    fn a_list_names_partitions_and_brokers() {
        let some = ThrottledReplicas::Some(vec![(PartitionIndex(0), BrokerId(1)), (PartitionIndex(1), BrokerId(2))]);
        for (list, expected) in [
            (ThrottledReplicas::None, [false, false, false]),
            (ThrottledReplicas::All, [true, true, true]),
            (some, [true, false, true]),
        ] {
            let contains = |partition, broker| list.contains(PartitionIndex(partition), BrokerId(broker));
            assert_eq!([contains(0, 1), contains(0, 2), contains(1, 2)], expected);
        }
    }
}

//! Time and randomness, which are arguments of the machine.

pub use model::Now;

/// The timeouts of `controller.quorum.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `controller.quorum.election.timeout.ms`. Each wait is between once and twice this.
    pub election_ms: u64,
    /// `controller.quorum.election.backoff.max.ms`
    pub election_backoff_max_ms: u64,
    /// `controller.quorum.fetch.timeout.ms`, or less where sessions of brokers are shorter.
    pub fetch_ms: u64,
    /// `controller.quorum.request.timeout.ms`
    pub request_ms: u64,
    /// `controller.quorum.retry.backoff.ms`
    pub retry_backoff_ms: u64,
}

impl Default for Timeouts {
    /// Returns Kafka's defaults.
    fn default() -> Self {
        Self {
            election_ms: 1000,
            election_backoff_max_ms: 1000,
            fetch_ms: 2000,
            request_ms: 2000,
            retry_backoff_ms: 20,
        }
    }
}

/// SplitMix64. It is random enough to keep elections apart, and it repeats for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a random number below a limit, or zero if the limit is zero.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// Returns a random duration from `base_ms` to just below twice that.
    pub(crate) fn jittered(&mut self, base_ms: u64) -> u64 {
        base_ms + self.below(base_ms)
    }
}

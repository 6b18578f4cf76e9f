//! The purposes of a shard's timers.

use protocol::Str;

/// The purpose of a timer. Each key has at most one timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// A member's session expires (group, member).
    Session(Str, Str),
    /// The join phase of a rebalance ends.
    Join(Str),
    /// Members that have not sent SyncGroup are removed.
    Sync(Str),
    /// The search for expired offsets and groups starts.
    Expire,
}

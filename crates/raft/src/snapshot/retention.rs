//! Which snapshots are deleted, and with them the log before the oldest that stays: `metadata.max.retention.bytes` and
//! `metadata.max.retention.ms`, looked at once a minute.
//!
//! The newest snapshot always stays. The log start moves only to a snapshot's end, so that start and snapshots always fit together.

use super::SnapshotId;
use model::Timestamp;

/// How often the driver looks for what can be deleted.
pub const CHECK_INTERVAL_MS: u64 = 60_000;

/// A complete snapshot on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Which one.
    pub id: SnapshotId,
    /// The size of its file.
    pub bytes: u64,
    /// The timestamp in its header: that of the last record it covers.
    pub last_contained_log_timestamp: Timestamp,
}

/// The limits, `None` where the property is negative: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `metadata.max.retention.bytes`: of the log and all snapshots together.
    pub max_bytes: Option<u64>,
    /// `metadata.max.retention.ms`: how old a snapshot may be.
    pub max_age_ms: Option<u64>,
}

/// What goes: the snapshots below `oldest_kept`, and the segments that end at or below its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The oldest snapshot that stays. The log start offset becomes its end, before any file is deleted.
    pub oldest_kept: SnapshotId,
    /// The limit that was exceeded, for the log.
    pub reason: DeletionReason,
}

/// Which limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionReason {
    /// `metadata.max.retention.bytes`
    Bytes,
    /// `metadata.max.retention.ms`
    Age,
}

/// What is to be deleted of these snapshots, ascending, beside a log of so many bytes. The driver asks again after a deletion by size, since only
/// then it knows how much of the log went with it.
pub fn deletion(snapshots: &[StoredSnapshot], log_bytes: u64, limits: Limits, now: Timestamp) -> Option<Deletion> {
    by_size(snapshots, log_bytes, limits.max_bytes).or_else(|| by_age(snapshots, limits.max_age_ms, now))
}

fn by_size(snapshots: &[StoredSnapshot], log_bytes: u64, max_bytes: Option<u64>) -> Option<Deletion> {
    let max_bytes = max_bytes?;
    let snapshot_bytes: u64 = snapshots.iter().map(|snapshot| snapshot.bytes).sum();
    let next = snapshots.get(1)?;
    (log_bytes.saturating_add(snapshot_bytes) > max_bytes)
        .then_some(Deletion { oldest_kept: next.id, reason: DeletionReason::Bytes })
}

fn by_age(snapshots: &[StoredSnapshot], max_age_ms: Option<u64>, now: Timestamp) -> Option<Deletion> {
    let max_age_ms = max_age_ms?;
    let is_old = |snapshot: &StoredSnapshot| {
        now.0.saturating_sub(snapshot.last_contained_log_timestamp.0) > i64::try_from(max_age_ms).unwrap_or(i64::MAX)
    };
    let old = snapshots.iter().take_while(|snapshot| is_old(snapshot)).count();
    let kept = old.min(snapshots.len().saturating_sub(1));
    (kept > 0).then(|| Deletion { oldest_kept: snapshots[kept].id, reason: DeletionReason::Age })
}

//! Decides once a minute which snapshots are deleted, and with them the log before the oldest one
//! that is kept (`metadata.max.retention.bytes`, `metadata.max.retention.ms`).
//!
//! The newest snapshot is always kept. The log start offset moves only to a snapshot's end, so that
//! log and snapshots always fit together.

use super::SnapshotId;
use model::Timestamp;

/// The interval at which the driver calls `deletion`.
pub const CHECK_INTERVAL_MS: u64 = 60_000;

/// A complete snapshot on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The size of its file.
    pub bytes: u64,
    /// The timestamp in its header: the timestamp of the last record that it covers.
    pub last_contained_log_timestamp: Timestamp,
}

/// The limits. A negative property means no limit, which is `None` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `metadata.max.retention.bytes`, for the log and all snapshots together.
    pub max_bytes: Option<u64>,
    /// `metadata.max.retention.ms`, for the age of a snapshot.
    pub max_age_ms: Option<u64>,
}

/// What to delete: the snapshots below `oldest_kept`, and the segments that end at or below its
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The oldest snapshot that is kept. The log start offset moves to its end before any file is
    /// deleted.
    pub oldest_kept: SnapshotId,
    /// The limit that was exceeded. The driver logs it.
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

/// Decides what to delete, given all snapshots in ascending order and the size of the log. After a
/// deletion by size the driver calls it again, since only then it knows how much of the log was
/// deleted.
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

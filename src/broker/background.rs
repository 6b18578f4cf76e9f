//! The background tasks. Each has a name, and the broker's token stops all of them.

use super::Broker;
use crate::replica::{Replicas, cleaner};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tracing::error;

/// How often the files of deleted segments and partitions are removed.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(10);
/// How often closed segments, and logs whose `flush.ms` has passed, are flushed.
const FLUSH_INTERVAL: Duration = Duration::from_secs(3);

/// How often the free space of log dirs is checked. A disk does not fill or get freed faster than
/// an operator looks.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// A name, an interval, and the work.
type Task = (&'static str, Duration, fn(&Arc<Replicas>));

/// Starts all background tasks.
pub(crate) fn spawn(broker: &Arc<Broker>, tasks: &TaskTracker) {
    let settings = broker.settings();
    let of = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
    let every: [Task; 9] = [
        ("high watermarks", of(settings.replica_high_watermark_checkpoint_interval_ms), |replicas| {
            replicas.write_high_watermarks()
        }),
        ("recovery points", of(i64::from(settings.log_flush_offset_checkpoint_interval_ms)), |replicas| {
            replicas.write_recovery_points()
        }),
        ("log start offsets", of(i64::from(settings.log_flush_start_offset_checkpoint_interval_ms)), |replicas| {
            replicas.write_log_start_offsets()
        }),
        ("producer expiry", of(i64::from(settings.producer_id_expiration_check_interval_ms)), |replicas| {
            replicas.expire_producers()
        }),
        ("retention", of(settings.log_retention_check_interval_ms), |replicas| replicas.retain()),
        ("removal", REMOVAL_INTERVAL, |replicas| replicas.remove_deleted()),
        ("flush", FLUSH_INTERVAL, |replicas| replicas.flush_due()),
        // As in Kafka, a follower leaves the ISR at most half of its lag too late.
        ("lag", of(settings.replica_lag_time_max_ms / 2), |replicas| replicas.check_lag()),
        ("room", ROOM_INTERVAL, |replicas| replicas.check_room()),
    ];
    let (settings, stopping) = (broker.clone(), broker.stopping.clone());
    tasks.spawn(cleaner::keep_clean(broker.replicas.clone(), Arc::new(move || settings.settings()), stopping));
    for (name, interval, work) in every {
        tasks.spawn(repeat(broker.clone(), name, interval, work));
    }
}

/// Repeats a piece of work on the blocking pool until the broker stops.
async fn repeat(broker: Arc<Broker>, name: &'static str, interval: Duration, work: fn(&Arc<Replicas>)) {
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(interval) => {}
            () = broker.stopping.cancelled() => return,
        }
        let replicas = broker.replicas.clone();
        if let Err(fault) = broker.env.run(move || work(&replicas)).await {
            error!(error = %fault, task = name, "a background task failed");
        }
    }
}

//! The task of one shard. It loads the shard, waits for the next event, and ends with the
//! leadership.
//!
//! If a load fails, or this broker cannot apply its own record, the shard is dropped and loaded
//! again, once per leadership. After a second fault the partition goes offline: this broker no
//! longer leads it, and requests to its coordinator are answered with NOT_COORDINATOR.

use super::driver::{DriverParts, ShardDriver};
use super::message::Message;
use crate::replica::{Partition, Wake};
use bytes::Bytes;
use coordinator::planted::{Bug, is_planted};
use coordinator::{BatchContext, CoordinatorShard, Entry};
use model::{LeaderEpoch, Offset};
use records::{BatchHeader, ControlType, RecordView};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, error};

/// The maximum number of loads of a partition in one leadership.
const LOADS_MAX: usize = 2;
/// The longest wait of a shard without a deadline.
const NO_DEADLINE: Duration = Duration::from_secs(60);

/// Why a load or the service after it ended.
pub(super) enum ShardEnd {
    /// This broker no longer leads the partition in this epoch.
    Leadership,
    /// The shard cannot be served in its current state.
    Fault(String),
}

/// Serves the coordinator of a partition while this broker leads it.
pub(super) async fn run<S: CoordinatorShard>(
    parts: DriverParts<S>,
    mut messages: mpsc::Receiver<Message<S::Types>>,
    is_loaded: Arc<AtomicBool>,
) {
    let partition = parts.partition.name();
    let mut reason = String::new();
    for _ in 0..LOADS_MAX {
        let end = match load(&parts).await {
            Ok(applied) => serve(parts.clone(), applied, &mut messages, &is_loaded).await,
            Err(end) => end,
        };
        match end {
            ShardEnd::Leadership => {
                debug!(%partition, "this broker no longer coordinates the partition");
                return;
            }
            ShardEnd::Fault(fault) => {
                debug!(%partition, reason = fault, "the coordinator's state is dropped");
                reason = fault;
            }
        }
    }
    // Requests fail from here on, before FindCoordinator stops to name this broker.
    drop(messages);
    error!(%partition, %reason, "the coordinator cannot load the partition: it is offline until its leader epoch changes");
    parts.partition.take_offline(parts.epoch);
}

/// Replays the partition into the shard. Returns the offset of the last applied record.
async fn load<S: CoordinatorShard>(parts: &DriverParts<S>) -> Result<Option<Offset>, ShardEnd> {
    let started = parts.env.clock().instant();
    let (partition, epoch) = (parts.partition.clone(), parts.epoch);
    #[cfg(test)]
    if parts.faults.load.take() {
        return Err(ShardEnd::Fault("a planted fault".into()));
    }
    // A new partition is served at once: its clients do not wait for a thread that reads nothing.
    let replayed = match partition.log_start_offset() == partition.log_end_offset() {
        true => replay(&partition, epoch),
        false => {
            let replayed = parts.env.run(move || replay(&partition, epoch)).await;
            replayed.unwrap_or_else(|panic| Err(ShardEnd::Fault(panic.to_string())))
        }
    };
    let (shard, applied) = replayed?;
    *parts.shard.lock() = shard;
    let micros = started.elapsed().as_micros();
    debug!(partition = %parts.partition.name(), micros, "loaded a coordinator");
    Ok(applied)
}

/// Replays a partition from its start to its end.
pub(super) fn replay<S: CoordinatorShard>(
    partition: &Partition,
    epoch: LeaderEpoch,
) -> Result<(S, Option<Offset>), ShardEnd> {
    let mut shard = S::default();
    let mut applied = None;
    if is_planted(Bug::NothingLoaded) {
        return Ok((shard, applied));
    }
    let is_led = || partition.leader_epoch() == Some(epoch);
    let replayed = partition.replay(|header, record| {
        if !is_led() {
            return Err("the leadership ended".into());
        }
        apply(&mut shard, epoch, header, record)?;
        applied = Some(record.offset);
        Ok(())
    });
    match replayed {
        _ if !is_led() => Err(ShardEnd::Leadership),
        Ok(()) => Ok((shard, applied)),
        Err(reason) => Err(ShardEnd::Fault(reason)),
    }
}

fn apply<S: CoordinatorShard>(
    shard: &mut S,
    epoch: LeaderEpoch,
    header: &BatchHeader,
    record: &RecordView<'_>,
) -> Result<(), String> {
    let at = BatchContext {
        offset: record.offset,
        leader_epoch: header.partition_leader_epoch.unwrap_or(epoch),
        timestamp: record.timestamp,
        producer: header.producer_id.filter(|_| header.is_transactional()),
    };
    let entry = if header.is_control() {
        match ControlType::from_key(record.key) {
            _ if is_planted(Bug::MarkersNotLoaded) => return Ok(()),
            Ok(ControlType::Commit) => Entry::Marker { committed: true },
            Ok(ControlType::Abort) => Entry::Marker { committed: false },
            _ => return Ok(()),
        }
    } else {
        let Some(key) = record.key else { return Ok(()) };
        Entry::Record { key: Bytes::copy_from_slice(key), value: record.value.map(Bytes::copy_from_slice) }
    };
    shard.apply(&at, entry).map_err(|error| format!("the record at offset {} is not readable: {error}", record.offset))
}

/// Handles events until the leadership ends or a fault occurs.
async fn serve<S: CoordinatorShard>(
    parts: DriverParts<S>,
    applied: Option<Offset>,
    messages: &mut mpsc::Receiver<Message<S::Types>>,
    is_loaded: &AtomicBool,
) -> ShardEnd {
    let clock = parts.env.clock();
    let wake = Wake::new();
    let _watch = parts.partition.watch(&wake);
    let mut driver = match ShardDriver::start(parts, applied, clock.both()).await {
        Ok(driver) => driver,
        Err(fault) => return ShardEnd::Fault(fault.to_string()),
    };
    is_loaded.store(true, Ordering::SeqCst);
    let end = loop {
        let sleep = driver.next_deadline().map_or(NO_DEADLINE, |deadline| {
            Duration::from_millis(deadline.ms_since(clock.monotonic())).min(NO_DEADLINE)
        });
        let received = tokio::select! {
            biased;
            () = wake.woken(), if driver.holds_back() => Ok(()),
            message = messages.recv() => match message {
                None => break ShardEnd::Leadership,
                Some(message) => driver.receive(message, clock.both()).await,
            },
            () = tokio::time::sleep(sleep) => Ok(()),
        };
        // Checked after every event, so that steady requests cannot delay timers.
        let served = match received {
            Ok(()) => driver.elapse(clock.both()).await,
            fault => fault,
        };
        if let Err(fault) = served {
            break ShardEnd::Fault(fault.to_string());
        }
        if !driver.is_leading() {
            break ShardEnd::Leadership;
        }
    };
    is_loaded.store(false, Ordering::SeqCst);
    driver.refuse_all();
    end
}

//! BrokerHeartbeat: unfences brokers, shuts them down in order, and fences those that stay silent.

use super::broker_events::{broker_leaves, broker_returns, fence_broker, fencing_change, log_dirs_fail};
use super::draft::Draft;
use super::soft::BrokerSession;
use super::{ControllerContext, Decided, Decision, Soft, SoftChange, check_broker_epoch};
use crate::VersionedRecord;
use crate::image::{Broker, Image};
use crate::planted::{Bug, is_planted};
use model::{BrokerEpoch, BrokerId, DirectoryId, Monotonic, Offset};
use protocol::MetadataRecord;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;

/// The state of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fenced,
    Unfenced,
    ShuttingDown,
    /// It may stop now.
    Dismissed,
}

/// Answers a heartbeat. Errors: STALE_BROKER_EPOCH.
pub fn heartbeat(
    image: &Image,
    soft: &Soft,
    context: &mut ControllerContext<'_>,
    request: &BrokerHeartbeatRequest,
) -> Decided<BrokerHeartbeatResponse> {
    let id = BrokerId(request.broker_id);
    check_broker_epoch(image, id, request.broker_epoch)?;
    let Some(broker) = image.cluster.brokers.get(&id) else { return Ok(Decision::reply(Default::default())) };
    let caught_up = request.current_metadata_offset >= soft.registered_at(broker).0;
    let current = standing(broker);
    let next = next_standing(image, soft, broker, request, current, caught_up);
    let mut draft = Draft::new(image);
    let mut changes = vec![SoftChange::Heard {
        broker: id,
        epoch: broker.epoch,
        at: context.now.monotonic,
        metadata_offset: Offset::from_wire(request.current_metadata_offset),
        fenced: matches!(next, Standing::Fenced | Standing::Dismissed),
    }];
    let version = image.features.version();
    // A log dir that failed is noted first, so that no replica in it is elected.
    if version.has_directories() {
        draft.add(|image| offline_dirs(image, context, id, &request.offline_log_dirs))?;
    }
    if next != current {
        match next {
            Standing::Fenced | Standing::Dismissed => {
                if !broker.fenced {
                    draft.add(|image| fence_broker(image, context.settings, id))?;
                }
            }
            Standing::Unfenced => draft.add(|image| unfence(image, context, broker))?,
            Standing::ShuttingDown => draft.add(|image| begin_shutdown(image, context, broker))?,
        }
    }
    if next == Standing::ShuttingDown && current != next {
        changes.push(SoftChange::ShuttingDown(id));
    }
    if version.has_cordoned_log_dirs() {
        draft.records.extend(cordon(broker, request.cordoned_log_dirs.as_deref()));
    }
    let reply = BrokerHeartbeatResponse {
        is_caught_up: caught_up,
        is_fenced: matches!(next, Standing::Fenced | Standing::Dismissed),
        should_shut_down: next == Standing::Dismissed,
        ..Default::default()
    };
    Ok(Decision { soft: changes, ..Decision::of(draft.records, reply) })
}

fn standing(broker: &Broker) -> Standing {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => Standing::Fenced,
        (false, true) => Standing::ShuttingDown,
        (false, false) => Standing::Unfenced,
    }
}

fn next_standing(
    image: &Image,
    soft: &Soft,
    broker: &Broker,
    request: &BrokerHeartbeatRequest,
    current: Standing,
    caught_up: bool,
) -> Standing {
    let leads = || image.topics.leaderships(broker.id) > 0 && !is_planted(Bug::ShutdownBeforeLeadersMoved);
    match current {
        Standing::Fenced if request.want_shut_down => Standing::Dismissed,
        Standing::Fenced if request.want_fence => Standing::Fenced,
        Standing::Fenced if !caught_up && !is_planted(Bug::UnfencedBeforeCaughtUp) => Standing::Fenced,
        Standing::Fenced => Standing::Unfenced,
        Standing::Unfenced if request.want_fence && request.want_shut_down => Standing::Dismissed,
        Standing::Unfenced if request.want_fence => Standing::Fenced,
        Standing::Unfenced if request.want_shut_down && leads() => Standing::ShuttingDown,
        Standing::Unfenced if request.want_shut_down => Standing::Dismissed,
        Standing::Unfenced => Standing::Unfenced,
        Standing::ShuttingDown if leads() => Standing::ShuttingDown,
        // Brokers that stay must have seen that its leaderships moved. Else they send clients to a
        // broker that has stopped.
        Standing::ShuttingDown => {
            let needed = soft.session(broker.id).and_then(|session| session.controlled_shutdown_offset);
            if needed <= lowest_active_offset(image, soft) { Standing::Dismissed } else { Standing::ShuttingDown }
        }
        Standing::Dismissed => Standing::Dismissed,
    }
}

/// The lowest offset that every active broker has applied; the largest possible offset where no
/// broker is active.
fn lowest_active_offset(image: &Image, soft: &Soft) -> Option<Offset> {
    let active = image.cluster.brokers.values().filter(|broker| broker.is_active());
    let offsets = active.map(|broker| soft.session(broker.id).and_then(|session| session.metadata_offset));
    offsets.min().unwrap_or(Some(Offset(i64::MAX)))
}

fn unfence(image: &Image, context: &ControllerContext<'_>, broker: &Broker) -> Vec<VersionedRecord> {
    let mut records = vec![fencing_change(broker, -1)];
    records.extend(broker_returns(image, context.settings, broker.id));
    records
}

fn begin_shutdown(image: &Image, context: &ControllerContext<'_>, broker: &Broker) -> Vec<VersionedRecord> {
    let record = BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        in_controlled_shutdown: 1,
        ..Default::default()
    };
    let record = MetadataRecord::BrokerRegistrationChange(record);
    let mut records = vec![VersionedRecord { record, version: 1 }];
    records.extend(broker_leaves(image, context.settings, broker.id));
    records
}

fn offline_dirs(
    image: &Image,
    context: &ControllerContext<'_>,
    id: BrokerId,
    offline: &[DirectoryId],
) -> Vec<VersionedRecord> {
    let Some(broker) = image.cluster.brokers.get(&id) else { return Vec::new() };
    if !broker.log_dirs.iter().any(|dir| offline.contains(dir)) {
        return Vec::new();
    }
    let lost = |dir: DirectoryId| broker.log_dirs.contains(&dir) && offline.contains(&dir);
    let mut records = log_dirs_fail(image, context.settings, id, &lost);
    let record = BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        log_dirs: broker.log_dirs.iter().copied().filter(|dir| !offline.contains(dir)).collect(),
        ..Default::default()
    };
    records.push(VersionedRecord { record: MetadataRecord::BrokerRegistrationChange(record), version: 2 });
    records
}

fn cordon(broker: &Broker, cordoned: Option<&[DirectoryId]>) -> Option<VersionedRecord> {
    let cordoned = cordoned?;
    let mut sorted = cordoned.to_vec();
    sorted.sort_unstable();
    let mut before = broker.cordoned_log_dirs.clone();
    if let Some(before) = &mut before {
        before.sort_unstable();
    }
    if before.as_ref() == Some(&sorted) {
        return None;
    }
    let record = BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        cordoned_log_dirs: Some(cordoned.to_vec()),
        ..Default::default()
    };
    Some(VersionedRecord { record: MetadataRecord::BrokerRegistrationChange(record), version: 3 })
}

/// A broker whose process is gone: it closed the connection of its heartbeats, and its ports refuse
/// new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBroker {
    /// The broker.
    pub id: BrokerId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// When its connection ended.
    pub since: Monotonic,
}

/// Fences a broker whose process is known to be gone, long before its session ends. The reply says
/// whether it was fenced. A registration that is not the current one, or is fenced already, is left
/// alone, and so is a broker that was heard from since. Its session ends, so that its next process
/// can register at once. A false alarm does little harm: the broker's next heartbeat unfences it,
/// and epochs keep it from acting on what it led before. Kafka waits for the session to end.
pub fn fence_lost_broker(
    image: &Image,
    soft: &Soft,
    context: &mut ControllerContext<'_>,
    lost: LostBroker,
) -> Decision<bool> {
    let known = image.cluster.brokers.get(&lost.id);
    let is_current = known.is_some_and(|broker| broker.epoch == lost.epoch && !broker.fenced);
    let was_heard = |session: &BrokerSession| session.epoch == lost.epoch && session.last_contact > lost.since;
    if !is_current || soft.session(lost.id).is_some_and(was_heard) {
        return Decision::reply(false);
    }
    let mut decision = Decision::of(fence_broker(image, context.settings, lost.id), true);
    decision.soft.push(SoftChange::Forgotten(lost.id));
    decision
}

/// Ends the session of the broker that was silent for the longest time, where that is too long, and
/// fences the broker: the reply names it. A session ends without a record where its broker is
/// already fenced, is registered anew or is not registered. The driver calls it again until it
/// returns `None`.
pub fn fence_stale_brokers(
    image: &Image,
    soft: &Soft,
    context: &mut ControllerContext<'_>,
) -> Option<Decision<Option<BrokerId>>> {
    let timeout_ms = context.settings.broker_session_timeout_ms;
    let (id, session) = soft.most_stale(context.now.monotonic, timeout_ms)?;
    let known = image.cluster.brokers.get(&id);
    let is_stale = known.is_some_and(|broker| broker.epoch == session.epoch && !broker.fenced);
    let records = if is_stale { fence_broker(image, context.settings, id) } else { Vec::new() };
    let mut decision = Decision::of(records, is_stale.then_some(id));
    decision.soft.push(SoftChange::Forgotten(id));
    Some(decision)
}

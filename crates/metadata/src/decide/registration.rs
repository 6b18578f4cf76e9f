//! BrokerRegistration and UnregisterBroker.

use super::broker_events::{broker_is_removed, broker_leaves, broker_lost_records};
use super::{ControllerContext, Decided, Decision, Soft, SoftChange, bounded};
use crate::VersionedRecord;
use crate::image::{Broker, BrokerListener, Image, SupportedVersions, is_reserved_directory};
use crate::planted::{Bug, is_planted};
use crate::snapshot;
use crate::version::{ELR_VERSION, METADATA_VERSION};
use model::{ApiError, BrokerEpoch, BrokerId, ErrorCode, Offset};
use protocol::MetadataRecord;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use protocol::messages::unregister_broker_record::UnregisterBrokerRecord;
use std::collections::BTreeSet;

/// Registers a broker. Its epoch is the offset of its record: `next_offset` is where the first
/// record of this decision will stand. Errors: INCONSISTENT_CLUSTER_ID,
/// DUPLICATE_BROKER_REGISTRATION, INVALID_REGISTRATION, UNSUPPORTED_VERSION.
pub fn register_broker(
    image: &Image,
    soft: &Soft,
    context: &mut ControllerContext<'_>,
    request: &BrokerRegistrationRequest,
    next_offset: Offset,
) -> Decided<BrokerRegistrationResponse> {
    let id = BrokerId(request.broker_id);
    let existing = image.cluster.brokers.get(&id);
    check(image, soft, context, request, existing.map(AsRef::as_ref))?;
    let amended = existing.filter(|it| it.incarnation_id == request.incarnation_id);
    let mut records = Vec::new();
    if amended.is_none() {
        let epoch_before = existing.map_or(-2, |it| it.epoch.0);
        records = cleanup(image, context, id, request.previous_broker_epoch == epoch_before);
    }
    let epoch = match amended {
        Some(existing) => existing.epoch,
        // Kafka counts from the first record of the batch, not from the registration's own.
        None => BrokerEpoch(next_offset.0),
    };
    let broker = broker(request, id, epoch, amended.map(AsRef::as_ref));
    records.push(snapshot::register_broker(&broker, image.features.version()));
    // What the earlier incarnation left may be more than one batch can hold. A cleanup that stands
    // alone, since the controller fails in between, does no harm: the broker asks again.
    let mut decision =
        Decision::of(records, BrokerRegistrationResponse { broker_epoch: epoch.0, ..Default::default() });
    decision.soft.push(if amended.is_none() { SoftChange::Registered(id) } else { SoftChange::Amended(id) });
    Ok(decision)
}

fn broker(request: &BrokerRegistrationRequest, id: BrokerId, epoch: BrokerEpoch, amended: Option<&Broker>) -> Broker {
    Broker {
        id,
        epoch,
        incarnation_id: request.incarnation_id,
        is_migrating_zk_broker: false,
        listeners: request
            .listeners
            .iter()
            .map(|it| BrokerListener {
                name: it.name.clone(),
                host: it.host.clone(),
                port: it.port,
                security_protocol: it.security_protocol,
            })
            .collect(),
        features: request
            .features
            .iter()
            .map(|it| {
                let range = SupportedVersions { min: it.min_supported_version, max: it.max_supported_version };
                (it.name.clone(), range)
            })
            .collect(),
        rack: request.rack.clone(),
        fenced: amended.is_none_or(|it| it.fenced),
        in_controlled_shutdown: amended.is_some_and(|it| it.in_controlled_shutdown),
        log_dirs: request.log_dirs.clone(),
        cordoned_log_dirs: None,
    }
}

fn check(
    image: &Image,
    soft: &Soft,
    context: &ControllerContext<'_>,
    request: &BrokerRegistrationRequest,
    existing: Option<&Broker>,
) -> Result<(), ApiError> {
    let settings = context.settings;
    if request.cluster_id != settings.cluster_id {
        let message = format!("Expected cluster ID {}, but got cluster ID {}", settings.cluster_id, request.cluster_id);
        return Err(ApiError::new(ErrorCode::InconsistentClusterId, message));
    }
    if let Some(existing) = existing {
        let timeout_ms = settings.broker_session_timeout_ms;
        let alive = soft.has_valid_session(existing.id, existing.epoch, context.now.monotonic, timeout_ms);
        if alive && existing.incarnation_id != request.incarnation_id {
            let message = "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the \
                           heartbeat manager expires the broker's session.";
            return Err(ApiError::new(ErrorCode::DuplicateBrokerRegistration, message));
        }
    }
    if request.is_migrating_zk_broker {
        let message = "Controller does not support registering ZK brokers.";
        return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, message));
    }
    if image.features.version().has_directories() {
        check_directories(image, request)?;
    }
    check_features(image, request)
}

fn check_directories(image: &Image, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    let dirs = &request.log_dirs;
    if dirs.is_empty() {
        return invalid("No directories specified in request");
    }
    if dirs.iter().any(|dir| is_reserved_directory(*dir)) {
        return invalid("Reserved directory ID in request");
    }
    if dirs.iter().collect::<BTreeSet<_>>().len() != dirs.len() {
        return invalid("Duplicate directory ID in request");
    }
    for other in image.cluster.brokers.values().filter(|other| other.id.0 != request.broker_id) {
        if let Some(dir) = dirs.iter().find(|dir| other.log_dirs.contains(dir)) {
            return invalid(&format!("Broker {} is already registered with directory {dir}", other.id));
        }
    }
    Ok(())
}

/// Refuses a broker that does not support the finalized level of every feature. A feature that it
/// does not name it supports at level 0 alone.
fn check_features(image: &Image, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    let supported = |name: &str| request.features.iter().find(|it| it.name == name);
    if supported(METADATA_VERSION).is_none() {
        let message = "Request features do not contain 'metadata.version'";
        return Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    }
    for (name, level) in image.features.finalized() {
        let (min, max) = supported(name).map_or((0, 0), |it| (it.min_supported_version, it.max_supported_version));
        if !(min..=max).contains(&level) {
            let message = format!(
                "Unable to register because the broker does not support finalized version {level} of {name}. The broker wants a version between {min} \
                 and {max}, inclusive."
            );
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
    }
    Ok(())
}

/// Removes what the broker's earlier incarnation left: it leaves every ISR, and, unless it stopped
/// cleanly, every list of eligible leaders.
fn cleanup(image: &Image, context: &ControllerContext<'_>, id: BrokerId, clean: bool) -> Vec<VersionedRecord> {
    if is_planted(Bug::UncleanRestartIgnored) {
        return Vec::new();
    }
    if clean || image.features.level(ELR_VERSION) == 0 {
        return broker_leaves(image, context.settings, id);
    }
    broker_lost_records(image, context.settings, id)
}

/// Unregisters a broker, whether it is alive or not. Errors: BROKER_ID_NOT_REGISTERED;
/// POLICY_VIOLATION where it is in more ISRs than one request may change.
pub fn unregister_broker(image: &Image, context: &mut ControllerContext<'_>, id: BrokerId) -> Decided<()> {
    let Some(broker) = image.cluster.brokers.get(&id) else {
        let message = format!("Broker ID {id} is not currently registered");
        return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, message));
    };
    let mut records = broker_is_removed(image, context.settings, id);
    let record = UnregisterBrokerRecord { broker_id: id.0, broker_epoch: broker.epoch.0, ..Default::default() };
    records.push(VersionedRecord::v0(MetadataRecord::UnregisterBroker(record)));
    bounded(&records)?;
    let mut decision = Decision::of(records, ());
    decision.soft.push(SoftChange::Unregistered(id));
    Ok(decision)
}

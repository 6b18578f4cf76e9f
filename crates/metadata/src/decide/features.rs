//! UpdateFeatures (KIP-584, KIP-778).

use super::bootstrap::min_isr;
use super::{ControllerContext, Decided, Decision, code_and_message};
use crate::VersionedRecord;
use crate::image::{ConfigResource, Image, ResourceType, SupportedVersions};
use crate::snapshot::feature_level;
use crate::version::{ELR_VERSION, Feature, KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use model::{ApiError, BrokerId, ErrorCode};
use protocol::MetadataRecord;
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::no_op_record::NoOpRecord;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use std::collections::{BTreeMap, BTreeSet};

/// How a level may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    Up,
    SafeDown,
    UnsafeDown,
}

impl Upgrade {
    /// The number that requests have from version 1 on. Like Kafka, version 0 ignores its flag:
    /// there a level only rises.
    fn of(update: &FeatureUpdateKey) -> Option<Self> {
        match update.upgrade_type {
            1 => Some(Self::Up),
            2 => Some(Self::SafeDown),
            3 => Some(Self::UnsafeDown),
            _ => None,
        }
    }
}

/// The quorum as its leader knows it at the moment of a decision.
#[derive(Clone, Debug, Default)]
pub struct QuorumMembers {
    /// The level of `kraft.version`.
    pub kraft_version: i16,
    /// The voters' ids.
    pub voters: BTreeSet<BrokerId>,
    /// The ids of the replicas that fetch the metadata log and do not vote: brokers, and
    /// controllers that were removed or are not added yet.
    pub observers: BTreeSet<BrokerId>,
}

impl QuorumMembers {
    /// Whether a controller takes part. One that was removed and stopped keeps its registration:
    /// before release 4.4 of Kafka there is no request to delete it (KIP-1312). An observer that is
    /// a broker may be a controller no more, and says as a broker what it supports.
    fn has(&self, id: BrokerId, image: &Image) -> bool {
        self.voters.contains(&id) || self.observers.contains(&id) && !image.cluster.brokers.contains_key(&id)
    }
}

/// Whether a request raises `kraft.version` above the quorum's level. Only the quorum can do that:
/// its driver does it before it asks for [`update_features`] with the new level.
pub fn raises_kraft_version(request: &UpdateFeaturesRequest, kraft_version: i16) -> bool {
    let is_raised = |it: &FeatureUpdateKey| it.feature == KRAFT_VERSION && it.max_version_level > kraft_version;
    !request.validate_only && request.feature_updates.iter().any(is_raised)
}

/// Updates features, all or none. A request that raises `kraft.version` is refused here unless it
/// only validates. The reply holds an entry for each feature, which requests from version 2 on do
/// not get.
pub fn update_features(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &UpdateFeaturesRequest,
    quorum: &QuorumMembers,
) -> Decided<UpdateFeaturesResponse> {
    let updates: BTreeMap<&str, &FeatureUpdateKey> =
        request.feature_updates.iter().map(|update| (update.feature.as_str(), update)).collect();
    let mut proposed: BTreeMap<&str, i16> = image.features.finalized().collect();
    proposed.extend(updates.iter().map(|(name, update)| (*name, update.max_version_level)));
    let mut records = Vec::new();
    for update in updates.values() {
        match update_one(image, context, update, &proposed, quorum, request.validate_only) {
            Ok(record) => records.extend(record),
            Err(error) => return Ok(Decision::reply(feature_update_failed(&error))),
        }
    }
    if !request.validate_only && updates.get(ELR_VERSION).is_some_and(|update| update.max_version_level > 0) {
        records.extend(elr_safety(image, context));
    }
    if request.validate_only {
        records.clear();
    }
    let results = request.feature_updates.iter().map(|update| UpdatableFeatureResult {
        feature: update.feature.clone(),
        error_message: Some(ErrorCode::None.name().into()),
        ..Default::default()
    });
    Ok(Decision::atomic(
        records,
        UpdateFeaturesResponse { error_message: None, results: results.collect(), ..Default::default() },
    ))
}

/// Returns the answer to a request of which one feature had an error.
pub fn feature_update_failed(error: &ApiError) -> UpdateFeaturesResponse {
    let (error_code, message) = code_and_message(error);
    let message = message.unwrap_or_default();
    let message = format!("The update failed for all features since the following feature had an error: {message}");
    UpdateFeaturesResponse { error_code, error_message: Some(message.into()), ..Default::default() }
}

fn invalid(feature: &str, level: i16, reason: &str) -> ApiError {
    let message = format!("Invalid update version {level} for feature {feature}. {reason}");
    ApiError::new(ErrorCode::InvalidUpdateVersion, message)
}

fn update_one(
    image: &Image,
    context: &ControllerContext<'_>,
    update: &FeatureUpdateKey,
    proposed: &BTreeMap<&str, i16>,
    quorum: &QuorumMembers,
    validate_only: bool,
) -> Result<Option<VersionedRecord>, ApiError> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let invalid = |reason: &str| Err(invalid(name, level, reason));
    let Some(upgrade) = Upgrade::of(update) else {
        return invalid("The controller does not support the given upgrade type.");
    };
    let current = if name == KRAFT_VERSION { quorum.kraft_version } else { image.features.level(name) };
    if level < 0 {
        return invalid("A feature version cannot be less than 0.");
    }
    if let Some(reason) = reason_not_supported(image, context, quorum, name, level) {
        return invalid(&reason);
    }
    if level < current && upgrade == Upgrade::Up {
        return invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    if level > current && upgrade != Upgrade::Up {
        return invalid("Can't downgrade to a newer version.");
    }
    if name == METADATA_VERSION {
        return update_metadata_version(image, level, upgrade).map(Some);
    }
    if name == KRAFT_VERSION {
        return match (level == current, upgrade) {
            (true, Upgrade::Up) => Ok(Some(VersionedRecord::v0(MetadataRecord::NoOp(NoOpRecord::default())))),
            (true, _) => Ok(None),
            (false, Upgrade::Up) if validate_only => Ok(None),
            (false, Upgrade::Up) => {
                let message = "The quorum's kraft.version cannot be upgraded yet.";
                Err(ApiError::new(ErrorCode::UnsupportedVersion, message))
            }
            (false, _) => invalid("Can't downgrade the version of this feature."),
        };
    }
    let Some(feature) = Feature::named(name) else {
        return invalid(&format!("Feature {name} not found."));
    };
    if let Some((other, needed)) = feature.dependency(level)
        && proposed.get(other).is_none_or(|level| *level < needed)
    {
        return invalid(&format!("{name} could not be set to {level} because it depends on {other} level {needed}"));
    }
    Ok(Some(feature_level(name, level)))
}

fn update_metadata_version(image: &Image, level: i16, upgrade: Upgrade) -> Result<VersionedRecord, ApiError> {
    let current = image.features.version();
    let Some(wanted) = MetadataVersion::from_level(level) else {
        let (oldest, latest) = (MetadataVersion::OLDEST.level(), MetadataVersion::LATEST.level());
        let message = format!("Invalid metadata.version {level}. Valid versions are from {oldest} to {latest}.");
        return Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
    };
    if wanted < current && wanted.metadata_changed_between(current) {
        let reason = if upgrade == Upgrade::UnsafeDown {
            "Unsafe metadata downgrade is not supported in this version."
        } else {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        };
        let message =
            format!("Unsupported metadata.version downgrade from {} to {}. {reason}", current.level(), wanted.level());
        return Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
    }
    Ok(feature_level(METADATA_VERSION, level))
}

/// Says why a node of the cluster does not support a level: this node, a broker, or another
/// controller of the quorum. Apache Kafka 4.3.1 counts every controller that ever registered: one
/// that was removed then keeps the cluster at the levels of its old release (KAFKA-20295).
fn reason_not_supported(
    image: &Image,
    context: &ControllerContext<'_>,
    quorum: &QuorumMembers,
    name: &str,
    level: i16,
) -> Option<String> {
    let reason = |who: String, range: SupportedVersions| {
        if range.contains(level) {
            None
        } else if range.max == 0 {
            Some(format!("{who} does not support this feature."))
        } else if range.min == range.max {
            Some(format!("{who} only supports versions {}", range.min))
        } else {
            Some(format!("{who} only supports versions {}-{}", range.min, range.max))
        }
    };
    let own = Feature::named(name)
        .map_or_else(SupportedVersions::default, |feature| SupportedVersions { min: feature.min, max: feature.max });
    let node = context.settings.node_id;
    if let Some(reason) = reason(format!("Local controller {node}"), own) {
        return Some(reason);
    }
    let of = |features: &BTreeMap<_, SupportedVersions>| features.get(name).copied().unwrap_or_default();
    for broker in image.cluster.brokers.values() {
        if let Some(reason) = reason(format!("Broker {}", broker.id), of(&broker.features)) {
            return Some(reason);
        }
    }
    if !image.features.version().has_controller_registration() {
        return None;
    }
    let mut known: BTreeSet<BrokerId> = BTreeSet::from([node]);
    for controller in image.cluster.controllers.values().filter(|it| it.id != node && quorum.has(it.id, image)) {
        if let Some(reason) = reason(format!("Controller {}", controller.id), of(&controller.features)) {
            return Some(reason);
        }
        known.insert(controller.id);
    }
    let unknown = quorum.voters.iter().find(|id| !known.contains(id))?;
    Some(format!("controller {unknown} has not registered, and may not support this feature"))
}

/// With eligible leader replicas, `min.insync.replicas` must be the same for all: it is set for the
/// cluster and removed from single brokers.
fn elr_safety(image: &Image, context: &ControllerContext<'_>) -> Vec<VersionedRecord> {
    const KEY: &str = "min.insync.replicas";
    let mut records = Vec::new();
    if image.configs.value(&ConfigResource::all_brokers(), KEY).is_none() {
        records.push(min_isr(context.settings));
    }
    let set_on = image.configs.iter().filter(|(resource, configs)| {
        resource.kind == ResourceType::Broker && !resource.name.is_empty() && configs.contains_key(KEY)
    });
    records.extend(set_on.map(|(resource, _)| {
        VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
            resource_type: resource.kind.code(),
            resource_name: resource.name.clone(),
            name: KEY.into(),
            value: None,
            ..Default::default()
        }))
    }));
    records
}

//! The first records of a new cluster's log, and the first records of a controller that becomes
//! active.

use super::Settings;
use crate::VersionedRecord;
use crate::image::{ConfigResource, Image};
use crate::snapshot::feature_level;
use crate::version::{ELR_VERSION, FEATURES, Feature, KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use protocol::MetadataRecord;
use protocol::messages::abort_transaction_record::AbortTransactionRecord;
use protocol::messages::begin_transaction_record::BeginTransactionRecord;
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::end_transaction_record::EndTransactionRecord;
use std::collections::BTreeMap;

/// The records that `format` puts into `bootstrap.checkpoint`: `metadata.version`, then the
/// features in the order of their names. `chosen` are the levels that the user named; other
/// features get their defaults. Errors: a message for the person at the terminal.
pub fn bootstrap_features(
    version: MetadataVersion,
    chosen: &BTreeMap<String, i16>,
) -> Result<Vec<VersionedRecord>, String> {
    for (name, level) in chosen {
        let feature = Feature::named(name).filter(|it| it.name != METADATA_VERSION);
        let Some(feature) = feature else {
            let known: Vec<&str> = FEATURES.iter().map(|it| it.name).filter(|name| *name != METADATA_VERSION).collect();
            return Err(format!("Unsupported feature: {name}. Supported features are: {}", known.join(", ")));
        };
        if !(feature.min..=feature.max).contains(level) {
            return Err(format!("No feature:{name} with feature level {level}"));
        }
        if let Some((other, needed)) = feature.dependency(*level)
            && version.level() < needed
        {
            return Err(format!("{name} could not be set to {level} because it depends on {other} level {needed}"));
        }
    }
    let levels = FEATURES
        .iter()
        // kraft.version is a control record of the quorum, not a feature record.
        .filter(|feature| feature.name != METADATA_VERSION && feature.name != KRAFT_VERSION)
        .map(|feature| {
            let level = chosen.get(feature.name).copied().unwrap_or_else(|| feature.default_level(version));
            (feature.name, level)
        })
        .filter(|(_, level)| *level > 0);
    let mut records = vec![feature_level(METADATA_VERSION, version.level())];
    records.extend(levels.map(|(name, level)| feature_level(name, level)));
    Ok(records)
}

/// Returns the first records of a controller that becomes active. `in_transaction` says whether the
/// log ends within a metadata transaction, which they abort. A log without a `metadata.version` is
/// new and gets the bootstrap records. Their version decides whether they stand in one batch or in
/// a metadata transaction. The records may be split, except below 3.6-IV1, where there are no
/// transactions.
pub fn activate(
    image: &Image,
    settings: &Settings,
    bootstrap: &[VersionedRecord],
    in_transaction: bool,
) -> Vec<VersionedRecord> {
    let mut records = Vec::new();
    if in_transaction {
        let record = AbortTransactionRecord { reason: Some("Controller failover".into()), ..Default::default() };
        records.push(VersionedRecord::v0(MetadataRecord::AbortTransaction(record)));
    }
    if image.features.metadata_version.is_some() {
        return records;
    }
    let level = |wanted: &str| {
        bootstrap.iter().find_map(|it| match &it.record {
            MetadataRecord::FeatureLevel(record) if record.name == wanted => Some(record.feature_level),
            _ => None,
        })
    };
    let version = level(METADATA_VERSION).and_then(MetadataVersion::from_level).unwrap_or(MetadataVersion::OLDEST);
    if version.has_transactions() {
        let record = BeginTransactionRecord { name: Some("Bootstrap records".into()), ..Default::default() };
        records.push(VersionedRecord::v0(MetadataRecord::BeginTransaction(record)));
    }
    records.extend_from_slice(bootstrap);
    if level(ELR_VERSION).unwrap_or(0) > 0 {
        records.push(min_isr(settings));
    }
    if version.has_transactions() {
        records.push(VersionedRecord::v0(MetadataRecord::EndTransaction(EndTransactionRecord::default())));
    }
    records
}

/// The cluster's `min.insync.replicas` as a dynamic config: with eligible leader replicas, every
/// node must use the same value.
pub(super) fn min_isr(settings: &Settings) -> VersionedRecord {
    let resource = ConfigResource::all_brokers();
    VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name,
        name: "min.insync.replicas".into(),
        value: Some(settings.min_insync_replicas.to_string().into()),
        ..Default::default()
    }))
}

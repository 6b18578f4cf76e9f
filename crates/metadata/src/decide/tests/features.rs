//! Updating features.

use super::*;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

const FAILED: &str = "The update failed for all features since the following feature had an error: ";

fn ask(cluster: &mut Cluster, feature: &str, level: i16, upgrade_type: i8) -> (Vec<String>, String) {
    let update =
        FeatureUpdateKey { feature: feature.into(), max_version_level: level, upgrade_type, ..Default::default() };
    let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
    let quorum = cluster.quorum.clone();
    let decided = cluster.decide(|image, _, context| update_features(image, context, &request, &quorum));
    let (records, reply) = decided.unwrap();
    (records, result(reply.error_code, reply.error_message.as_ref()).replace(FAILED, ""))
}

#[test]
fn updates_that_kafka_refuses() {
    let mut cluster = Cluster::of_one_broker();
    let (up, safe, unsafe_) = (1, 2, 3);
    for (feature, level, kind, reason) in [
        (
            "metadata.version",
            29,
            up,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ),
        ("metadata.version", 31, up, "Local controller 1 only supports versions 7-30"),
        ("metadata.version", 6, safe, "Local controller 1 only supports versions 7-30"),
        ("foo", 1, up, "Local controller 1 does not support this feature."),
        ("foo", 0, safe, "Feature foo not found."),
        ("transaction.version", 3, up, "Local controller 1 only supports versions 0-2"),
        ("transaction.version", -1, up, "A feature version cannot be less than 0."),
        ("transaction.version", 1, 9, "The controller does not support the given upgrade type."),
    ] {
        let (records, said) = ask(&mut cluster, feature, level, kind);
        assert!(records.is_empty());
        assert_eq!(
            said,
            format!("INVALID_UPDATE_VERSION: Invalid update version {level} for feature {feature}. {reason}")
        );
    }
    for (kind, reason) in [
        (safe, "Refusing to perform the requested downgrade because it might delete metadata information."),
        (unsafe_, "Unsafe metadata downgrade is not supported in this version."),
    ] {
        let (_, said) = ask(&mut cluster, "metadata.version", 29, kind);
        let expected = "INVALID_UPDATE_VERSION: Unsupported metadata.version downgrade from 30 to 29.";
        assert_eq!(said, format!("{expected} {reason}"));
    }
}

#[test]
fn the_flag_of_the_first_version_is_not_looked_at() {
    let mut cluster = Cluster::of_one_broker();
    let mut ask = |level| {
        let (feature, allow_downgrade) = ("transaction.version".into(), true);
        let update = FeatureUpdateKey { feature, max_version_level: level, allow_downgrade, ..Default::default() };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        let quorum = cluster.quorum.clone();
        cluster.decide(|image, _, context| update_features(image, context, &request, &quorum)).unwrap().1
    };
    assert_eq!(ask(1).error_code, ErrorCode::InvalidUpdateVersion.code());
    assert_eq!(ask(2).results[0].error_message.as_deref(), Some("NONE"));
}

#[test]
fn features_move() {
    let mut cluster = Cluster::of_one_broker();
    assert_eq!(
        ask(&mut cluster, "transaction.version", 1, 2).0,
        ["FeatureLevel v0 {name:transaction.version,featureLevel:1}"]
    );
    assert_eq!(cluster.image.features.level("transaction.version"), 1);
    ask(&mut cluster, "eligible.leader.replicas.version", 0, 2);
    assert_eq!(cluster.image.features.level("eligible.leader.replicas.version"), 0);
    ask(&mut cluster, "eligible.leader.replicas.version", 1, 1);
    assert_eq!(cluster.image.features.level("eligible.leader.replicas.version"), 1);
}

/// Release 3.4.0 loads nothing of a partition in which an offset is flexible; 3.4.1 and 3.5.0 read
/// it.
#[test]
fn coordinators_records_are_flexible_where_every_release_that_may_run_reads_them() {
    let flexible = |name| MetadataVersion::from_name(name).unwrap().has_flexible_coordinator_records();
    assert_eq!(["3.3", "3.4", "3.5-IV0", "3.6", "3.9", "4.3"].map(flexible), [false, false, true, true, true, true]);
}

#[test]
fn an_older_metadata_version_writes_older_records() {
    let mut cluster = Cluster::new(MetadataVersion::from_name("3.6").unwrap());
    assert_eq!(cluster.register(1, 1, -1).unwrap(), ["RegisterBroker v2 1 epoch 4"]);
    cluster.beat(1, |_| {}).unwrap();
    topics::create(&mut cluster, "a", 1);
    let records: Vec<_> = cluster.image.snapshot_records().map(|it| (it.record.name(), it.version)).collect();
    assert_eq!(
        records,
        [("FeatureLevelRecord", 0), ("RegisterBrokerRecord", 2), ("TopicRecord", 0), ("PartitionRecord", 0)]
    );
    let (records, said) = ask(&mut cluster, "metadata.version", 30, 1);
    assert_eq!((records.len(), said.as_str()), (1, "NONE"));
}

/// Registers controller 7 with the highest `metadata.version` that it supports.
fn register_other_controller(cluster: &mut Cluster, highest: i16) {
    use protocol::messages::controller_registration_request as controller;
    let feature = controller::Feature {
        name: "metadata.version".into(),
        min_supported_version: 7,
        max_supported_version: highest,
        ..Default::default()
    };
    let request = controller::ControllerRegistrationRequest {
        controller_id: 7,
        zk_migration_ready: true,
        features: vec![feature],
        ..Default::default()
    };
    cluster.decide(|image, _, _| register_controller(image, &request)).unwrap();
}

/// KAFKA-20295.
#[test]
fn a_controller_that_was_removed_and_stopped_does_not_hold_a_level_back() {
    let mut cluster = Cluster::new(MetadataVersion::from_name("3.9").unwrap());
    cluster.quorum.voters = [BrokerId(1), BrokerId(7)].into();
    register_other_controller(&mut cluster, 24);
    let old = "INVALID_UPDATE_VERSION: Invalid update version 25 for feature metadata.version. Controller 7 only supports versions 7-24";
    assert_eq!(ask(&mut cluster, "metadata.version", 25, 1).1, old);
    // It is no voter any more, but it runs and reads the log.
    cluster.quorum.voters = [BrokerId(1)].into();
    cluster.quorum.observers = [BrokerId(7)].into();
    assert_eq!(ask(&mut cluster, "metadata.version", 25, 1).1, old);
    // It came back with a newer release, and only as a broker.
    cluster.register(7, 7, -1).unwrap();
    assert_eq!(ask(&mut cluster, "metadata.version", 25, 1).1, "NONE");
    cluster.quorum.observers.clear();
    assert_eq!(ask(&mut cluster, "metadata.version", 26, 1).1, "NONE");
    assert!(cluster.image.cluster.controllers.contains_key(&BrokerId(7)), "its registration stays");
}

/// Every registered broker and controller must support a level, and every voter must be registered.
#[test]
fn a_level_that_one_node_does_not_support_is_refused() {
    let mut cluster = Cluster::new(MetadataVersion::from_name("3.9").unwrap());
    for id in 1..=2 {
        let highest = if id == 1 { 30 } else { 25 };
        let adjust = |it: &mut BrokerRegistrationRequest| {
            it.features.retain(|it| it.name == "metadata.version" || it.name == "kraft.version");
            it.features.iter_mut().filter(|it| it.name == "metadata.version").for_each(|it| {
                it.max_supported_version = highest;
            });
        };
        cluster.register_as(id, id as u8, -1, adjust).unwrap();
    }
    cluster.quorum.voters = [BrokerId(1), BrokerId(7)].into();
    let refused = |cluster: &mut Cluster, level: i16| {
        let (records, said) = ask(cluster, "metadata.version", level, 1);
        assert!(records.is_empty());
        said.replace(
            &format!("INVALID_UPDATE_VERSION: Invalid update version {level} for feature metadata.version. "),
            "",
        )
    };
    assert_eq!(refused(&mut cluster, 26), "Broker 2 only supports versions 7-25");
    assert_eq!(refused(&mut cluster, 25), "controller 7 has not registered, and may not support this feature");
    register_other_controller(&mut cluster, 24);
    assert_eq!(refused(&mut cluster, 25), "Controller 7 only supports versions 7-24");
    assert!(!cluster.image.cluster.controllers[&BrokerId(7)].zk_migration_ready, "as Kafka from 4.0 on");
    register_other_controller(&mut cluster, 30);
    assert_eq!(ask(&mut cluster, "metadata.version", 25, 1).1, "NONE");
    // A broker that does not support what is finalized cannot come.
    let old = cluster.register_as(3, 3, -1, |it| {
        it.features.retain(|it| it.name == "metadata.version");
        it.features[0].max_supported_version = 24;
    });
    assert_eq!(
        said(&old.unwrap_err()),
        "UNSUPPORTED_VERSION: Unable to register because the broker does not support finalized version 25 of metadata.version. The broker wants a version between 7 and 24, inclusive."
    );
}

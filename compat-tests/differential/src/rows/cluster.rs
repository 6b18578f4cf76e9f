//! DescribeCluster, DescribeQuorum, UpdateFeatures, DescribeLogDirs, ListConfigResources,
//! FindCoordinator.

use super::topic;
use crate::run::Run;
use protocol::Str;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequest};
use protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

pub fn rows(run: &mut Run) {
    run.row("good", 0..=2, |_, _| DescribeClusterRequest::default());
    run.row("authorized operations", 0..=2, |_, _| DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        ..Default::default()
    });
    for endpoint_type in [2, 0, 3, -1] {
        run.row(&format!("endpoint type {endpoint_type}"), 1..=2, |_, _| DescribeClusterRequest {
            endpoint_type,
            ..Default::default()
        });
    }
    run.row("fenced brokers", [2], |_, _| DescribeClusterRequest {
        include_fenced_brokers: true,
        ..Default::default()
    });
    quorum(run);
    features(run);
    log_dirs(run);
    config_resources(run);
    coordinators(run);
}

fn quorum(run: &mut Run) {
    let of = |topics: &[(&str, &[i32])]| DescribeQuorumRequest {
        topics: topics
            .iter()
            .map(|(name, partitions)| TopicData {
                topic_name: (*name).into(),
                partitions: partitions
                    .iter()
                    .map(|index| PartitionData { partition_index: *index, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    run.row("good", 0..=2, |_, _| of(&[("__cluster_metadata", &[0])]));
    run.row("another topic", 0..=2, |_, _| of(&[("other", &[0])]));
    run.row("another partition", 0..=2, |_, _| of(&[("__cluster_metadata", &[1])]));
    run.row("two partitions", 0..=2, |_, _| of(&[("__cluster_metadata", &[0, 1])]));
    run.row("two topics", 0..=2, |_, _| of(&[("__cluster_metadata", &[0]), ("other", &[0])]));
    run.row("no partition", 0..=2, |_, _| of(&[("__cluster_metadata", &[])]));
}

/// A feature, its level, and the type of the update.
type Update<'a> = (&'a str, i16, i8);

fn features(run: &mut Run) {
    let of = |updates: &[Update], version: i16, validate_only: bool| UpdateFeaturesRequest {
        feature_updates: updates
            .iter()
            .map(|(feature, level, upgrade_type)| FeatureUpdateKey {
                feature: (*feature).into(),
                max_version_level: *level,
                allow_downgrade: version == 0 && *upgrade_type != 1,
                upgrade_type: if version == 0 { 1 } else { *upgrade_type },
                ..Default::default()
            })
            .collect(),
        validate_only: version > 0 && validate_only,
        ..Default::default()
    };
    let cases: &[(&str, &[Update])] = &[
        ("an unknown feature", &[("no.such.feature", 1, 1)]),
        ("the level that is", &[("metadata.version", 30, 1)]),
        ("a level too high", &[("metadata.version", 9999, 1)]),
        ("a level too low", &[("metadata.version", 1, 2)]),
        ("a downgrade as an upgrade", &[("metadata.version", 20, 1)]),
        ("a level of zero", &[("metadata.version", 0, 1)]),
        ("a negative level", &[("metadata.version", -1, 1)]),
        ("a level of zero, safely", &[("metadata.version", 0, 2)]),
        ("kraft.version too high", &[("kraft.version", 9, 1)]),
        ("kraft.version down", &[("kraft.version", 0, 2)]),
        ("group.version too high", &[("group.version", 99, 1)]),
        ("an empty name", &[("", 1, 1)]),
        ("an unknown type", &[("group.version", 1, 9)]),
        ("type unknown", &[("group.version", 1, 0)]),
        ("two, one wrong", &[("group.version", 1, 1), ("no.such.feature", 1, 1)]),
    ];
    for (case, updates) in cases {
        run.row(&format!("{case}, only validated"), 1..=2, |_, version| of(updates, version, true));
        if !case.starts_with("the level") {
            run.row(case, 0..=2, |_, version| of(updates, version, false));
        }
    }
}

fn log_dirs(run: &mut Run) {
    topic(run, "dirs", 2, &[]);
    let of = |topics: Option<Vec<(&str, Vec<i32>)>>| DescribeLogDirsRequest {
        topics: topics.map(|topics| {
            topics
                .into_iter()
                .map(|(name, partitions)| DescribableLogDirTopic {
                    topic: name.into(),
                    partitions,
                    ..Default::default()
                })
                .collect()
        }),
        ..Default::default()
    };
    run.row("one topic", 1..=5, |_, _| of(Some(vec![("dirs", vec![0, 1])])));
    run.row("one partition", 1..=5, |_, _| of(Some(vec![("dirs", vec![1])])));
    run.row("an unknown partition", 1..=5, |_, _| of(Some(vec![("dirs", vec![7])])));
    run.row("an unknown topic", 1..=5, |_, _| of(Some(vec![("nothing", vec![0])])));
    run.row("no topic", 1..=5, |_, _| of(Some(Vec::new())));
}

fn config_resources(run: &mut Run) {
    run.row("good", [0], |_, _| ListConfigResourcesRequest::default());
    for types in
        [&[][..], &[2], &[4], &[8], &[16], &[32], &[2, 4, 8, 16, 32], &[0], &[1], &[99], &[-1], &[2, 99], &[4, 4]]
    {
        run.row(&format!("types {types:?}"), [1], |_, _| ListConfigResourcesRequest {
            resource_types: types.to_vec(),
            ..Default::default()
        });
    }
}

fn coordinators(run: &mut Run) {
    let of = |version: i16, key_type: i8, keys: &[&str]| FindCoordinatorRequest {
        key: if version < 4 { keys.first().map(|key| Str::from(*key)).unwrap_or_default() } else { Str::default() },
        key_type,
        coordinator_keys: if version < 4 { Vec::new() } else { keys.iter().map(|key| Str::from(*key)).collect() },
        ..Default::default()
    };
    // The first request creates the offsets topic. Its answer depends on how fast this is.
    super::warm(run);
    run.row("a group", 0..=6, |_, version| of(version, 0, &["g"]));
    run.row("an empty group", 0..=6, |_, version| of(version, 0, &[""]));
    run.row("three groups", 4..=6, |_, version| of(version, 0, &["a", "b", "a"]));
    run.row("no key", 4..=6, |_, version| of(version, 0, &[]));
    run.row("an unknown type", 1..=6, |_, version| of(version, 9, &["g"]));
    run.row("a negative type", 1..=6, |_, version| of(version, -1, &["g"]));
    run.row("a share key where there is none", 1..=5, |_, version| of(version, 2, &["g"]));
    run.row("a share key that is no key", [6], |_, version| of(version, 2, &["g"]));
}

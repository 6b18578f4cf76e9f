//! Requests of administrators: reassignments, elections, voters, brokers, log dirs; and requests
//! whose timeout has passed on arrival.

use super::{NO_TOPIC, topic};
use crate::run::Run;
use model::Uuid;
use protocol::Str;
use protocol::messages::add_raft_voter_request::{self, AddRaftVoterRequest};
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

pub fn rows(run: &mut Run) {
    topic(run, "move", 2, &[]);
    reassignments(run);
    elections(run);
    voters(run);
    log_dirs(run);
    late(run);
    for broker_id in [7, -1, i32::MAX] {
        run.row(&format!("broker {broker_id}"), [0], |_, _| UnregisterBrokerRequest {
            broker_id,
            ..Default::default()
        });
    }
    for ids in [&[][..], &["nothing"], &["a", "a"], &[""]] {
        // This runs before the transaction coordinator has its topic.
        run.row(&format!("{ids:?}"), [0], |_, _| DescribeTransactionsRequest {
            transactional_ids: ids.iter().map(|id| Str::from(*id)).collect(),
            ..Default::default()
        });
    }
}

/// Partitions and their target brokers; `None` cancels the reassignment.
type Targets<'a> = &'a [(&'a str, i32, Option<&'a [i32]>)];

fn reassignment(targets: Targets) -> AlterPartitionReassignmentsRequest {
    let one = |(name, index, replicas): &(&str, i32, Option<&[i32]>)| ReassignableTopic {
        name: (*name).into(),
        partitions: vec![ReassignablePartition {
            partition_index: *index,
            replicas: replicas.map(<[i32]>::to_vec),
            ..Default::default()
        }],
        ..Default::default()
    };
    AlterPartitionReassignmentsRequest { topics: targets.iter().map(one).collect(), ..Default::default() }
}

fn reassignments(run: &mut Run) {
    let cases: &[(&str, Targets)] = &[
        ("to where it is", &[("move", 0, Some(&[1]))]),
        ("to an unknown broker", &[("move", 0, Some(&[7]))]),
        ("to a negative broker", &[("move", 0, Some(&[-1]))]),
        ("to a broker twice", &[("move", 0, Some(&[1, 1]))]),
        ("to more brokers", &[("move", 0, Some(&[1, 7]))]),
        ("to nobody", &[("move", 0, Some(&[]))]),
        ("cancelled", &[("move", 0, None)]),
        ("of an unknown partition", &[("move", 9, Some(&[1]))]),
        ("of a negative partition", &[("move", -1, None)]),
        ("of an unknown topic", &[("nothing", 0, Some(&[1]))]),
        ("of an unknown topic, cancelled", &[("nothing", 0, None)]),
        ("of an unnamed topic", &[("", 0, Some(&[1]))]),
        ("of two, one unknown", &[("move", 1, Some(&[1])), ("nothing", 0, None)]),
        ("of one twice", &[("move", 1, Some(&[1])), ("move", 1, None)]),
    ];
    for (case, targets) in cases {
        run.row(case, 0..=1, |_, _| reassignment(targets));
        run.row(&format!("{case}, of the same factor"), [1], |_, _| AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: false,
            ..reassignment(targets)
        });
    }
    run.row("none", 0..=1, |_, _| reassignment(&[]));
    run.row("all", [0], |_, _| ListPartitionReassignmentsRequest::default());
    for (name, indexes) in [("move", &[0, 1][..]), ("move", &[9]), ("nothing", &[0]), ("move", &[]), ("", &[0])] {
        run.row(&format!("{name:?} {indexes:?}"), [0], |_, _| ListPartitionReassignmentsRequest {
            topics: Some(vec![ListPartitionReassignmentsTopics {
                name: name.into(),
                partition_indexes: indexes.to_vec(),
                ..Default::default()
            }]),
            ..Default::default()
        });
    }
    run.row("none", [0], |_, _| ListPartitionReassignmentsRequest { topics: Some(Vec::new()), ..Default::default() });
}

fn elections(run: &mut Run) {
    let of = |kind: i8, topics: &[(&str, &[i32])]| ElectLeadersRequest {
        election_type: kind,
        topic_partitions: Some(
            topics
                .iter()
                .map(|(topic, partitions)| TopicPartitions {
                    topic: (*topic).into(),
                    partitions: partitions.to_vec(),
                    ..Default::default()
                })
                .collect(),
        ),
        ..Default::default()
    };
    for kind in [0, 1] {
        let versions = i16::from(kind)..=2;
        run.row(&format!("kind {kind}: one"), versions.clone(), |_, _| of(kind, &[("move", &[0])]));
        run.row(&format!("kind {kind}: two"), versions.clone(), |_, _| of(kind, &[("move", &[1, 0])]));
        run.row(&format!("kind {kind}: one twice"), versions.clone(), |_, _| of(kind, &[("move", &[0, 0])]));
        run.row(&format!("kind {kind}: an unknown partition"), versions.clone(), |_, _| of(kind, &[("move", &[0, 9])]));
        run.row(&format!("kind {kind}: a negative partition"), versions.clone(), |_, _| of(kind, &[("move", &[-1])]));
        run.row(&format!("kind {kind}: unknown topics"), versions.clone(), |_, _| {
            of(kind, &[("nothing", &[0]), ("", &[0]), ("move", &[0])])
        });
        run.row(&format!("kind {kind}: no partition"), versions.clone(), |_, _| of(kind, &[("move", &[])]));
        run.row(&format!("kind {kind}: none"), versions.clone(), |_, _| of(kind, &[]));
        run.row(&format!("kind {kind}: all"), versions, |_, _| ElectLeadersRequest {
            election_type: kind,
            topic_partitions: None,
            ..Default::default()
        });
    }
    for kind in [2, -1, 99] {
        run.row(&format!("kind {kind}"), 1..=2, |_, _| of(kind, &[("move", &[0])]));
    }
}

fn listener(name: &str) -> add_raft_voter_request::Listener {
    add_raft_voter_request::Listener { name: name.into(), host: "127.0.0.1".into(), port: 1, ..Default::default() }
}

fn voters(run: &mut Run) {
    let ours = "AAAAAAAAAAAAAAAAAAAAAQ";
    // Error messages contain the voter's directory id.
    run.row("the voters", [2], |_, _| DescribeQuorumRequest {
        topics: vec![TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![PartitionData::default()],
            ..Default::default()
        }],
        ..Default::default()
    });
    run.keep("directory", "/topics/0/partitions/0/currentVoters/0/replicaDirectoryId");
    for (case, cluster, id) in [
        ("of another cluster", Some("other"), 2),
        ("of no cluster", None, -1),
        ("of no cluster, unknown", None, 7),
        ("of this cluster, unknown", Some(ours), 7),
    ] {
        run.row(&format!("{case}, without a listener"), 0..=1, |_, _| AddRaftVoterRequest {
            cluster_id: cluster.map(Str::from),
            voter_id: id,
            timeout_ms: 1000,
            ..Default::default()
        });
        run.row(&format!("{case}, of another listener"), 0..=1, |_, _| AddRaftVoterRequest {
            cluster_id: cluster.map(Str::from),
            voter_id: id,
            voter_directory_id: NO_TOPIC,
            listeners: vec![listener("OTHER")],
            timeout_ms: 1000,
            ..Default::default()
        });
        for directory in [Uuid::ZERO, NO_TOPIC] {
            run.row(&format!("{case}, directory {directory}"), [0], |_, _| RemoveRaftVoterRequest {
                cluster_id: cluster.map(Str::from),
                voter_id: id,
                voter_directory_id: directory,
                ..Default::default()
            });
        }
    }
    known_voters(run);
}

fn known_voters(run: &mut Run) {
    run.row("a voter already, without a listener", 0..=1, |_, _| AddRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: NO_TOPIC,
        timeout_ms: 1000,
        ..Default::default()
    });
    run.row("a voter already", 0..=1, |_, _| AddRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: NO_TOPIC,
        listeners: vec![listener("CONTROLLER")],
        timeout_ms: 1000,
        ..Default::default()
    });
    run.row("a voter already, of several listeners", 0..=1, |_, _| AddRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: NO_TOPIC,
        listeners: ["one", "Two", "three", "four", "five"].map(listener).to_vec(),
        timeout_ms: 1000,
        ..Default::default()
    });
    run.row("the only voter", [0], |side, _| RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: side.uuid("directory"),
        ..Default::default()
    });
    // Only once: afterwards, Kafka does not connect to this voter again for some time.
    run.row("a new voter that cannot be reached", [1], |_, _| AddRaftVoterRequest {
        cluster_id: None,
        voter_id: 9,
        voter_directory_id: NO_TOPIC,
        listeners: vec![listener("CONTROLLER")],
        timeout_ms: 1000,
        ..Default::default()
    });
    run.row("the voter with another directory", [0], |_, _| RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: NO_TOPIC,
        ..Default::default()
    });
}

fn log_dirs(run: &mut Run) {
    run.row("where logs are", [1], |_, _| DescribeLogDirsRequest { topics: Some(Vec::new()), ..Default::default() });
    run.keep("log dir", "/results/0/logDir");
    let to = |path: &str, topics: &[(&str, &[i32])]| AlterReplicaLogDir {
        path: path.into(),
        topics: topics
            .iter()
            .map(|(name, partitions)| AlterReplicaLogDirTopic {
                name: (*name).into(),
                partitions: partitions.to_vec(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    run.row("to where it is", 1..=2, |side, _| AlterReplicaLogDirsRequest {
        dirs: vec![to(side.text("log dir"), &[("move", &[0, 9])])],
        ..Default::default()
    });
    run.row("an unknown topic to where it could be", 1..=2, |side, _| AlterReplicaLogDirsRequest {
        dirs: vec![to(side.text("log dir"), &[("nothing", &[0])])],
        ..Default::default()
    });
    run.row("to two places", 1..=2, |side, _| AlterReplicaLogDirsRequest {
        dirs: vec![to("/nowhere", &[("move", &[0])]), to(side.text("log dir"), &[("move", &[0])])],
        ..Default::default()
    });
    for path in ["/nowhere", "", "relative"] {
        for (name, partitions) in [("move", &[0, 1][..]), ("move", &[9]), ("nothing", &[0]), ("move", &[])] {
            run.row(&format!("{name} {partitions:?} to {path:?}"), 1..=2, |_, _| AlterReplicaLogDirsRequest {
                dirs: vec![to(path, &[(name, partitions)])],
                ..Default::default()
            });
        }
    }
}

/// Requests to the controller with a timeout of zero.
fn late(run: &mut Run) {
    for timeout_ms in [0, -1] {
        late_topics(run, timeout_ms);
        late_leaders(run, timeout_ms);
    }
}

fn late_topics(run: &mut Run, timeout_ms: i32) {
    let case = |what: &str| format!("{what}, a timeout of {timeout_ms}");
    let create = |topics: &[&str]| CreateTopicsRequest {
        topics: topics
            .iter()
            .map(|name| CreatableTopic {
                name: (*name).into(),
                num_partitions: 1,
                replication_factor: 1,
                ..Default::default()
            })
            .collect(),
        timeout_ms,
        ..Default::default()
    };
    run.row(&case("one"), [2, 7], |_, _| create(&["late"]));
    run.row(&case("one twice"), [2, 7], |_, _| create(&["late", "late", "other"]));
    run.row(&case("none"), [2, 7], |_, _| create(&[]));
    let delete = |version: i16, names: &[&str]| DeleteTopicsRequest {
        topics: if version < 6 {
            Vec::new()
        } else {
            let one = |name: &&str| DeleteTopicState { name: Some((*name).into()), ..Default::default() };
            names.iter().map(one).collect()
        },
        topic_names: if version < 6 { names.iter().map(|name| Str::from(*name)).collect() } else { Vec::new() },
        timeout_ms,
        ..Default::default()
    };
    run.row(&case("one"), 1..=6, |_, version| delete(version, &["late"]));
    run.row(&case("none"), [1, 6], |_, version| delete(version, &[]));
    let grow = |names: &[&str]| CreatePartitionsRequest {
        topics: names
            .iter()
            .map(|name| CreatePartitionsTopic { name: (*name).into(), count: 5, ..Default::default() })
            .collect(),
        timeout_ms,
        ..Default::default()
    };
    run.row(&case("one"), 0..=3, |_, _| grow(&["late"]));
    run.row(&case("one twice"), 0..=3, |_, _| grow(&["late", "late"]));
    run.row(&case("none"), 0..=3, |_, _| grow(&[]));
}

fn late_leaders(run: &mut Run, timeout_ms: i32) {
    let case = |what: &str| format!("{what}, a timeout of {timeout_ms}");
    let moved = |targets: Targets| AlterPartitionReassignmentsRequest { timeout_ms, ..reassignment(targets) };
    run.row(&case("one"), 0..=1, |_, _| moved(&[("nothing", 0, None)]));
    run.row(&case("none"), 0..=1, |_, _| moved(&[]));
    run.row(&case("all"), [0], |_, _| ListPartitionReassignmentsRequest { timeout_ms, ..Default::default() });
    run.row(&case("none"), [0], |_, _| ListPartitionReassignmentsRequest {
        timeout_ms,
        topics: Some(Vec::new()),
        ..Default::default()
    });
    let elect = |topics: Option<Vec<TopicPartitions>>| ElectLeadersRequest {
        topic_partitions: topics,
        timeout_ms,
        ..Default::default()
    };
    run.row(&case("all"), 0..=2, |_, _| elect(None));
    run.row(&case("none"), 0..=2, |_, _| elect(Some(Vec::new())));
    run.row(&case("one"), 0..=2, |_, _| {
        elect(Some(vec![TopicPartitions { topic: "nothing".into(), partitions: vec![0], ..Default::default() }]))
    });
    let update = |features: &[&str]| UpdateFeaturesRequest {
        feature_updates: features
            .iter()
            .map(|feature| FeatureUpdateKey { feature: (*feature).into(), max_version_level: 99, ..Default::default() })
            .collect(),
        timeout_ms,
        ..Default::default()
    };
    run.row(&case("one"), 0..=2, |_, _| update(&["group.version"]));
    run.row(&case("none"), 0..=2, |_, _| update(&[]));
}

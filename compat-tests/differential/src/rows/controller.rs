//! The listener of the controllers, for brokers, other controllers and administrators
//! (`--bootstrap-controller`). It has its own table of keys. A key outside the table closes the
//! connection.

use super::{configs, topic, wire};
use crate::run::Run;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_configs_request::DescribeConfigsRequest;

/// Keys whose empty requests are not sent: ApiVersions has its own rows, and an empty FetchSnapshot
/// stops Kafka.
const LEFT_OUT: &[i16] = &[18, 59];

pub fn rows(run: &mut Run) {
    topic(run, "controlled", 1, &[]);
    run.turn(true);
    run.row("to the controller", 0..=2, |_, _| ApiVersionsRequest::default());
    run.row("to the controller", 3..=4, |_, _| ApiVersionsRequest {
        client_software_name: "differential".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    });
    for endpoint_type in [1, 2, 3] {
        run.row(&format!("to the controller, of type {endpoint_type}"), 1..=2, |_, _| DescribeClusterRequest {
            endpoint_type,
            include_cluster_authorized_operations: true,
            ..Default::default()
        });
    }
    run.row("to the controller", [0], |_, _| DescribeClusterRequest::default());
    topics(run);
    settings(run);
    wire::empties_of(run, |key| !LEFT_OUT.contains(&key));
    run.turn(false);
}

fn topics(run: &mut Run) {
    let create = |names: &[&str]| CreateTopicsRequest {
        topics: names
            .iter()
            .map(|name| CreatableTopic {
                name: (*name).into(),
                num_partitions: 1,
                replication_factor: 1,
                ..Default::default()
            })
            .collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    run.row("to the controller, made already", 2..=7, |_, _| create(&["controlled"]));
    run.row("to the controller, invalid", 2..=7, |_, _| create(&["a b", ""]));
    run.row("to the controller, twice", 2..=7, |_, _| create(&["twice", "twice"]));
    run.row("to the controller", [7], |_, _| create(&["from-the-controller"]));
    run.row("to the controller", [6], |_, _| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some("from-the-controller".into()), ..Default::default() }],
        timeout_ms: 10_000,
        ..Default::default()
    });
    run.row("to the controller, unknown", 1..=6, |_, version| DeleteTopicsRequest {
        topic_names: if version < 6 { vec!["nothing".into()] } else { Vec::new() },
        topics: if version < 6 {
            Vec::new()
        } else {
            vec![DeleteTopicState { name: Some("nothing".into()), ..Default::default() }]
        },
        timeout_ms: 10_000,
        ..Default::default()
    });
}

fn settings(run: &mut Run) {
    use configs::{BROKER, GROUP, LOGGER, METRICS, SET, TOPIC};
    for (kind, name) in
        [(BROKER, "1"), (BROKER, "7"), (BROKER, ""), (TOPIC, "controlled"), (TOPIC, "nothing"), (GROUP, "g")]
    {
        run.row(&format!("to the controller, type {kind} named {name:?}"), 1..=4, |_, _| DescribeConfigsRequest {
            include_synonyms: true,
            ..configs::described(kind, name, Some(&["retention.ms", "node.id", "log.cleaner.threads"]))
        });
    }
    for (kind, name, change) in [
        (TOPIC, "controlled", ("retention.ms", SET, Some("123456"))),
        (TOPIC, "controlled", ("retention.ms", SET, Some("often"))),
        (TOPIC, "nothing", ("retention.ms", SET, Some("1"))),
        (BROKER, "1", ("log.cleaner.threads", SET, Some("2"))),
        (BROKER, "1", ("log.cleaner.threads", SET, Some("x"))),
        (BROKER, "7", ("log.cleaner.threads", SET, Some("2"))),
        (BROKER, "one", ("log.cleaner.threads", SET, Some("2"))),
        (BROKER, "1", ("node.id", SET, Some("2"))),
        (LOGGER, "1", ("no.such.logger", SET, Some("INFO"))),
        (LOGGER, "7", ("no.such.logger", SET, Some("INFO"))),
        (METRICS, "sub", ("interval.ms", SET, Some("1"))),
        (GROUP, "g", ("no.such", SET, Some("1"))),
        (99, "x", ("a", SET, Some("b"))),
    ] {
        run.row(&format!("to the controller, type {kind} named {name:?}: {change:?}"), 0..=1, |_, _| {
            configs::incremental(kind, name, &[change])
        });
        run.row(&format!("to the controller, type {kind} named {name:?}: {change:?}"), 0..=2, |_, _| {
            configs::whole(kind, name, &[(change.0, change.2)])
        });
    }
    run.row("to the controller, one config twice", 0..=1, |_, _| {
        configs::incremental(TOPIC, "controlled", &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))])
    });
    run.row("to the controller, one config twice", 0..=2, |_, _| {
        configs::whole(TOPIC, "controlled", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))])
    });
    run.row("to the controller, a null value", 0..=1, |_, _| {
        configs::incremental(TOPIC, "controlled", &[("retention.ms", SET, None)])
    });
    run.row("to the controller, a null value", 0..=2, |_, _| {
        configs::whole(TOPIC, "controlled", &[("retention.ms", None)])
    });
    run.row("to the controller, one topic twice", 0..=1, |_, _| {
        let mut request = configs::incremental(TOPIC, "controlled", &[("retention.ms", SET, Some("9"))]);
        request.resources.extend(request.resources.clone());
        request
    });
    run.row("to the controller, one topic twice", 0..=2, |_, _| {
        let mut request = configs::whole(TOPIC, "controlled", &[("retention.ms", Some("9"))]);
        request.resources.extend(request.resources.clone());
        request
    });
}

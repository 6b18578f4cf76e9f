//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs, by resource and operation. The values
//! of each topic config are in `config_values`.
//!
//! Two cases are left out because Kafka itself fails: it never answers AlterConfigs that names one
//! resource twice, and an unknown operation makes its controller resign.

use super::{published, topic};
use crate::run::Run;
use protocol::Str;
use protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::{alter_configs_request, incremental_alter_configs_request};

/// Resource types.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const LOGGER: i8 = 8;
pub const METRICS: i8 = 16;
pub const GROUP: i8 = 32;

/// Operations.
pub const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A config, the operation on it, and a value.
pub type Change<'a> = (&'a str, i8, Option<&'a str>);

/// Returns a request that describes the configs of one resource.
pub fn described(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Returns a request with one or more changes of one resource.
pub fn incremental(
    kind: i8,
    name: &str,
    changes: &[Change],
) -> incremental_alter_configs_request::IncrementalAlterConfigsRequest {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
    let one = |(name, operation, value): &Change| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Str::from),
        ..Default::default()
    };
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: changes.iter().map(one).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn whole(kind: i8, name: &str, configs: &[(&str, Option<&str>)]) -> alter_configs_request::AlterConfigsRequest {
    use alter_configs_request::{AlterConfigsRequest, AlterConfigsResource, AlterableConfig};
    let one = |(name, value): &(&str, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        value: value.map(Str::from),
        ..Default::default()
    };
    AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: configs.iter().map(one).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn rows(run: &mut Run) {
    topic(run, "conf", 1, &[("retention.ms", "1234567"), ("cleanup.policy", "compact")]);
    describe(run);
    alter(run);
    operations(run);
    resources(run);
    effects(run);
}

fn describe(run: &mut Run) {
    run.row("a topic", 1..=4, |_, _| described(TOPIC, "conf", None));
    run.row("a topic with synonyms", 1..=4, |_, _| DescribeConfigsRequest {
        include_synonyms: true,
        ..described(TOPIC, "conf", None)
    });
    run.row("a topic with documentation", 3..=4, |_, _| DescribeConfigsRequest {
        include_documentation: true,
        ..described(TOPIC, "conf", None)
    });
    run.row("the broker", 1..=4, |_, _| described(BROKER, "1", Some(BROKER_KEYS)));
    run.row("the broker with synonyms", 1..=4, |_, _| DescribeConfigsRequest {
        include_synonyms: true,
        ..described(BROKER, "1", Some(BROKER_KEYS))
    });
    run.row("all brokers", 1..=4, |_, _| described(BROKER, "", None));
    run.row("a group", 1..=4, |_, _| described(GROUP, "g", None));
    run.row("a group with synonyms", 1..=4, |_, _| DescribeConfigsRequest {
        include_synonyms: true,
        ..described(GROUP, "g", None)
    });
    for keys in [&["retention.ms"][..], &["retention.ms", "no.such"], &["no.such"], &[], &[""]] {
        run.row(&format!("keys {keys:?}"), 1..=4, |_, _| described(TOPIC, "conf", Some(keys)));
    }
    for (kind, name) in [
        (TOPIC, "nothing"),
        (TOPIC, ""),
        (TOPIC, "a b"),
        (BROKER, "7"),
        (BROKER, "one"),
        (BROKER, "-1"),
        (LOGGER, "7"),
        (LOGGER, "one"),
        (LOGGER, ""),
        (METRICS, ""),
        (METRICS, "nothing"),
        (GROUP, ""),
        (0, "x"),
        (1, "x"),
        (99, "x"),
        (-1, "x"),
    ] {
        run.row(&format!("type {kind} named {name:?}"), 1..=4, |_, _| described(kind, name, None));
    }
    run.row("one topic twice", 1..=4, |_, _| {
        let mut request = described(TOPIC, "conf", Some(&["retention.ms"]));
        request.resources.extend(request.resources.clone());
        request
    });
    run.row("two, one unknown", 1..=4, |_, _| {
        let mut request = described(TOPIC, "nothing", None);
        request.resources.extend(described(TOPIC, "conf", Some(&["retention.ms"])).resources);
        request
    });
    run.row("none", 1..=4, |_, _| DescribeConfigsRequest::default());
}

/// Settings that are the same on both sides and do not hold a path, a port or a size of the
/// machine.
const BROKER_KEYS: &[&str] = &[
    "log.retention.ms",
    "log.retention.hours",
    "log.segment.bytes",
    "num.partitions",
    "message.max.bytes",
    "auto.create.topics.enable",
    "offsets.topic.num.partitions",
    "offsets.retention.minutes",
    "compression.type",
    "log.cleanup.policy",
    "min.insync.replicas",
    "unclean.leader.election.enable",
    "max.connections",
    "node.id",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "group.initial.rebalance.delay.ms",
    "broker.rack",
    "default.replication.factor",
    "log.flush.interval.messages",
    "log.message.timestamp.type",
    "delete.topic.enable",
    "fetch.max.bytes",
    "max.incremental.fetch.session.cache.slots",
    "transactional.id.expiration.ms",
    "authorizer.class.name",
    "background.threads",
    "num.io.threads",
    "log.cleaner.threads",
    "producer.id.expiration.ms",
    "process.roles",
];

fn alter(run: &mut Run) {
    topic(run, "conf-whole", 1, &[]);
    let seen = |run: &mut Run| {
        published(run);
        run.row("after it", [4], |_, _| described(TOPIC, "conf-whole", None));
    };
    run.row("good", 0..=2, |_, version| {
        whole(TOPIC, "conf-whole", &[("retention.ms", Some(if version == 1 { "5000" } else { "6000" }))])
    });
    seen(run);
    run.row("only validated", 0..=2, |_, _| alter_configs_request::AlterConfigsRequest {
        validate_only: true,
        ..whole(TOPIC, "conf-whole", &[("retention.ms", Some("7000"))])
    });
    seen(run);
    run.row("nothing, which resets", 0..=2, |_, _| whole(TOPIC, "conf-whole", &[]));
    seen(run);
    for (case, kind, name, configs) in [
        ("an unknown config", TOPIC, "conf-whole", &[("no.such", Some("1"))][..]),
        ("an invalid value", TOPIC, "conf-whole", &[("retention.ms", Some("often"))]),
        ("a null value", TOPIC, "conf-whole", &[("retention.ms", None)]),
        ("one config twice", TOPIC, "conf-whole", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))]),
        ("an unknown topic", TOPIC, "nothing", &[("retention.ms", Some("1"))]),
        ("an empty topic name", TOPIC, "", &[("retention.ms", Some("1"))]),
        ("an unknown broker", BROKER, "7", &[("log.cleaner.threads", Some("1"))]),
        ("a broker that is no number", BROKER, "one", &[("log.cleaner.threads", Some("1"))]),
        ("a broker's fixed config", BROKER, "1", &[("node.id", Some("2"))]),
        ("a logger", LOGGER, "1", &[("kafka", Some("INFO"))]),
        ("an unknown type", 99, "x", &[("a", Some("b"))]),
        ("type 0", 0, "x", &[("a", Some("b"))]),
    ] {
        run.row(case, 0..=2, |_, _| whole(kind, name, configs));
    }
    run.row("none", 0..=2, |_, _| alter_configs_request::AlterConfigsRequest::default());
}

fn operations(run: &mut Run) {
    topic(run, "conf-ops", 1, &[]);
    let seen = |run: &mut Run| {
        published(run);
        run.row("after it", [4], |_, _| described(TOPIC, "conf-ops", None));
    };
    let cases: &[(&str, &[Change])] = &[
        ("set", &[("retention.ms", SET, Some("5000"))]),
        ("append", &[("cleanup.policy", APPEND, Some("compact"))]),
        ("append what is there", &[("cleanup.policy", APPEND, Some("compact"))]),
        ("subtract", &[("cleanup.policy", SUBTRACT, Some("delete"))]),
        ("subtract what is not there", &[("cleanup.policy", SUBTRACT, Some("delete"))]),
        ("delete", &[("retention.ms", DELETE, None)]),
        ("delete what is not set", &[("retention.ms", DELETE, None)]),
        ("delete with a value", &[("retention.ms", DELETE, Some("1"))]),
        ("set two", &[("retention.ms", SET, Some("1")), ("retention.bytes", SET, Some("2"))]),
        ("set and delete", &[("retention.ms", DELETE, None), ("retention.bytes", SET, Some("3"))]),
        ("append to what is no list", &[("retention.ms", APPEND, Some("1"))]),
        ("subtract from what is no list", &[("retention.ms", SUBTRACT, Some("1"))]),
        ("append something invalid", &[("cleanup.policy", APPEND, Some("shred"))]),
        ("subtract all", &[("cleanup.policy", SUBTRACT, Some("compact"))]),
        ("set null", &[("retention.ms", SET, None)]),
        ("append null", &[("cleanup.policy", APPEND, None)]),
        ("one config twice", &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))]),
        ("an unknown config", &[("no.such", SET, Some("1"))]),
        ("delete an unknown config", &[("no.such", DELETE, None)]),
        ("an empty name", &[("", SET, Some("1"))]),
        ("none", &[]),
    ];
    for (case, changes) in cases {
        run.row(case, 0..=1, |_, _| incremental(TOPIC, "conf-ops", changes));
        seen(run);
    }
    run.row("only validated", 0..=1, |_, _| incremental_alter_configs_request::IncrementalAlterConfigsRequest {
        validate_only: true,
        ..incremental(TOPIC, "conf-ops", &[("retention.ms", SET, Some("9"))])
    });
    seen(run);
    run.row("invalid, only validated", 0..=1, |_, _| {
        incremental_alter_configs_request::IncrementalAlterConfigsRequest {
            validate_only: true,
            ..incremental(TOPIC, "conf-ops", &[("retention.ms", SET, Some("x"))])
        }
    });
    run.row("one topic twice", 0..=1, |_, _| {
        let mut request = incremental(TOPIC, "conf-ops", &[("retention.ms", SET, Some("9"))]);
        request.resources.extend(request.resources.clone());
        request
    });
}

fn resources(run: &mut Run) {
    let cases: &[(i8, &str, Change)] = &[
        (TOPIC, "nothing", ("retention.ms", SET, Some("1"))),
        (TOPIC, "", ("retention.ms", SET, Some("1"))),
        (TOPIC, "__cluster_metadata", ("retention.ms", SET, Some("1"))),
        (BROKER, "7", ("log.cleaner.threads", SET, Some("1"))),
        (BROKER, "one", ("log.cleaner.threads", SET, Some("1"))),
        (BROKER, "1", ("node.id", SET, Some("2"))),
        (BROKER, "1", ("no.such.config", SET, Some("2"))),
        (BROKER, "1", ("log.cleaner.threads", SET, Some("x"))),
        (BROKER, "1", ("log.cleaner.threads", SET, Some("0"))),
        (BROKER, "", ("log.cleaner.threads", SET, Some("100"))),
        (BROKER, "1", ("message.max.bytes", SET, Some("-1"))),
        (BROKER, "1", ("log.retention.ms", SET, Some("0"))),
        (BROKER, "", ("advertised.listeners", SET, Some("PLAINTEXT://h:1"))),
        (BROKER, "1", ("advertised.listeners", SET, Some("nonsense"))),
        (BROKER, "1", ("max.connections.per.ip", SET, Some("-1"))),
        (BROKER, "1", ("min.insync.replicas", SET, Some("0"))),
        (BROKER, "1", ("num.io.threads", SET, Some("0"))),
        (BROKER, "1", ("listener.name.x.ssl.keystore.location", SET, Some("/nowhere"))),
        (LOGGER, "7", ("kafka", SET, Some("INFO"))),
        (LOGGER, "1", ("no.such.logger", SET, Some("INFO"))),
        (LOGGER, "1", ("kafka.server.KafkaApis", SET, Some("LOUD"))),
        (LOGGER, "1", ("org.apache.kafka", APPEND, Some("INFO"))),
        (METRICS, "sub", ("interval.ms", SET, Some("1"))),
        (METRICS, "sub", ("interval.ms", SET, Some("x"))),
        (METRICS, "sub", ("no.such", SET, Some("1"))),
        (METRICS, "sub", ("match", SET, Some("nonsense"))),
        (METRICS, "", ("interval.ms", SET, Some("1000"))),
        (GROUP, "g", ("consumer.session.timeout.ms", SET, Some("1"))),
        (GROUP, "g", ("consumer.session.timeout.ms", SET, Some("x"))),
        (GROUP, "g", ("consumer.heartbeat.interval.ms", SET, Some("999999999"))),
        (GROUP, "g", ("no.such", SET, Some("1"))),
        (GROUP, "", ("consumer.session.timeout.ms", SET, Some("46000"))),
        (GROUP, "g", ("share.auto.offset.reset", SET, Some("sometime"))),
        (GROUP, "g", ("streams.num.standby.replicas", SET, Some("100"))),
        (0, "x", ("a", SET, Some("b"))),
        (1, "x", ("a", SET, Some("b"))),
        (99, "x", ("a", SET, Some("b"))),
    ];
    for (kind, name, change) in cases {
        let case = format!("type {kind} named {name:?}: {} {:?}", change.0, change.2);
        run.row(&case, 0..=1, |_, _| incremental(*kind, name, &[*change]));
        run.row(&format!("{case}, only validated"), [1], |_, _| {
            incremental_alter_configs_request::IncrementalAlterConfigsRequest {
                validate_only: true,
                ..incremental(*kind, name, &[*change])
            }
        });
    }
}

/// Valid changes of resources other than topics, and their description afterwards.
fn effects(run: &mut Run) {
    let cases: &[(i8, &str, &str, &str)] = &[
        (BROKER, "1", "log.cleaner.threads", "2"),
        (BROKER, "", "log.retention.ms", "777777777"),
        (BROKER, "1", "message.max.bytes", "1048600"),
        (METRICS, "sub", "interval.ms", "60000"),
        (GROUP, "g", "consumer.session.timeout.ms", "50000"),
    ];
    for (kind, name, config, value) in cases {
        run.row(&format!("sets {config} of {name:?}"), [1], |_, _| {
            incremental(*kind, name, &[(config, SET, Some(value))])
        });
        let synonyms = || DescribeConfigsRequest { include_synonyms: true, ..described(*kind, name, Some(&[config])) };
        let shows = |answer: &serde_json::Value| {
            answer.pointer("/results/0/configs/0/value").and_then(serde_json::Value::as_str) == Some(value)
        };
        run.until(config, 4, |_| synonyms(), shows);
        run.row(&format!("{config} of {name:?} set"), 1..=4, |_, _| synonyms());
        run.row(&format!("resets {config} of {name:?}"), [1], |_, _| {
            incremental(*kind, name, &[(config, DELETE, None)])
        });
        run.until(config, 4, |_| synonyms(), |answer| !shows(answer));
        run.row(&format!("{config} of {name:?} reset"), 1..=4, |_, _| synonyms());
    }
}

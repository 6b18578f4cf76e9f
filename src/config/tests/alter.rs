//! Tests of every recorded answer to a change of configs: whether it is accepted, and the message
//! if it is not.

use super::{node, properties, recorded_node};
use crate::config::{GROUP, GroupSettings, Properties, ResourceKind, TopicSettings};
use model::ErrorCode;

#[test]
fn changes_are_answered_as_kafka_answers_them() {
    let node = node(&recorded_node());
    let now = node.effective(&properties([("min.insync.replicas", "1")]), &Properties::new());
    let mut wrong = Vec::new();
    for line in include_str!("testdata/alter.tsv").lines() {
        let [kind, name, configs, code, message] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let kind = match kind {
            "topic" => ResourceKind::Topic,
            "broker" => ResourceKind::Broker,
            "group" => ResourceKind::Group,
            _ => ResourceKind::ClientMetrics,
        };
        let configs = properties(configs.split(" ; ").filter_map(|config| config.split_once('=')));
        let (our_code, our_message) = match node.validate(&now, kind, name, &configs) {
            Ok(()) => (ErrorCode::None, String::new()),
            Err(error) => (error.code, error.message.unwrap_or_default()),
        };
        if our_code.name() != code || our_message != message {
            wrong.push(format!("{line}\n    ours: {our_code} {our_message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_group_config_stays_within_the_brokers_bounds() {
    let mut file = recorded_node();
    file.extend(properties([
        ("group.consumer.min.session.timeout.ms", "100"),
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.max.heartbeat.interval.ms", "50000"),
    ]));
    let node = node(&file);
    let now = node.effective(&Properties::new(), &Properties::new());
    for configs in [
        properties([("consumer.session.timeout.ms", "5000"), ("consumer.heartbeat.interval.ms", "5000")]),
        properties([("consumer.heartbeat.interval.ms", "46000")]),
        properties([("consumer.session.timeout.ms", "4000")]),
    ] {
        let error = node.validate(&now, ResourceKind::Group, "g", &configs).expect_err("heartbeats are too slow");
        assert_eq!(
            error.message.as_deref(),
            Some("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
        );
    }
    let stored = properties([
        ("consumer.session.timeout.ms", "99999999"),
        ("share.record.lock.duration.ms", "1001"),
        ("streams.num.standby.replicas", "9"),
        ("share.delivery.count.limit", "x"),
    ]);
    let settings = GroupSettings::new(&stored, &now.values);
    assert_eq!(settings.consumer_session_timeout_ms, 60_000);
    assert_eq!(settings.share_record_lock_duration_ms, 15_000);
    assert_eq!(settings.streams_num_standby_replicas, 2);
    assert_eq!(settings.share_delivery_count_limit, 5);
    assert_eq!(GROUP.keys.len(), GroupSettings::FIELDS.len());
}

#[test]
fn local_retention_is_less_than_retention() {
    let node = node(&recorded_node());
    let now = node.effective(&Properties::new(), &Properties::new());
    let message = |name: &str, value: &str| {
        let error = node.validate(&now, ResourceKind::Broker, "1", &properties([(name, value)])).err()?;
        error.message
    };
    let wrapped = |what: &str| {
        Some(format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: Invalid value {what} for configuration Invalid dynamic configuration"
        ))
    };
    assert_eq!(
        message("log.local.retention.ms", "900000000000"),
        wrapped(
            "900000000000 for configuration log.local.retention.ms: Value must not be more than log.retention.ms property value: 300000000"
        )
    );
    assert_eq!(
        message("log.local.retention.ms", "-1"),
        wrapped(
            "-1 for configuration log.local.retention.ms: Value must not be -1 as log.retention.ms value is set as 300000000."
        )
    );
    assert_eq!(message("log.local.retention.bytes", "100"), None);
}

#[test]
fn dynamic_configs_reach_the_settings() {
    let node = node(&recorded_node());
    let cluster = properties([
        ("message.max.bytes", "2000000"),
        ("log.retention.ms", "-7"),
        ("log.cleaner.threads", "x"),
        ("node.id", "9"),
    ]);
    let broker = properties([("message.max.bytes", "3000000"), ("listeners", "PLAINTEXT://:1")]);
    let now = node.effective(&cluster, &broker);
    assert_eq!(now.settings.message_max_bytes, 3_000_000);
    assert_eq!(now.warnings.len(), 2, "{:?}", now.warnings);
    let topic = TopicSettings::new(&properties([("segment.ms", "5000"), ("segment.bytes", "nonsense")]), &now.values);
    assert_eq!((topic.max_message_bytes, topic.segment_ms, topic.segment_bytes), (3_000_000, 5000, 1 << 30));
    assert_eq!(topic.retention_ms, -1, "any negative number of the broker's means no limit");
    assert!(topic.is_compacted() && topic.is_deleted());
    let now = node.effective(&Properties::new(), &Properties::new());
    assert_eq!(now.settings, node.settings);
    let topic = TopicSettings::new(&Properties::new(), &now.values);
    assert_eq!((topic.retention_ms, topic.segment_ms), (300_000_000, 360_000_000), "from minutes and hours");
}

#[test]
fn configs_that_break_a_rule_together_are_ignored() {
    let node = node(&recorded_node());
    let now = node.effective(&properties([("message.max.bytes", "5")]), &properties([("max.connections.per.ip", "0")]));
    assert_eq!((now.settings.message_max_bytes, now.settings.max_connections_per_ip), (5, i32::MAX));
    assert_eq!(now.warnings.len(), 1);
}

#[test]
fn listeners_do_not_change_while_the_node_runs() {
    let node = node(&recorded_node());
    let now = node.effective(&Properties::new(), &Properties::new());
    let validate = |listeners: &str| {
        let configs = properties([
            ("listeners", listeners),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,X:PLAINTEXT"),
        ]);
        node.validate(&now, ResourceKind::Broker, "1", &configs).map_err(|error| error.code)
    };
    let same = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
    assert_eq!(validate(same), Ok(()));
    assert_eq!(validate(&format!("{same},X://:5")), Err(ErrorCode::InvalidRequest));
    assert_eq!(validate("PLAINTEXT://127.0.0.1:9,CONTROLLER://127.0.0.1:9093"), Err(ErrorCode::InvalidRequest));
}

#[test]
fn a_session_has_several_heartbeats() {
    let interval_ms = |session_ms: &str| {
        let mut properties = recorded_node();
        properties.insert("broker.session.timeout.ms".into(), session_ms.into());
        node(&properties).settings.heartbeat_interval().as_millis()
    };
    assert_eq!((interval_ms("9000"), interval_ms("1000"), interval_ms("1")), (2_000, 333, 1));
}

#[test]
fn voters_wait_for_a_silent_leader_no_longer_than_a_part_of_a_session() {
    let timeouts_ms = |given: &[(&str, &str)]| {
        let mut properties = recorded_node();
        properties.remove("controller.quorum.fetch.timeout.ms");
        properties.extend(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let node = node(&properties);
        (node.quorum_fetch_timeout_ms(), node.quorum_fetch_request_timeout_ms())
    };
    let (session, fetch) = ("broker.session.timeout.ms", "controller.quorum.fetch.timeout.ms");
    assert_eq!(timeouts_ms(&[]), (2_000, 2_000), "with the default session, Kafka's default");
    assert_eq!(timeouts_ms(&[(session, "1000")]), (600, 600));
    assert_eq!(timeouts_ms(&[(session, "3000")]), (1_800, 1_800));
    assert_eq!(timeouts_ms(&[(session, "1")]), (500, 500));
    assert_eq!(timeouts_ms(&[(session, "-1")]), (500, 500));
    assert_eq!(timeouts_ms(&[(session, "1000"), (fetch, "2000")]), (2_000, 2_000), "what is set is kept");
    assert_eq!(timeouts_ms(&[(fetch, "5000")]), (5_000, 2_000));
    assert_eq!(timeouts_ms(&[(fetch, "0")]), (0, 500), "a request needs time");
    assert_eq!(timeouts_ms(&[(session, "1000"), ("controller.quorum.request.timeout.ms", "400")]), (600, 400));
}

//! Tests of what stops a node's start, with which message, and of what only causes a warning.

use super::properties;
use crate::config::startup::warnings;
use crate::config::{
    Address, Advertised, BROKER, NewNode, NodeConfig, Properties, SecurityProtocol, Support, moved_listener,
    new_node_properties, parse_properties,
};

fn base() -> Properties {
    properties([
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", "1@127.0.0.1:9093"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ])
}

fn broker_alone() -> Properties {
    properties([
        ("process.roles", "broker"),
        ("node.id", "1"),
        ("controller.quorum.voters", "101@127.0.0.1:9093"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ])
}

fn controller_alone() -> Properties {
    properties([
        ("process.roles", "controller"),
        ("node.id", "101"),
        ("controller.quorum.voters", "101@127.0.0.1:9093"),
        ("listeners", "CONTROLLER://127.0.0.1:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ])
}

fn changed(changes: &str) -> Properties {
    changed_from(base(), changes)
}

fn changed_from(mut properties: Properties, changes: &str) -> Properties {
    for change in changes.split(" ; ").filter(|change| !change.is_empty()) {
        match change.split_once('=') {
            Some((name, value)) => properties.insert(name.into(), value.into()),
            None => properties.remove(change.trim_start_matches('-')),
        };
    }
    properties
}

fn start(properties: &Properties) -> Result<NodeConfig, String> {
    NodeConfig::from_properties(properties, &|_| None).map_err(|error| error.to_string())
}

/// Removes Kafka's prefix of a failed requirement from a message.
fn words(recorded: &str) -> &str {
    recorded.strip_prefix("requirement failed: ").unwrap_or(recorded)
}

/// Kafka's answer to each change of the base. A third column is Gregor's answer if it differs,
/// because it refuses more or names the property.
#[test]
fn a_start_is_refused_in_kafkas_words() {
    let mut wrong = Vec::new();
    for (base, lines) in [
        (base(), include_str!("testdata/startup.tsv")),
        (broker_alone(), include_str!("testdata/startup_broker_alone.tsv")),
        (controller_alone(), include_str!("testdata/startup_controller_alone.tsv")),
    ] {
        for line in lines.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let expected = columns.get(2).copied().unwrap_or_else(|| words(columns[1]));
            let answer = start(&changed_from(base.clone(), columns[0])).err().unwrap_or_else(|| "OK".into());
            if answer != expected {
                wrong.push(format!("{line}\n    ours: {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_that_would_open_access_or_change_data_is_ignored() {
    for change in [
        "listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:PLAINTEXT",
        "listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT ; sasl.enabled.mechanisms=GSSAPI",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL",
        "authorizer.class.name=kafka.security.authorizer.AclAuthorizer",
        "principal.builder.class=com.example.Builder",
        "listener.name.plaintext.principal.builder.class=com.example.Builder",
        "create.topic.policy.class.name=com.example.Policy",
        "alter.config.policy.class.name=com.example.Policy",
        "client.quota.callback.class=com.example.Quotas",
        "replica.selector.class=com.example.Selector",
        "sasl.server.callback.handler.class=com.example.Callback",
        "listener.name.plaintext.plain.sasl.server.callback.handler.class=com.example.Callback",
        "sasl.login.class=com.example.Login",
        "ssl.engine.factory.class=com.example.Engine",
        "security.providers=com.example.Provider",
        "remote.log.storage.system.enable=true",
        "group.consumer.assignors=com.example.Assignor",
        "group.consumer.assignors=uniform,com.example.Assignor",
    ] {
        let error = start(&changed(change)).expect_err(change);
        assert!(error.contains("not supported"), "{change}: {error}");
        assert!(!error.contains('\n') && error.len() < 200, "{error}");
    }
}

/// A folder that was served with TLS, SASL or an authorizer is never served without them, whatever
/// the rest of its file says.
#[test]
fn a_server_properties_with_tls_sasl_or_an_authorizer_is_never_served_without_them() {
    let keys = "ssl.keystore.location=/etc/kafka/broker.p12 ; ssl.keystore.password=secret ; ssl.keystore.type=PKCS12 ; \
        ssl.truststore.location=/etc/kafka/ca.p12 ; ssl.truststore.password=secret ; num.network.threads=8";
    let plain_controller = "listener.security.protocol.map=CONTROLLER:PLAINTEXT";
    for secured in [
        // A listener with its own name, one named after its protocol, and one beside an open
        // internal listener.
        "listeners=SSL://0.0.0.0:9093,CONTROLLER://127.0.0.1:9094 ; inter.broker.listener.name=SSL ; \
         listener.security.protocol.map=SSL:SSL,CONTROLLER:PLAINTEXT ; ssl.client.auth=required",
        "listeners=PUBLIC://0.0.0.0:9093,CONTROLLER://127.0.0.1:9094 ; inter.broker.listener.name=PUBLIC ; \
         listener.security.protocol.map=PUBLIC:SASL_SSL,CONTROLLER:PLAINTEXT ; sasl.enabled.mechanisms=SCRAM-SHA-512 ; \
         sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512",
        "listeners=PLAINTEXT://127.0.0.1:9092,PUBLIC://0.0.0.0:9093,CONTROLLER://127.0.0.1:9094 ; \
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PUBLIC:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT ; \
         sasl.enabled.mechanisms=PLAIN ; listener.name.public.plain.sasl.jaas.config=x required user_a=secret;",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL ; sasl.mechanism.controller.protocol=PLAIN",
        "authorizer.class.name=kafka.security.authorizer.AclAuthorizer ; super.users=User:admin",
        "authorizer.class.name=io.example.OwnAuthorizer",
        "security.inter.broker.protocol=SSL ; -inter.broker.listener.name",
    ] {
        for changes in [secured.to_string(), format!("{secured} ; {keys}"), format!("{plain_controller} ; {secured}")] {
            let error = start(&changed(&changes)).expect_err(&changes);
            assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn classes_of_kafkas_own_that_gregor_stands_for_are_accepted() {
    for change in [
        "principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        "metric.reporters=org.apache.kafka.common.metrics.JmxReporter",
        "replica.selector.class=org.apache.kafka.common.replica.LeaderSelector",
        "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
        "group.consumer.assignors=range",
        "group.consumer.assignors=org.apache.kafka.coordinator.group.assignor.UniformAssignor, range",
        "authorizer.class.name=",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer ; super.users=User:admin ; \
         allow.everyone.if.no.acl.found=false",
        "replica.selector.class=",
        "remote.log.storage.system.enable=false",
        "num.io.threads=16 ; num.network.threads=6 ; log.cleaner.threads=2",
        "ssl.keystore.location=/nowhere ; ssl.keystore.password=secret",
        "config.providers.x.class=y",
    ] {
        let node = start(&changed(change)).expect(change);
        assert_eq!(node.warnings, Vec::<String>::new(), "{change}");
    }
}

#[test]
fn a_node_advertises_the_addresses_of_its_roles_alone() {
    let of = |properties: &Properties| {
        let listeners = start(properties).unwrap().listeners;
        let names = |all: &[Advertised]| all.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        (names(&listeners.advertised), names(&listeners.advertised_controller))
    };
    let both = "advertised.listeners=PLAINTEXT://h:1,CONTROLLER://h:2";
    assert_eq!(of(&changed_from(broker_alone(), both)), (vec!["PLAINTEXT".into()], vec![]));
    assert_eq!(of(&changed_from(controller_alone(), both)), (vec![], vec!["CONTROLLER".into()]));
    assert_eq!(of(&changed(both)), (vec!["PLAINTEXT".into()], vec!["CONTROLLER".into()]));
}

#[test]
fn a_broker_alone_is_told_which_of_several_controller_listeners_it_uses() {
    let several =
        "controller.listener.names=A,B ; listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT,B:PLAINTEXT";
    let warnings = start(&changed_from(broker_alone(), several)).unwrap().warnings;
    assert_eq!(
        warnings,
        ["controller.listener.names has multiple entries; only the first will be used since process.roles=broker: A,B"]
    );
}

#[test]
fn unknown_properties_and_those_without_effect_cause_a_warning() {
    let inert = "zookeeper.connect=x ; listener.name.plaintext.nonsense=1 ; max.connection.creation.rate=5 ; \
                 listener.name.plaintext.max.connection.creation.rate=5 ; listener.name.plaintext.max.connections=5 ; \
                 metric.reporters=com.example.Reporter ; \
                 leader.replication.throttled.rate=5";
    let node = start(&changed(inert)).expect("it starts");
    assert_eq!(
        node.warnings,
        [
            "leader.replication.throttled.rate counts only as a dynamic config of the broker, and is ignored here",
            "listener.name.plaintext.max.connection.creation.rate has no effect yet",
            "listener.name.plaintext.max.connections has no effect yet",
            "listener.name.plaintext.nonsense is not known, and is ignored",
            "max.connection.creation.rate has no effect yet",
            "metric.reporters has no effect yet",
            "zookeeper.connect is not known, and is ignored",
        ]
    );
    let error = start(&changed("gregor.nonsense=1")).expect_err("a name of Gregor's that it does not have");
    assert_eq!(
        error,
        "gregor.nonsense is no property of Gregor; there are gregor.http.listener, gregor.log.dir.reserve.bytes"
    );
    let node = start(&changed("gregor.http.listener= :8080 ")).expect("it starts");
    assert_eq!(node.http_listener, Some(Address { host: String::new(), port: 8080 }));
    assert_eq!(node.log_dir_reserve_bytes, None);
    let node = start(&changed("gregor.log.dir.reserve.bytes=0")).expect("it starts");
    assert_eq!(node.log_dir_reserve_bytes, Some(0));
    let error = start(&changed("gregor.log.dir.reserve.bytes=-2")).expect_err("no number of bytes");
    let words = "Invalid value -2 for configuration gregor.log.dir.reserve.bytes: Value must be at least -1";
    assert_eq!(error, words);
    let error = start(&changed("gregor.http.listener=8080")).expect_err("a port alone");
    let words = "Invalid value 8080 for configuration gregor.http.listener: it takes HOST:PORT, such as 127.0.0.1:8080 or :8080";
    assert_eq!(error, words);
}

#[test]
fn every_property_without_effect_causes_one_warning_unless_it_has_its_default() {
    for key in BROKER.keys.iter().filter(|key| key.support == Support::NotYet) {
        let number = key.default_text().and_then(|text| text.parse::<i64>().ok());
        let beside = number.iter().flat_map(|number| [number.saturating_add(1), number.saturating_sub(1)]);
        let words = ["true", "false", "0.25", "7", "DISABLED", "classic", "x"].map(str::to_owned);
        let mut candidates = beside.map(|number| number.to_string()).chain(words);
        let other = candidates.find(|text| key.parse(text).is_ok_and(|value| value != key.default_value()));
        let other = other.unwrap_or_else(|| panic!("{} needs a candidate", key.name));
        let said = |text: &str| warnings(&changed(&format!("{}={text}", key.name))).expect("nothing of Gregor's");
        assert_eq!(said(&other), [format!("{} has no effect yet", key.name)], "{other}");
        if let Some(default) = key.default_text() {
            assert_eq!(said(default), Vec::<String>::new(), "{}", key.name);
        }
    }
}

#[test]
fn dynamic_configs_without_effect_are_named() {
    let node = start(&base()).expect("it starts");
    let stored = changed(
        "max.connection.creation.rate=5 ; listener.name.x.sasl.enabled.mechanisms=PLAIN ; leader.replication.throttled.rate=5 ; fetch.max.bytes=2000",
    );
    let only = |names: &[&str]| stored.clone().into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
    let cluster: Properties = only(&["max.connection.creation.rate", "fetch.max.bytes"]);
    let broker: Properties = only(&["leader.replication.throttled.rate", "listener.name.x.sasl.enabled.mechanisms"]);
    let effective = node.effective(&cluster, &broker);
    assert_eq!(effective.without_effect, ["max.connection.creation.rate", "listener.name.x.sasl.enabled.mechanisms"]);
    assert_eq!(effective.throttled_rate("leader.replication.throttled.rate"), Some(5));
    assert_eq!(effective.throttled_rate("follower.replication.throttled.rate"), None);
}

#[test]
fn a_moved_node_listens_on_and_advertises_another_address() {
    let one = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
    let inside = "INSIDE://10.0.0.1:9092,OUT://10.0.0.1:9094,CONTROLLER://127.0.0.1:9093 ; inter.broker.listener.name=INSIDE ; \
                  listener.security.protocol.map=INSIDE:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT";
    for (listeners, to, moved) in [
        (one, "127.0.0.1:9092", &[][..]),
        (one, "127.0.0.1:1", &["PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:9093", "PLAINTEXT://127.0.0.1:1"][..]),
        (one, "[::1]:1", &["PLAINTEXT://[::1]:1,CONTROLLER://127.0.0.1:9093", "PLAINTEXT://[::1]:1"]),
        (one, ":9092", &["PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093", "PLAINTEXT://localhost:9092"]),
        (
            "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093 ; advertised.listeners=PLAINTEXT://localhost:9092",
            "10.0.0.1:9092",
            &["PLAINTEXT://10.0.0.1:9092,CONTROLLER://127.0.0.1:9093", "PLAINTEXT://10.0.0.1:9092"],
        ),
        (
            "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093 ; advertised.listeners=PLAINTEXT://box:443,CONTROLLER://box:9093",
            ":1",
            &["PLAINTEXT://:1,CONTROLLER://127.0.0.1:9093", "PLAINTEXT://box:443,CONTROLLER://box:9093"],
        ),
        (
            inside,
            "10.0.0.2:9092",
            &[
                "INSIDE://10.0.0.2:9092,OUT://10.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
                "INSIDE://10.0.0.2:9092,OUT://10.0.0.1:9094",
            ],
        ),
    ] {
        let mut properties = changed(&format!("listeners={listeners}"));
        let node = start(&properties).expect(listeners);
        let overrides = moved_listener(&node.listeners, &to.parse().expect(to));
        let expected: Vec<String> = ["listeners", "advertised.listeners"]
            .iter()
            .zip(moved)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(overrides, expected, "{listeners} to {to}");
        for text in &overrides {
            let (name, value) = text.split_once('=').expect("a pair");
            properties.insert(name.into(), value.into());
        }
        let node = start(&properties).expect("it starts where it was moved to");
        assert_eq!(moved_listener(&node.listeners, &to.parse().expect(to)), Vec::<String>::new());
    }
}

#[test]
fn a_secret_is_not_in_a_message() {
    for change in
        ["sasl.login.refresh.buffer.seconds=x ; ssl.keystore.password=hunter2", "my.password=hunter2 ; gregor.x=1"]
    {
        assert!(!start(&changed(change)).expect_err(change).contains("hunter2"));
    }
}

#[test]
fn listeners_become_the_bound_and_the_advertised_addresses() {
    let node = start(&changed(
        "listeners=inside://[::1]:9092, OUTSIDE://:0,CONTROLLER://127.0.0.1:9093 ; advertised.listeners=OUTSIDE://kafka.example:443,INSIDE://[::1]:9092 ; \
         listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT ; inter.broker.listener.name=inside ; \
         listener.name.outside.max.connections=50",
    ))
    .expect("it starts");
    let all: Vec<(&str, &str, u16, bool)> = node
        .listeners
        .all
        .iter()
        .map(|listener| (listener.name.as_str(), listener.host.as_str(), listener.port, listener.is_controller))
        .collect();
    assert_eq!(
        all,
        [("INSIDE", "::1", 9092, false), ("OUTSIDE", "", 0, false), ("CONTROLLER", "127.0.0.1", 9093, true)]
    );
    let advertised: Vec<(&str, &str, u16)> = node
        .listeners
        .advertised
        .iter()
        .map(|listener| (listener.name.as_str(), listener.host.as_str(), listener.port))
        .collect();
    assert_eq!(advertised, [("OUTSIDE", "kafka.example", 443), ("INSIDE", "::1", 9092)]);
    assert_eq!(node.listeners.inter_broker, "INSIDE");
    assert_eq!(node.listeners.advertised_controller[0].name, "CONTROLLER");
    assert_eq!(node.listeners.advertised_controller[0].protocol, SecurityProtocol::Plaintext);
    assert_eq!(node.max_connections_of_listeners, [("OUTSIDE".to_string(), 50)]);
}

#[test]
fn a_new_nodes_file_starts_and_is_the_same_after_a_write_and_a_read() {
    let new = NewNode {
        host: "::1",
        port: 9092,
        advertised_host: None,
        controller_port: 40001,
        log_dir: "/var/lib/with space\\é",
    };
    let text = new_node_properties(&new);
    let node = start(&parse_properties(&text).expect("it is valid")).expect("it starts");
    assert_eq!(node.warnings, Vec::<String>::new());
    assert_eq!(node.log_dirs, [std::path::PathBuf::from("/var/lib/with space\\é")]);
    assert_eq!(node.metadata_log_dir, node.log_dirs[0]);
    assert_eq!(node.bootstrap_servers, ["127.0.0.1:40001"]);
    assert!(node.voters.is_empty());
    assert_eq!(node.settings.group_initial_rebalance_delay_ms, 0);
    assert_eq!(node.settings.offsets_topic_replication_factor, 1);
    assert_eq!((node.node_id.0, node.listeners.advertised[0].host.as_str()), (1, "::1"));
    let everywhere = NewNode { host: "0.0.0.0", advertised_host: Some("box"), ..new };
    let node = start(&parse_properties(&new_node_properties(&everywhere)).expect("it is valid")).expect("it starts");
    assert_eq!((node.listeners.all[0].host.as_str(), node.listeners.advertised[0].host.as_str()), ("0.0.0.0", "box"));
}

//! Altering configs.

use super::*;
use protocol::messages::alter_configs_request as alter;
use protocol::messages::incremental_alter_configs_request as incremental;

fn resource(kind: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> incremental::AlterConfigsResource {
    let configs = configs.iter().map(|(name, config_operation, value)| incremental::AlterableConfig {
        name: (*name).into(),
        config_operation: *config_operation,
        value: value.map(Into::into),
        ..Default::default()
    });
    incremental::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: configs.collect(),
        ..Default::default()
    }
}

fn ask(cluster: &mut Cluster, resources: Vec<incremental::AlterConfigsResource>) -> (Vec<String>, Vec<String>) {
    let request = incremental::IncrementalAlterConfigsRequest { resources, ..Default::default() };
    let decided = cluster
        .decide(|image, _, context| incremental_alter_configs(image, context, Origin::Broker, &request))
        .unwrap();
    let said = decided.1.responses.iter().map(|it| result(it.error_code, it.error_message.as_ref())).collect();
    (decided.0, said)
}

#[test]
fn values_are_set_removed_and_edited() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    let mut records = |kind, name, configs: &[_]| {
        let (records, said) = ask(&mut cluster, vec![resource(kind, name, configs)]);
        assert_eq!(said, ["NONE"]);
        records.join(" ")
    };
    let set = records(2, "a", &[("retention.ms", 0, Some("5"))]);
    assert_eq!(set, "Config v0 {resourceType:2,resourceName:a,name:retention.ms,value:5}");
    assert_eq!(records(2, "a", &[("retention.ms", 0, Some("5"))]), "", "what is as it was is not written");
    let appended = records(2, "a", &[("cleanup.policy", 2, Some("compact"))]);
    assert!(appended.contains("value:delete,compact}"), "{appended}");
    let left = records(2, "a", &[("cleanup.policy", 3, Some("delete"))]);
    assert!(left.contains("value:compact}"), "{left}");
    let removed = records(2, "a", &[("retention.ms", 1, None)]);
    assert_eq!(removed, "Config v0 {resourceType:2,resourceName:a,name:retention.ms,value:null}");
    let broker = records(4, "", &[("message.max.bytes", 0, Some("9"))]);
    assert_eq!(records(4, "", &[("message.max.bytes", 0, Some("9"))]), broker, "brokers are told again");
    let isr = records(2, "a", &[("min.insync.replicas", 0, Some("1"))]);
    assert!(isr.ends_with("ClearElr v0 {topicName:a}"));
    records(32, "g", &[("consumer.session.timeout.ms", 0, Some("50000"))]);
    records(16, "s", &[("interval.ms", 0, Some("5000"))]);
}

#[test]
fn the_controller_itself_checks_no_brokers_rules() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    let twice = resource(2, "a", &[("retention.ms", 0, Some("1")), ("retention.ms", 0, Some("2"))]);
    let resources = vec![
        twice,
        resource(4, "1", &[("node.id", 0, Some("2"))]),
        resource(4, "7", &[("x", 0, Some("1"))]),
        resource(99, "a", &[("x", 0, Some("1"))]),
        resource(32, "g", &[]),
        resource(32, "g", &[]),
    ];
    let request = incremental::IncrementalAlterConfigsRequest { resources, ..Default::default() };
    let decide = |image: &Image, _: &_, context: &mut ControllerContext<'_>| {
        incremental_alter_configs(image, context, Origin::Controller, &request)
    };
    let (records, response) = cluster.decide(decide).unwrap();
    let said: Vec<_> = response.responses.iter().map(|it| result(it.error_code, it.error_message.as_ref())).collect();
    let expected = [
        "NONE",
        "NONE",
        "BROKER_ID_NOT_REGISTERED: No node with id 7 found.",
        "UNSUPPORTED_VERSION: Unknown resource type 99.",
        "INVALID_REQUEST: Duplicate resource.",
    ];
    assert_eq!(said, expected);
    let expected = [
        "Config v0 {resourceType:2,resourceName:a,name:retention.ms,value:2}",
        "Config v0 {resourceType:4,resourceName:1,name:node.id,value:2}",
    ];
    assert_eq!(records, expected);
}

#[test]
fn alterations_that_kafka_refuses() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    for (it, expected) in [
        (
            resource(2, "nope", &[("retention.ms", 0, Some("1"))]),
            "UNKNOWN_TOPIC_OR_PARTITION: The topic 'nope' does not exist.",
        ),
        (resource(2, "nope", &[("bad", 0, Some("1"))]), "INVALID_CONFIG: Unknown topic config name: bad"),
        (
            resource(2, "", &[("retention.ms", 0, Some("1"))]),
            "INVALID_REQUEST: Default topic resources are not allowed.",
        ),
        (
            resource(2, "a", &[("retention.ms", 0, None)]),
            "INVALID_REQUEST: Null value not supported for : retention.ms",
        ),
        (
            resource(2, "a", &[("retention.ms", 0, Some("1")), ("retention.ms", 1, None)]),
            "INVALID_REQUEST: Error due to duplicate config keys",
        ),
        (
            resource(2, "a", &[("retention.ms", 2, Some("1"))]),
            "INVALID_CONFIG: Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (resource(4, "2", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Unexpected broker id, expected 1, but received 2"),
        (resource(4, "x", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Node id must be an integer, but it is: x"),
        (
            resource(4, "1", &[("min.insync.replicas", 0, Some("1"))]),
            "INVALID_CONFIG: Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        ),
        (
            resource(4, "", &[("min.insync.replicas", 1, None)]),
            "INVALID_CONFIG: Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        ),
        (
            resource(4, "1", &[("x", 2, Some("1"))]),
            "INVALID_CONFIG: Config value append is not allowed for config key: x",
        ),
        (resource(32, "", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Default group resources are not allowed."),
        (resource(16, "", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Subscription name can't be empty"),
        (resource(7, "a", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Unknown resource type 7"),
        (resource(8, "1", &[("x", 0, Some("1"))]), "INVALID_REQUEST: Unknown resource type 8"),
    ] {
        let (records, said) = ask(&mut cluster, vec![it]);
        assert!(records.is_empty());
        assert_eq!(said, [expected]);
    }
    let twice = vec![resource(2, "a", &[]), resource(32, "g", &[]), resource(2, "a", &[])];
    let duplicate = "INVALID_REQUEST: Each resource must appear at most once.";
    assert_eq!(ask(&mut cluster, twice).1, [duplicate, "NONE", duplicate]);
}

#[test]
fn replacing_all_configs_removes_the_others() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    ask(&mut cluster, vec![resource(2, "a", &[("x", 0, Some("1")), ("y", 0, Some("2"))])]);
    let config = alter::AlterableConfig { name: "y".into(), value: Some("3".into()), ..Default::default() };
    let resource = alter::AlterConfigsResource {
        resource_type: 2,
        resource_name: "a".into(),
        configs: vec![config],
        ..Default::default()
    };
    let mut request =
        alter::AlterConfigsRequest { resources: vec![resource], validate_only: true, ..Default::default() };
    let (records, _) =
        cluster.decide(|image, _, context| alter_configs(image, context, Origin::Broker, &request)).unwrap();
    assert!(records.is_empty());
    request.validate_only = false;
    let (records, _) =
        cluster.decide(|image, _, context| alter_configs(image, context, Origin::Broker, &request)).unwrap();
    assert_eq!(
        records,
        [
            "Config v0 {resourceType:2,resourceName:a,name:y,value:3}",
            "Config v0 {resourceType:2,resourceName:a,name:x,value:null}",
        ]
    );
}

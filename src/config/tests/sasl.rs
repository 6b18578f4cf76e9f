//! SASL of a node: which properties and JAAS text start, and in which words the others are refused.

use crate::config::{NodeConfig, parse_properties};
use ::sasl::Mechanism;
use ::sasl::client::Credentials;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const BASE: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@h:3\n\
    listeners=OPEN://h:1,IN://h:2,CONTROLLER://h:3\ncontroller.listener.names=CONTROLLER\ninter.broker.listener.name=OPEN\n\
    listener.security.protocol.map=OPEN:PLAINTEXT,IN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs=/tmp/x\n";

fn start(more: &str, options: Option<&str>) -> Result<NodeConfig, String> {
    let properties = parse_properties(&format!("{BASE}{}", more.replace("PLAIN_MODULE", PLAIN))).unwrap();
    let environment = |name: &str| options.filter(|_| name == "KAFKA_OPTS").map(str::to_string);
    NodeConfig::from_properties(&properties, &environment).map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let jaas = "listener.name.in.plain.sasl.jaas.config";
    for (more, expected) in [
        (
            "",
            "sasl.enabled.mechanisms: GSSAPI of listener IN is not supported; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER",
        ),
        ("sasl.enabled.mechanisms=", "sasl.enabled.mechanisms of listener IN must not be empty"),
        (
            "sasl.enabled.mechanisms=plain",
            "sasl.enabled.mechanisms: plain of listener IN is not supported; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER",
        ),
        (
            "sasl.enabled.mechanisms=PLAIN",
            "Could not find a 'KafkaServer' or 'in.KafkaServer' entry in the JAAS configuration. System property \
             'java.security.auth.login.config' is not set",
        ),
        // Without the listener's and the mechanism's name, the property is for no listener.
        (
            "sasl.enabled.mechanisms=PLAIN\nsasl.jaas.config=PLAIN_MODULE required;\nplain.sasl.jaas.config=PLAIN_MODULE required;",
            "Could not find a 'KafkaServer' or 'in.KafkaServer' entry in the JAAS configuration. System property \
             'java.security.auth.login.config' is not set",
        ),
        (
            "sasl.enabled.mechanisms=PLAIN\nlistener.name.in.plain.sasl.jaas.config=PLAIN_MODULE required",
            "listener.name.in.plain.sasl.jaas.config: JAAS config entry not terminated by semi-colon",
        ),
        (
            "sasl.enabled.mechanisms=PLAIN\nlistener.name.in.plain.sasl.jaas.config=com.example.Module required;",
            "listener.name.in.plain.sasl.jaas.config: the login module com.example.Module is not supported",
        ),
        (
            "sasl.enabled.mechanisms=PLAIN\nlistener.name.in.plain.sasl.jaas.config=PLAIN_MODULE required;\n\
             inter.broker.listener.name=IN\nsasl.mechanism.inter.broker.protocol=PLAIN",
            "listener.name.in.plain.sasl.jaas.config: the option username is missing, with which this node logs in \
             (sasl.mechanism.inter.broker.protocol)",
        ),
        (
            "sasl.enabled.mechanisms=PLAIN\nlistener.name.in.plain.sasl.jaas.config=PLAIN_MODULE required;\n\
             listener.name.in.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=a password=b;\ninter.broker.listener.name=IN\nsasl.mechanism.inter.broker.protocol=SCRAM-SHA-256",
            "sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms when SASL is used for inter-broker \
             communication",
        ),
    ] {
        assert_eq!(start(more, None).unwrap_err(), expected, "{more}");
    }
    let class =
        "sasl.enabled.mechanisms=PLAIN\nlistener.name.in.plain.sasl.server.callback.handler.class=com.example.Handler";
    let refused = start(&format!("{class}\n{jaas}=PLAIN_MODULE required;"), None).unwrap_err();
    assert!(refused.ends_with("com.example.Handler is not supported; leave it out"), "{refused}");
}

#[test]
fn each_listener_has_its_own() {
    let node = start(
        "sasl.enabled.mechanisms=GSSAPI\nlistener.name.in.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
         connections.max.reauth.ms=5\nlistener.name.in.scram-sha-512.connections.max.reauth.ms=7\n\
         listener.name.in.plain.sasl.jaas.config=PLAIN_MODULE required user_a=b;\n\
         listener.name.in.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
        None,
    )
    .unwrap();
    let listener = &node.sasl.listeners["IN"];
    assert_eq!(listener.mechanisms, [Mechanism::Plain, Mechanism::ScramSha512]);
    assert_eq!(listener.max_session_ms(Mechanism::Plain), Some(5));
    assert_eq!(listener.max_session_ms(Mechanism::ScramSha512), Some(7));
    assert_eq!(node.sasl.listeners.len(), 1);
    assert!(node.sasl.inter_broker.is_none() && node.sasl.controller.is_none());
    // A listener without SASL needs none of it.
    assert!(start("listener.security.protocol.map=OPEN:PLAINTEXT,IN:PLAINTEXT,CONTROLLER:PLAINTEXT", None).is_ok());
}

#[test]
fn the_jaas_file_has_sections_for_listeners() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jaas.conf");
    let text = format!(
        "KafkaServer {{ {PLAIN} required username=other password=p; }};\nin.KafkaServer {{\n  {PLAIN} required\n  \
         username=\"node\" password=\"p\" user_node=\"p\";\n}};\n"
    );
    std::fs::write(&path, text).unwrap();
    let options = format!("-Xmx1g -Djava.security.auth.login.config={}", path.display());
    let more =
        "sasl.enabled.mechanisms=PLAIN\ninter.broker.listener.name=IN\nsasl.mechanism.inter.broker.protocol=PLAIN";
    let node = start(more, Some(&options)).unwrap();
    let login = node.sasl.inter_broker.unwrap();
    assert!(matches!(&login.credentials, Credentials::Password { user, .. } if user == "node"), "{login:?}");
    std::fs::write(&path, format!("KafkaServer {{ {PLAIN} required; {PLAIN} required; }};")).unwrap();
    let refused = start("sasl.enabled.mechanisms=OAUTHBEARER", Some(&options)).unwrap_err();
    assert!(refused.ends_with("Must supply exactly 1 non-null JAAS mechanism configuration (size was 2)"), "{refused}");
    std::fs::write(&path, "KafkaServer { com.example.Module required; };").unwrap();
    let refused = start(more, Some(&options)).unwrap_err();
    assert!(refused.ends_with("KafkaServer: the login module com.example.Module is not supported"), "{refused}");
    std::fs::write(&path, "KafkaServer { x").unwrap();
    assert!(
        start(more, Some(&options)).unwrap_err().contains("Login module control flag not specified in JAAS config")
    );
    std::fs::remove_file(&path).unwrap();
    assert!(start(more, Some(&options)).unwrap_err().contains("No such file"));
}

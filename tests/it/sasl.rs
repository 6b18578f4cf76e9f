//! Logins over SASL_PLAINTEXT, as clients and hostile peers see them. Apache Kafka 4.3.1 gave the
//! errors and the messages.

use crate::client::{Client, until};
use crate::node::{Home, Node};
use crate::quorum::Cluster;
use gregor::config::NodeConfig;
use model::ErrorCode;
use protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_configs_response::DescribeConfigsResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use sasl::Mechanism;
use sasl::client::{Client as SaslClient, Credentials};
use sasl::scram::Hash;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const OAUTHBEARER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

/// A password that must appear nowhere.
const PLANTED: &str = "planted-secret-4711";

/// The properties of a node with a listener PUBLIC for clients that log in.
fn properties(more: &[&str]) -> Vec<String> {
    let mut all = vec![
        "listeners=PLAINTEXT://127.0.0.1:0,PUBLIC://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_string(),
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PUBLIC:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT".into(),
        "advertised.listeners=PLAINTEXT://127.0.0.1:0,PUBLIC://127.0.0.1:0".into(),
        "inter.broker.listener.name=PLAINTEXT".into(),
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".into(),
        format!("listener.name.public.plain.sasl.jaas.config={PLAIN} required user_alice=\"{PLANTED}\" user_bob=b;"),
        format!("listener.name.public.scram-sha-256.sasl.jaas.config={SCRAM} required;"),
        format!("listener.name.public.scram-sha-512.sasl.jaas.config={SCRAM} required;"),
        format!("listener.name.public.oauthbearer.sasl.jaas.config={OAUTHBEARER} required;"),
        "connection.failed.authentication.delay.ms=0".into(),
    ];
    all.extend(more.iter().map(|text| (*text).to_string()));
    all
}

async fn ready(home: &Home, more: &[&str]) -> Node {
    let properties = properties(more);
    home.ready(&properties.iter().map(String::as_str).collect::<Vec<_>>()).await
}

fn address(node: &Node) -> SocketAddr {
    node.running.addresses.iter().find(|(name, _)| name == "PUBLIC").unwrap().1
}

async fn connect(node: &Node) -> Client {
    Client::connect(address(node)).await
}

async fn choose(client: &mut Client, mechanism: &str) -> SaslHandshakeResponse {
    client.call(&SaslHandshakeRequest { mechanism: mechanism.into(), ..Default::default() }, 1).await
}

async fn send(client: &mut Client, message: &[u8]) -> SaslAuthenticateResponse {
    client.call(&SaslAuthenticateRequest { auth_bytes: message.to_vec().into(), ..Default::default() }, 2).await
}

fn credentials(mechanism: Mechanism, options: &str) -> Credentials {
    let module = sasl::jaas::property(&format!("M required {options};")).unwrap();
    Credentials::new(mechanism, &module).unwrap()
}

/// Logs in. Returns the last answer.
async fn log_in(client: &mut Client, mechanism: Mechanism, options: &str) -> SaslAuthenticateResponse {
    assert_eq!(choose(client, mechanism.name()).await.error_code, 0);
    let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let credentials = credentials(mechanism, options);
    let (mut sasl, mut message) = SaslClient::new(mechanism, &credentials, &[7; 24], now_ms);
    loop {
        let answer = send(client, &message).await;
        if answer.error_code != 0 {
            return answer;
        }
        match sasl.evaluate(&answer.auth_bytes).unwrap() {
            Some(next) => message = next,
            None => return answer,
        }
    }
}

async fn is_served(client: &mut Client) -> bool {
    let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    let answered: Result<MetadataResponse, _> = client.try_call(&request, 12).await;
    answered.is_ok()
}

/// Stores or deletes the password of a user, and waits until it counts.
async fn set_password(client: &mut Client, user: &str, mechanism: i8, password: Option<&str>) {
    let mut request = AlterUserScramCredentialsRequest::default();
    match password {
        Some(password) => {
            let hash = if mechanism == 1 { Hash::Sha256 } else { Hash::Sha512 };
            request.upsertions.push(ScramCredentialUpsertion {
                name: user.into(),
                mechanism,
                iterations: 4096,
                salt: b"salt".to_vec().into(),
                salted_password: sasl::scram::salted_password(hash, password.as_bytes(), b"salt", 4096).into(),
                ..Default::default()
            });
        }
        None => {
            request.deletions.push(ScramCredentialDeletion { name: user.into(), mechanism, ..Default::default() });
        }
    }
    let response: AlterUserScramCredentialsResponse = client.call(&request, 0).await;
    assert_eq!(response.results[0].error_code, 0, "{response:?}");
}

#[tokio::test]
async fn clients_log_in_with_each_mechanism() {
    let home = Home::new();
    let node = ready(&home, &[]).await;
    let mut admin = node.client().await;
    for (mechanism, options, user) in [
        (Mechanism::Plain, "username=alice password=planted-secret-4711", "User:alice"),
        (Mechanism::OAuthBearer, "unsecuredLoginStringClaim_sub=carol", "User:carol"),
        (Mechanism::ScramSha256, "username=dave password=pencil", "User:dave"),
        (Mechanism::ScramSha512, "username=erin password=pencil", "User:erin"),
    ] {
        if mechanism == Mechanism::ScramSha256 {
            set_password(&mut admin, "dave", 1, Some("pencil")).await;
        } else if mechanism == Mechanism::ScramSha512 {
            set_password(&mut admin, "erin", 2, Some("pencil")).await;
        }
        let mut client = connect(&node).await;
        let versions: ApiVersionsResponse = client.call(&ApiVersionsRequest::default(), 2).await;
        assert_eq!(versions.error_code, 0);
        let answer = log_in(&mut client, mechanism, options).await;
        assert_eq!((answer.error_code, answer.error_message.as_deref()), (0, Some("")), "{user}");
        assert!(is_served(&mut client).await, "{user}");
        // Kafka's answers to a client that has logged in.
        let again = send(&mut client, b"").await;
        assert_eq!(again.error_code, ErrorCode::IllegalSaslState.code());
    }
    // A deleted user's connection lives on, and a new one is refused.
    let mut open = connect(&node).await;
    assert_eq!(log_in(&mut open, Mechanism::ScramSha256, "username=dave password=pencil").await.error_code, 0);
    set_password(&mut admin, "dave", 1, None).await;
    assert!(is_served(&mut open).await);
    let mut late = connect(&node).await;
    let answer = log_in(&mut late, Mechanism::ScramSha256, "username=dave password=pencil").await;
    assert_eq!(answer.error_code, ErrorCode::SaslAuthenticationFailed.code());
    assert!(late.is_closed().await);
    node.stop().await;
}

#[tokio::test]
async fn refused_clients_get_kafkas_errors() {
    let home = Home::new();
    let node = ready(&home, &[]).await;
    set_password(&mut node.client().await, "dave", 1, Some("pencil")).await;
    let invalid = |mechanism| {
        format!(
            "Authentication failed during authentication due to invalid credentials with SASL mechanism {mechanism}"
        )
    };
    for (mechanism, message, expected) in [
        ("PLAIN", &b"\0alice\0wrong"[..], "Authentication failed: Invalid username or password".to_string()),
        ("PLAIN", b"\0nobody\0wrong", "Authentication failed: Invalid username or password".into()),
        ("PLAIN", b"alice", "Invalid SASL/PLAIN response: expected 3 tokens, got 1".into()),
        ("SCRAM-SHA-256", b"garbage", invalid("SCRAM-SHA-256")),
        ("OAUTHBEARER", b"garbage", invalid("OAUTHBEARER")),
    ] {
        let mut client = connect(&node).await;
        assert_eq!(choose(&mut client, mechanism).await.error_code, 0);
        let answer = send(&mut client, message).await;
        assert_eq!(answer.error_code, ErrorCode::SaslAuthenticationFailed.code());
        assert_eq!(answer.error_message.as_deref(), Some(expected.as_str()));
        assert!(client.is_closed().await);
    }
    for options in ["username=dave password=wrong", "username=nobody password=wrong"] {
        let mut client = connect(&node).await;
        let answer = log_in(&mut client, Mechanism::ScramSha256, options).await;
        assert_eq!(answer.error_message.as_deref(), Some(invalid("SCRAM-SHA-256").as_str()));
        assert!(client.is_closed().await);
    }
    let mut client = connect(&node).await;
    assert_eq!(choose(&mut client, "OAUTHBEARER").await.error_code, 0);
    let told = send(&mut client, b"n,,\x01auth=Bearer abc\x01\x01").await;
    assert_eq!((told.error_code, &told.auth_bytes[..]), (0, &br#"{"status":"invalid_token"}"#[..]));
    let answer = send(&mut client, &[1]).await;
    assert_eq!(answer.error_message.as_deref(), Some(r#"{"status":"invalid_token"}"#));
    assert!(client.is_closed().await);
    let mut client = connect(&node).await;
    let answer = choose(&mut client, "GSSAPI").await;
    let names: Vec<&str> = answer.mechanisms.iter().map(|name| name.as_str()).collect();
    assert_eq!(answer.error_code, ErrorCode::UnsupportedSaslMechanism.code());
    assert_eq!(names, ["PLAIN", "SCRAM-SHA-512", "SCRAM-SHA-256", "OAUTHBEARER"]);
    assert!(client.is_closed().await);
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_served_before_the_login() {
    let home = Home::new();
    let node = ready(&home, &[]).await;
    // Requests that come too early.
    let mut client = connect(&node).await;
    assert!(!is_served(&mut client).await);
    let mut client = connect(&node).await;
    client
        .send(&SaslAuthenticateRequest { auth_bytes: b"\0bob\0b".to_vec().into(), ..Default::default() }, 2)
        .await
        .unwrap();
    assert!(client.is_closed().await);
    let mut client = connect(&node).await;
    choose(&mut client, "PLAIN").await;
    assert!(!is_served(&mut client).await);
    let mut client = connect(&node).await;
    for _ in 0..2 {
        client.send(&ApiVersionsRequest::default(), 2).await.unwrap();
    }
    let _: ApiVersionsResponse = client.receive(2).await.unwrap();
    assert!(client.is_closed().await);
    let mut client = connect(&node).await;
    choose(&mut client, "PLAIN").await;
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, ErrorCode::IllegalSaslState.code());
    assert!(client.is_closed().await);
    // Bytes that are no requests.
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 2, 0, 17],
        &[0, 9, 0x27, 0xc0, 0, 17, 0, 1],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 20, 0, 17, 0, 1, 0, 0, 0, 1, 0, 2, b'i', b't', 0x7f, 0xff, 0, 0, 0, 0, 0, 0],
    ] {
        let mut stream = TcpStream::connect(address(&node)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{bytes:?}");
    }
    // A login is not moved by what others do meanwhile.
    let mut client = connect(&node).await;
    assert_eq!(log_in(&mut client, Mechanism::Plain, "username=bob password=b").await.error_code, 0);
    assert!(is_served(&mut client).await);
    node.stop().await;
}

#[tokio::test]
async fn an_old_client_sends_messages_without_a_header() {
    let home = Home::new();
    let node = ready(&home, &[]).await;
    for (password, logs_in) in [(&b"b"[..], true), (b"wrong", false)] {
        let mut client = connect(&node).await;
        let request = SaslHandshakeRequest { mechanism: "PLAIN".into(), ..Default::default() };
        let chosen: SaslHandshakeResponse = client.call(&request, 0).await;
        assert_eq!(chosen.error_code, 0);
        let message = [b"\0bob\0", password].concat();
        client.send_bytes(&message).await;
        if logs_in {
            assert_eq!(client.receive_bytes().await, b"");
        }
        assert_eq!(is_served(&mut client).await, logs_in);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_session_ends_unless_the_client_logs_in_again() {
    let home = Home::new();
    let node = ready(
        &home,
        &["connections.max.reauth.ms=3600000", "listener.name.public.scram-sha-256.connections.max.reauth.ms=1"],
    )
    .await;
    let mut client = connect(&node).await;
    let answer = log_in(&mut client, Mechanism::Plain, "username=bob password=b").await;
    assert_eq!(answer.session_lifetime_ms, 3_600_000);
    let answer = log_in(&mut client, Mechanism::Plain, "username=bob password=b").await;
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 3_600_000));
    assert!(is_served(&mut client).await);
    // Not twice in a second.
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, ErrorCode::IllegalSaslState.code());
    assert!(is_served(&mut client).await);
    // Neither as another user, nor with another mechanism.
    let mut client = connect(&node).await;
    log_in(&mut client, Mechanism::Plain, "username=bob password=b").await;
    let answer = log_in(&mut client, Mechanism::Plain, "username=alice password=planted-secret-4711").await;
    let told = "Cannot change principals during re-authentication from User.bob: User.alice";
    assert_eq!(answer.error_message.as_deref(), Some(told));
    assert!(client.is_closed().await);
    let mut client = connect(&node).await;
    log_in(&mut client, Mechanism::Plain, "username=bob password=b").await;
    assert_eq!(choose(&mut client, "SCRAM-SHA-256").await.error_code, 0);
    client.send(&SaslAuthenticateRequest::default(), 2).await.unwrap();
    assert!(client.is_closed().await);
    // A session that has ended.
    set_password(&mut node.client().await, "dave", 1, Some("pencil")).await;
    let mut client = connect(&node).await;
    let answer = log_in(&mut client, Mechanism::ScramSha256, "username=dave password=pencil").await;
    assert_eq!(answer.session_lifetime_ms, 1);
    until("the end of the session", async || (!is_served(&mut client).await).then_some(())).await;
    node.stop().await;
}

#[tokio::test]
async fn no_secret_is_shown() {
    let home = Home::new();
    let more = [format!("sasl.jaas.config={PLAIN} required username=x password=\"{PLANTED}\";")];
    let node = ready(&home, &[more[0].as_str()]).await;
    let mut client = connect(&node).await;
    log_in(&mut client, Mechanism::Plain, "username=alice password=planted-secret-4711").await;
    let resource = DescribeConfigsResource { resource_type: 4, resource_name: "1".into(), ..Default::default() };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: true,
        ..Default::default()
    };
    let described: DescribeConfigsResponse = client.call(&request, 4).await;
    assert!(described.results[0].configs.iter().any(|config| config.name == "sasl.jaas.config"));
    assert!(!format!("{described:?}").contains(PLANTED));
    let broker = &node.running.broker;
    assert!(!format!("{broker:?}").contains(PLANTED));
    assert!(!format!("{:?} {:?}", broker.config.values, broker.effective()).contains(PLANTED));
    let metrics = broker.metrics.text(gregor::telemetry::Exposition::OpenMetrics).unwrap();
    assert!(metrics.contains("successful_authentications_total{listener=\"PUBLIC\"} 1") && !metrics.contains(PLANTED));
    node.stop().await;
    // What cannot be started is said without them.
    for change in [
        format!("listener.name.public.plain.sasl.jaas.config={PLAIN} required user_a=\"{PLANTED}\""),
        format!("listener.name.public.plain.sasl.jaas.config={PLAIN} needed user_a=\"{PLANTED}\";"),
        format!("listener.name.public.plain.sasl.jaas.config=com.example.Module required user_a=\"{PLANTED}\";"),
    ] {
        let properties = properties(&[&change]);
        let error = NodeConfig::read(&home.properties(), &properties).unwrap_err().to_string();
        assert!(!error.contains(PLANTED) && !error.contains('\n'), "{error}");
    }
}

/// Three nodes whose controllers log in at each other with PLAIN, and whose brokers with SCRAM.
#[tokio::test]
async fn brokers_and_controllers_log_in_at_each_other() {
    let mut cluster = Cluster::new();
    for overrides in &mut cluster.overrides {
        overrides.extend([
            "listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT".to_string(),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256".into(),
            "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256".into(),
            "sasl.mechanism.controller.protocol=PLAIN".into(),
            "connection.failed.authentication.delay.ms=0".into(),
        ]);
        for listener in ["plaintext", "controller"] {
            overrides.push(format!(
                "listener.name.{listener}.plain.sasl.jaas.config={PLAIN} required username=node password=n user_node=n;"
            ));
            overrides.push(format!(
                "listener.name.{listener}.scram-sha-256.sasl.jaas.config={SCRAM} required username=node password=n;"
            ));
        }
    }
    for index in 0..3 {
        cluster.start(index).await;
    }
    let nodes = |cluster: &Cluster| -> Vec<SocketAddr> {
        cluster.nodes.iter().flatten().map(|node| node.running.addresses[0].1).collect()
    };
    let addresses = nodes(&cluster);
    until("brokers that are ready", async || {
        // Each round sends a request, so this is not a busy loop.
        let _: ApiVersionsResponse = Client::connect(addresses[0]).await.call(&ApiVersionsRequest::default(), 2).await;
        let ready = |node: &Node| node.running.broker.not_ready_because().is_none();
        cluster.nodes.iter().flatten().all(ready).then_some(())
    })
    .await;
    let mut client = Client::connect(addresses[0]).await;
    assert_eq!(log_in(&mut client, Mechanism::Plain, "username=node password=n").await.error_code, 0);
    // The brokers have not yet logged in at each other: they need this password.
    set_password(&mut client, "node", 1, Some("n")).await;
    let topic = protocol::messages::create_topics_request::CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 3,
        ..Default::default()
    };
    let request = protocol::messages::create_topics_request::CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
        ..Default::default()
    };
    let created: protocol::messages::create_topics_response::CreateTopicsResponse = client.call(&request, 7).await;
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    client.await_leaders("t").await;
    let leader = client.metadata("t", false).await.topics[0].partitions[0].leader_id;
    let mut leading = Client::connect(addresses[leader as usize - 1]).await;
    assert_eq!(log_in(&mut leading, Mechanism::Plain, "username=node password=n").await.error_code, 0);
    // `acks=all`: the followers have copied it.
    let produced = leading.produce("t", 0, &["a", "b"]).await;
    assert_eq!(produced.error_code, 0, "{produced:?}");
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

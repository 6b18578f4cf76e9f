//! Quotas and SCRAM credentials.

use super::*;
use bytes::Bytes;
use protocol::messages::alter_client_quotas_request as quotas;
use protocol::messages::alter_user_scram_credentials_request as scram;
use protocol::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};

fn entry(entity: &[(&str, Option<&str>)], key: &str, value: f64, remove: bool) -> quotas::EntryData {
    let entity = entity.iter().map(|(kind, name)| quotas::EntityData {
        entity_type: (*kind).into(),
        entity_name: name.map(Into::into),
        ..Default::default()
    });
    let op = quotas::OpData { key: key.into(), value, remove, ..Default::default() };
    quotas::EntryData { entity: entity.collect(), ops: vec![op], ..Default::default() }
}

fn ask(cluster: &mut Cluster, entry: quotas::EntryData) -> (Vec<String>, String) {
    let request = quotas::AlterClientQuotasRequest { entries: vec![entry], ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, _| alter_client_quotas(image, &request)).unwrap();
    (records, result(reply.entries[0].error_code, reply.entries[0].error_message.as_ref()))
}

#[test]
fn quotas_are_stored_and_shown() {
    let mut cluster = Cluster::of_one_broker();
    let bob = [("user", Some("bob")), ("client-id", None)];
    let (records, said) = ask(&mut cluster, entry(&bob, "producer_byte_rate", 1024.0, false));
    assert_eq!(said, "NONE");
    assert_eq!(
        records,
        [
            "ClientQuota v0 {entity:[{entityType:client-id,entityName:null},{entityType:user,entityName:bob}],key:producer_byte_rate,value:1024.0,remove:false}"
        ]
    );
    assert!(ask(&mut cluster, entry(&bob, "producer_byte_rate", 1024.0, false)).0.is_empty());
    let component = ComponentData { entity_type: "user".into(), match_type: 2, r#match: None, ..Default::default() };
    let mut request = DescribeClientQuotasRequest { components: vec![component], ..Default::default() };
    let shown = describe_client_quotas(&cluster.image, &request).unwrap();
    assert_eq!(shown.entries.unwrap()[0].values[0].value, 1024.0);
    request.strict = true;
    assert!(describe_client_quotas(&cluster.image, &request).unwrap().entries.unwrap().is_empty());
    assert_eq!(ask(&mut cluster, entry(&bob, "producer_byte_rate", 0.0, true)).0.len(), 1);
    assert_eq!(cluster.image.quotas.iter().count(), 0);
}

fn answers(cluster: &mut Cluster, entries: Vec<quotas::EntryData>) -> (usize, Vec<String>) {
    let request = quotas::AlterClientQuotasRequest { entries, ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, _| alter_client_quotas(image, &request)).unwrap();
    let answer = |it: &protocol::messages::alter_client_quotas_response::EntryData| {
        let part = |one: &protocol::messages::alter_client_quotas_response::EntityData| {
            format!("{}={}", one.entity_type, one.entity_name.as_deref().unwrap_or("null"))
        };
        let entity: Vec<String> = it.entity.iter().map(part).collect();
        format!("{} {}", entity.join(","), result(it.error_code, it.error_message.as_ref()))
    };
    (records.len(), reply.entries.iter().map(answer).collect())
}

#[test]
fn quotas_are_answered_in_the_order_of_javas_maps() {
    let mut cluster = Cluster::of_one_broker();
    let rate = |entity: &[(&str, Option<&str>)]| entry(entity, "producer_byte_rate", 3.0, false);
    // Of a kind twice the last counts.
    assert_eq!(
        answers(&mut cluster, vec![rate(&[("user", Some("a")), ("user", Some("b"))])]),
        (1, vec!["user=b NONE".to_owned()])
    );
    assert_eq!(
        answers(&mut cluster, vec![rate(&[("user", Some("u")), ("client-id", Some("c"))])]),
        (1, vec!["client-id=c,user=u NONE".to_owned()])
    );
    assert_eq!(
        answers(&mut cluster, vec![rate(&[("user", Some("w"))]), rate(&[("user", Some(""))])]),
        (1, vec!["user= INVALID_REQUEST: Empty user not supported".to_owned(), "user=w NONE".to_owned()])
    );
}

#[test]
fn an_entity_that_is_named_again_is_a_duplicate_and_keeps_its_first_change() {
    let mut cluster = Cluster::of_one_broker();
    let duplicate = "INVALID_REQUEST: Ignoring duplicate entity ClientQuotaEntity(entries={client-id=null, user=w})";
    let rate = entry(&[("user", Some("w")), ("client-id", None)], "producer_byte_rate", 4.0, false);
    let (records, said) = answers(&mut cluster, vec![rate.clone(), rate.clone()]);
    assert_eq!((records, said), (1, vec![format!("client-id=null,user=w {duplicate}")]));
    let mut twice = rate;
    twice.ops.push(twice.ops[0].clone());
    let (records, said) = answers(&mut cluster, vec![twice]);
    assert_eq!((records, said), (0, vec![format!("client-id=null,user=w {duplicate}")]));
}

#[test]
fn quotas_that_kafka_refuses() {
    let mut cluster = Cluster::of_one_broker();
    let user = [("user", Some("bob"))];
    let ip = [("ip", Some("1.2.3.4"))];
    for (entry, expected) in [
        (entry(&user, "foo", 1.0, false), "Invalid configuration key foo"),
        (entry(&user, "producer_byte_rate", 1.5, false), "producer_byte_rate cannot be a fractional value."),
        (entry(&user, "producer_byte_rate", 0.0, false), "Quota producer_byte_rate must be greater than 0"),
        (
            entry(&ip, "connection_creation_rate", 1e12, false),
            "Proposed value for connection_creation_rate is too large for an INT.",
        ),
        (entry(&[], "producer_byte_rate", 1.0, false), "Invalid empty client quota entity"),
        (entry(&[("user", Some(""))], "producer_byte_rate", 1.0, false), "Empty user not supported"),
        (entry(&[("x", None)], "producer_byte_rate", 1.0, false), "Unhandled client quota entity type: x"),
    ] {
        let (records, said) = ask(&mut cluster, entry);
        assert!(records.is_empty());
        assert_eq!(said, format!("INVALID_REQUEST: {expected}"));
    }
}

#[test]
fn scram_credentials_are_stored_and_never_shown() {
    let mut cluster = Cluster::of_one_broker();
    let set = |name: &str, iterations| scram::ScramCredentialUpsertion {
        name: name.into(),
        mechanism: 1,
        iterations,
        ..Default::default()
    };
    let delete = |name: &str| scram::ScramCredentialDeletion { name: name.into(), mechanism: 1, ..Default::default() };
    let mut ask = |deletions, upsertions| {
        let request = scram::AlterUserScramCredentialsRequest { deletions, upsertions, ..Default::default() };
        let keys = |_, _: &[u8]| (Bytes::from_static(b"stored"), Bytes::from_static(b"server"));
        let decided = cluster.decide(|image, _, context| alter_user_scram_credentials(image, context, &request, &keys));
        let reply = decided.unwrap().1;
        reply.results.iter().map(|it| result(it.error_code, it.error_message.as_ref())).collect::<Vec<_>>()
    };
    assert_eq!(
        ask(vec![], vec![set("a", 4096), set("b", 10)]),
        ["NONE", "UNACCEPTABLE_CREDENTIAL: Too few iterations"]
    );
    assert_eq!(
        ask(vec![delete("x"), delete("a")], vec![set("a", 4096)]),
        [
            "DUPLICATE_RESOURCE: A user credential cannot be altered twice in the same request",
            "RESOURCE_NOT_FOUND: Attempt to delete a user credential that does not exist",
        ]
    );
    // What is wrong by itself stays the answer, however often it is named; what failed comes last.
    assert_eq!(
        ask(vec![delete("x")], vec![set("x", 4096), set("", 4096), set("", 4096), set("c", 4096)]),
        [
            "NONE",
            "UNACCEPTABLE_CREDENTIAL: Username must not be empty",
            "RESOURCE_NOT_FOUND: Attempt to delete a user credential that does not exist",
        ]
    );
    let shown = describe_user_scram_credentials(&cluster.image, &Default::default());
    let users: Vec<_> = shown.results.iter().map(|it| (it.user.as_str(), it.credential_infos[0].iterations)).collect();
    assert_eq!(users, [("a", 4096), ("c", 4096)]);
}

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
    let shown = describe_user_scram_credentials(&cluster.image, &Default::default());
    assert_eq!((shown.results.len(), shown.results[0].credential_infos[0].iterations), (1, 4096));
}

//! Data of users: quotas and SCRAM credentials. Also ACLs and delegation tokens, which neither
//! broker supports without an authorizer and without authentication.

use super::topic;
use crate::run::Run;
use crate::side::Side;
use bytes::Bytes;
use protocol::Str;
use protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_delegation_token_request::{CreatableRenewers, CreateDelegationTokenRequest};
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use protocol::messages::describe_delegation_token_request::{
    DescribeDelegationTokenOwner, DescribeDelegationTokenRequest,
};
use protocol::messages::describe_user_scram_credentials_request::{DescribeUserScramCredentialsRequest, UserName};
use protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use serde_json::Value;

pub fn rows(run: &mut Run) {
    topic(run, "security", 1, &[]);
    quotas_altered(run);
    quotas_described(run);
    quotas_taken_back(run);
    credentials_altered(run);
    credentials_described(run);
    acls(run);
    tokens(run);
}

/// The type and name of an entity; `None` is the default entity.
type Entity<'a> = &'a [(&'a str, Option<&'a str>)];

/// A quota and its value; `None` removes it.
type Quota<'a> = (&'a str, Option<f64>);

fn entry(entity: Entity, quotas: &[Quota]) -> EntryData {
    let part = |(kind, name): &(&str, Option<&str>)| EntityData {
        entity_type: (*kind).into(),
        entity_name: name.map(Str::from),
        ..Default::default()
    };
    let op = |(key, value): &Quota| OpData {
        key: (*key).into(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
        ..Default::default()
    };
    EntryData { entity: entity.iter().map(part).collect(), ops: quotas.iter().map(op).collect(), ..Default::default() }
}

fn quotas_altered(run: &mut Run) {
    let of = |entries: Vec<EntryData>| AlterClientQuotasRequest { entries, validate_only: false, ..Default::default() };
    let cases: &[(&str, Entity, &[Quota])] = &[
        ("a user", &[("user", Some("u"))], &[("producer_byte_rate", Some(1000.0))]),
        ("the default user", &[("user", None)], &[("consumer_byte_rate", Some(2000.0))]),
        ("a client", &[("client-id", Some("c"))], &[("request_percentage", Some(12.5))]),
        ("both", &[("user", Some("u")), ("client-id", Some("c"))], &[("controller_mutation_rate", Some(1.5))]),
        ("both, turned round", &[("client-id", Some("d")), ("user", None)], &[("producer_byte_rate", Some(7.0))]),
        ("an address", &[("ip", Some("127.0.0.1"))], &[("connection_creation_rate", Some(5.0))]),
        ("the default address", &[("ip", None)], &[("connection_creation_rate", Some(6.0))]),
        ("two quotas", &[("user", Some("v"))], &[("producer_byte_rate", Some(1.0)), ("consumer_byte_rate", Some(2.0))]),
        ("a removal", &[("user", Some("v"))], &[("producer_byte_rate", None)]),
        ("a removal of none", &[("user", Some("nobody"))], &[("producer_byte_rate", None)]),
        ("a removal of an unknown one", &[("user", Some("v"))], &[("no_such_rate", None)]),
        ("an empty entity", &[], &[("producer_byte_rate", Some(1.0))]),
        ("an unknown kind", &[("planet", Some("mars"))], &[("producer_byte_rate", Some(1.0))]),
        ("an empty kind", &[("", Some("mars"))], &[("producer_byte_rate", Some(1.0))]),
        ("an empty name", &[("user", Some(""))], &[("producer_byte_rate", Some(1.0))]),
        ("a kind twice", &[("user", Some("a")), ("user", Some("b"))], &[("producer_byte_rate", Some(1.0))]),
        (
            "an address and a user",
            &[("ip", Some("1.2.3.4")), ("user", Some("u"))],
            &[("producer_byte_rate", Some(1.0))],
        ),
        ("no address", &[("ip", Some("1.2.3.4.5"))], &[("connection_creation_rate", Some(1.0))]),
        ("a rate of users for an address", &[("ip", Some("1.2.3.4"))], &[("producer_byte_rate", Some(1.0))]),
        ("an unknown quota", &[("user", Some("u"))], &[("no_such_rate", Some(1.0))]),
        (
            "a quota twice",
            &[("user", Some("u"))],
            &[("producer_byte_rate", Some(1.0)), ("producer_byte_rate", Some(2.0))],
        ),
        ("a quota of zero", &[("user", Some("u"))], &[("producer_byte_rate", Some(0.0))]),
        ("a quota below zero", &[("user", Some("u"))], &[("request_percentage", Some(-1.0))]),
        ("a fraction", &[("user", Some("u"))], &[("producer_byte_rate", Some(1.5))]),
        ("above a long", &[("user", Some("u"))], &[("producer_byte_rate", Some(1e30))]),
        ("above an int", &[("ip", Some("1.2.3.4"))], &[("connection_creation_rate", Some(3e9))]),
        ("not a number", &[("user", Some("u"))], &[("request_percentage", Some(f64::NAN))]),
        ("no quota", &[("user", Some("u"))], &[]),
    ];
    for (case, entity, quotas) in cases {
        run.row(&format!("{case}, only validated"), 0..=1, |_, _| AlterClientQuotasRequest {
            validate_only: true,
            ..of(vec![entry(entity, quotas)])
        });
        run.row(case, 0..=1, |_, _| of(vec![entry(entity, quotas)]));
    }
    run.row("two entities, one wrong", 0..=1, |_, _| {
        of(vec![
            entry(&[("user", Some("w"))], &[("producer_byte_rate", Some(3.0))]),
            entry(&[("user", Some(""))], &[("producer_byte_rate", Some(3.0))]),
        ])
    });
    run.row("an entity twice", 0..=1, |_, _| {
        let twice = entry(&[("user", Some("w"))], &[("producer_byte_rate", Some(4.0))]);
        of(vec![twice.clone(), twice])
    });
    run.row("none", 0..=1, |_, _| of(Vec::new()));
}

/// Removes the quotas that limit this machine's clients and that Kafka enforces: on connection
/// rates, on produce and on fetch.
fn quotas_taken_back(run: &mut Run) {
    let removed =
        |entity: Entity, keys: &[&str]| entry(entity, &keys.iter().map(|key| (*key, None)).collect::<Vec<Quota>>());
    let request = |_: &Side| AlterClientQuotasRequest {
        entries: vec![
            removed(&[("ip", Some("127.0.0.1"))], &["connection_creation_rate"]),
            removed(&[("ip", None)], &["connection_creation_rate"]),
            removed(&[("user", None)], &["consumer_byte_rate"]),
        ],
        ..Default::default()
    };
    run.until("no quotas", 1, request, |answer| {
        let entries = answer.pointer("/entries").and_then(Value::as_array);
        entries.is_some_and(|list| list.len() == 3 && list.iter().all(|one| super::code(one, "/errorCode") == 0))
    });
    super::published(run);
}

fn quotas_described(run: &mut Run) {
    super::published(run);
    let of = |components: &[(&str, i8, Option<&str>)], strict: bool| DescribeClientQuotasRequest {
        components: components
            .iter()
            .map(|(kind, match_type, name)| ComponentData {
                entity_type: (*kind).into(),
                match_type: *match_type,
                r#match: name.map(Str::from),
                ..Default::default()
            })
            .collect(),
        strict,
        ..Default::default()
    };
    let cases: &[&[(&str, i8, Option<&str>)]] = &[
        &[],
        &[("user", 0, Some("u"))],
        &[("user", 1, None)],
        &[("user", 2, None)],
        &[("client-id", 2, None)],
        &[("user", 2, None), ("client-id", 2, None)],
        &[("client-id", 0, Some("c")), ("user", 0, Some("u"))],
        &[("ip", 2, None)],
        &[("ip", 0, Some("127.0.0.1"))],
        &[("user", 0, Some("nobody"))],
        &[("user", 0, None)],
        &[("user", 1, Some("u"))],
        &[("user", 2, Some("u"))],
        &[("user", 3, None)],
        &[("user", -1, Some("u"))],
        &[("", 2, None)],
        &[("planet", 2, None)],
        &[("user", 2, None), ("user", 1, None)],
        &[("ip", 2, None), ("user", 2, None)],
        &[("planet", 2, None), ("user", 2, None)],
    ];
    for components in cases {
        for strict in [false, true] {
            run.row(&format!("{components:?}, strict {strict}"), 0..=1, |_, _| of(components, strict));
        }
    }
}

fn credential(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: name.into(),
        mechanism,
        iterations,
        salt: Bytes::from_static(b"salt"),
        salted_password: Bytes::from_static(b"salted password"),
        ..Default::default()
    }
}

fn credentials_altered(run: &mut Run) {
    let set = |upsertions: Vec<ScramCredentialUpsertion>| AlterUserScramCredentialsRequest {
        upsertions,
        ..Default::default()
    };
    let remove = |names: &[(&str, i8)]| AlterUserScramCredentialsRequest {
        deletions: names
            .iter()
            .map(|(name, mechanism)| ScramCredentialDeletion {
                name: (*name).into(),
                mechanism: *mechanism,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    for (name, mechanism, iterations) in [
        ("u", 1, 4096),
        ("u", 2, 8192),
        ("v", 1, 16384),
        ("many", 1, 16385),
        ("few", 1, 4095),
        ("few", 2, 4095),
        ("none", 0, 4096),
        ("three", 3, 4096),
        ("minus", -1, 4096),
        ("", 1, 4096),
        ("", 0, 1),
        ("w", 0, 1),
    ] {
        run.row(&format!("sets {name:?}, mechanism {mechanism}, {iterations} iterations"), [0], |_, _| {
            set(vec![credential(name, mechanism, iterations)])
        });
    }
    run.row("two users, one wrong", [0], |_, _| set(vec![credential("a", 1, 4096), credential("b", 1, 1)]));
    run.row("one user twice", [0], |_, _| set(vec![credential("a", 1, 4096), credential("a", 2, 4096)]));
    run.row("an unnamed user twice", [0], |_, _| set(vec![credential("", 1, 4096), credential("", 2, 4096)]));
    run.row("sets and removes", [0], |_, _| AlterUserScramCredentialsRequest {
        upsertions: vec![credential("v", 1, 4096)],
        ..remove(&[("v", 1)])
    });
    run.row("sets one, removes another", [0], |_, _| AlterUserScramCredentialsRequest {
        upsertions: vec![credential("x", 1, 4096)],
        ..remove(&[("a", 1)])
    });
    run.row("none", [0], |_, _| set(Vec::new()));
    super::published(run);
    for (name, mechanism) in [("x", 1), ("x", 1), ("nobody", 1), ("u", 0), ("u", 9), ("", 1), ("v", 2)] {
        run.row(&format!("removes {name:?}, mechanism {mechanism}"), [0], |_, _| remove(&[(name, mechanism)]));
    }
}

fn credentials_described(run: &mut Run) {
    super::published(run);
    let of = |names: Option<&[&str]>| DescribeUserScramCredentialsRequest {
        users: names
            .map(|names| names.iter().map(|name| UserName { name: (*name).into(), ..Default::default() }).collect()),
        ..Default::default()
    };
    run.row("all", [0], |_, _| of(None));
    for names in [&[][..], &["u"], &["nobody"], &["u", "v", "nobody"], &["u", "u"], &["nobody", "nobody"], &[""]] {
        run.row(&format!("{names:?}"), [0], |_, _| of(Some(names)));
    }
}

fn acls(run: &mut Run) {
    let filter = |kind: i8, pattern: i8, operation: i8, permission: i8| DeleteAclsFilter {
        resource_type_filter: kind,
        resource_name_filter: Some("security".into()),
        pattern_type_filter: pattern,
        operation,
        permission_type: permission,
        ..Default::default()
    };
    for (kind, pattern, operation, permission) in [
        (2, 3, 3, 3),
        (1, 1, 1, 1),
        (2, 2, 2, 2),
        (0, 3, 3, 3),
        (2, 0, 3, 3),
        (2, 3, 0, 3),
        (2, 3, 3, 0),
        (99, 3, 3, 3),
    ] {
        let case = format!("of kind {kind}, pattern {pattern}, operation {operation}, permission {permission}");
        run.row(&case, 1..=3, |_, _| {
            let one = filter(kind, pattern, operation, permission);
            DescribeAclsRequest {
                resource_type_filter: one.resource_type_filter,
                resource_name_filter: one.resource_name_filter,
                pattern_type_filter: one.pattern_type_filter,
                operation,
                permission_type: permission,
                ..Default::default()
            }
        });
        run.row(&case, 1..=3, |_, _| DeleteAclsRequest {
            filters: vec![filter(kind, pattern, operation, permission)],
            ..Default::default()
        });
        run.row(&case, 1..=3, |_, _| CreateAclsRequest {
            creations: vec![AclCreation {
                resource_type: kind,
                resource_name: "security".into(),
                resource_pattern_type: pattern,
                principal: "User:u".into(),
                host: "*".into(),
                operation,
                permission_type: permission,
                ..Default::default()
            }],
            ..Default::default()
        });
    }
    run.row("two", 1..=3, |_, _| DeleteAclsRequest { filters: vec![filter(2, 3, 3, 3); 2], ..Default::default() });
    run.row("none", 1..=3, |_, _| DeleteAclsRequest::default());
    run.row("none", 1..=3, |_, _| CreateAclsRequest::default());
}

fn tokens(run: &mut Run) {
    run.row("for another", 3..=3, |_, _| CreateDelegationTokenRequest {
        owner_principal_type: Some("User".into()),
        owner_principal_name: Some("u".into()),
        ..Default::default()
    });
    run.row("for nobody", 3..=3, |_, _| CreateDelegationTokenRequest {
        owner_principal_type: None,
        owner_principal_name: None,
        ..Default::default()
    });
    run.row("for a name without a kind", 3..=3, |_, _| CreateDelegationTokenRequest {
        owner_principal_type: None,
        owner_principal_name: Some("u".into()),
        ..Default::default()
    });
    run.row("for a kind without a name", 3..=3, |_, _| CreateDelegationTokenRequest {
        owner_principal_type: Some("Group".into()),
        owner_principal_name: Some("".into()),
        ..Default::default()
    });
    run.row("with a renewer", 1..=3, |_, _| CreateDelegationTokenRequest {
        renewers: vec![CreatableRenewers {
            principal_type: "User".into(),
            principal_name: "u".into(),
            ..Default::default()
        }],
        max_lifetime_ms: -1,
        ..Default::default()
    });
    run.row("with a renewer of no kind", 1..=3, |_, _| CreateDelegationTokenRequest {
        renewers: vec![CreatableRenewers::default()],
        ..Default::default()
    });
    run.row("an unknown one", 1..=2, |_, _| RenewDelegationTokenRequest {
        hmac: Bytes::from_static(b"hmac"),
        renew_period_ms: -1,
        ..Default::default()
    });
    run.row("an unknown one", 1..=2, |_, _| ExpireDelegationTokenRequest {
        hmac: Bytes::from_static(b"hmac"),
        expiry_time_period_ms: -1,
        ..Default::default()
    });
    run.row("all", 1..=3, |_, _| DescribeDelegationTokenRequest { owners: None, ..Default::default() });
    run.row("of one", 1..=3, |_, _| DescribeDelegationTokenRequest {
        owners: Some(vec![DescribeDelegationTokenOwner {
            principal_type: "User".into(),
            principal_name: "u".into(),
            ..Default::default()
        }]),
        ..Default::default()
    });
}

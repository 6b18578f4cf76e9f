//! The table of decisions. Each line was checked against `StandardAuthorizer`'s rules.

use super::*;
use model::Uuid;

fn acl(text: &str) -> AccessControlEntry {
    let words: Vec<&str> = text.split(' ').collect();
    let [permission, principal, host, operation, kind, pattern, name] = words[..] else { panic!("{text}") };
    let code = |name: &str| AclOperation::ALL.iter().find(|it| it.name() == name).unwrap().code();
    AccessControlEntry {
        resource_type: AclResourceType::ALL.iter().find(|it| it.name() == kind).unwrap().code(),
        resource_name: name.into(),
        pattern_type: if pattern == "prefixed" { 4 } else { 3 },
        principal: principal.into(),
        host: host.into(),
        operation: code(operation),
        permission_type: if permission == "deny" { 2 } else { 3 },
    }
}

fn acls(lines: &[&str]) -> Acls {
    let mut acls = Acls::default();
    for (number, line) in lines.iter().enumerate() {
        acls.insert(Uuid([u8::try_from(number).unwrap() + 1; 16]), acl(line));
    }
    acls
}

fn alice() -> Subject {
    Subject { principal: "User:alice".into(), host: "10.0.0.1".into() }
}

fn says(acls: &Acls, operation: AclOperation, name: &str) -> &'static str {
    match acls.decide(&alice(), operation, AclResourceType::Topic, name) {
        AclVerdict::Allowed(_) => "allowed",
        AclVerdict::Denied(_) => "denied",
        AclVerdict::Silent { has_resource_acls: true } => "silent",
        AclVerdict::Silent { has_resource_acls: false } => "no acl",
    }
}

#[test]
fn the_table_of_decisions() {
    use AclOperation::*;
    let table: &[(&[&str], AclOperation, &str, &str)] = &[
        (&[], Read, "foo", "no acl"),
        (&["allow User:alice * READ TOPIC literal foo"], Read, "foo", "allowed"),
        (&["allow User:alice * READ TOPIC literal foo"], Read, "fo", "no acl"),
        (&["allow User:alice * READ TOPIC literal foo"], Read, "foobar", "no acl"),
        (&["allow User:alice * READ TOPIC literal foo"], Write, "foo", "silent"),
        (&["allow User:bob * READ TOPIC literal foo"], Read, "foo", "silent"),
        (&["allow User:* * READ TOPIC literal foo"], Read, "foo", "allowed"),
        (&["allow User:alice 10.0.0.1 READ TOPIC literal foo"], Read, "foo", "allowed"),
        (&["allow User:alice 10.0.0.2 READ TOPIC literal foo"], Read, "foo", "silent"),
        (&["allow User:alice * ALL TOPIC literal *"], Delete, "foo", "allowed"),
        (&["allow User:alice * READ GROUP literal foo"], Read, "foo", "no acl"),
        // A name with a star after other letters is a name.
        (&["allow User:alice * READ TOPIC literal f*"], Read, "foo", "no acl"),
        (&["allow User:alice * READ TOPIC prefixed *"], Read, "foo", "no acl"),
        (&["allow User:alice * READ TOPIC prefixed f"], Read, "foo", "allowed"),
        (&["allow User:alice * READ TOPIC prefixed foo"], Read, "foo", "allowed"),
        (&["allow User:alice * READ TOPIC prefixed foobar"], Read, "foo", "no acl"),
        (
            &["allow User:alice * READ TOPIC prefixed f", "allow User:alice * READ TOPIC prefixed fa"],
            Read,
            "foo",
            "allowed",
        ),
        // Whatever denies counts before whatever allows.
        (&["allow User:alice * ALL TOPIC literal foo", "deny User:* * READ TOPIC prefixed f"], Read, "foo", "denied"),
        (&["allow User:alice * ALL TOPIC literal foo", "deny User:alice * ALL TOPIC literal *"], Read, "foo", "denied"),
        (
            &["allow User:alice * ALL TOPIC literal foo", "deny User:alice 10.0.0.2 ALL TOPIC literal *"],
            Read,
            "foo",
            "allowed",
        ),
        // What is implied is allowed; nothing implied is denied.
        (&["allow User:alice * READ TOPIC literal foo"], Describe, "foo", "allowed"),
        (&["allow User:alice * WRITE TOPIC literal foo"], Describe, "foo", "allowed"),
        (&["allow User:alice * DELETE TOPIC literal foo"], Describe, "foo", "allowed"),
        (&["allow User:alice * ALTER TOPIC literal foo"], Describe, "foo", "allowed"),
        (&["allow User:alice * CREATE TOPIC literal foo"], Describe, "foo", "silent"),
        (&["allow User:alice * ALTER_CONFIGS TOPIC literal foo"], Describe, "foo", "silent"),
        (&["allow User:alice * ALTER_CONFIGS TOPIC literal foo"], DescribeConfigs, "foo", "allowed"),
        (
            &["allow User:alice * DESCRIBE TOPIC literal foo", "deny User:alice * READ TOPIC literal foo"],
            Describe,
            "foo",
            "allowed",
        ),
    ];
    for (lines, operation, name, expected) in table {
        assert_eq!(says(&acls(lines), *operation, name), *expected, "{lines:?} {operation:?} {name}");
    }
}

#[test]
fn removing_an_acl_removes_what_it_said_and_no_more() {
    let mut acls = acls(&[
        "allow User:alice * READ TOPIC literal foo",
        "allow User:alice * WRITE TOPIC literal foo",
        "allow User:bob * WRITE TOPIC literal foo",
        "allow User:alice * READ TOPIC literal foo",
    ]);
    let id = |number| Uuid([number; 16]);
    assert!(acls.remove(id(1)).is_some());
    assert_eq!(says(&acls, AclOperation::Read, "foo"), "allowed", "another record says the same");
    assert!(acls.remove(id(4)).is_some());
    assert_eq!(says(&acls, AclOperation::Read, "foo"), "silent");
    assert_eq!(says(&acls, AclOperation::Write, "foo"), "allowed");
    assert!(acls.remove(id(2)).is_some());
    assert_eq!(says(&acls, AclOperation::Write, "foo"), "silent");
    assert!(acls.remove(id(3)).is_some());
    assert_eq!(says(&acls, AclOperation::Write, "foo"), "no acl");
    assert!(acls.remove(id(3)).is_none());
    assert!(acls.is_empty());
}

#[test]
fn prefixes_are_found_in_names_of_any_letters() {
    let acls = acls(&["allow User:alice * READ TOPIC prefixed größe", "allow User:alice * WRITE TOPIC prefixed gr"]);
    assert_eq!(says(&acls, AclOperation::Read, "größer"), "allowed");
    assert_eq!(says(&acls, AclOperation::Write, "größer"), "allowed");
    assert_eq!(says(&acls, AclOperation::Read, "grüße"), "silent");
}

#[test]
fn one_allowed_resource_is_enough_unless_its_whole_pattern_is_denied() {
    let allowed = |lines: &[&str]| acls(lines).allows_any(&alice(), AclOperation::Write, AclResourceType::Topic);
    assert!(!allowed(&[]));
    assert!(allowed(&["allow User:alice * WRITE TOPIC literal foo"]));
    assert!(!allowed(&["allow User:alice * READ TOPIC literal foo"]));
    assert!(!allowed(&["allow User:alice * WRITE TOPIC literal foo", "deny User:* * WRITE TOPIC literal foo"]));
    assert!(!allowed(&["allow User:alice * WRITE TOPIC literal foo", "deny User:* * ALL TOPIC prefixed f"]));
    assert!(!allowed(&["allow User:alice * WRITE TOPIC prefixed foo", "deny User:* * ALL TOPIC prefixed foo"]));
    assert!(allowed(&["allow User:alice * WRITE TOPIC prefixed foo", "deny User:* * ALL TOPIC literal foo"]));
    assert!(!allowed(&["allow User:alice * WRITE TOPIC literal *", "deny User:* * ALL TOPIC literal *"]));
    assert!(allowed(&["allow User:alice * WRITE TOPIC literal *", "deny User:alice * ALL TOPIC prefixed f"]));
    assert!(!allowed(&["allow User:alice 10.0.0.2 WRITE TOPIC literal foo"]));
}

#[test]
fn filters_mean_what_kafkas_mean() {
    let filter = |pattern_type_filter, name: Option<&str>| {
        AclFilter::from(&protocol::messages::describe_acls_request::DescribeAclsRequest {
            resource_type_filter: 2,
            resource_name_filter: name.map(Into::into),
            pattern_type_filter,
            principal_filter: None,
            host_filter: None,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        })
    };
    let literal = acl("allow User:alice * READ TOPIC literal foo");
    let prefixed = acl("allow User:alice * READ TOPIC prefixed f");
    let all = acl("allow User:alice * READ TOPIC literal *");
    let fitting = |filter: AclFilter| [&literal, &prefixed, &all].map(|it| filter.fits(it));
    assert_eq!(fitting(filter(1, None)), [true, true, true]);
    assert_eq!(fitting(filter(3, None)), [true, false, true]);
    assert_eq!(fitting(filter(4, None)), [false, true, false]);
    assert_eq!(fitting(filter(1, Some("foo"))), [true, false, false]);
    assert_eq!(fitting(filter(2, Some("foo"))), [true, true, true]);
    assert_eq!(fitting(filter(2, Some("bar"))), [false, false, true]);
    assert_eq!(fitting(filter(3, Some("*"))), [false, false, true]);
    assert_eq!(fitting(filter(9, None)), [false, false, false]);
}

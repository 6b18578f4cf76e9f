//! ACLs with an authorizer. At the end, a client at 127.0.0.1 may do everything, one at 127.0.0.3
//! may describe everything, and others may do nothing. The rows of the other groups are then sent
//! from each of these addresses.

use super::Rows;
use crate::run::Run;
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::describe_acls_request::DescribeAclsRequest;

/// The groups of a cluster with an authorizer.
pub const GROUPS: &[(&str, Rows)] = &[("acls", rows)];

const ALLOW: i8 = 3;
const DENY: i8 = 2;
const ALL: i8 = 2;
const READ: i8 = 3;
const DESCRIBE: i8 = 8;

fn acl(host: &str, kind: i8, name: &str, operation: i8) -> AclCreation {
    AclCreation {
        resource_type: kind,
        resource_name: name.into(),
        resource_pattern_type: 3,
        principal: "User:ANONYMOUS".into(),
        host: host.into(),
        operation,
        permission_type: ALLOW,
        ..Default::default()
    }
}

fn rows(run: &mut Run) {
    // First of all what lets the node itself go on.
    let all = [(4, "kafka-cluster"), (2, "*"), (3, "*"), (5, "*"), (6, "*"), (7, "*")];
    let creations: Vec<_> = all.iter().map(|(kind, name)| acl("127.0.0.1", *kind, name, ALL)).collect();
    run.row("for this client", [3], |_, _| CreateAclsRequest { creations: creations.clone(), ..Default::default() });
    run.row("for this client again", [3], |_, _| CreateAclsRequest {
        creations: creations.clone(),
        ..Default::default()
    });
    creations_of_all_kinds(run);
    filters(run);
    let described = [(2, "*"), (3, "*"), (4, "kafka-cluster"), (5, "*")];
    let creations: Vec<_> = described.iter().map(|(kind, name)| acl("127.0.0.3", *kind, name, DESCRIBE)).collect();
    run.row("for one that describes", [3], |_, _| CreateAclsRequest {
        creations: creations.clone(),
        ..Default::default()
    });
}

fn creations_of_all_kinds(run: &mut Run) {
    let row = |run: &mut Run, case: &str, change: &dyn Fn(&mut AclCreation)| {
        let mut one = acl("10.0.0.1", 2, "foo", READ);
        change(&mut one);
        run.row(case, 1..=3, |_, _| CreateAclsRequest { creations: vec![one.clone()], ..Default::default() });
    };
    row(run, "a topic", &|_| {});
    row(run, "a prefix", &|it| it.resource_pattern_type = 4);
    row(run, "all topics", &|it| it.resource_name = "*".into());
    row(run, "a denial", &|it| it.permission_type = DENY);
    row(run, "another kind of principal", &|it| it.principal = "Group:x:y".into());
    for (case, field) in [("kind", 0), ("pattern", 1), ("operation", 2), ("permission", 3)] {
        for code in [0, 1, 2, 99] {
            row(run, &format!("{case} {code}"), &|it| match field {
                0 => it.resource_type = code,
                1 => it.resource_pattern_type = code,
                2 => it.operation = code,
                _ => it.permission_type = code,
            });
        }
    }
    row(run, "no name", &|it| it.resource_name = "".into());
    row(run, "no host", &|it| it.host = "".into());
    row(run, "no principal", &|it| it.principal = "".into());
    row(run, "no kind of principal", &|it| it.principal = "alice".into());
    row(run, "another cluster", &|it| it.resource_type = 4);
    let mixed = vec![acl("h", 2, "a", READ), acl("h", 2, "", READ), acl("h", 2, "a", READ), acl("h", 4, "a", READ)];
    run.row("mixed", [3], |_, _| CreateAclsRequest { creations: mixed.clone(), ..Default::default() });
}

fn filters(run: &mut Run) {
    super::published(run);
    let any = DeleteAclsFilter {
        resource_type_filter: 1,
        resource_name_filter: None,
        pattern_type_filter: 1,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let mut cases = vec![("all".to_string(), any.clone())];
    let mut case = |name: &str, change: &dyn Fn(&mut DeleteAclsFilter)| {
        let mut filter = any.clone();
        change(&mut filter);
        cases.push((name.to_string(), filter));
    };
    for pattern in [1, 2, 3, 4, 99] {
        for name in ["foo", "foobar", "*", "nothing"] {
            case(&format!("pattern {pattern} of {name}"), &|it| {
                it.pattern_type_filter = pattern;
                it.resource_name_filter = Some(name.into());
            });
        }
        case(&format!("pattern {pattern}"), &|it| it.pattern_type_filter = pattern);
    }
    case("an operation", &|it| it.operation = READ);
    case("an unknown operation", &|it| it.operation = 99);
    case("a host", &|it| it.host_filter = Some("10.0.0.1".into()));
    case("a principal", &|it| it.principal_filter = Some("Group:x:y".into()));
    case("denials", &|it| it.permission_type = DENY);
    case("an unknown permission", &|it| it.permission_type = 99);
    case("an unknown kind", &|it| it.resource_type_filter = 99);
    for (case, it) in &cases {
        run.row(case, 1..=3, |_, _| DescribeAclsRequest {
            resource_type_filter: it.resource_type_filter,
            resource_name_filter: it.resource_name_filter.clone(),
            pattern_type_filter: it.pattern_type_filter,
            principal_filter: it.principal_filter.clone(),
            host_filter: it.host_filter.clone(),
            operation: it.operation,
            permission_type: it.permission_type,
            ..Default::default()
        });
    }
    let delete = |run: &mut Run, case: &str, filters: Vec<DeleteAclsFilter>| {
        run.row(case, [3], |_, _| DeleteAclsRequest { filters: filters.clone(), ..Default::default() });
    };
    let of_host = |host: &str| DeleteAclsFilter { host_filter: Some(host.into()), ..any.clone() };
    delete(run, "unknown codes", vec![DeleteAclsFilter { pattern_type_filter: 99, ..of_host("h") }]);
    delete(run, "unknown operation", vec![DeleteAclsFilter { operation: 99, ..of_host("h") }]);
    delete(run, "twice the same", vec![of_host("h"), of_host("h")]);
    delete(run, "nothing left", vec![of_host("h")]);
    for host in ["10.0.0.1", "", "*"] {
        delete(run, &format!("all of host {host:?}"), vec![of_host(host)]);
    }
}

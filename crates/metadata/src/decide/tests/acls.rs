//! ACLs.

use super::*;
use crate::decide::{create_acls, delete_acls, describe_acls};
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::describe_acls_request::DescribeAclsRequest;

fn creation(name: &str, principal: &str) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: name.into(),
        resource_pattern_type: 3,
        principal: principal.into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
        ..Default::default()
    }
}

fn filter(name: Option<&str>, operation: i8) -> DeleteAclsFilter {
    DeleteAclsFilter {
        resource_type_filter: 2,
        resource_name_filter: name.map(Into::into),
        pattern_type_filter: 1,
        principal_filter: None,
        host_filter: None,
        operation,
        permission_type: 1,
        ..Default::default()
    }
}

#[test]
fn acls_are_added_once_described_and_removed() {
    let mut cluster = Cluster::of_one_broker();
    let wrong = |change: fn(&mut AclCreation)| {
        let mut it = creation("foo", "User:alice");
        change(&mut it);
        it
    };
    let creations = vec![
        creation("foo", "User:alice"),
        creation("foo", "User:alice"),
        creation("bar", "User:bob"),
        creation("", "User:bob"),
        creation("foo", "alice"),
        wrong(|it| it.resource_type = 99),
        wrong(|it| it.resource_type = 4),
        wrong(|it| it.resource_pattern_type = 99),
        wrong(|it| it.operation = 99),
        wrong(|it| it.permission_type = 99),
    ];
    let request = CreateAclsRequest { creations, ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, context| create_acls(image, context, &request)).unwrap();
    assert_eq!(records.len(), 2);
    let said: Vec<_> = reply.results.iter().map(|it| result(it.error_code, it.error_message.as_ref())).collect();
    assert_eq!(
        said,
        [
            "NONE: ",
            "NONE: ",
            "NONE: ",
            "INVALID_REQUEST: Invalid empty resource name",
            "INVALID_REQUEST: Could not parse principal from `alice` (no colon is present separating the principal \
             type from the principal name)",
            "INVALID_REQUEST: Invalid resourceType UNKNOWN",
            "INVALID_REQUEST: The only valid name for the CLUSTER resource is kafka-cluster",
            "INVALID_REQUEST: Invalid patternType UNKNOWN",
            "INVALID_REQUEST: Invalid operation UNKNOWN",
            "INVALID_REQUEST: Invalid permissionType UNKNOWN",
        ]
    );
    let again = cluster.decide(|image, _, context| create_acls(image, context, &request)).unwrap();
    assert!(again.0.is_empty(), "there are these ACLs already");
    let of_filters = CreateAclsRequest { creations: vec![wrong(|it| it.operation = 1)], ..Default::default() };
    assert!(cluster.decide(|image, _, context| create_acls(image, context, &of_filters)).is_err());
}

#[test]
fn an_acl_that_two_filters_mean_is_removed_once() {
    let mut cluster = Cluster::of_one_broker();
    let creations = vec![creation("foo", "User:alice"), creation("bar", "User:bob")];
    let request = CreateAclsRequest { creations, ..Default::default() };
    cluster.decide(|image, _, context| create_acls(image, context, &request)).unwrap();
    let all = DescribeAclsRequest {
        resource_type_filter: 1,
        resource_name_filter: None,
        principal_filter: None,
        host_filter: None,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let names = |cluster: &Cluster| {
        let answer = describe_acls(&cluster.image, &all);
        answer.resources.iter().map(|it| it.resource_name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&cluster), ["bar", "foo"]);

    let filters = vec![filter(Some("foo"), 1), filter(Some("foo"), 3), filter(None, 99)];
    let request = DeleteAclsRequest { filters, ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, _| delete_acls(image, &request)).unwrap();
    assert_eq!(records.len(), 1);
    let matching: Vec<_> = reply.filter_results.iter().map(|it| (it.error_code, it.matching_acls.len())).collect();
    assert_eq!(matching, [(0, 1), (0, 1), (ErrorCode::InvalidRequest.code(), 0)]);
    assert_eq!(names(&cluster), ["bar"]);
}

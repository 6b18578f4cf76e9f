//! An authorizer: what clients may do follows the ACLs at once, and after a restart. Clients are
//! anonymous here, so the ACLs know them by their host.

use crate::client::{Client, name, until};
use crate::node::{Home, Node};
use model::{ErrorCode, Offset};
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_acls_response::CreateAclsResponse;
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::delete_acls_response::DeleteAclsResponse;
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_acls_response::DescribeAclsResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;

const STANDARD: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer";
const UNLESS_FOUND: &str = "allow.everyone.if.no.acl.found=true";

const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
const ALL: i8 = 2;
const READ: i8 = 3;
const WRITE: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;

fn acl(kind: i8, resource: &str, operation: i8, permission_type: i8) -> AclCreation {
    AclCreation {
        resource_type: kind,
        resource_name: name(resource),
        resource_pattern_type: 3,
        principal: name("User:ANONYMOUS"),
        host: name("*"),
        operation,
        permission_type,
        ..Default::default()
    }
}

async fn add(client: &mut Client, acls: &[AclCreation]) -> Vec<i16> {
    let request = CreateAclsRequest { creations: acls.to_vec(), ..Default::default() };
    let response: CreateAclsResponse = client.call(&request, 3).await;
    response.results.iter().map(|result| result.error_code).collect()
}

async fn remove(client: &mut Client, operation: i8) -> usize {
    let filter = DeleteAclsFilter {
        resource_type_filter: TOPIC,
        resource_name_filter: None,
        pattern_type_filter: 1,
        principal_filter: None,
        host_filter: None,
        operation,
        permission_type: 1,
        ..Default::default()
    };
    let request = DeleteAclsRequest { filters: vec![filter], ..Default::default() };
    let response: DeleteAclsResponse = client.call(&request, 3).await;
    response.filter_results[0].matching_acls.len()
}

async fn count(client: &mut Client) -> usize {
    let request = DescribeAclsRequest {
        resource_type_filter: 1,
        resource_name_filter: None,
        pattern_type_filter: 1,
        principal_filter: None,
        host_filter: None,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let response: DescribeAclsResponse = client.call(&request, 3).await;
    assert_eq!(response.error_code, 0);
    response.resources.iter().map(|resource| resource.acls.len()).sum()
}

async fn secured(home: &Home) -> Node {
    home.ready(&[STANDARD, UNLESS_FOUND]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_may_do_follows_the_acls_at_once_and_after_a_restart() {
    let home = Home::new();
    let node = secured(&home).await;
    let mut client = node.client().await;
    client.create_topic("seen", 1, &[]).await;
    client.create_topic("unseen", 1, &[]).await;
    client.produce("seen", 0, &["a"]).await;
    // With the first ACL of a resource, what no ACL allows is denied.
    assert_eq!(add(&mut client, &[acl(CLUSTER, "kafka-cluster", ALL, ALLOW)]).await, [0]);
    assert_eq!(add(&mut client, &[acl(TOPIC, "seen", READ, ALLOW)]).await, [0]);
    assert_eq!(add(&mut client, &[acl(TOPIC, "unseen", ALL, DENY)]).await, [0]);
    let denied = ErrorCode::TopicAuthorizationFailed.code();
    assert_eq!(client.produce("seen", 0, &["b"]).await.error_code, denied);
    assert_eq!(client.read("seen", 0).await, [(Offset(0), "a".to_string())]);
    assert_eq!(client.fetch("unseen", 0, Offset(0)).await.error_code, denied);
    assert_eq!(client.offset_error("unseen", 0, -1).await, denied);
    // A list of all topics leaves out what one may not see; a name is refused, and does not leak.
    let request = MetadataRequest { topics: None, ..Default::default() };
    let all: MetadataResponse = client.call(&request, 12).await;
    let names: Vec<_> = all.topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
    assert!(names.contains(&"seen") && !names.contains(&"unseen"), "{names:?}");
    let asked = client.metadata("unseen", false).await;
    assert_eq!((asked.topics[0].error_code, asked.topics[0].topic_id.is_zero()), (denied, true));

    assert_eq!(add(&mut client, &[acl(TOPIC, "seen", WRITE, ALLOW)]).await, [0]);
    assert_eq!(client.produce("seen", 0, &["b"]).await.error_code, 0);
    assert_eq!(remove(&mut client, WRITE).await, 1);
    assert_eq!(client.produce("seen", 0, &["c"]).await.error_code, denied);
    assert_eq!(count(&mut client).await, 3);
    node.stop().await;

    let node = secured(&home).await;
    let mut client = node.client().await;
    until("the answer by the ACLs", async || {
        (client.produce("seen", 0, &["d"]).await.error_code == denied).then_some(())
    })
    .await;
    assert_eq!(count(&mut client).await, 3);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_lost_its_right_to_the_cluster_may_not_give_it_back() {
    let home = Home::new();
    let node = secured(&home).await;
    let mut client = node.client().await;
    assert_eq!(add(&mut client, &[acl(TOPIC, "t", WRITE, ALLOW)]).await, [0]);
    assert_eq!(add(&mut client, &[acl(CLUSTER, "kafka-cluster", 8, ALLOW)]).await, [0]);
    let denied = ErrorCode::ClusterAuthorizationFailed.code();
    assert_eq!(add(&mut client, &[acl(CLUSTER, "kafka-cluster", ALL, ALLOW)]).await, [denied]);
    assert_eq!(count(&mut client).await, 2, "it may still describe");
    // An idempotent producer needs one topic to which it may write.
    let request =
        InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() };
    let response: InitProducerIdResponse = client.call(&request, 4).await;
    assert_ne!(response.error_code, denied);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_super_user_may_do_what_acls_deny() {
    let home = Home::new();
    let node = home.ready(&[STANDARD, "super.users=User:admin;User:ANONYMOUS"]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    assert_eq!(add(&mut client, &[acl(TOPIC, "*", ALL, DENY)]).await, [0]);
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    node.stop().await;
}

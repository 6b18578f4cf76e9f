//! The controllers of a cluster: their registrations, and those that were removed.

use crate::client::{Client, until};
use crate::node::CLUSTER_ID;
use crate::roles::{Apart, CONTROLLERS, describe_quorum};
use metadata::MetadataVersion;
use model::{ErrorCode, Uuid};
use protocol::messages::controller_registration_request::{ControllerRegistrationRequest, Listener};
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::UpdateFeaturesResponse;

const UP: i8 = 1;
const SAFE_DOWN: i8 = 2;

/// Asks for a feature's level. Returns the error's name and message.
async fn update(client: &mut Client, feature: &str, level: i16, upgrade_type: i8) -> (ErrorCode, String) {
    let update =
        FeatureUpdateKey { feature: feature.into(), max_version_level: level, upgrade_type, ..Default::default() };
    let request = UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates: vec![update], ..Default::default() };
    let response: UpdateFeaturesResponse = client.call(&request, 2).await;
    let message = response.error_message.map(|it| it.to_string()).unwrap_or_default();
    (ErrorCode::from_code(response.error_code).unwrap(), message)
}

/// The ids of the controllers that a controller knows by their registrations.
async fn registered(client: &mut Client) -> Vec<i32> {
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let response: DescribeClusterResponse = client.call(&request, 2).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    response.brokers.iter().map(|it| it.broker_id).collect()
}

/// The ids and directory ids of the voters.
async fn voters(client: &mut Client) -> Vec<(i32, Uuid)> {
    let described = describe_quorum(client).await;
    let voters = &described.topics[0].partitions[0].current_voters;
    voters.iter().map(|it| (it.replica_id, it.replica_directory_id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_register_when_the_metadata_version_begins_to_know_them() {
    let mut cluster = Apart::at(MetadataVersion::from_name("3.6").unwrap(), &[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&[1]).await;
    cluster.ready(&CONTROLLERS).await;
    cluster.ready(&[1]).await;
    let mut client = cluster.client(cluster.leader(101).await).await;
    assert!(registered(&mut client).await.is_empty());
    let first = MetadataVersion::from_name("3.7-IV0").unwrap().level();
    assert_eq!(update(&mut client, "metadata.version", first, UP).await.0, ErrorCode::None);
    until("the registrations", async || (registered(&mut client).await == CONTROLLERS).then_some(())).await;
    // Without them, no level could be raised any more.
    let latest = MetadataVersion::LATEST.level();
    assert_eq!(update(&mut client, "metadata.version", latest, UP).await, (ErrorCode::None, String::new()));
    drop(client);
    cluster.stop(&[1]).await;
    cluster.stop(&CONTROLLERS).await;
}

/// A static quorum becomes a dynamic one, and controllers that were removed are not counted as
/// ghosts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_quorum_becomes_dynamic_and_removed_controllers_are_not_counted() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&[1]).await;
    cluster.ready(&CONTROLLERS).await;
    cluster.ready(&[1]).await;
    let leader = cluster.leader(101).await;
    let mut client = cluster.client(leader).await;
    until("the registrations", async || (registered(&mut client).await == CONTROLLERS).then_some(())).await;
    // The upgrade is refused until every voter has told its directory.
    until("a dynamic quorum", async || {
        (update(&mut client, "kraft.version", 1, UP).await.0 == ErrorCode::None).then_some(())
    })
    .await;

    let removed: Vec<i32> = CONTROLLERS.into_iter().filter(|id| *id != leader).collect();
    for (id, directory) in voters(&mut client).await {
        if removed.contains(&id) {
            let request = RemoveRaftVoterRequest {
                cluster_id: Some(CLUSTER_ID.into()),
                voter_id: id,
                voter_directory_id: directory,
                ..Default::default()
            };
            let response: RemoveRaftVoterResponse = client.call(&request, 0).await;
            assert_eq!(response.error_code, 0, "{response:?}");
        }
    }
    cluster.stop(&removed).await;
    // One of one is a majority: it still leads and commits.
    let ids: Vec<i32> = voters(&mut client).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [leader]);
    // The registration of a controller that was removed long ago stays, as in Kafka. It names no
    // feature that is newer than its release.
    let listener = Listener { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 9, ..Default::default() };
    let ghost = ControllerRegistrationRequest { controller_id: 104, listeners: vec![listener], ..Default::default() };
    let response: ControllerRegistrationResponse = client.call(&ghost, 0).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    let with_ghost = [&CONTROLLERS[..], &[104]].concat();
    until("its registration", async || (registered(&mut client).await == with_ghost).then_some(())).await;
    let lowered = update(&mut client, "transaction.version", 1, SAFE_DOWN).await;
    assert_eq!(lowered, (ErrorCode::None, String::new()));
    let raised = update(&mut client, "transaction.version", 2, UP).await;
    assert_eq!(raised, (ErrorCode::None, String::new()));
    drop(client);

    // The broker and the controller find each other again without those that are gone.
    cluster.stop(&[1]).await;
    cluster.stop(&[leader]).await;
    cluster.start(&[leader]).await;
    cluster.start(&[1]).await;
    cluster.ready(&[leader, 1]).await;
    let ids: Vec<i32> = voters(&mut cluster.client(leader).await).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [leader]);
    cluster.stop(&[1]).await;
    cluster.stop(&[leader]).await;
}

//! Registration, heartbeats and what follows for leaders: the sequence of a node's first start,
//! clean stop, restart and crash.

use super::*;

#[test]
fn a_new_log_begins_with_the_bootstrap_transaction() {
    let bootstrap = bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).unwrap();
    let cluster = Cluster::new(MetadataVersion::LATEST);
    let records = activate(&Image::default(), &cluster.settings, &bootstrap, false);
    let lines: Vec<_> = records.iter().map(|it| text(it, &Image::default())).collect();
    assert_eq!(
        lines,
        [
            "BeginTransaction v0 {name:Bootstrap records}",
            "FeatureLevel v0 {name:metadata.version,featureLevel:30}",
            "FeatureLevel v0 {name:eligible.leader.replicas.version,featureLevel:1}",
            "FeatureLevel v0 {name:group.version,featureLevel:1}",
            "FeatureLevel v0 {name:share.version,featureLevel:1}",
            "FeatureLevel v0 {name:streams.version,featureLevel:1}",
            "FeatureLevel v0 {name:transaction.version,featureLevel:2}",
            "Config v0 {resourceType:4,resourceName:,name:min.insync.replicas,value:1}",
            "EndTransactionRecord",
        ]
    );
    assert!(activate(&cluster.image, &cluster.settings, &bootstrap, false).is_empty());
    let aborted = activate(&cluster.image, &cluster.settings, &bootstrap, true);
    assert_eq!(aborted.len(), 1);
    let old = bootstrap_features(MetadataVersion::from_name("3.3-IV3").unwrap(), &BTreeMap::new()).unwrap();
    assert_eq!(activate(&Image::default(), &cluster.settings, &old, false).len(), 1, "no transactions in 3.3");
    assert!(bootstrap_features(MetadataVersion::LATEST, &BTreeMap::from([("x".to_owned(), 1)])).is_err());
}

#[test]
fn a_node_starts_stops_and_starts_again() {
    let mut cluster = Cluster::new(MetadataVersion::LATEST);
    assert_eq!(cluster.register(1, 1, -1).unwrap(), ["RegisterBroker v4 1 epoch 10"]);
    let (records, says) = cluster.beat(1, |it| it.want_fence = true).unwrap();
    assert_eq!(records, ["BrokerRegistrationChange v3 {brokerId:1,brokerEpoch:10,cordonedLogDirs:[]}"]);
    assert_eq!(says, "caught_up=true fenced=true shut_down=false");
    let (records, says) = cluster.beat(1, |it| it.current_metadata_offset = 9).unwrap();
    assert!(records.is_empty());
    assert_eq!(says, "caught_up=false fenced=true shut_down=false");
    let (records, says) = cluster.beat(1, |_| {}).unwrap();
    assert_eq!(records, ["BrokerRegistrationChange v0 {brokerId:1,brokerEpoch:10,fenced:-1}"]);
    assert_eq!(says, "caught_up=true fenced=false shut_down=false");
    topics::create(&mut cluster, "a", 1);

    let (records, says) = cluster.beat(1, |it| it.want_shut_down = true).unwrap();
    assert_eq!(
        records,
        [
            "BrokerRegistrationChange v1 {brokerId:1,brokerEpoch:10,inControlledShutdown:1}",
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[],leader:-1,eligibleLeaderReplicas:[1],lastKnownElr:[1]}",
        ]
    );
    assert_eq!(says, "caught_up=true fenced=false shut_down=false");
    let (records, says) = cluster.beat(1, |it| it.want_shut_down = true).unwrap();
    assert_eq!(records, ["BrokerRegistrationChange v0 {brokerId:1,brokerEpoch:10,fenced:1}"]);
    assert_eq!(says, "caught_up=true fenced=true shut_down=true");

    cluster.soft = Soft::activated(&cluster.image, Monotonic(0), None);
    let registered = cluster.register(1, 2, 10).unwrap();
    assert_eq!(registered.len(), 1, "it stopped cleanly, so nothing is cleaned up: {registered:?}");
    let (records, _) = cluster.beat(1, |_| {}).unwrap();
    assert_eq!(
        records[1],
        "PartitionChange v2 {partitionId:0,topicId:a,isr:[1],leader:1,eligibleLeaderReplicas:[],lastKnownElr:[]}"
    );
}

#[test]
fn a_node_that_crashed_comes_back_as_a_recovering_leader() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    cluster.soft = Soft::activated(&cluster.image, Monotonic(0), None);
    assert_eq!(cluster.register(1, 2, -1).unwrap_err().code, ErrorCode::DuplicateBrokerRegistration);
    cluster.soft = Soft::activated(&cluster.image, Monotonic(0), Some(BrokerId(1)));
    let records = cluster.register(1, 2, -1).unwrap();
    assert_eq!(
        records[0], "PartitionChange v2 {partitionId:0,topicId:a,isr:[],leader:-1,lastKnownElr:[1]}",
        "it may lack records, so it is no eligible leader"
    );
    let (records, _) = cluster.beat(1, |_| {}).unwrap();
    assert_eq!(
        records[1],
        "PartitionChange v2 {partitionId:0,topicId:a,isr:[1],leader:1,leaderRecoveryState:1,lastKnownElr:[]}"
    );
}

#[test]
fn a_node_that_was_fenced_before_it_came_back_leaves_the_eligible_leaders() {
    let mut cluster = Cluster::of_one_broker();
    topics::create(&mut cluster, "a", 1);
    let fenced = fence_broker(&cluster.image, &cluster.settings, BrokerId(1));
    assert_eq!(
        text(&fenced[0], &cluster.image),
        "PartitionChange v2 {partitionId:0,topicId:a,isr:[],leader:-1,eligibleLeaderReplicas:[1],lastKnownElr:[1]}"
    );
    cluster.append(&fenced);
    cluster.soft = Soft::default();
    let epoch = cluster.next_offset;
    let records = cluster.register(1, 2, -1).unwrap();
    assert_eq!(records[0], "PartitionChange v2 {partitionId:0,topicId:a,eligibleLeaderReplicas:[]}");
    assert_eq!(records[1], format!("RegisterBroker v4 1 epoch {epoch}"), "the offset of the batch, as in Kafka");
    let (records, _) = cluster.beat(1, |_| {}).unwrap();
    assert_eq!(
        records[1..],
        [
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[1],leader:1,leaderRecoveryState:1,lastKnownElr:[]}"
                .to_owned(),
            format!("BrokerRegistrationChange v3 {{brokerId:1,brokerEpoch:{epoch},cordonedLogDirs:[]}}"),
        ]
    );
}

#[test]
fn registrations_that_kafka_refuses() {
    let mut cluster = Cluster::of_one_broker();
    let other = cluster.register(1, 9, -1).unwrap_err();
    assert_eq!(other.code, ErrorCode::DuplicateBrokerRegistration);
    assert_eq!(cluster.register(1, 1, -1).unwrap(), ["RegisterBroker v4 1 epoch 10"], "the same process may amend");
    assert!(!cluster.image.cluster.brokers[&BrokerId(1)].fenced);
    let stale = cluster.beat(1, |it| it.broker_epoch = 3).unwrap_err();
    assert_eq!(said(&stale), "STALE_BROKER_EPOCH: Expected broker epoch 3, but got broker epoch 10");
    assert_eq!(cluster.beat(5, |_| {}).unwrap_err().code, ErrorCode::StaleBrokerEpoch);
    let gone = cluster.decide(|image, _, context| unregister_broker(image, context, BrokerId(9))).unwrap_err();
    assert_eq!(said(&gone), "BROKER_ID_NOT_REGISTERED: Broker ID 9 is not currently registered");
}

#[test]
fn a_silent_broker_is_fenced_and_others_lead() {
    let mut cluster = Cluster::of_one_broker();
    cluster.register(2, 2, -1).unwrap();
    cluster.beat(2, |_| {}).unwrap();
    topics::create(&mut cluster, "a", 2);
    cluster.now = 5_000;
    cluster.beat(2, |_| {}).unwrap();
    let mut fence = |now| {
        cluster.now = now;
        let decided = cluster.decide(|image, soft, context| {
            Ok(fence_stale_brokers(image, soft, context).unwrap_or(Decision::reply(None)))
        });
        decided.unwrap()
    };
    assert_eq!(fence(9_000).1, None);
    let (records, fenced) = fence(9_001);
    assert_eq!(fenced, Some(BrokerId(1)));
    assert!(records[0].contains("isr:[2]") && records.last().unwrap().contains("fenced:1"), "{records:?}");
    assert_eq!(cluster.image.topics.partition("a", model::PartitionIndex(0)).unwrap().leader, Some(BrokerId(2)));
}

#[test]
fn a_wall_clock_that_jumps_fences_nobody_and_keeps_nobody_alive() {
    const DAY_MS: i64 = 86_400_000;
    let mut cluster = Cluster::of_one_broker();
    let mut silent = |now, wall| {
        (cluster.now, cluster.wall) = (now, wall);
        let decided = cluster.decide(|image, soft, context| {
            Ok(fence_stale_brokers(image, soft, context).unwrap_or(Decision::reply(None)))
        });
        decided.unwrap().1
    };
    assert_eq!(silent(9_000, DAY_MS), None, "a day forward");
    assert_eq!(silent(9_001, -DAY_MS), Some(BrokerId(1)), "a day back");
    let mut cluster = Cluster::of_one_broker();
    (cluster.now, cluster.wall) = (9_000, DAY_MS);
    assert_eq!(cluster.register(1, 2, -1).unwrap_err().code, ErrorCode::DuplicateBrokerRegistration);
    (cluster.now, cluster.wall) = (9_001, -DAY_MS);
    cluster.register(1, 2, -1).unwrap();
}

#[test]
fn the_session_of_a_fenced_broker_ends_without_a_record() {
    let mut cluster = Cluster::of_one_broker();
    cluster.beat(1, |it| it.want_fence = true).unwrap();
    cluster.now = 9_001;
    let (records, fenced) =
        cluster.decide(|image, soft, context| Ok(fence_stale_brokers(image, soft, context).unwrap())).unwrap();
    assert!(records.is_empty() && fenced.is_none());
    assert_eq!(cluster.soft.next_expiry(9_000), None, "nothing is due for ever");
}

#[test]
fn time_in_which_the_controller_did_not_listen_counts_against_no_broker() {
    let mut cluster = Cluster::of_one_broker();
    cluster.soft.extend_sessions(60_000);
    assert_eq!(cluster.soft.next_expiry(9_000), Some(Monotonic(69_000)));
}

#[test]
fn the_session_of_the_former_controllers_broker_began_when_that_controller_last_answered() {
    let activated = |answered_ms| {
        let mut cluster = Cluster::of_one_broker();
        cluster.soft = Soft::activated(&cluster.image, Monotonic(20_000), None);
        cluster.soft.begin_earlier(BrokerId(1), Monotonic(answered_ms), 9_000);
        cluster.soft.begin_earlier(BrokerId(2), Monotonic(answered_ms), 9_000);
        cluster.soft.next_expiry(9_000).map(|at| at.0)
    };
    assert_eq!(activated(18_000), Some(27_000));
    assert_eq!(activated(1_000), Some(24_500), "half of the session is left for its next heartbeat");
    assert_eq!(activated(21_000), Some(29_000), "a session does not begin after the controller did");
}

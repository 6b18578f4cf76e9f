//! Requests about features that are off in Gregor and in a Kafka with
//! `group.coordinator.rebalance.protocols=classic`, or that name nothing that exists: groups of the
//! newer kinds, transactions that were never begun, telemetry without a receiver, and unknown kinds
//! of coordinators.

use super::{NO_TOPIC, coordinator, topic};
use crate::run::Run;
use model::Uuid;
use protocol::Str;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::push_telemetry_request::PushTelemetryRequest;
use protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use protocol::messages::share_fetch_request::ShareFetchRequest;
use protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;

pub fn rows(run: &mut Run) {
    coordinator(run, "absent");
    topic(run, "absent", 1, &[]);
    coordinators(run);
    consumers(run);
    streams(run);
    shares(run);
    transactions(run);
    telemetry(run);
}

/// FindCoordinator, without keys of transactions and shares, because Kafka would create topics for
/// their coordinators.
fn coordinators(run: &mut Run) {
    let one = |key: &str, kind: i8| FindCoordinatorRequest { key: key.into(), key_type: kind, ..Default::default() };
    let several = |keys: &[&str], kind: i8| FindCoordinatorRequest {
        coordinator_keys: keys.iter().map(|key| Str::from(*key)).collect(),
        key_type: kind,
        ..Default::default()
    };
    run.row("good", 0..=3, |_, _| one("absent", 0));
    run.row("good", 4..=6, |_, _| several(&["absent"], 0));
    run.row("an empty key", 0..=3, |_, _| one("", 0));
    run.row("an empty key", 4..=6, |_, _| several(&[""], 0));
    run.row("two keys, one twice", 4..=6, |_, _| several(&["b", "a", "b"], 0));
    run.row("no key", 4..=6, |_, _| several(&[], 0));
    for kind in [3, -1, 127, -128] {
        run.row(&format!("of kind {kind}"), 1..=3, |_, _| one("absent", kind));
        run.row(&format!("of kind {kind}"), 4..=6, |_, _| several(&["absent", "b"], kind));
    }
    run.row("of a share, too old", 1..=3, |_, _| one("absent", 2));
    run.row("of a share, too old", 4..=5, |_, _| several(&["absent"], 2));
    for key in ["", "absent", "absent:", "a:b:c", "absent:AAAAAAAAAAAAAAAAAAAAAQ:x", ":AAAAAAAAAAAAAAAAAAAAAQ:0"] {
        run.row(&format!("of the share {key:?}"), [6], |_, _| several(&[key], 2));
    }
}

fn consumers(run: &mut Run) {
    let of = |member: &str, epoch: i32| ConsumerGroupHeartbeatRequest {
        group_id: "absent".into(),
        member_id: member.into(),
        member_epoch: epoch,
        rebalance_timeout_ms: 5000,
        subscribed_topic_names: Some(vec!["absent".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    for (member, epoch) in [("m", 0), ("m", 1), ("m", -1), ("m", -2), ("m", -3), ("", 0)] {
        run.row(&format!("member {member:?}, epoch {epoch}"), 0..=1, |_, _| of(member, epoch));
    }
    for operations in [false, true] {
        run.row("described", 0..=1, |_, _| ConsumerGroupDescribeRequest {
            group_ids: vec!["absent".into(), "".into(), "no-such-group".into()],
            include_authorized_operations: operations,
            ..Default::default()
        });
    }
}

fn streams(run: &mut Run) {
    for epoch in [0, 1, -1, -3] {
        run.row(&format!("epoch {epoch}"), [0], |_, _| StreamsGroupHeartbeatRequest {
            group_id: "absent".into(),
            member_id: "m".into(),
            member_epoch: epoch,
            rebalance_timeout_ms: 5000,
            ..Default::default()
        });
    }
    run.row("described", [0], |_, _| StreamsGroupDescribeRequest {
        group_ids: vec!["absent".into(), "".into(), "no-such-group".into()],
        include_authorized_operations: true,
        ..Default::default()
    });
}

/// Requests of share groups that Kafka refuses in every configuration.
fn shares(run: &mut Run) {
    let of = |group: &str, member: &str, epoch: i32, topics: Option<&[&str]>| ShareGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: epoch,
        subscribed_topic_names: topics.map(|topics| topics.iter().map(|name| Str::from(*name)).collect()),
        ..Default::default()
    };
    run.row("no member id", [1], |_, _| of("absent", "", 0, Some(&["absent"])));
    run.row("no group id", [1], |_, _| of("", "m", 0, Some(&["absent"])));
    run.row("no subscription", [1], |_, _| of("absent", "m", 0, None));
    run.row("an empty subscription", [1], |_, _| of("absent", "m", 0, Some(&[])));
    run.row("a low epoch", [1], |_, _| of("absent", "m", -2, Some(&["absent"])));
    run.row("blanks", [1], |_, _| of(" ", " ", 0, Some(&["absent"])));
    run.row("described", [1], |_, _| ShareGroupDescribeRequest {
        group_ids: vec!["".into()],
        include_authorized_operations: true,
        ..Default::default()
    });
    for (group, member) in
        [(None, None), (None, Some("m")), (Some(""), None), (Some("absent"), None), (Some("absent"), Some(""))]
    {
        run.row(&format!("fetch of {group:?}, {member:?}"), 1..=2, |_, _| ShareFetchRequest {
            group_id: group.map(Str::from),
            member_id: member.map(Str::from),
            max_records: 1,
            batch_size: 1,
            ..Default::default()
        });
        run.row(&format!("acknowledgement of {group:?}, {member:?}"), 1..=2, |_, _| ShareAcknowledgeRequest {
            group_id: group.map(Str::from),
            member_id: member.map(Str::from),
            ..Default::default()
        });
    }
    run.row("no group", [0], |_, _| AlterShareGroupOffsetsRequest::default());
    run.row("no group", [0], |_, _| DeleteShareGroupOffsetsRequest::default());
}

fn transactions(run: &mut Run) {
    run.row("no id", 0..=4, |_, _| AddOffsetsToTxnRequest { group_id: "absent".into(), ..Default::default() });
    run.row("no id", 0..=5, |_, _| EndTxnRequest { producer_id: 1, ..Default::default() });
    let list = |states: &[&str], pattern: Option<&str>| ListTransactionsRequest {
        state_filters: states.iter().map(|state| Str::from(*state)).collect(),
        transactional_id_pattern: pattern.map(Str::from),
        ..Default::default()
    };
    for states in [&["Ongoing"][..], &["ongoing"], &["Nonsense"], &["", "Nonsense"], &["Dead", "PrepareEpochFence"]] {
        run.row(&format!("states {states:?}"), 0..=2, |_, _| list(states, None));
    }
    run.row("of producers", 0..=2, |_, _| ListTransactionsRequest { producer_id_filters: vec![-1], ..list(&[], None) });
    run.row("as old", 1..=2, |_, _| ListTransactionsRequest { duration_filter: 5, ..list(&[], None) });
    for pattern in ["", "a.*", "["] {
        run.row(&format!("pattern {pattern:?}"), [2], |_, _| list(&[], Some(pattern)));
    }
}

fn telemetry(run: &mut Run) {
    const CLIENT: Uuid = Uuid([7; 16]);
    run.row("a new client", [0], |_, _| GetTelemetrySubscriptionsRequest::default());
    run.row("a client with an id", [0], |_, _| GetTelemetrySubscriptionsRequest {
        client_instance_id: CLIENT,
        ..Default::default()
    });
    run.keep("subscription", "/subscriptionId");
    let push = |client: Uuid, subscription: i64, compression: i8| PushTelemetryRequest {
        client_instance_id: client,
        subscription_id: subscription as i32,
        compression_type: compression,
        ..Default::default()
    };
    run.row("no id", [0], |_, _| push(Uuid::default(), 0, 0));
    run.row("a reserved id", [0], |_, _| push(Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 0, 0));
    run.row("a stranger", [0], |_, _| push(NO_TOPIC, 5, 0));
    run.row("another subscription", [0], |side, _| push(CLIENT, side.int("subscription") ^ 1, 0));
    for (byte, compression) in [(10, 0), (11, 4), (12, 5), (13, -1)] {
        let client = Uuid([byte; 16]);
        run.row("one more client", [0], |_, _| GetTelemetrySubscriptionsRequest {
            client_instance_id: client,
            ..Default::default()
        });
        run.keep("subscription", "/subscriptionId");
        run.row(&format!("nothing, compression {compression}"), [0], |side, _| {
            push(client, side.int("subscription"), compression)
        });
    }
}

//! A recorded exchange with Apache Kafka 4.3.1, and the records that it wrote to
//! `__consumer_offsets`. The same requests must write the same bytes.

use super::{Harness, ask_to_join, code, commit, hex, join_request, sync, uuid};
use crate::{Entry, GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::offset_commit_request::OffsetCommitRequest;

const FIRST: &str = "cl-977fa006-8e19-475d-8e94-efd36ad1222b";

/// Key and value of each record, in the order of the writes; a tombstone has no value.
const RECORDS: &[(&str, &str)] = &[
    ("000200026732", "0003000000000000ffffffff000001a1fd652d3e00000000"),
    (
        "000200026732",
        "00030008636f6e73756d657200000001000572616e67650027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262000001a1fd652d48000000010027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262ffff0002636c000a2f3132372e302e302e3100004e20000027100000001800030000000100027431ffffffff00000000ffffffffffff00000003414141",
    ),
    (
        "0001000267320002743100000000",
        "00040000000000000006ffffffff01000001a1fd652ed5010010ab0b8b349c794a41815e04f2a1295ee2",
    ),
    (
        "000200026732",
        "00030008636f6e73756d657200000002000572616e67650027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262000001a1fd652ed6000000020027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262ffff0002636c000a2f3132372e302e302e3100004e20000027100000001800030000000100027431ffffffff00000000ffffffffffff000000034242420029696e73742d65303831313561312d336431632d343562622d396461382d3366656439343864346234330004696e73740002636c000a2f3132372e302e302e3100004e20000027100000001800030000000100027431ffffffff00000000ffffffffffff00000003434343",
    ),
    (
        "000200026732",
        "00030008636f6e73756d657200000002000572616e67650027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262000001a1fd652fa1000000020029696e73742d30643037626430342d633139352d343562662d386237652d3538663231633636396136340004696e73740002636c000a2f3132372e302e302e3100004e20000027100000001800030000000100027431ffffffff00000000ffffffffffff000000034343430027636c2d39373766613030362d386531392d343735642d386539342d656664333661643132323262ffff0002636c000a2f3132372e302e302e3100004e20000027100000001800030000000100027431ffffffff00000000ffffffffffff00000003424242",
    ),
    ("000200026732", "00030008636f6e73756d657200000003ffffffff000001a1fd652ff600000000"),
    (
        "0001000673696d706c650002743100000000",
        "0004000000000000003d0000000303c3a9000001a1fd652fab010010ab0b8b349c794a41815e04f2a1295ee2",
    ),
    ("0001000773696d706c65320002743100000000", "0001000000000000003e000178000001a1fd652fad000001a1fd66b64d"),
    ("0001000773696d706c65320002743100000000", "-"),
    ("0002000773696d706c6532", "-"),
];

/// Sets the clock and the random bytes to Kafka's values.
fn at(harness: &mut Harness, time: i64, random: &str) {
    harness.now = 0x01a1_fd65_0000 + time;
    if !random.is_empty() {
        // The harness increments it before each command.
        harness.random = u128::from_be_bytes(uuid(random).0) - 1;
    }
}

fn with_two_protocols(member: &str) -> GroupRequest {
    let mut request = join_request("g2", member);
    let second = JoinGroupRequestProtocol { name: "rr".into(), ..request.protocols[0].clone() };
    request.protocols.push(second);
    ask_to_join(request)
}

fn of_instance() -> GroupRequest {
    ask_to_join(JoinGroupRequest { group_instance_id: Some("inst".into()), ..join_request("g2", "") })
}

fn with_topic_id(mut request: OffsetCommitRequest) -> OffsetCommitRequest {
    request.topics[0].topic_id = uuid("ab0b8b34-9c79-4a41-815e-04f2a1295ee2");
    request
}

#[test]
fn consumer_offsets_records_equal_kafkas_in_every_byte() {
    let mut harness = Harness::new();
    let h = &mut harness;
    at(h, 0x2d3e, "977fa006-8e19-475d-8e94-efd36ad1222b");
    let ticket = h.send(with_two_protocols(""));
    let refused = h.joined(ticket);
    assert_eq!((code(refused.error_code), refused.member_id.as_str()), (ErrorCode::MemberIdRequired, FIRST));
    at(h, 0x2d48, "");
    let ticket = h.send(with_two_protocols(FIRST));
    h.advance(0);
    assert_eq!(h.joined(ticket).generation_id, 1);
    let ticket = h.send(sync("g2", FIRST, 1, &[(FIRST, "AAA")]));
    assert_eq!(h.synced(ticket).assignment, "AAA");

    at(h, 0x2ed4, "e08115a1-3d1c-45bb-9da8-3fed948d4b43");
    let joining = h.send(of_instance());
    assert_eq!(h.heartbeat("g2", FIRST, 1), ErrorCode::RebalanceInProgress);
    at(h, 0x2ed5, "");
    let mut request = with_topic_id(commit("g2", FIRST, 1, 6));
    request.topics[0].partitions[0].committed_metadata = None;
    assert_eq!(h.commit(request), ErrorCode::None);
    at(h, 0x2ed6, "");
    let again = h.send(with_two_protocols(FIRST));
    assert_eq!(h.joined(again).members.len(), 2);
    let second = h.joined(joining).member_id;
    assert_eq!(second, "inst-e08115a1-3d1c-45bb-9da8-3fed948d4b43");
    at(h, 0x2fa1, "");
    let ticket = h.send(sync("g2", FIRST, 2, &[(FIRST, "BBB"), (&second, "CCC")]));
    assert_eq!(h.synced(ticket).assignment, "BBB");
    let ticket = h.send(sync("g2", &second, 2, &[]));
    assert_eq!(h.synced(ticket).assignment, "CCC");

    at(h, 0x2fa5, "0d07bd04-c195-45bf-8b7e-58f21c669a64");
    let ticket = h.send(of_instance());
    let rejoined = h.joined(ticket);
    assert_eq!((rejoined.generation_id, rejoined.leader.as_str(), rejoined.members.len()), (2, FIRST, 0));
    at(h, 0x2ff6, "");
    let left = h.leave("g2", &[("", Some("inst")), ("zz", None), (FIRST, None)]);
    assert_eq!(left, [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::None]);

    at(h, 0x2fab, "");
    let mut request = with_topic_id(commit("simple", "", -1, 61));
    request.topics[0].partitions[0].committed_metadata = Some("\u{e9}".into());
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    assert_eq!(h.commit(request), ErrorCode::None);
    at(h, 0x2fad, "");
    let mut request = with_topic_id(commit("simple2", "", -1, 62));
    request.topics[0].partitions[0].committed_metadata = Some("x".into());
    request.retention_time_ms = 100_000;
    assert_eq!(h.commit(request), ErrorCode::None);
    assert_eq!(h.delete_group("simple2"), ErrorCode::None);

    let written: Vec<Entry> = h.log.iter().map(|(_, entry)| entry.clone()).collect();
    let golden =
        RECORDS.iter().map(|(key, value)| Entry::Record { key: hex(key), value: (*value != "-").then(|| hex(value)) });
    for (index, (ours, kafkas)) in written.iter().zip(golden).enumerate() {
        assert_eq!(*ours, kafkas, "record {index}");
    }
    assert_eq!(written.len(), RECORDS.len());
}

/// Releases before 3.4.1 load nothing of a partition that contains an offset in version 4.
#[test]
fn offsets_are_written_for_the_oldest_release_that_may_run() {
    let mut h = Harness::new();
    h.config.flexible_records = false;
    at(&mut h, 0x2fab, "");
    let mut request = with_topic_id(commit("simple", "", -1, 61));
    request.topics[0].partitions[0].committed_metadata = Some("\u{e9}".into());
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    assert_eq!(h.commit(request.clone()), ErrorCode::None);
    request.retention_time_ms = 100_000;
    assert_eq!(h.commit(request.clone()), ErrorCode::None);
    request.retention_time_ms = -1;
    h.config.flexible_records = true;
    assert_eq!(h.commit(request), ErrorCode::None);
    let values = [
        "0003000000000000003d000000030002c3a9000001a1fd652fab",
        "0001000000000000003d0002c3a9000001a1fd652fab000001a1fd66b64b",
        "0004000000000000003d0000000303c3a9000001a1fd652fab010010ab0b8b349c794a41815e04f2a1295ee2",
    ];
    let key = hex("0001000673696d706c650002743100000000");
    let wanted = values.map(|value| Entry::Record { key: key.clone(), value: Some(hex(value)) });
    let written: Vec<Entry> = h.log.iter().map(|(_, entry)| entry.clone()).collect();
    assert_eq!(written, wanted);
}

/// Names, states and types as in Kafka's ListGroups.
#[test]
fn lists_filter_by_state_and_type_in_any_case() {
    let mut h = Harness::new();
    h.stable_member("stable");
    assert_eq!(h.commit(commit("simple", "", -1, 1)), ErrorCode::None);
    let mut ask = |states: &[&str], types: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|&it| it.into()).collect();
        match h.ask(GroupRequest::ListGroups { states: names(states), types: names(types) }) {
            GroupReply::ListGroups(Ok(groups)) => {
                groups.into_iter().map(|it| it.group_id.to_string()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&[], &[]), ["simple", "stable"]);
    assert_eq!(ask(&[" eMpty"], &["Classic"]), ["simple"]);
    assert_eq!(ask(&["stable", "Empty"], &[]), ["simple", "stable"]);
    assert!(ask(&[], &["bogus"]).is_empty());
    assert!(ask(&["bogus"], &[]).is_empty());
    assert!(ask(&[], &["consumer"]).is_empty());
}

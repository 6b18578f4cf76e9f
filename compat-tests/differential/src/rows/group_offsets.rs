//! OffsetCommit, OffsetFetch and OffsetDelete.

use super::groups::one_member;
use super::{NO_TOPIC, coordinator, settled, topic};
use crate::run::Run;
use crate::side::Side;
use protocol::Str;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

pub fn at(index: i32, offset: i64) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition {
        partition_index: index,
        committed_offset: offset,
        committed_leader_epoch: 0,
        committed_metadata: Some("note".into()),
        ..Default::default()
    }
}

pub fn commit(
    side: &Side,
    group: &str,
    topic: &str,
    partitions: Vec<OffsetCommitRequestPartition>,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            topic_id: side.id(topic),
            partitions,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Returns a request for committed offsets in the form of the version: of one group, or of a list
/// with one group.
pub fn fetch(side: &Side, version: i16, group: &str, topics: Option<&[(&str, &[i32])]>) -> OffsetFetchRequest {
    if version < 8 {
        let one = |(name, partitions): &(&str, &[i32])| OffsetFetchRequestTopic {
            name: (*name).into(),
            partition_indexes: partitions.to_vec(),
            ..Default::default()
        };
        return OffsetFetchRequest {
            group_id: group.into(),
            topics: topics.map(|topics| topics.iter().map(one).collect()),
            ..Default::default()
        };
    }
    OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![in_list(side, group, topics)], ..Default::default() }
}

fn in_list(side: &Side, group: &str, topics: Option<&[(&str, &[i32])]>) -> OffsetFetchRequestGroup {
    let one = |(name, partitions): &(&str, &[i32])| OffsetFetchRequestTopics {
        name: (*name).into(),
        topic_id: side.id(name),
        partition_indexes: partitions.to_vec(),
        ..Default::default()
    };
    OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: topics.map(|topics| topics.iter().map(one).collect()),
        ..Default::default()
    }
}

pub fn rows(run: &mut Run) {
    topic(run, "co", 3, &[]);
    topic(run, "co-b", 1, &[]);
    coordinator(run, "simple");
    settled(run, "__consumer_offsets", 50);
    commits(run);
    commits_wrong(run);
    in_group(run);
    fetches(run);
    deletes(run);
}

fn commits(run: &mut Run) {
    for version in 2..=10 {
        let group = format!("simple-{version}");
        coordinator(run, &group);
        run.row("good", [version], |side, _| commit(side, &group, "co", vec![at(0, 5), at(1, 6)]));
        run.row("fetched", 1..=10, |side, v| fetch(side, v, &group, Some(&[("co", &[0, 1, 2])])));
        run.row("back", [version], |side, _| commit(side, &group, "co", vec![at(0, 2)]));
        run.row("everything fetched", 2..=10, |side, v| fetch(side, v, &group, None));
    }
    coordinator(run, "retained");
    run.row("a retention", 2..=4, |side, _| OffsetCommitRequest {
        retention_time_ms: 1000,
        ..commit(side, "retained", "co", vec![at(0, 1)])
    });
}

fn commits_wrong(run: &mut Run) {
    coordinator(run, "simple");
    let all = 2..=10;
    let with = |partition: OffsetCommitRequestPartition| {
        move |side: &Side, _: i16| commit(side, "simple", "co", vec![partition.clone()])
    };
    run.row("an empty group", all.clone(), |side, _| commit(side, "", "co", vec![at(0, 1)]));
    run.row("an unknown topic", all.clone(), |side, _| commit(side, "simple", "nothing", vec![at(0, 1)]));
    run.row("an unknown id", [10], |side, _| {
        let mut request = commit(side, "simple", "nothing", vec![at(0, 1)]);
        request.topics[0].topic_id = NO_TOPIC;
        request
    });
    run.row("an unknown partition", all.clone(), with(at(7, 1)));
    run.row("a negative partition", all.clone(), with(at(-1, 1)));
    run.row("two partitions, one unknown", all.clone(), |side, _| {
        commit(side, "simple", "co", vec![at(0, 3), at(9, 1)])
    });
    run.row("a negative offset", all.clone(), with(at(0, -1)));
    run.row("the lowest offset", all.clone(), with(at(0, i64::MIN)));
    run.row("past the end", all.clone(), with(at(0, 1_000_000)));
    let long: Str = "m".repeat(4097).into();
    run.row(
        "metadata too long",
        all.clone(),
        with(OffsetCommitRequestPartition { committed_metadata: Some(long), ..at(0, 1) }),
    );
    let longest: Str = "m".repeat(4096).into();
    run.row(
        "metadata just short enough",
        all.clone(),
        with(OffsetCommitRequestPartition { committed_metadata: Some(longest), ..at(0, 1) }),
    );
    run.row("no metadata", all.clone(), with(OffsetCommitRequestPartition { committed_metadata: None, ..at(0, 1) }));
    run.row(
        "no leader epoch",
        all.clone(),
        with(OffsetCommitRequestPartition { committed_leader_epoch: -1, ..at(0, 1) }),
    );
    run.row("a partition twice", all.clone(), |side, _| commit(side, "simple", "co", vec![at(0, 1), at(0, 2)]));
    run.row("none", all.clone(), |_, _| OffsetCommitRequest { group_id: "simple".into(), ..Default::default() });
    run.row("no partition", all.clone(), |side, _| commit(side, "simple", "co", Vec::new()));
    run.row("a member of a group without any", all.clone(), |side, _| OffsetCommitRequest {
        member_id: "somebody".into(),
        generation_id_or_member_epoch: 1,
        ..commit(side, "simple", "co", vec![at(0, 1)])
    });
    run.row("a generation of a group without any", all.clone(), |side, _| OffsetCommitRequest {
        generation_id_or_member_epoch: 5,
        ..commit(side, "simple", "co", vec![at(0, 1)])
    });
    run.row("a generation of an unknown group", all, |side, version| OffsetCommitRequest {
        generation_id_or_member_epoch: 5,
        ..commit(side, &format!("unknown-{version}"), "co", vec![at(0, 1)])
    });
    run.row("an internal topic", 2..=9, |side, _| commit(side, "simple", "__consumer_offsets", vec![at(0, 1)]));
    run.row("an invalid name", 2..=9, |side, _| commit(side, "simple", "a b", vec![at(0, 1)]));
    run.row("an empty name", 2..=9, |side, _| commit(side, "simple", "", vec![at(0, 1)]));
}

/// Commits of a member, and of outsiders in its group.
fn in_group(run: &mut Run) {
    coordinator(run, "working");
    one_member(run, "working", "worker");
    let of = |side: &Side, member: &str, generation: i32| OffsetCommitRequest {
        member_id: member.into(),
        generation_id_or_member_epoch: generation,
        ..commit(side, "working", "co", vec![at(0, 9)])
    };
    run.row("a member's", 2..=10, |side, _| of(side, side.text("worker"), 1));
    run.row("of an old generation", 2..=10, |side, _| of(side, side.text("worker"), 0));
    run.row("of a generation to come", 2..=10, |side, _| of(side, side.text("worker"), 2));
    run.row("of no generation", 2..=10, |side, _| of(side, side.text("worker"), -1));
    run.row("a stranger's", 2..=10, |side, _| of(side, "somebody", 1));
    run.row("nobody's", 2..=10, |side, _| of(side, "", -1));
    run.row("of an instance that is none", 7..=10, |side, _| OffsetCommitRequest {
        group_instance_id: Some("i".into()),
        ..of(side, side.text("worker"), 1)
    });
    run.row("a member fetches", 9..=10, |side, version| {
        let mut request = fetch(side, version, "working", Some(&[("co", &[0])]));
        request.groups[0].member_id = Some(side.text("worker").into());
        request.groups[0].member_epoch = 1;
        request
    });
    run.row("a stranger fetches", 9..=10, |side, version| {
        let mut request = fetch(side, version, "working", Some(&[("co", &[0])]));
        request.groups[0].member_id = Some("somebody".into());
        request.groups[0].member_epoch = 7;
        request
    });
}

fn fetches(run: &mut Run) {
    run.row("an unknown group", 1..=10, |side, v| fetch(side, v, "no-such-group", Some(&[("co", &[0])])));
    run.row("everything of an unknown group", 2..=10, |side, v| fetch(side, v, "no-such-group", None));
    run.row("an empty group", 1..=10, |side, v| fetch(side, v, "", Some(&[("co", &[0])])));
    run.row("an unknown topic", 1..=10, |side, v| fetch(side, v, "simple", Some(&[("nothing", &[0])])));
    run.row("an unknown id", [10], |side, v| {
        let mut request = fetch(side, v, "simple", Some(&[("nothing", &[0]), ("co", &[0])]));
        if let Some(topics) = &mut request.groups[0].topics {
            topics[0].topic_id = NO_TOPIC;
        }
        request
    });
    run.row("an unknown partition", 1..=10, |side, v| fetch(side, v, "simple", Some(&[("co", &[9, -1])])));
    run.row("a partition twice", 1..=10, |side, v| fetch(side, v, "simple", Some(&[("co", &[0, 0])])));
    run.row("no partition", 1..=10, |side, v| fetch(side, v, "simple", Some(&[("co", &[])])));
    run.row("no topic", 1..=10, |side, v| fetch(side, v, "simple", Some(&[])));
    run.row("two topics", 1..=10, |side, v| fetch(side, v, "simple", Some(&[("co", &[0, 1]), ("co-b", &[0])])));
    run.row("stable ones", 7..=10, |side, v| OffsetFetchRequest {
        require_stable: true,
        ..fetch(side, v, "simple", Some(&[("co", &[0])]))
    });
    run.row("two groups", 8..=10, |side, _| OffsetFetchRequest {
        topics: Some(Vec::new()),
        groups: vec![in_list(side, "simple", None), in_list(side, "no-such-group", Some(&[("co", &[0])]))],
        ..Default::default()
    });
    run.row("one group twice", 8..=10, |side, _| OffsetFetchRequest {
        topics: Some(Vec::new()),
        groups: vec![in_list(side, "simple", None), in_list(side, "simple", None)],
        ..Default::default()
    });
    run.row("no group", 8..=10, |_, _| OffsetFetchRequest { topics: Some(Vec::new()), ..Default::default() });
}

fn deletes(run: &mut Run) {
    let of = |group: &str, topics: &[(&str, &[i32])]| OffsetDeleteRequest {
        group_id: group.into(),
        topics: topics
            .iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic {
                name: (*name).into(),
                partitions: partitions
                    .iter()
                    .map(|index| OffsetDeleteRequestPartition { partition_index: *index, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    run.row("good", [0], |_, _| of("simple-5", &[("co", &[0])]));
    run.row("again", [0], |_, _| of("simple-5", &[("co", &[0])]));
    run.row("fetched after it", [9], |side, v| fetch(side, v, "simple-5", None));
    run.row("an unknown group", [0], |_, _| of("no-such-group", &[("co", &[0])]));
    run.row("an empty group", [0], |_, _| of("", &[("co", &[0])]));
    run.row("an unknown topic", [0], |_, _| of("simple-6", &[("nothing", &[0])]));
    run.row("an unknown partition", [0], |_, _| of("simple-6", &[("co", &[9])]));
    run.row("a negative partition", [0], |_, _| of("simple-6", &[("co", &[-1])]));
    run.row("none", [0], |_, _| of("simple-6", &[]));
    run.row("a topic that is subscribed to", [0], |_, _| of("working", &[("co", &[0]), ("p", &[0])]));
}

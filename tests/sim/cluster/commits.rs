//! A client that commits rising offsets of a group without members, and reads them back.
//!
//! A broker that does not know yet that another one coordinates the group may answer with what it
//! knew, as in Kafka. But once a broker has acknowledged a commit, it knows everything that was
//! acknowledged before, by whomever.

use crate::clients::{Participant, TOPIC, wait};
use crate::net::Host;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use std::collections::{BTreeMap, BTreeSet};

const GROUP: &str = "group";
/// The partitions whose offsets are committed. They need not exist for the group.
const PARTITIONS: usize = 2;

impl Participant {
    /// Commits and reads until the faults are over and `enough` more commits are acknowledged.
    pub async fn commit(mut self, enough: usize) {
        self.until_created().await;
        let (mut acknowledged, mut tried, mut after_healing) = ([-1; PARTITIONS], 0, 0);
        // What each broker must know.
        let mut vouched: BTreeMap<Host, [i64; PARTITIONS]> = BTreeMap::new();
        // Commits without an answer may still be carried out, even after later ones.
        let mut unknown = BTreeSet::new();
        while after_healing < enough {
            wait(self.random.below(150) as u64).await;
            let Some(to) = self.coordinator().await else { continue };
            if self.random.chance(40) {
                let Some(found) = self.committed(to).await else { continue };
                let least = vouched.get(&to).copied().unwrap_or([-1; PARTITIONS]);
                let is_lost = |(found, least): (&i64, &i64)| found < least && !unknown.contains(found);
                if found.iter().any(|it| *it > tried) || found.iter().zip(&least).any(is_lost) {
                    self.fail(format!(
                        "lost commit: node {to} has the offsets {found:?} and once acknowledged with {least:?}"
                    ));
                }
                continue;
            }
            tried += 1;
            let partition = self.random.below(PARTITIONS);
            if self.try_commit(to, partition as i32, tried).await {
                acknowledged[partition] = tried;
                vouched.insert(to, acknowledged);
                after_healing += usize::from(*self.shared.is_healed.lock());
            } else {
                unknown.insert(tried);
            }
        }
        self.finish();
    }

    async fn coordinator(&mut self) -> Option<Host> {
        if let Some(leader) = self.leader {
            return Some(leader);
        }
        let to = self.any_node();
        let request = FindCoordinatorRequest { key: GROUP.into(), key_type: 0, ..Default::default() };
        let found = self.client.call::<_, FindCoordinatorResponse>(to, &request, 3).await.ok()?;
        self.leader = (found.error_code == 0).then_some(found.node_id as Host);
        self.leader
    }

    async fn try_commit(&mut self, to: Host, partition: i32, offset: i64) -> bool {
        let partition =
            OffsetCommitRequestPartition { partition_index: partition, committed_offset: offset, ..Default::default() };
        let topic = OffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.client.call::<_, OffsetCommitResponse>(to, &request, 8).await;
        let code = answer.ok().and_then(|it| Some(it.topics.first()?.partitions.first()?.error_code));
        self.note(|| format!("commit of {offset} to node {to}: {code:?}"));
        if code != Some(0) {
            self.leader = None;
        }
        code == Some(0)
    }

    /// Returns the committed offset of each partition, -1 if there is none.
    async fn committed(&mut self, to: Host) -> Option<[i64; PARTITIONS]> {
        let topic = OffsetFetchRequestTopics {
            name: TOPIC.into(),
            partition_indexes: (0..PARTITIONS as i32).collect(),
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let answer = self.client.call::<_, OffsetFetchResponse>(to, &request, 8).await;
        let group = answer.ok().and_then(|it| it.groups.into_iter().next()).filter(|group| group.error_code == 0);
        let found = group.and_then(|group| {
            let mut found = [-1; PARTITIONS];
            for it in &group.topics.first()?.partitions {
                *found.get_mut(it.partition_index as usize).filter(|_| it.error_code == 0)? = it.committed_offset;
            }
            Some(found)
        });
        self.note(|| format!("node {to} has committed {found:?}"));
        if found.is_none() {
            self.leader = None;
        }
        found
    }
}

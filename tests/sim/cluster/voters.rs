//! The voters of a dynamic quorum: which there should be, and an administrator who adds and removes
//! them until they are.

use crate::clients::{Participant, wait};
use crate::net::Host;
use crate::node::CLUSTER_ID;
use model::Uuid;
use parking_lot::Mutex;
use protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use protocol::messages::describe_quorum_response::{self as described, DescribeQuorumResponse};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Voters, each with the directory id of its metadata log.
pub type Voters = BTreeMap<Host, Uuid>;

#[derive(Debug, Default)]
struct Wish {
    voters: Voters,
    /// Whether these are the voters, and all of them have the whole log.
    is_settled: bool,
}

/// The voters that there should be.
#[derive(Debug, Default)]
pub struct Wanted(Mutex<Wish>);

impl Wanted {
    pub fn set(&self, voters: Voters) {
        let wish = &mut *self.0.lock();
        if wish.voters != voters {
            *wish = Wish { voters, is_settled: false };
        }
    }

    pub fn voters(&self) -> Voters {
        self.0.lock().voters.clone()
    }

    /// Returns the voters if no change of them is under way. Then the others can do without any one
    /// of them.
    pub fn settled(&self) -> Option<Voters> {
        let wish = self.0.lock();
        wish.is_settled.then(|| wish.voters.clone())
    }
}

impl Participant {
    /// Adds and removes voters until the faults are over and the voters are those that are wanted.
    pub async fn keep_voters(mut self, wanted: Arc<Wanted>) {
        loop {
            wait(50 + self.random.below(200) as u64).await;
            let to = self.any_node();
            let Some(quorum) = self.quorum(to).await else { continue };
            let is = |it: &described::ReplicaState| (it.replica_id as Host, it.replica_directory_id);
            let voters: Voters = quorum.current_voters.iter().map(is).collect();
            let wish = wanted.voters();
            let extra: Vec<_> = voters.iter().filter(|(id, dir)| wish.get(id) != Some(dir)).collect();
            let missing: Vec<_> = wish.iter().filter(|(id, _)| !voters.contains_key(id)).collect();
            if let Some((id, dir)) = extra.first().filter(|_| missing.is_empty() || self.random.chance(70)) {
                let removed = self.remove_voter(to, **id, **dir).await;
                self.note(|| format!("the voter {id}-{dir} is removed: {removed:?}"));
            } else if let Some((id, dir)) = missing.first() {
                let added = self.add_voter(to, **id, **dir).await;
                self.note(|| format!("the voter {id}-{dir} is added: {added:?}"));
            } else {
                let ends: Vec<i64> = quorum.current_voters.iter().map(|it| it.log_end_offset).collect();
                let wish_now = &mut *wanted.0.lock();
                if wish_now.voters == wish && ends.iter().all(|end| *end == ends[0]) {
                    wish_now.is_settled = true;
                }
                if wish_now.is_settled && *self.shared.is_healed.lock() {
                    return self.finish();
                }
            }
        }
    }

    async fn quorum(&mut self, to: Host) -> Option<described::PartitionData> {
        let partition = PartitionData::default();
        let topic =
            TopicData { topic_name: model::METADATA_TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
        let answer = self.client.call::<_, DescribeQuorumResponse>(to, &request, 2).await.ok()?;
        let quorum = answer.topics.into_iter().next()?.partitions.into_iter().next()?;
        (answer.error_code == 0 && quorum.error_code == 0).then_some(quorum)
    }

    async fn remove_voter(&mut self, to: Host, id: Host, directory_id: Uuid) -> Option<i16> {
        let request = RemoveRaftVoterRequest {
            cluster_id: Some(CLUSTER_ID.into()),
            voter_id: id as i32,
            voter_directory_id: directory_id,
            ..Default::default()
        };
        let answer = self.client.call::<_, RemoveRaftVoterResponse>(to, &request, 0).await;
        answer.ok().map(|answer| answer.error_code)
    }

    async fn add_voter(&mut self, to: Host, id: Host, directory_id: Uuid) -> Option<i16> {
        let listener = Listener {
            name: "CONTROLLER".into(),
            host: format!("n{id}").as_str().into(),
            port: 9093,
            ..Default::default()
        };
        let request = AddRaftVoterRequest {
            timeout_ms: 2_000,
            cluster_id: Some(CLUSTER_ID.into()),
            voter_id: id as i32,
            voter_directory_id: directory_id,
            listeners: vec![listener],
            ack_when_committed: self.random.chance(50),
            ..Default::default()
        };
        let answer = self.client.call::<_, AddRaftVoterResponse>(to, &request, 1).await;
        answer.ok().map(|answer| answer.error_code)
    }
}

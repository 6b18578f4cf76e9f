//! An administrator who moves the replicas of the topic: to other brokers, to more or fewer, back
//! again. In the end every partition must be where the last accepted request says.

use crate::Check;
use crate::clients::{PARTITIONS, Participant, TOPIC, wait};
use crate::ledger::Index;
use crate::net::Host;
use metadata::image::Image;
use model::{ErrorCode, PartitionIndex};
use parking_lot::Mutex;
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The fewest replicas of a partition: `min.insync.replicas`.
const REPLICAS_MIN: usize = 2;

/// A request whose answer was lost may still be on its way for this time.
const LATE: Duration = Duration::from_secs(15);

/// Where each partition must be in the end. Empty as long as this is not known.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<Index, Vec<Host>>>);

impl Places {
    /// Checks that every partition is where it must be.
    pub fn check(&self, host: Host, image: &Image) -> Check {
        for (index, place) in &*self.0.lock() {
            let topic = image.topics.by_name(TOPIC).ok_or("the topic is gone")?;
            let state = topic.partition(PartitionIndex(*index)).ok_or("a partition is gone")?;
            let found: Vec<Host> = state.replicas.iter().map(|id| id.0 as Host).collect();
            let is_moving = !state.adding_replicas.is_empty() || !state.removing_replicas.is_empty();
            if found != *place || is_moving {
                return Err(format!(
                    "wrong place: node {host} knows partition {index} on {found:?} (moving: {is_moving}), not on {place:?}"
                ));
            }
        }
        Ok(())
    }
}

impl Participant {
    /// Moves partitions until the faults are over, and then each of them to its last place.
    pub async fn reassign(mut self, places: Arc<Places>) {
        self.until_created().await;
        let mut late_until = Instant::now();
        while !*self.shared.is_healed.lock() {
            wait(300 + self.random.below(2_000) as u64).await;
            let index = self.random.below(PARTITIONS as usize) as Index;
            let place = (!self.random.chance(20)).then(|| self.any_place());
            let answer = self.try_reassign(index, place.as_deref()).await;
            if answer.is_none() {
                late_until = Instant::now() + LATE;
            }
            self.note(|| format!("partition {index} to {place:?}: {answer:?}"));
        }
        tokio::time::sleep_until(late_until).await;
        for index in 0..PARTITIONS {
            let place = self.any_place();
            while self.try_reassign(index, Some(&place)).await != Some(ErrorCode::None.code()) {
                wait(100).await;
            }
            self.note(|| format!("partition {index} to {place:?} at last"));
            places.0.lock().insert(index, place);
        }
        self.finish();
    }

    /// Returns some brokers in any order.
    fn any_place(&mut self) -> Vec<Host> {
        let mut brokers: Vec<Host> = (1..=self.shared.nodes).collect();
        let count = REPLICAS_MIN + self.random.below(brokers.len().min(4) - REPLICAS_MIN + 1);
        let mut pick = || brokers.remove(self.random.below(brokers.len()));
        (0..count).map(|_| pick()).collect()
    }

    /// Asks for a reassignment, or cancels one. Returns the error code of the answer.
    async fn try_reassign(&mut self, index: Index, place: Option<&[Host]>) -> Option<i16> {
        let partition = ReassignablePartition {
            partition_index: index,
            replicas: place.map(|place| place.iter().map(|host| *host as i32).collect()),
            ..Default::default()
        };
        let topic = ReassignableTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: 2_000,
            allow_replication_factor_change: true,
            topics: vec![topic],
            ..Default::default()
        };
        let to = self.any_node();
        let answer = self.client.call::<_, AlterPartitionReassignmentsResponse>(to, &request, 1).await.ok()?;
        let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
        Some(partition.map_or(answer.error_code, |partition| partition.error_code.max(answer.error_code)))
    }
}

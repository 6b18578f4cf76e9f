//! Producer ids for idempotent producers: the controller gives a block of a thousand, and each is given once.

use super::controller::ControllerHandle;
use metadata::decide;
use model::{ApiError, BrokerEpoch, BrokerId, ErrorCode, ProducerId};
use parking_lot::Mutex;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use std::ops::Range;
use tokio::sync::Mutex as AsyncMutex;

/// The block that is being given out.
#[derive(Debug)]
pub struct ProducerIds {
    node_id: BrokerId,
    broker_epoch: Mutex<Option<BrokerEpoch>>,
    block: AsyncMutex<Range<i64>>,
}

impl ProducerIds {
    /// No block yet.
    pub fn new(node_id: BrokerId) -> Self {
        Self { node_id, broker_epoch: Mutex::new(None), block: AsyncMutex::new(0..0) }
    }

    /// This broker is registered with this epoch.
    pub fn registered(&self, epoch: BrokerEpoch) {
        *self.broker_epoch.lock() = Some(epoch);
    }

    /// The next id. Errors: COORDINATOR_LOAD_IN_PROGRESS while no block can be had, which clients retry.
    pub async fn next(&self, controller: &ControllerHandle) -> Result<ProducerId, ApiError> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(ProducerId(id));
        }
        let retry = || ApiError::from(ErrorCode::CoordinatorLoadInProgress);
        let epoch = (*self.broker_epoch.lock()).ok_or_else(retry)?;
        let request =
            AllocateProducerIdsRequest { broker_id: self.node_id.0, broker_epoch: epoch.0, ..Default::default() };
        let decided =
            controller.decide_at_commit(move |view, _| decide::allocate_producer_ids(view.image, &request)).await;
        let given = decided.map_err(|_| retry())?;
        *block = given.producer_id_start..given.producer_id_start + i64::from(given.producer_id_len);
        block.next().map(ProducerId).ok_or_else(retry)
    }
}

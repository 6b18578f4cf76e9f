//! Producer ids for idempotent producers. The controller allocates blocks of a thousand, and each
//! id is used once.
//!
//! No request waits for a block. While there is none, a producer is told to retry. The next block
//! is requested when most of the current one is used, as in Apache Kafka's RPCProducerIdManager.
//!
//! Invariant: at most one request for a block is in flight.

use super::controller::ActiveController;
use model::{ApiError, BrokerEpoch, BrokerId, ErrorCode, ProducerId};
use parking_lot::Mutex;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// The next block is requested when this percentage of the current one is used.
const PREFETCH_PERCENT: i64 = 90;
/// How long to wait after a rejected request before the next one.
const RETRY: Duration = Duration::from_millis(50);

/// The blocks in use.
#[derive(Clone, Debug)]
pub struct ProducerIds {
    node_id: BrokerId,
    blocks: Arc<Mutex<Blocks>>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// The epoch of this broker's registration. Without one, the controller gives no block.
    broker_epoch: Option<BrokerEpoch>,
    current: Range<i64>,
    /// The id at which the next block is requested.
    prefetch_from: i64,
    next: Option<Range<i64>>,
    is_requested: bool,
}

impl Blocks {
    /// Takes the next id, if there is one.
    fn take(&mut self) -> Option<ProducerId> {
        if self.current.is_empty() {
            let next = self.next.take()?;
            self.begin(next);
        }
        self.current.next().map(ProducerId)
    }

    fn begin(&mut self, block: Range<i64>) {
        self.prefetch_from = block.start + (block.end - block.start) * PREFETCH_PERCENT / 100;
        self.current = block;
    }

    /// Returns the epoch to request a block with, if one is needed now.
    fn begin_request(&mut self) -> Option<BrokerEpoch> {
        let is_due = self.next.is_none() && (self.current.is_empty() || self.current.start >= self.prefetch_from);
        let epoch = self.broker_epoch.filter(|_| is_due && !self.is_requested)?;
        self.is_requested = true;
        Some(epoch)
    }

    /// Adds a block from the controller.
    fn given(&mut self, block: Range<i64>) {
        self.is_requested = false;
        if self.current.is_empty() { self.begin(block) } else { self.next = Some(block) }
    }
}

impl ProducerIds {
    /// Creates an empty set of blocks.
    pub fn new(node_id: BrokerId) -> Self {
        Self { node_id, blocks: Arc::default() }
    }

    /// Sets the broker's epoch and requests the first block. Must be called on a runtime.
    pub fn registered(&self, epoch: BrokerEpoch, controller: &ActiveController) {
        self.blocks.lock().broker_epoch = Some(epoch);
        self.request_if_due(controller);
    }

    /// Returns the next id. Errors: COORDINATOR_LOAD_IN_PROGRESS while there is no block; clients
    /// retry it.
    pub fn next(&self, controller: &ActiveController) -> Result<ProducerId, ApiError> {
        let id = self.blocks.lock().take();
        self.request_if_due(controller);
        id.ok_or_else(|| ErrorCode::CoordinatorLoadInProgress.into())
    }

    fn request_if_due(&self, controller: &ActiveController) {
        let Some(epoch) = self.blocks.lock().begin_request() else { return };
        let (blocks, controller, broker_id) = (self.blocks.clone(), controller.clone(), self.node_id.0);
        tokio::spawn(async move {
            let request = AllocateProducerIdsRequest { broker_id, broker_epoch: epoch.0, ..Default::default() };
            match controller.request(request).await {
                Ok(reply) => {
                    let (start, len) = (reply.producer_id_start, i64::from(reply.producer_id_len));
                    blocks.lock().given(start..start + len);
                }
                Err(error) => {
                    debug!(%error, "the controller allocated no block of producer ids");
                    tokio::time::sleep(RETRY).await;
                    // The next caller requests a block again.
                    blocks.lock().is_requested = false;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::controller::ControllerHandle;

    #[test]
    fn the_next_block_is_asked_for_when_most_of_this_one_is_used() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.begin_request(), None, "not registered");
        blocks.broker_epoch = Some(BrokerEpoch(7));
        assert_eq!(blocks.take(), None, "nobody waits for a block");
        assert_eq!(blocks.begin_request(), Some(BrokerEpoch(7)));
        assert_eq!(blocks.begin_request(), None, "one request at a time");
        blocks.given(0..1000);
        let ids: Vec<i64> = (0..900).map(|_| blocks.take().unwrap().0).collect();
        assert!(ids.iter().copied().eq(0..900));
        assert_eq!(blocks.begin_request(), Some(BrokerEpoch(7)));
        blocks.given(5000..6000);
        let ids: Vec<i64> = (0..101).map(|_| blocks.take().unwrap().0).collect();
        assert!(ids.iter().copied().eq((900..1000).chain([5000])));
        assert_eq!(blocks.begin_request(), None);
    }

    #[tokio::test]
    async fn a_producer_that_asks_before_the_first_block_must_retry() {
        // No one receives the request to the controller.
        let (handle, _inbox) = ControllerHandle::new(crate::env::clock::Clock::default());
        let controller = ActiveController::unknown(handle);
        let ids = ProducerIds::new(BrokerId(1));
        ids.registered(BrokerEpoch(7), &controller);
        for _ in 0..3 {
            assert_eq!(ids.next(&controller).unwrap_err().code, ErrorCode::CoordinatorLoadInProgress);
        }
        assert!(ids.blocks.lock().is_requested);
    }
}

//! Carries out the effects of the transaction coordinators.

use super::markers::{Marker, MarkerWriter};
use crate::runtime::controller::ActiveController;
use crate::runtime::coordinator::{EffectFuture, EffectHandler};
use crate::runtime::producer_ids::ProducerIds;
use coordinator::transaction::{MarkerOutcome, TransactionMarkers, TransactionPartition};
use coordinator::{TransactionEffect, TransactionEvent, TransactionTypes};
use futures_util::future::join_all;
use model::ErrorCode;
use records::EndTransactionMarker;
use std::sync::Arc;

/// Carries out the effects of the transaction coordinators of this broker.
#[derive(Debug)]
pub(crate) struct TransactionEffects {
    producer_ids: ProducerIds,
    controller: ActiveController,
    markers: Arc<MarkerWriter>,
}

impl TransactionEffects {
    /// Creates the handler.
    pub(crate) fn new(producer_ids: ProducerIds, controller: ActiveController, markers: Arc<MarkerWriter>) -> Self {
        Self { producer_ids, controller, markers }
    }
}

impl EffectHandler<TransactionTypes> for TransactionEffects {
    fn carry_out(&self, effect: TransactionEffect) -> EffectFuture<TransactionTypes> {
        match effect {
            TransactionEffect::AllocateProducerId { token } => {
                let result = self.producer_ids.next(&self.controller).map_err(|error| error.code);
                Box::pin(std::future::ready(Some(TransactionEvent::ProducerIdAllocated { token, result })))
            }
            TransactionEffect::WriteMarkers(markers) => {
                let writer = self.markers.clone();
                Box::pin(async move { Some(write(&writer, markers).await) })
            }
        }
    }
}

/// Writes the markers of a transaction into all its partitions.
async fn write(writer: &MarkerWriter, markers: TransactionMarkers) -> TransactionEvent {
    let marker = Marker {
        producer_id: markers.producer.id,
        producer_epoch: markers.producer.epoch,
        end: EndTransactionMarker { committed: markers.committed, coordinator_epoch: markers.coordinator_epoch.0 },
        transaction_version: markers.transaction_version,
    };
    let write = |partition: TransactionPartition| async move {
        let written = writer.write(&partition.topic, partition.partition.0, marker).await;
        let outcome = outcome(&partition, written);
        (partition, outcome)
    };
    let outcomes = match <[TransactionPartition; 1]>::try_from(markers.partitions) {
        Ok([partition]) => vec![write(partition).await],
        Err(partitions) => join_all(partitions.into_iter().map(write)).await,
    };
    TransactionEvent::MarkersWritten {
        transactional_id: markers.transactional_id,
        producer: markers.producer,
        coordinator_epoch: markers.coordinator_epoch,
        outcomes,
    }
}

pub(crate) fn outcome(partition: &TransactionPartition, written: Result<(), ErrorCode>) -> MarkerOutcome {
    match written {
        Ok(()) => MarkerOutcome::Written,
        // The image does not have the partition, so its topic was deleted.
        Err(ErrorCode::UnknownTopicOrPartition) => MarkerOutcome::Gone,
        Err(ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced) => MarkerOutcome::Fenced,
        Err(code) => {
            tracing::debug!(topic = %partition.topic, partition = partition.partition.0, code = code.name(), "a marker could not be written; it is sent again");
            MarkerOutcome::Retry
        }
    }
}

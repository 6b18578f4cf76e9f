//! Carries out the effects of the transaction coordinators.

use super::markers::{Marker, MarkerWriter};
use super::remote;
use crate::runtime::brokers::{OtherBrokers, PartitionLeader};
use crate::runtime::controller::ActiveController;
use crate::runtime::coordinator::{EffectFuture, EffectHandler};
use crate::runtime::producer_ids::ProducerIds;
use coordinator::transaction::{MarkerOutcome, TransactionMarkers, TransactionPartition};
use coordinator::{TransactionEffect, TransactionEvent, TransactionTypes};
use futures_util::future::join_all;
use model::ErrorCode;
use records::EndTransactionMarker;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Carries out the effects of the transaction coordinators of this broker.
#[derive(Debug)]
pub(crate) struct TransactionEffects {
    producer_ids: ProducerIds,
    controller: ActiveController,
    markers: MarkerRoutes,
}

/// How markers reach the leaders of their partitions.
#[derive(Clone, Debug)]
pub(crate) struct MarkerRoutes {
    /// Writes those of the partitions that this broker leads.
    pub(crate) here: Arc<MarkerWriter>,
    /// Get the others.
    pub(crate) others: Arc<OtherBrokers>,
}

impl TransactionEffects {
    /// Creates the handler.
    pub(crate) fn new(producer_ids: ProducerIds, controller: ActiveController, markers: MarkerRoutes) -> Self {
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
                let routes = self.markers.clone();
                Box::pin(async move { Some(write(&routes, markers).await) })
            }
        }
    }
}

/// Writes the markers of a transaction into all its partitions.
async fn write(routes: &MarkerRoutes, markers: TransactionMarkers) -> TransactionEvent {
    let marker = Marker {
        producer_id: markers.producer.id,
        producer_epoch: markers.producer.epoch,
        end: EndTransactionMarker { committed: markers.committed, coordinator_epoch: markers.coordinator_epoch.0 },
        transaction_version: markers.transaction_version,
    };
    TransactionEvent::MarkersWritten {
        transactional_id: markers.transactional_id,
        producer: markers.producer,
        coordinator_epoch: markers.coordinator_epoch,
        outcomes: write_all(routes, markers.partitions, marker).await,
    }
}

/// Writes a marker into partitions. Returns the outcome of each.
async fn write_all(
    routes: &MarkerRoutes,
    partitions: Vec<TransactionPartition>,
    marker: Marker,
) -> Vec<(TransactionPartition, MarkerOutcome)> {
    let write_here = |partition: TransactionPartition| async move {
        let written = routes.here.write(&partition.topic, partition.partition.0, marker).await;
        let outcome = outcome(&partition, written);
        (partition, outcome)
    };
    let (mut here, mut elsewhere) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    let mut outcomes = Vec::with_capacity(partitions.len());
    for partition in partitions {
        match routes.others.leader_of(&partition.topic, partition.partition) {
            PartitionLeader::Here => here.push(write_here(partition)),
            PartitionLeader::Other(broker) => elsewhere.entry(broker).or_default().push(partition),
            // Its topic was deleted.
            PartitionLeader::NoPartition => outcomes.push((partition, MarkerOutcome::Gone)),
            PartitionLeader::NoLeader => outcomes.push((partition, MarkerOutcome::Retry)),
        }
    }
    let elsewhere = elsewhere.into_iter().map(|(broker, partitions)| {
        let timeout = routes.here.timeout();
        async move { remote::write(routes.others.peer(broker), partitions, marker, timeout).await }
    });
    let (here, elsewhere) = futures_util::future::join(join_all(here), join_all(elsewhere)).await;
    outcomes.extend(here);
    outcomes.extend(elsewhere.into_iter().flatten());
    outcomes
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

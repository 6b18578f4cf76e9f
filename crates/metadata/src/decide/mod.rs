//! The controller's decisions: pure functions from an image and a request to records and a reply.
//!
//! Each takes the image that includes every record appended so far, and a [`ControllerContext`].
//! None changes anything. The driver applies [`Decision::records`] to a copy of its image, then
//! appends them, makes the soft changes, and holds the reply until the records are committed. A
//! request that fails as a whole is an `Err` and writes nothing. Replies are response bodies
//! without throttle times. The caller handles what depends on a request's version: older error
//! codes, and fields that it lacks.

mod acls;
mod assign_dirs;
mod bootstrap;
mod broker_events;
mod change;
mod configs;
mod context;
mod controllers;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod draft;
mod elections;
mod features;
mod heartbeat;
mod isr;
mod names;
mod placement;
mod producer_ids;
mod quotas;
mod reassignments;
mod registration;
mod scram;
mod soft;
#[cfg(test)]
mod tests;

pub use acls::{create_acls, delete_acls, describe_acls};
pub use assign_dirs::assign_replicas_to_dirs;
pub use bootstrap::{activate, bootstrap_features};
pub use broker_events::fence_broker;
pub use configs::{Origin, alter_configs, incremental_alter_configs};
pub use context::{ConfigRules, ControllerContext, Settings, TopicConfigs, Validate};
pub use controllers::register_controller;
pub use create_partitions::create_partitions;
pub use create_topics::create_topics;
pub use delete_topics::{TopicToDelete, delete_topics};
pub use elections::{ELECTIONS_PER_ROUND_MAX, balance_leaders, elect_leaders, elect_unclean_leaders};
pub use features::{QuorumMembers, feature_update_failed, raises_kraft_version, update_features};
pub use heartbeat::{LostBroker, fence_lost_broker, fence_stale_brokers, heartbeat};
pub use isr::alter_partition;
pub use names::{INVALID_TOPIC_NAME_MAX, validate_topic_name};
pub use producer_ids::allocate_producer_ids;
pub use quotas::{alter_client_quotas, describe_client_quotas};
pub use reassignments::{alter_partition_reassignments, list_partition_reassignments};
pub use registration::{register_broker, unregister_broker};
pub use scram::{ScramKeys, alter_user_scram_credentials, describe_user_scram_credentials};
pub use soft::{BrokerSession, Soft, SoftChange};

use crate::VersionedRecord;
use crate::image::Image;
use model::{ApiError, BrokerEpoch, BrokerId, ErrorCode};

/// The most records that one request may write.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R> {
    /// The records, to be appended in this order.
    pub records: Vec<VersionedRecord>,
    /// Whether they must stand in one batch. Others may be split, as Kafka splits them.
    pub atomic: bool,
    /// The reply, to be sent once the records are committed.
    pub reply: R,
    /// Changes of the controller's own memory, to be made when the records are appended.
    pub soft: Vec<SoftChange>,
}

impl<R> Decision<R> {
    /// Records that must stand in one batch, and a reply.
    pub fn atomic(records: Vec<VersionedRecord>, reply: R) -> Self {
        Self { records, atomic: true, reply, soft: Vec::new() }
    }

    /// Records that may be split into several batches, and a reply.
    pub fn of(records: Vec<VersionedRecord>, reply: R) -> Self {
        Self { atomic: false, ..Self::atomic(records, reply) }
    }

    /// A reply alone.
    pub fn reply(reply: R) -> Self {
        Self::atomic(Vec::new(), reply)
    }
}

/// A decision, or the error that the whole request is answered with.
pub type Decided<R> = Result<Decision<R>, ApiError>;

/// Refuses requests that would write more than one batch can hold.
fn bounded(records: &[VersionedRecord]) -> Result<(), ApiError> {
    if records.len() > RECORDS_PER_REQUEST_MAX {
        let message = "Unable to perform excessively large batch operation.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

/// Refuses a request of a broker that is not registered, or that has registered again since.
fn check_broker_epoch(image: &Image, id: BrokerId, epoch: i64) -> Result<(), ApiError> {
    let Some(broker) = image.cluster.brokers.get(&id) else {
        let message = format!("No broker registration found for broker id {id}");
        return Err(ApiError::new(ErrorCode::StaleBrokerEpoch, message));
    };
    if broker.epoch != BrokerEpoch(epoch) {
        let message = format!("Expected broker epoch {epoch}, but got broker epoch {}", broker.epoch);
        return Err(ApiError::new(ErrorCode::StaleBrokerEpoch, message));
    }
    Ok(())
}

/// Whether a broker is active: registered, neither fenced nor shutting down.
fn is_active(image: &Image, id: BrokerId) -> bool {
    image.cluster.brokers.get(&id).is_some_and(|broker| broker.is_active())
}

/// Splits a result into the two fields that responses have for it.
fn code_and_message(error: &ApiError) -> (i16, Option<protocol::Str>) {
    (error.code.code(), error.message.as_deref().map(Into::into))
}

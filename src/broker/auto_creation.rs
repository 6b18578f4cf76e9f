//! Creates topics on a client's request. One CreateTopics request creates all names of a client's
//! request, as in Apache Kafka's AutoTopicCreationManager.
//!
//! Invariants: a name has at most one pending request, and at most [`NAMES_MAX`] names are pending.
//! Names beyond that are dropped; the client asks again until the topic exists.

use super::Broker;
use crate::config::BrokerSettings;
use crate::runtime::controller::ControllerState;
use coordinator::StateTopic;
use metadata::decide::{self, ControllerContext, RECORDS_PER_REQUEST_MAX};
use parking_lot::Mutex;
use protocol::Str;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use std::collections::BTreeSet;
use std::sync::Arc;
use tracing::{info, warn};

/// The maximum number of pending names.
pub(crate) const NAMES_MAX: usize = 1_000;
/// How long the request may wait for the controller.
const TIMEOUT_MS: i32 = 30_000;

/// The pending names.
#[derive(Clone, Debug, Default)]
pub(crate) struct AutoCreation {
    names: Arc<Mutex<BTreeSet<Str>>>,
}

/// The names of one request. When this is dropped, they may be requested again.
struct Claim {
    names: Vec<Str>,
    of: AutoCreation,
}

impl AutoCreation {
    /// Claims the names that are not pending, up to the maximum.
    fn claim(&self, names: Vec<Str>, most: usize) -> Claim {
        let under_way = &mut *self.names.lock();
        let most = most.min(NAMES_MAX.saturating_sub(under_way.len()));
        let names: Vec<Str> = names.into_iter().filter(|name| !under_way.contains(name)).take(most).collect();
        under_way.extend(names.iter().cloned());
        Claim { names, of: self.clone() }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let under_way = &mut *self.of.names.lock();
        for name in &self.names {
            under_way.remove(name);
        }
    }
}

/// Asks the controller to create these topics, and does not wait for the answer.
pub(super) fn create_later(broker: &Broker, names: Vec<Str>) {
    let settings = broker.settings();
    let claim = broker.auto_creation.claim(names, names_per_request(&settings));
    if claim.names.is_empty() {
        return;
    }
    let topics = claim.names.iter().map(|name| topic(&settings, name)).collect();
    let controller = broker.active_controller.clone();
    tokio::spawn(async move {
        let request = CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let created = if controller.is_here() {
            let decide = move |state: &ControllerState<'_>, context: &mut ControllerContext<'_>| {
                decide::create_topics(state.image, context, &request, &|_| false)
            };
            controller.local().decide_within(TIMEOUT_MS, decide).await
        } else {
            controller.request(request).await
        };
        match created {
            Err(error) => warn!(topics = ?claim.names, %error, "topics could not be created on demand"),
            Ok(response) => {
                for failed in response.topics.iter().filter(|topic| topic.error_code != 0) {
                    let message = failed.error_message.as_deref().unwrap_or_default();
                    info!(topic = %failed.name, code = failed.error_code, message, "a topic was not created on demand");
                }
            }
        }
        drop(claim);
    });
}

/// The number of topics that stay within the maximum of records of one request. A larger request
/// would be refused as a whole.
fn names_per_request(settings: &BrokerSettings) -> usize {
    let partitions = usize::try_from(settings.num_partitions).unwrap_or(1);
    (RECORDS_PER_REQUEST_MAX / (partitions + 1)).max(1)
}

/// Builds the topic to create. A state topic gets the partitions and configs that Kafka gives it.
fn topic(settings: &BrokerSettings, name: &Str) -> CreatableTopic {
    let Some(state_topic) = StateTopic::from_name(name) else {
        return CreatableTopic { name: name.clone(), num_partitions: -1, replication_factor: -1, ..Default::default() };
    };
    let (num_partitions, replication_factor) = match state_topic {
        StateTopic::ConsumerOffsets => {
            (settings.offsets_topic_num_partitions, settings.offsets_topic_replication_factor)
        }
        StateTopic::TransactionState => {
            (settings.transaction_state_log_num_partitions, settings.transaction_state_log_replication_factor)
        }
        StateTopic::ShareGroupState => (
            settings.share_coordinator_state_topic_num_partitions,
            settings.share_coordinator_state_topic_replication_factor,
        ),
    };
    let configs = state_topic_configs(settings, state_topic).into_iter().map(|(name, value)| CreatableTopicConfig {
        name: Str::const_new(name),
        value: Some(value.into()),
        ..Default::default()
    });
    CreatableTopic {
        name: name.clone(),
        num_partitions,
        replication_factor,
        configs: configs.collect(),
        ..Default::default()
    }
}

/// Returns the configs with which Kafka creates a state topic.
fn state_topic_configs(settings: &BrokerSettings, topic: StateTopic) -> Vec<(&'static str, String)> {
    match topic {
        StateTopic::ConsumerOffsets => vec![
            ("cleanup.policy", "compact".into()),
            ("compression.type", "producer".into()),
            ("segment.bytes", settings.offsets_topic_segment_bytes.to_string()),
        ],
        StateTopic::TransactionState => vec![
            ("cleanup.policy", "compact".into()),
            ("compression.type", "uncompressed".into()),
            ("min.insync.replicas", settings.transaction_state_log_min_isr.to_string()),
            ("segment.bytes", settings.transaction_state_log_segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false".into()),
        ],
        StateTopic::ShareGroupState => vec![
            ("cleanup.policy", "delete".into()),
            ("compression.type", "producer".into()),
            ("min.insync.replicas", settings.share_coordinator_state_topic_min_isr.to_string()),
            ("retention.ms", "-1".into()),
            ("segment.bytes", settings.share_coordinator_state_topic_segment_bytes.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_once_at_a_time_and_names_are_bounded() {
        let names = |range: std::ops::Range<usize>| range.map(|number| Str::from(format!("t{number}"))).collect();
        let creation = AutoCreation::default();
        let first = creation.claim(names(0..3), 10);
        assert_eq!(first.names, ["t0", "t1", "t2"], "all names of a request together");
        let second = creation.claim(names(0..5), 10);
        assert_eq!(second.names, ["t3", "t4"], "names under way are left out");
        let many = creation.claim(names(0..5_000), 5_000);
        assert_eq!(many.names.len(), NAMES_MAX - 5);
        assert!(creation.claim(names(5_000..6_000), 5_000).names.is_empty());
        drop((first, many));
        assert_eq!(creation.claim(names(0..5_000), 7).names.len(), 7, "no more than one request may ask for");
    }

    /// The configs as Apache Kafka 4.3.1 creates the topics with.
    #[test]
    fn state_topics_have_the_partitions_and_configs_that_kafka_gives_them() {
        let required = [("node.id", "1"), ("process.roles", "broker"), ("controller.listener.names", "C")];
        let properties = required.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let settings = BrokerSettings::new(&crate::config::BROKER.parse(&properties).unwrap());
        let created = |name: &'static str| topic(&settings, &Str::const_new(name));
        let configs = |name| {
            let configs = created(name).configs.into_iter();
            configs.map(|config| format!("{}={}", config.name, config.value.unwrap())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            configs("__consumer_offsets"),
            "cleanup.policy=compact compression.type=producer segment.bytes=104857600"
        );
        assert_eq!(
            configs("__transaction_state"),
            "cleanup.policy=compact compression.type=uncompressed min.insync.replicas=2 segment.bytes=104857600 unclean.leader.election.enable=false"
        );
        assert_eq!(
            configs("__share_group_state"),
            "cleanup.policy=delete compression.type=producer min.insync.replicas=2 retention.ms=-1 segment.bytes=104857600"
        );
        for state_topic in StateTopic::ALL {
            let topic = created(state_topic.name());
            assert_eq!((topic.num_partitions, topic.replication_factor), (50, 3));
        }
        assert_eq!((created("t").num_partitions, created("t").configs.len()), (-1, 0));
    }
}

//! Creates topics because a client wants them: all names of one request with one CreateTopics, as Apache Kafka's
//! AutoTopicCreationManager does.
//!
//! Invariants: a name is asked for once at a time, and at most [`NAMES_MAX`] names are under way. A name that finds no
//! room is left out; its client asks again, as it does until the topic is there.

use super::Broker;
use crate::config::BrokerSettings;
use crate::runtime::group::OFFSETS_TOPIC;
use metadata::decide::{self, RECORDS_PER_REQUEST_MAX};
use parking_lot::Mutex;
use protocol::Str;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use std::collections::HashSet;
use std::sync::Arc;
use tracing::{info, warn};

/// Names that may be under way.
pub(crate) const NAMES_MAX: usize = 1_000;
/// How long the request may wait for the controller.
const TIMEOUT_MS: i32 = 30_000;

/// The names that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct AutoCreation {
    names: Arc<Mutex<HashSet<Str>>>,
}

/// Names that one request asks for. They may be asked for again when this is dropped.
struct Claim {
    names: Vec<Str>,
    of: AutoCreation,
}

impl AutoCreation {
    /// Takes the names that are not under way, as far as there is room.
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

/// Asks the controller for these topics, each of them once, and does not wait for it.
pub(super) fn create_later(broker: &Broker, names: Vec<Str>) {
    let settings = broker.settings();
    let claim = broker.auto_creation.claim(names, names_per_request(&settings));
    if claim.names.is_empty() {
        return;
    }
    let topics = claim.names.iter().map(|name| topic(&settings, name)).collect();
    let controller = broker.controller.clone();
    tokio::spawn(async move {
        let request = CreateTopicsRequest { topics, ..Default::default() };
        let decided = controller.decide_within(TIMEOUT_MS, move |state, context| {
            decide::create_topics(state.image, context, &request, &|_| false)
        });
        match decided.await {
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

/// So many topics lead to no more records than one request may: else all of them would be refused.
fn names_per_request(settings: &BrokerSettings) -> usize {
    let partitions = usize::try_from(settings.num_partitions).unwrap_or(1);
    (RECORDS_PER_REQUEST_MAX / (partitions + 1)).max(1)
}

/// Topics of coordinators get the settings that Kafka gives them.
fn topic(settings: &BrokerSettings, name: &Str) -> CreatableTopic {
    if name != OFFSETS_TOPIC {
        return CreatableTopic { name: name.clone(), num_partitions: -1, replication_factor: -1, ..Default::default() };
    }
    let config = |name: &'static str, value: String| CreatableTopicConfig {
        name: Str::const_new(name),
        value: Some(value.into()),
        ..Default::default()
    };
    CreatableTopic {
        name: name.clone(),
        num_partitions: settings.offsets_topic_num_partitions,
        replication_factor: settings.offsets_topic_replication_factor,
        configs: vec![
            config("cleanup.policy", "compact".into()),
            config("compression.type", "producer".into()),
            config("segment.bytes", settings.offsets_topic_segment_bytes.to_string()),
        ],
        ..Default::default()
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
}

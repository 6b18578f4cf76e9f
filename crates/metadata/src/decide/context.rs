//! The inputs of a decision besides the image: the time, randomness, settings, and the rules of
//! configs.

use crate::image::{ConfigResource, Image, ResourceType, Topic};
use imbl::OrdMap;
use model::{ApiError, BrokerId, ErrorCode, Now, Uuid, java_number};
use protocol::Str;
use protocol::messages::create_topics_response::CreatableTopicConfigs;

/// The inputs of a decision besides the image and the request.
pub struct ControllerContext<'a> {
    /// The moment of the decision. Sessions are measured on its monotonic clock.
    pub now: Now,
    /// A source of random bits.
    pub random: &'a mut dyn FnMut() -> u64,
    /// This node's settings.
    pub settings: &'a Settings,
    /// The rules of configs.
    pub rules: &'a ConfigRules<'a>,
    /// Whether the request's timeout was over when the controller took it.
    pub is_late: bool,
}

impl ControllerContext<'_> {
    /// Refuses a request that the controller took too late, with REQUEST_TIMED_OUT. A decision
    /// calls it before it looks at the cluster: what is wrong, or done, without a look at the
    /// cluster is answered first.
    pub(super) fn in_time(&self) -> Result<(), ApiError> {
        if self.is_late { Err(ErrorCode::RequestTimedOut.into()) } else { Ok(()) }
    }

    /// Returns a random id that Kafka does not reserve, and whose text does not begin with a dash.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let bits = u128::from((self.random)()) << 64 | u128::from((self.random)());
            let id = Uuid::from_random(bits.to_be_bytes());
            if id.0[0] >> 2 != 62 {
                return id;
            }
        }
    }

    /// Returns a random number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.random)() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// The settings that decisions depend on, from this node's file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.id`.
    pub node_id: BrokerId,
    /// The cluster's id.
    pub cluster_id: String,
    /// `num.partitions`.
    pub default_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `broker.session.timeout.ms`.
    pub broker_session_timeout_ms: i64,
}

/// Checks a resource's configs. Takes the resource, all its dynamic configs after the change, and
/// all before it.
pub type Validate<'a> = dyn Fn(&ConfigResource, &OrdMap<Str, Str>, &OrdMap<Str, Str>) -> Result<(), ApiError> + 'a;

/// A topic's effective configs, given those that are set on it.
pub type TopicConfigs<'a> = dyn Fn(&Image, &OrdMap<Str, Str>) -> Vec<CreatableTopicConfigs> + 'a;

/// The rules of configs, which know every key, its type, default and range.
pub struct ConfigRules<'a> {
    /// Kafka's check of a resource's configs as a whole. Names of resources and nulls are checked
    /// before.
    pub validate: &'a Validate<'a>,
    /// Whether a key holds a list, which can be appended to.
    pub is_list: &'a dyn Fn(ResourceType, &str) -> bool,
    /// A key's default.
    pub default: &'a dyn Fn(ResourceType, &str) -> Option<Str>,
    /// A topic's configs as its creation shows them to a client, given those set on it: sorted by
    /// name.
    pub topic_configs: &'a TopicConfigs<'a>,
}

/// A topic's effective config: the value set on the topic, else on this node, else on all nodes.
/// `None` where the node's file decides.
fn effective<'a>(image: &'a Image, settings: &Settings, topic: &str, key: &str) -> Option<&'a Str> {
    let resources =
        [ConfigResource::topic(topic), ConfigResource::broker(settings.node_id), ConfigResource::all_brokers()];
    resources.iter().find_map(|resource| image.configs.value(resource, key))
}

/// What a topic's configs say about its ISRs and leaders. It is read once for all partitions of a
/// topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct ElectionRules {
    /// The effective `min.insync.replicas`, at most the number of replicas.
    pub(super) min_isr: usize,
    /// The effective `unclean.leader.election.enable`.
    pub(super) is_unclean_allowed: bool,
}

impl ElectionRules {
    /// The rules of a topic.
    pub(super) fn of(image: &Image, settings: &Settings, topic: &Topic) -> Self {
        // Like Kafka, the first partition stands for all.
        let replicas = topic.partitions.values().next().map_or(1, |first| first.replicas.len());
        let min_isr = effective(image, settings, &topic.name, "min.insync.replicas")
            .and_then(|value| java_number::parse_int(java_number::trim(value)))
            .unwrap_or(settings.min_insync_replicas);
        let is_unclean_allowed = effective(image, settings, &topic.name, "unclean.leader.election.enable")
            .map_or(settings.unclean_leader_election, |value| {
                java_number::parse_boolean(java_number::trim(value)) == Some(true)
            });
        Self { min_isr: usize::try_from(min_isr).unwrap_or(1).min(replicas), is_unclean_allowed }
    }
}

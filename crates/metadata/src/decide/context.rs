//! What a decision needs besides the image: the time, randomness, settings, and the rules of configs.

use crate::image::{ConfigResource, Image, ResourceType};
use imbl::OrdMap;
use model::{ApiError, BrokerId, ErrorCode, Now, Uuid, java_number};
use protocol::Str;
use protocol::messages::create_topics_response::CreatableTopicConfigs;

/// What a decision needs besides the image.
pub struct ControllerContext<'a> {
    /// The moment: sessions are measured on its monotonic clock.
    pub now: Now,
    /// A source of random bits.
    pub random: &'a mut dyn FnMut() -> u64,
    /// This node's settings.
    pub settings: &'a Settings,
    /// What configs may be.
    pub rules: &'a ConfigRules<'a>,
    /// Whether the time that the request gave was over when its turn came.
    pub is_late: bool,
}

impl ControllerContext<'_> {
    /// REQUEST_TIMED_OUT where the request's turn came too late: what would have to be looked at is not. What is wrong, or done, without a look at the
    /// cluster is answered before this is asked.
    pub(super) fn in_time(&self) -> Result<(), ApiError> {
        if self.is_late { Err(ErrorCode::RequestTimedOut.into()) } else { Ok(()) }
    }

    /// A random id that is not one of those that Kafka keeps for itself, and whose text does not begin with a dash.
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let bits = u128::from((self.random)()) << 64 | u128::from((self.random)());
            let id = Uuid::from_random(bits.to_be_bytes());
            if id.0[0] >> 2 != 62 {
                return id;
            }
        }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.random)() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// The settings that decisions depend on, as this node's file has them.
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
    /// The voters' ids.
    pub voters: Vec<BrokerId>,
}

/// Whether a resource's new configs are acceptable: the resource, all its dynamic configs as they would be, and as they are.
pub type Validate<'a> = dyn Fn(&ConfigResource, &OrdMap<Str, Str>, &OrdMap<Str, Str>) -> Result<(), ApiError> + 'a;

/// A topic's configs as they apply, given those that are set on it.
pub type TopicConfigs<'a> = dyn Fn(&Image, &OrdMap<Str, Str>) -> Vec<CreatableTopicConfigs> + 'a;

/// The rules of configs, which know every key, its type, default and range.
pub struct ConfigRules<'a> {
    /// Kafka's check of a resource's configs as a whole. Names of resources and nulls are checked before.
    pub validate: &'a Validate<'a>,
    /// Whether a key holds a list, which can be appended to.
    pub is_list: &'a dyn Fn(ResourceType, &str) -> bool,
    /// A key's default.
    pub default: &'a dyn Fn(ResourceType, &str) -> Option<Str>,
    /// A topic's configs as a client is shown them at its creation, given those set on it: sorted by name.
    pub topic_configs: &'a TopicConfigs<'a>,
}

/// A topic's config as it applies: set on the topic, on this node, on all nodes; `None` where the node's file decides.
fn effective<'a>(image: &'a Image, settings: &Settings, topic: &str, key: &str) -> Option<&'a Str> {
    let resources =
        [ConfigResource::topic(topic), ConfigResource::broker(settings.node_id), ConfigResource::all_brokers()];
    resources.iter().find_map(|resource| image.configs.value(resource, key))
}

impl Settings {
    /// `min.insync.replicas` as it applies to a topic, never more than it has replicas.
    pub(crate) fn min_isr(&self, image: &Image, topic: &str, replicas: usize) -> usize {
        let set = effective(image, self, topic, "min.insync.replicas")
            .and_then(|value| java_number::parse_int(java_number::trim(value)));
        let min: i32 = set.unwrap_or(self.min_insync_replicas);
        usize::try_from(min).unwrap_or(1).min(replicas)
    }

    /// `unclean.leader.election.enable` as it applies to a topic.
    pub(crate) fn unclean_election(&self, image: &Image, topic: &str) -> bool {
        let set = effective(image, self, topic, "unclean.leader.election.enable");
        set.map_or(self.unclean_leader_election, |value| {
            java_number::parse_boolean(java_number::trim(value)) == Some(true)
        })
    }
}

//! Dynamic configs by resource.

use imbl::OrdMap;
use protocol::Str;

/// The kinds of resource that have configs, with Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// A topic by name.
    Topic,
    /// A broker by id, or with an empty name every broker.
    Broker,
    /// A broker's loggers; never stored.
    BrokerLogger,
    /// A subscription to clients' metrics (KIP-714).
    ClientMetrics,
    /// A group by id.
    Group,
}

impl ResourceType {
    /// The number in records and requests; `None` for an unknown one.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            8 => Some(Self::BrokerLogger),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }

    /// The number in records and requests.
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    /// Kafka's name of the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        }
    }
}

/// Something that has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name; empty for the default of all brokers.
    pub name: Str,
}

impl ConfigResource {
    /// A resource.
    pub fn new(kind: ResourceType, name: impl Into<Str>) -> Self {
        Self { kind, name: name.into() }
    }

    /// A topic.
    pub fn topic(name: impl Into<Str>) -> Self {
        Self::new(ResourceType::Topic, name)
    }

    /// One broker.
    pub fn broker(id: model::BrokerId) -> Self {
        Self::new(ResourceType::Broker, id.to_string())
    }

    /// The default of all brokers.
    pub fn all_brokers() -> Self {
        Self::new(ResourceType::Broker, "")
    }
}

impl std::fmt::Display for ConfigResource {
    /// As Kafka prints it in messages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigResource(type={}, name='{}')", self.kind.name(), self.name)
    }
}

/// The dynamic configs of every resource that has any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configs(OrdMap<ConfigResource, OrdMap<Str, Str>>);

impl Configs {
    /// The configs set on a resource itself; empty where there are none.
    pub fn of(&self, resource: &ConfigResource) -> OrdMap<Str, Str> {
        self.0.get(resource).cloned().unwrap_or_default()
    }

    /// Returns one value set on a resource itself.
    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&Str> {
        self.0.get(resource)?.get(key)
    }

    /// Every resource with its configs.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &OrdMap<Str, Str>)> {
        self.0.iter()
    }

    /// The names of the resources of one kind that have configs.
    pub fn names(&self, kind: ResourceType) -> impl Iterator<Item = &Str> {
        self.0.keys().filter(move |resource| resource.kind == kind).map(|resource| &resource.name)
    }

    pub(crate) fn set(&mut self, resource: &ConfigResource, key: &Str, value: Option<&Str>) {
        if let Some(value) = value {
            self.0.entry(resource.clone()).or_default().insert(key.clone(), value.clone());
        } else if let Some(configs) = self.0.get_mut(resource) {
            configs.remove(key);
            if configs.is_empty() {
                self.0.remove(resource);
            }
        }
    }

    pub(crate) fn remove(&mut self, resource: &ConfigResource) -> bool {
        self.0.remove(resource).is_some()
    }
}

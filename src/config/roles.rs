//! The roles of a node: `process.roles`.

use super::key::Values;

/// What a node is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// A broker alone. It observes the metadata log.
    Broker,
    /// A controller alone. It serves no partitions and no clients.
    Controller,
    /// Broker and controller in one process.
    Both,
}

impl Roles {
    /// Reads `process.roles`. Its rule has checked that it names at least one role.
    pub(super) fn new(values: &Values) -> Self {
        let names: Vec<String> = values.read("process.roles");
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        match (has("broker"), has("controller")) {
            (true, false) => Self::Broker,
            (false, true) => Self::Controller,
            _ => Self::Both,
        }
    }

    /// Whether the node is a broker.
    pub fn is_broker(self) -> bool {
        self != Self::Controller
    }

    /// Whether the node is a controller.
    pub fn is_controller(self) -> bool {
        self != Self::Broker
    }

    /// Returns the roles as `process.roles` names them.
    pub fn names(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
            Self::Both => "broker,controller",
        }
    }
}

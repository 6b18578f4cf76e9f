//! Listeners: the addresses that the node listens on, those that it advertises, and Kafka's rules
//! for both.

use super::checks::REQUIREMENT;
use super::key::Values;
use super::roles::Roles;
use super::settings::map_entries;
use super::{ConfigError, Properties, address};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The security protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Returns Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// Returns its number in registrations and metadata records.
    pub fn id(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// An address that the node listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// The host; empty for all interfaces.
    pub host: String,
    /// The port; 0 for any free port.
    pub port: u16,
    /// Its security protocol.
    pub protocol: SecurityProtocol,
    /// Whether it serves controller requests instead of client requests.
    pub is_controller: bool,
}

/// An address that is advertised to clients and other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The listener's name, in upper case.
    pub name: String,
    /// The host; empty means the machine's own name.
    pub host: String,
    /// The port; 0 means the port that the listener got, if the listener's own address is
    /// advertised.
    pub port: u16,
    /// Its security protocol.
    pub protocol: SecurityProtocol,
}

/// All listeners of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// The addresses that the node listens on, in the configuration's order.
    pub all: Vec<Listener>,
    /// The addresses advertised to clients, in the configuration's order.
    pub advertised: Vec<Advertised>,
    /// The addresses of the controller's listeners, advertised to other controllers and brokers.
    pub advertised_controller: Vec<Advertised>,
    /// The listener that brokers use between each other.
    pub inter_broker: String,
    /// `controller.listener.names`, in upper case.
    pub controller_names: Vec<String>,
    /// The security protocols of those names that have one.
    pub controller_protocols: Vec<(String, SecurityProtocol)>,
}

struct Endpoint {
    name: String,
    host: String,
    port: i32,
}

impl Listeners {
    /// Parses the listeners of a node. Errors: Kafka's messages, including the prefix of a failed
    /// requirement.
    pub(super) fn new(properties: &Properties, values: &Values, roles: Roles) -> Result<Self, ConfigError> {
        let controller_names: Vec<String> =
            values.read::<Vec<String>>("controller.listener.names").iter().map(|name| name.to_uppercase()).collect();
        let protocols = protocols(properties, values, &controller_names)?;
        let listens = endpoints("listeners", &values.read::<Vec<String>>("listeners"), &protocols, true)?;
        let advertised_text: Option<Vec<String>> = values.read("advertised.listeners");
        let advertises = match &advertised_text {
            Some(text) => endpoints("advertised.listeners", text, &protocols, false)?,
            None => Vec::new(),
        };
        let mut all = Vec::new();
        for (endpoint, protocol) in &listens {
            all.push(Listener {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: port("listeners", endpoint)?,
                protocol: *protocol,
                is_controller: controller_names.contains(&endpoint.name),
            });
        }
        let shown = if advertised_text.is_some() { &advertises } else { &listens };
        let (mut advertised_controller, advertised): (Vec<_>, Vec<_>) =
            advertised_of(shown)?.into_iter().partition(|endpoint| controller_names.contains(&endpoint.name));
        for listener in all.iter().filter(|listener| listener.is_controller) {
            if !advertised_controller.iter().any(|endpoint| endpoint.name == listener.name) {
                let (name, host) = (listener.name.clone(), listener.host.clone());
                advertised_controller.push(Advertised { name, host, port: listener.port, protocol: listener.protocol });
            }
        }
        let known = |name: &String| protocols.get(name).map(|protocol| (name.clone(), *protocol));
        let controller_protocols = controller_names.iter().filter_map(known).collect();
        let inter_broker = inter_broker(properties, values, &protocols)?;
        let mut this =
            Self { all, advertised, advertised_controller, inter_broker, controller_names, controller_protocols };
        if roles == Roles::Controller && properties.contains_key("inter.broker.listener.name") {
            this.check_inter_broker_of_controller()?;
        }
        this.check(values, roles, advertised_text.is_some())?;
        // What the other role would advertise is allowed and has no effect.
        if !roles.is_broker() {
            this.advertised.clear();
        }
        if !roles.is_controller() {
            this.advertised_controller.clear();
        }
        Ok(this)
    }

    fn listens_on(&self, name: &str) -> bool {
        self.all.iter().any(|listener| listener.name == name)
    }

    fn check_inter_broker_of_controller(&self) -> Result<(), ConfigError> {
        require(
            !self.controller_names.contains(&self.inter_broker),
            "controller.listener.names must not contain an explicitly set inter.broker.listener.name configuration value when \
             process.roles=controller'",
        )
    }

    /// Checks the rules between the listeners of a node.
    fn check(&self, values: &Values, roles: Roles, advertised_controllers_too: bool) -> Result<(), ConfigError> {
        match roles {
            Roles::Broker => self.check_controllers_of_broker()?,
            Roles::Controller => require(
                self.all.iter().all(|listener| listener.is_controller),
                "The listeners config must only contain KRaft controller listeners from controller.listener.names when \
                 process.roles=controller",
            )?,
            Roles::Both => {}
        }
        if roles.is_controller() {
            self.check_own_controller()?;
        }
        if roles.is_broker() {
            self.check_advertised()?;
        }
        let controllers = self.advertised_controller.iter().filter(|_| advertised_controllers_too);
        require(
            self.advertised.iter().chain(controllers).all(|endpoint| endpoint.host != "0.0.0.0"),
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.",
        )?;
        for early in values.read::<Option<Vec<String>>>("early.start.listeners").unwrap_or_default() {
            let early = early.to_uppercase();
            if !self.listens_on(&early) {
                return Err(ConfigError(format!(
                    "early.start.listeners contains listener {early}, but this is not contained in listeners or controller.listener.names"
                )));
            }
        }
        Ok(())
    }

    /// Checks the listeners of the controllers that a broker connects to.
    fn check_controllers_of_broker(&self) -> Result<(), ConfigError> {
        require(
            !self.all.iter().any(|listener| listener.is_controller),
            "controller.listener.names must not contain a value appearing in the 'listeners' configuration when running KRaft with just \
             the broker role",
        )?;
        let has_protocol = |name: &&String| self.controller_protocols.iter().any(|(known, _)| known == *name);
        match self.controller_names.iter().find(|name| !has_protocol(name)) {
            None => Ok(()),
            Some(name) => Err(ConfigError(format!(
                "Controller listener with name {name} defined in controller.listener.names not found in listener.security.protocol.map  \
                 (an explicit security mapping for each controller listener is required if listener.security.protocol.map is non-empty, \
                 or if there are security protocols other than PLAINTEXT in use)"
            ))),
        }
    }

    /// Checks the listeners of the controller on this node.
    fn check_own_controller(&self) -> Result<(), ConfigError> {
        require(
            self.controller_names.iter().any(|name| self.listens_on(name)),
            "controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft \
             controller role",
        )?;
        require(
            self.controller_names.iter().all(|name| self.listens_on(name)),
            "controller.listener.names must only contain values appearing in the 'listeners' configuration when running the KRaft controller \
             role",
        )
    }

    /// Checks what a broker advertises to its clients.
    fn check_advertised(&self) -> Result<(), ConfigError> {
        require(
            !self.advertised.is_empty(),
            "There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names?",
        )?;
        let names: Vec<&str> = self.advertised.iter().map(|endpoint| endpoint.name.as_str()).collect();
        require(
            names.contains(&self.inter_broker.as_str()),
            &format!(
                "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently \
                 configured listeners are {}",
                names.join(",")
            ),
        )?;
        require(
            self.advertised.iter().all(|endpoint| self.listens_on(&endpoint.name)),
            &format!(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found {}. The valid \
                 options based on the current configuration are {}",
                names.join(","),
                self.all.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(",")
            ),
        )
    }
}

fn require(holds: bool, message: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError(format!("{REQUIREMENT}{message}"))) }
}

fn advertised_of(endpoints: &[(Endpoint, SecurityProtocol)]) -> Result<Vec<Advertised>, ConfigError> {
    let advertised = endpoints.iter().map(|(endpoint, protocol)| {
        let (name, host) = (endpoint.name.clone(), endpoint.host.clone());
        Ok(Advertised { name, host, port: port("advertised.listeners", endpoint)?, protocol: *protocol })
    });
    advertised.collect()
}

fn port(property: &str, endpoint: &Endpoint) -> Result<u16, ConfigError> {
    let fault =
        |_| ConfigError(format!("{property}: port {} of {} is not between 0 and 65535", endpoint.port, endpoint.name));
    u16::try_from(endpoint.port).map_err(fault)
}

type Protocols = BTreeMap<String, SecurityProtocol>;

/// Parses `listener.security.protocol.map`. Its default applies to the controller's listeners too.
fn protocols(properties: &Properties, values: &Values, controller_names: &[String]) -> Result<Protocols, ConfigError> {
    let property = "listener.security.protocol.map";
    let mut protocols = Protocols::new();
    for (name, protocol) in map_entries(property, &values.read::<String>(property)).map_err(ConfigError)? {
        if name.is_empty() {
            return Err(ConfigError("The provided listener name is null or empty string".into()));
        }
        let known = SecurityProtocol::from_name(protocol);
        let fault =
            || ConfigError(format!("Invalid security protocol `{}` defined in {property}", protocol.to_uppercase()));
        protocols.insert(name.to_uppercase(), known.ok_or_else(fault)?);
    }
    if !properties.contains_key(property) {
        for name in controller_names {
            protocols.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(protocols)
}

fn inter_broker(properties: &Properties, values: &Values, protocols: &Protocols) -> Result<String, ConfigError> {
    let (by_name, by_protocol) = ("inter.broker.listener.name", "security.inter.broker.protocol");
    let Some(name) = values.read::<Option<String>>(by_name) else { return Ok(values.read(by_protocol)) };
    if properties.contains_key(by_protocol) {
        return Err(ConfigError(format!("Only one of {by_name} and {by_protocol} should be set.")));
    }
    if name.is_empty() {
        return Err(ConfigError("The provided listener name is null or empty string".into()));
    }
    let name = name.to_uppercase();
    if !protocols.contains_key(&name) {
        return Err(ConfigError(format!(
            "Listener with name {name} defined in {by_name} not found in listener.security.protocol.map."
        )));
    }
    Ok(name)
}

/// Parses a list of `NAME://host:port` and checks names and ports. Errors: Kafka's message.
fn endpoints(
    property: &str,
    texts: &[String],
    protocols: &Protocols,
    distinct_ports: bool,
) -> Result<Vec<(Endpoint, SecurityProtocol)>, ConfigError> {
    let all = || format!("[{}]", texts.join(", "));
    let fault = |why: String| ConfigError(format!("Error creating broker listeners from '{}': {why}", all()));
    if texts.is_empty() {
        return Err(ConfigError(format!(
            "Configuration '{property}' must not be empty. Valid values include: any non-empty value"
        )));
    }
    let mut endpoints = Vec::new();
    for text in texts {
        let endpoint = endpoint(text).ok_or_else(|| fault(format!("Unable to parse {text} to a broker endpoint")))?;
        let protocol = protocols.get(&endpoint.name).copied();
        let protocol =
            protocol.ok_or_else(|| fault(format!("No security protocol defined for listener {}", endpoint.name)))?;
        endpoints.push((endpoint, protocol));
    }
    let is_twice = |at: usize| endpoints[..at].iter().any(|(earlier, _)| earlier.name == endpoints[at].0.name);
    if (0..endpoints.len()).any(is_twice) {
        return Err(fault(format!("Each listener must have a different name, listeners: {}", all())));
    }
    if distinct_ports {
        check_ports(&endpoints).map_err(|why| fault(why.replace("LISTENERS", &all())))?;
    }
    Ok(endpoints)
}

/// Checks that two listeners share a port only if one has an IPv4 address and the other an IPv6
/// address (KIP-797).
fn check_ports(endpoints: &[(Endpoint, SecurityProtocol)]) -> Result<(), String> {
    let mut by_port: BTreeMap<i32, Vec<&Endpoint>> = BTreeMap::new();
    for (endpoint, _) in endpoints.iter().filter(|(endpoint, _)| endpoint.port != 0) {
        by_port.entry(endpoint.port).or_default().push(endpoint);
    }
    for (port, endpoints) in by_port.iter().filter(|(_, endpoints)| endpoints.len() > 1) {
        let is_v4 = |endpoint: &Endpoint| endpoint.host.parse::<Ipv4Addr>().is_ok();
        let is_v6 = |endpoint: &Endpoint| endpoint.host.parse::<Ipv6Addr>().is_ok();
        let addresses: Vec<&&Endpoint> =
            endpoints.iter().filter(|endpoint| is_v4(endpoint) || is_v6(endpoint)).collect();
        if endpoints.len() - addresses.len() > 1 {
            return Err("Each listener must have a different port, listeners: LISTENERS".into());
        }
        match addresses.as_slice() {
            [] => {}
            [one, other] if endpoints.len() == 2 => {
                if is_v4(one) == is_v4(other) {
                    return Err(format!(
                        "If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, listeners: LISTENERS, port: {port}"
                    ));
                }
            }
            _ => {
                return Err(format!(
                    "Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 address, \
                     listeners: LISTENERS, port: {port}"
                ));
            }
        }
    }
    Ok(())
}

/// Parses `NAME://host:port`. The host may be empty or in brackets.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (name, address) = text.rsplit_once("://")?;
    let (host, port) = address::split(address)?;
    let digits = port.strip_prefix('-').unwrap_or(port);
    if name.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Endpoint { name: name.to_uppercase(), host: host.to_string(), port: port.parse().ok()? })
}

//! SASL of a node: what each of its listeners asks of clients, and how the node logs in at other
//! brokers and controllers. Properties and JAAS text are read as Kafka reads them.

use super::key::Values;
use super::listeners::{Listeners, SecurityProtocol};
use super::value::Value;
use super::{BROKER, ConfigError, Kind, Properties, Roles, file};
use ::sasl::Mechanism;
use ::sasl::client::Credentials;
use ::sasl::jaas::{self, LoginModule, Sections};
use ::sasl::oauthbearer::Unsecured;
use ::sasl::plain::Users;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const ENABLED: &str = "sasl.enabled.mechanisms";
const JAAS: &str = "sasl.jaas.config";
const MAX_REAUTH: &str = "connections.max.reauth.ms";
const INTER_BROKER: &str = "sasl.mechanism.inter.broker.protocol";
const CONTROLLER: &str = "sasl.mechanism.controller.protocol";
/// The section of a JAAS file for listeners without one of their own.
const SECTION: &str = "KafkaServer";
/// The variable that names the JAAS file.
const OPTIONS: &str = "KAFKA_OPTS";

/// SASL of a node.
#[derive(Clone, Debug, Default)]
pub struct SaslConfig {
    /// What the listeners with SASL ask of clients, by their names.
    pub listeners: BTreeMap<String, Arc<SaslListener>>,
    /// How this node logs in at other brokers; `None` if their listener has no SASL.
    pub inter_broker: Option<Arc<SaslLogin>>,
    /// How this node logs in at controllers; `None` if their listener has no SASL.
    pub controller: Option<Arc<SaslLogin>>,
}

/// What a listener asks of clients.
#[derive(Clone, Debug, Default)]
pub struct SaslListener {
    /// The mechanisms that it serves, in the order of `sasl.enabled.mechanisms`.
    pub mechanisms: Vec<Mechanism>,
    /// The users of PLAIN.
    pub users: Users,
    /// What is asked of tokens without a signature.
    pub unsecured: Unsecured,
    /// `connections.max.reauth.ms` of each mechanism: how long a session lives at most.
    max_session_ms: BTreeMap<Mechanism, i64>,
}

impl SaslListener {
    /// Returns how long a session of a mechanism lives at most; `None` without a limit.
    pub fn max_session_ms(&self, mechanism: Mechanism) -> Option<i64> {
        self.max_session_ms.get(&mechanism).copied().filter(|ms| *ms > 0)
    }
}

/// How a node logs in at others.
#[derive(Clone, Debug)]
pub struct SaslLogin {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The credentials.
    pub credentials: Credentials,
}

/// What the properties of SASL are read from.
struct Source<'a> {
    properties: &'a Properties,
    values: &'a Values,
    /// The JAAS file, and its name.
    file: Option<(String, Sections)>,
}

impl SaslConfig {
    /// Reads SASL of a node. Errors: one line that names the property at fault.
    pub(super) fn new(
        properties: &Properties,
        values: &Values,
        (listeners, roles): (&Listeners, Roles),
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let own = || listeners.all.iter().filter(|listener| listener.protocol.is_sasl());
        let controllers = listeners.controller_protocols.first().filter(|(_, protocol)| protocol.is_sasl());
        if own().next().is_none() && controllers.is_none() {
            return Ok(Self::default());
        }
        let source = Source { properties, values, file: jaas_file(environment)? };
        let mut this = Self::default();
        for listener in own() {
            this.listeners.insert(listener.name.clone(), Arc::new(source.listener(&listener.name)?));
        }
        let inter_broker = listeners.all.iter().find(|listener| listener.name == listeners.inter_broker);
        if roles.is_broker() && inter_broker.is_some_and(|listener| listener.protocol.is_sasl()) {
            let login = source.login(INTER_BROKER, &listeners.inter_broker)?;
            if !this.listeners.get(&listeners.inter_broker).is_some_and(|it| it.mechanisms.contains(&login.mechanism)) {
                return Err(ConfigError(format!(
                    "{INTER_BROKER} must be included in {ENABLED} when SASL is used for inter-broker communication"
                )));
            }
            this.inter_broker = Some(Arc::new(login));
        }
        if let Some((name, _)) = controllers {
            this.controller = Some(Arc::new(source.login(CONTROLLER, name)?));
        }
        Ok(this)
    }
}

impl Source<'_> {
    /// Returns a property of a listener: its own value, or else that of the node.
    fn of_listener(&self, listener: &str, name: &str) -> Result<Value, ConfigError> {
        let own = format!("listener.name.{}.{name}", listener.to_lowercase());
        match (self.properties.get(&own), BROKER.get(name)) {
            (Some(text), Some(key)) => key.parse(text).map_err(ConfigError),
            _ => Ok(self.values.get(name).clone()),
        }
    }

    fn listener(&self, name: &str) -> Result<SaslListener, ConfigError> {
        let Value::List(enabled) = self.of_listener(name, ENABLED)? else {
            return Err(ConfigError(format!("{ENABLED} of listener {name} must not be empty")));
        };
        if enabled.is_empty() {
            return Err(ConfigError(format!("{ENABLED} of listener {name} must not be empty")));
        }
        let default_ms = self.of_listener(name, MAX_REAUTH)?;
        let (mut mechanisms, mut max_session_ms) = (Vec::new(), BTreeMap::new());
        let (mut users, mut unsecured) = (Users::default(), Unsecured::default());
        for text in &enabled {
            let mechanism = known(text, ENABLED, name)?;
            let module = self.module(name, mechanism)?;
            let fault = |why: String| ConfigError(format!("{}: {why}", jaas_property(name, mechanism)));
            match mechanism {
                Mechanism::Plain => users = module.as_ref().map(Users::new).unwrap_or_default(),
                Mechanism::OAuthBearer => {
                    let taken = module.as_ref().map(Unsecured::new).transpose();
                    unsecured = taken.map_err(fault)?.unwrap_or_default();
                }
                Mechanism::ScramSha256 | Mechanism::ScramSha512 => {}
            }
            let own = format!("listener.name.{}.{}.{MAX_REAUTH}", name.to_lowercase(), mechanism.name().to_lowercase());
            let ms = match self.properties.get(&own) {
                Some(text) => {
                    Value::parse(text, Kind::Long).map_err(|why| ConfigError(super::rule::invalid(&own, text, &why)))?
                }
                None => default_ms.clone(),
            };
            if let Value::Integer(ms) = ms {
                max_session_ms.insert(mechanism, ms);
            }
            if !mechanisms.contains(&mechanism) {
                mechanisms.push(mechanism);
            }
        }
        Ok(SaslListener { mechanisms, users, unsecured, max_session_ms })
    }

    /// Reads how this node logs in at the listeners of a name.
    fn login(&self, property: &str, listener: &str) -> Result<SaslLogin, ConfigError> {
        let mechanism = known(&self.values.read::<String>(property), property, listener)?;
        let name = jaas_property(listener, mechanism);
        let module = self.module(listener, mechanism)?;
        let module = module.ok_or_else(|| {
            let class = mechanism.login_module();
            ConfigError(format!("{name}: there is no {class}, with which this node logs in ({property})"))
        })?;
        let credentials = Credentials::new(mechanism, &module);
        let credentials = credentials
            .map_err(|why| ConfigError(format!("{name}: {why}, with which this node logs in ({property})")))?;
        Ok(SaslLogin { mechanism, credentials })
    }

    /// Returns the login module of a mechanism of a listener; `None` if its section has modules for
    /// other mechanisms only.
    fn module(&self, listener: &str, mechanism: Mechanism) -> Result<Option<LoginModule>, ConfigError> {
        let property = jaas_property(listener, mechanism);
        let (place, modules) = match self.properties.get(&property) {
            Some(text) => match jaas::property(text) {
                Ok(module) => (property, vec![module]),
                Err(why) => return Err(ConfigError(format!("{property}: {why}"))),
            },
            None => self.section(listener)?,
        };
        if let Some(foreign) = modules.iter().find(|module| !is_known_module(&module.class)) {
            let class = &foreign.class;
            return Err(ConfigError(format!("{place}: the login module {class} is not supported")));
        }
        if mechanism == Mechanism::OAuthBearer && modules.len() != 1 {
            let count = modules.len();
            return Err(ConfigError(format!(
                "{place}: Must supply exactly 1 non-null JAAS mechanism configuration (size was {count})"
            )));
        }
        Ok(modules.into_iter().find(|module| module.class == mechanism.login_module()))
    }

    /// Returns the section of a listener in the JAAS file, and where it is.
    fn section(&self, listener: &str) -> Result<(String, Vec<LoginModule>), ConfigError> {
        let own = format!("{}.{SECTION}", listener.to_lowercase());
        let named = self.file.as_ref().map_or("not set", |(name, _)| name);
        let sections = self.file.as_ref().map(|(_, sections)| sections);
        let found = [own.as_str(), SECTION].into_iter().find_map(|name| Some((name, sections?.get(name)?)));
        match found {
            Some((name, modules)) => Ok((format!("{named}: {name}"), modules.clone())),
            None => Err(ConfigError(format!(
                "Could not find a '{SECTION}' or '{own}' entry in the JAAS configuration. System property \
                 'java.security.auth.login.config' is {named}"
            ))),
        }
    }
}

/// Returns the property that configures a mechanism of a listener.
fn jaas_property(listener: &str, mechanism: Mechanism) -> String {
    format!("listener.name.{}.{}.{JAAS}", listener.to_lowercase(), mechanism.name().to_lowercase())
}

fn is_known_module(class: &str) -> bool {
    Mechanism::ALL.iter().any(|mechanism| mechanism.login_module() == class)
}

fn known(name: &str, property: &str, listener: &str) -> Result<Mechanism, ConfigError> {
    Mechanism::from_name(name).ok_or_else(|| {
        let all = Mechanism::ALL.map(Mechanism::name).join(", ");
        ConfigError(format!("{property}: {name} of listener {listener} is not supported; use {all}"))
    })
}

/// Reads the JAAS file that the options of Java name. Errors: one line that names the file.
fn jaas_file(environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, Sections)>, ConfigError> {
    let options = environment(OPTIONS).unwrap_or_default();
    let Some(name) = jaas::file_of_options(&options) else { return Ok(None) };
    let fault = |why: String| ConfigError(format!("{name} (java.security.auth.login.config in {OPTIONS}): {why}"));
    let text = file::utf8(Path::new(name)).map_err(|error| fault(error.to_string()))?;
    Ok(Some((name.to_string(), jaas::file(&text).map_err(fault)?)))
}

impl SecurityProtocol {
    /// Whether clients authenticate with SASL.
    pub fn is_sasl(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }
}

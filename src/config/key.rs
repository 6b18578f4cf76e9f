//! Rows of the tables: the definition of a property, and tables of definitions with the values
//! parsed from properties.
//!
//! Values are checked in the order of the rows, so that of several faults the same one is reported
//! as in Kafka.

use super::rule::Rule;
use super::value::{FromValue, Kind, Value};
use super::{ConfigError, Properties, rule};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One property.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its default value.
    pub default: Default,
    /// The values that it may have.
    pub rule: Rule,
    /// How important it is for the setup of a broker.
    pub importance: Importance,
    /// Whether and for what it may change while the broker runs.
    pub mode: Mode,
    /// What Gregor does with it.
    pub support: Support,
}

/// The value of a property that is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The property must be set.
    Required,
    /// Null.
    Null,
    /// This text.
    Is(&'static str),
}

/// Kafka's rating of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Whether and for what a property may change while the broker runs (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A change needs a restart.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
    /// A change needs a restart, and clients do not see the property.
    Internal,
}

/// What Gregor does with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Honoured as documented.
    Honoured,
    /// Accepted without effect: it tunes a mechanism that Gregor does not have, or a part that
    /// nothing enables.
    NoEffect,
    /// Accepted with a warning: it is checked, but has no effect yet.
    NotYet,
    /// Any value except the default stops the start, because to ignore it would open access or
    /// change data.
    Refused,
}

impl Key {
    /// Whether its value is a secret.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether clients see it in a list of all configs.
    pub fn is_visible(&self) -> bool {
        self.mode != Mode::Internal
    }

    /// Parses and checks a value. Errors: Kafka's message.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        self.parse_named(self.name, text)
    }

    fn parse_named(&self, name: &str, text: &str) -> Result<Value, String> {
        let value = Value::parse(text, self.kind).map_err(|why| {
            let shown = if self.is_sensitive() { "[hidden]" } else { text };
            rule::invalid(name, shown, &why)
        })?;
        self.rule.check(name, value)
    }

    /// Returns the default as a value; null for a required property.
    pub fn default_value(&self) -> Value {
        match self.default {
            Default::Required | Default::Null => Value::Null,
            Default::Is(text) => self.parse(text).unwrap_or(Value::Null),
        }
    }

    /// Returns the default as Kafka prints it.
    pub fn default_text(&self) -> Option<&'static str> {
        match self.default {
            Default::Required | Default::Null => None,
            Default::Is(text) => Some(text),
        }
    }
}

/// All properties of one resource type.
#[derive(Debug)]
pub struct Table {
    /// The rows.
    pub keys: &'static [Key],
    index: OnceLock<BTreeMap<&'static str, usize>>,
}

impl Table {
    /// Creates a table of these rows.
    pub(super) const fn new(keys: &'static [Key]) -> Self {
        Self { keys, index: OnceLock::new() }
    }

    /// Returns the row with this name.
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.position(name).map(|position| &self.keys[position])
    }

    fn position(&self, name: &str) -> Option<usize> {
        let index = self.index.get_or_init(|| self.keys.iter().enumerate().map(|(at, key)| (key.name, at)).collect());
        index.get(name).copied()
    }

    /// Parses and checks every property of the table that is set; the others get their defaults.
    /// Names that are not in the table are ignored. Errors: the first fault in the table's order,
    /// in Kafka's words.
    pub fn parse(&'static self, properties: &Properties) -> Result<Values, ConfigError> {
        let mut values = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            values.push(match (properties.get(key.name), key.default) {
                (Some(text), _) => key.parse(text).map_err(ConfigError)?,
                (None, Default::Required) => {
                    return Err(ConfigError(format!(
                        "Missing required configuration \"{}\" which has no default value.",
                        key.name
                    )));
                }
                (None, _) => key.default_value(),
            });
        }
        Ok(Values { table: self, values })
    }
}

/// A value for every property of a table.
#[derive(Clone)]
pub struct Values {
    table: &'static Table,
    values: Vec<Value>,
}

/// Values may be secrets.
impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").finish_non_exhaustive()
    }
}

impl Values {
    /// Returns a property's value; [`Value::Null`] for a name that is not in the table.
    pub fn get(&self, name: &str) -> &Value {
        const NULL: &Value = &Value::Null;
        self.table.position(name).and_then(|position| self.values.get(position)).unwrap_or(NULL)
    }

    /// Returns a property's value as a Rust type. A null number is 0 unless `T` is an `Option`.
    pub fn read<T: FromValue + std::default::Default>(&self, name: &str) -> T {
        T::from_value(self.get(name)).unwrap_or_default()
    }

    /// Returns an integer.
    pub(super) fn integer(&self, name: &str) -> i64 {
        self.read(name)
    }
}

/// Builds the rows of a table: name, kind, default, rule, importance, mode, support.
macro_rules! rows {
    ($($name:literal, $kind:ident, $default:expr, $rule:expr, $importance:ident, $mode:ident, $support:ident;)*) => {
        &[$($crate::config::key::Key {
            name: $name,
            kind: $crate::config::value::Kind::$kind,
            default: $default,
            rule: $rule,
            importance: $crate::config::key::Importance::$importance,
            mode: $crate::config::key::Mode::$mode,
            support: $crate::config::key::Support::$support,
        },)*]
    };
}
pub(super) use rows;

//! Configs of groups: the table, the broker properties that are their defaults and bounds, and the
//! settings of one group.

use super::key::Default::Is;
use super::key::{Key, Table, Values, rows};
use super::rule::Rule::{Any, AtLeast, OffsetReset, OneOf};
use super::value::Value;
use super::{ConfigError, Properties, java};

/// The configs of a group.
pub static GROUP: Table = Table::new(rows! {
    "consumer.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "consumer.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "consumer.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "share.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "share.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "share.record.lock.duration.ms", Int, Is("30000"), AtLeast(1000), Medium, ClusterWide, NotYet;
    "share.delivery.count.limit", Int, Is("5"), AtLeast(2), Medium, ClusterWide, NotYet;
    "share.partition.max.record.locks", Int, Is("2000"), AtLeast(100), Medium, ClusterWide, NotYet;
    "share.auto.offset.reset", Text, Is("latest"), OffsetReset, Medium, ClusterWide, NotYet;
    "share.isolation.level", Text, Is("read_uncommitted"),
        OneOf(&["read_committed", "read_uncommitted"]), Medium, ClusterWide, NotYet;
    "share.renew.acknowledge.enable", Boolean, Is("true"), Any, Medium, ClusterWide, NotYet;
    "share.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "streams.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "streams.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ClusterWide, NotYet;
    "streams.num.standby.replicas", Int, Is("0"), AtLeast(0), Medium, ClusterWide, NotYet;
    "streams.initial.rebalance.delay.ms", Int, Is("3000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "streams.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
});

/// Returns the broker property that is the default of a group's config: its name after `group.`.
pub(super) fn broker_property(name: &str) -> Option<String> {
    let property = format!("group.{name}");
    super::BROKER.get(&property).map(|_| property)
}

/// The configs that the broker bounds, in the order of the checks.
const BOUNDED: &[&str] = &[
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "consumer.assignment.interval.ms",
    "share.heartbeat.interval.ms",
    "share.session.timeout.ms",
    "share.record.lock.duration.ms",
    "share.delivery.count.limit",
    "share.partition.max.record.locks",
    "share.assignment.interval.ms",
    "streams.heartbeat.interval.ms",
    "streams.session.timeout.ms",
    "streams.num.standby.replicas",
    "streams.assignment.interval.ms",
];

/// Returns the broker properties with the minimum and the maximum of a config.
fn bounds(name: &str) -> (Option<String>, Option<String>) {
    let (kind, rest) = name.split_once('.').unwrap_or((name, ""));
    let rest = if rest == "num.standby.replicas" { "standby.replicas" } else { rest };
    let bound =
        |bound: &str| Some(format!("group.{kind}.{bound}.{rest}")).filter(|name| super::BROKER.get(name).is_some());
    (bound("min"), bound("max"))
}

/// Returns a group config's value from the broker's properties, or its own default.
pub(super) fn from_broker(key: &Key, broker: &Values) -> Value {
    broker_property(key.name).map_or_else(|| key.default_value(), |property| broker.get(&property).clone())
}

/// Returns a group config's value in force: the group's own within the broker's bounds if it is
/// valid, else the broker's.
fn effective(name: &str, overrides: &Properties, broker: &Values) -> Value {
    let Some(key) = GROUP.get(name) else { return Value::Null };
    let own = overrides.get(name).and_then(|text| key.parse(text).ok());
    let Some(own) = own else { return from_broker(key, broker) };
    match own {
        Value::Integer(number) if BOUNDED.contains(&name) => {
            let (least, most) = bounds(name);
            let least = least.map_or(i64::MIN, |least| broker.integer(&least));
            let most = most.map_or(i64::MAX, |most| broker.integer(&most));
            Value::Integer(number.min(most).max(least))
        }
        own => own,
    }
}

super::settings_struct! {
    /// The settings of one group: its configs over the broker's properties. Fields are named after
    /// the configs.
    pub struct GroupSettings {
        consumer_session_timeout_ms: i32,
        consumer_heartbeat_interval_ms: i32,
        consumer_assignment_interval_ms: i32,
        share_session_timeout_ms: i32,
        share_heartbeat_interval_ms: i32,
        share_record_lock_duration_ms: i32,
        share_delivery_count_limit: i32,
        share_partition_max_record_locks: i32,
        share_auto_offset_reset: String,
        share_isolation_level: String,
        share_renew_acknowledge_enable: bool,
        share_assignment_interval_ms: i32,
        streams_session_timeout_ms: i32,
        streams_heartbeat_interval_ms: i32,
        streams_num_standby_replicas: i32,
        streams_initial_rebalance_delay_ms: i32,
        streams_assignment_interval_ms: i32,
    }
}

impl GroupSettings {
    /// Returns the settings of a group with these configs on a broker with these values. A config
    /// outside the broker's current bounds is moved to the nearest bound.
    pub fn new(overrides: &Properties, broker: &Values) -> Self {
        Self::read(|name| effective(name, overrides, broker))
    }
}

/// Checks all configs of a group together. Errors: Kafka's message, which clients see with
/// INVALID_CONFIG.
pub fn validate(configs: &Properties, broker: &Values) -> Result<(), ConfigError> {
    let mut names: Vec<&String> = configs.keys().filter(|name| GROUP.get(name).is_none()).collect();
    java::hash_order(&mut names, configs.len(), |name| name);
    if let Some(unknown) = names.first() {
        return Err(ConfigError(format!("Unknown group config name: {unknown}")));
    }
    let own = GROUP.parse(configs)?;
    let number = |name: &str| {
        if configs.contains_key(name) {
            own.integer(name)
        } else {
            GROUP.get(name).map_or(0, |key| i64_of(&from_broker(key, broker)))
        }
    };
    for name in BOUNDED.iter().filter(|name| configs.contains_key(**name)) {
        let (least, most) = bounds(name);
        if let Some(least) = least.filter(|least| number(name) < broker.integer(least)) {
            return Err(ConfigError(format!("{name} must be greater than or equal to {least}")));
        }
        if let Some(most) = most.filter(|most| number(name) > broker.integer(most)) {
            return Err(ConfigError(format!("{name} must be less than or equal to {most}")));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) = (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        if number(&session) <= number(&heartbeat) {
            return Err(ConfigError(format!("{session} must be greater than {heartbeat}")));
        }
    }
    Ok(())
}

fn i64_of(value: &Value) -> i64 {
    if let Value::Integer(number) = value { *number } else { 0 }
}

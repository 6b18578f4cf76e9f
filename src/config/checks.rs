//! Rules between properties of the broker, with Kafka's messages.
//!
//! A message of a failed requirement in Kafka begins with `requirement failed: `. Clients see it in
//! this form when a dynamic config breaks the rule. At the start of a node the prefix is removed.

use super::key::Values;
use super::roles::Roles;
use super::settings::map_entries;
use super::{ConfigError, Properties};

/// The prefix of some of Kafka's messages.
pub(super) const REQUIREMENT: &str = "requirement failed: ";

/// The ids of `offsets.topic.compression.codec`: none, gzip, snappy, lz4, zstd.
const COMPRESSION_IDS: std::ops::RangeInclusive<i64> = 0..=4;

/// Checks all rules except those of listeners. Errors: the first rule that fails.
pub(super) fn check(properties: &Properties, values: &Values, roles: Roles) -> Result<(), ConfigError> {
    check_logs(values)?;
    check_replication(values)?;
    check_connections(values)?;
    check_protocols(values)?;
    for kind in ["consumer", "share", "streams"] {
        check_group_times(kind, values)?;
    }
    check_share_groups(values)?;
    at_most("group.streams.num.standby.replicas", "group.streams.max.standby.replicas", values)?;
    if roles.is_broker() { check_cordoned(properties, values) } else { Ok(()) }
}

fn require(holds: bool, message: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError(format!("{REQUIREMENT}{message}"))) }
}

fn check_logs(values: &Values) -> Result<(), ConfigError> {
    let set = |name: &str| values.read::<Option<i64>>(name);
    require(set("log.roll.ms").is_none_or(|millis| millis >= 1), "log.roll.ms must be greater than or equal to 1")?;
    require(
        set("log.roll.jitter.ms").is_none_or(|millis| millis >= 0),
        "log.roll.jitter.ms must be greater than or equal to 0",
    )?;
    let retention = set("log.retention.ms").or(set("log.retention.minutes")).or(set("log.retention.hours"));
    require(retention != Some(0), "log.retention.ms must be unlimited (-1) or, greater than or equal to 1")?;
    let cleaners = values.integer("log.cleaner.threads");
    if cleaners == 0 {
        // Kafka sends clients this message.
        return Err(ConfigError("/ by zero".into()));
    }
    require(
        values.integer("log.cleaner.dedupe.buffer.size") / cleaners > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )?;
    for name in ["offsets.topic.compression.codec", "share.coordinator.state.topic.compression.codec"] {
        let codec = values.integer(name);
        if !COMPRESSION_IDS.contains(&codec) {
            return Err(ConfigError(format!("{name}: Unknown compression type id: {codec}; it must be 0 to 4")));
        }
    }
    Ok(())
}

fn check_replication(values: &Values) -> Result<(), ConfigError> {
    let wait = values.integer("replica.fetch.wait.max.ms");
    require(
        wait <= values.integer("replica.socket.timeout.ms"),
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts",
    )?;
    require(
        wait <= values.integer("replica.lag.time.max.ms"),
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR",
    )
}

fn check_connections(values: &Values) -> Result<(), ConfigError> {
    let queued = values.integer("queued.max.request.bytes");
    require(
        queued <= 0 || queued >= values.integer("socket.request.max.bytes"),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )?;
    let property = "max.connections.per.ip.overrides";
    let overrides = values.read::<String>(property);
    let entries = map_entries(property, &overrides).map_err(ConfigError)?;
    for (_, most) in &entries {
        model::java_number::parse_int(most).ok_or_else(|| ConfigError(format!("For input string: \"{most}\"")))?;
    }
    require(
        values.integer("max.connections.per.ip") != 0 || !entries.is_empty(),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
    )
}

fn check_protocols(values: &Values) -> Result<(), ConfigError> {
    let protocols: Vec<String> = values.read("group.coordinator.rebalance.protocols");
    if protocols.iter().any(|protocol| protocol == "classic") {
        return Ok(());
    }
    Err(ConfigError("group.coordinator.rebalance.protocols: Disabling the 'classic' protocol is not supported.".into()))
}

fn at_least(name: &str, least: &str, values: &Values) -> Result<(), ConfigError> {
    if values.integer(name) >= values.integer(least) {
        return Ok(());
    }
    Err(ConfigError(format!("{name} must be greater than or equal to {least}")))
}

fn at_most(name: &str, most: &str, values: &Values) -> Result<(), ConfigError> {
    if values.integer(name) <= values.integer(most) {
        return Ok(());
    }
    Err(ConfigError(format!("{name} must be less than or equal to {most}")))
}

/// Checks that each time of a group type is within its bounds, and that the heartbeat interval is
/// shorter than the session timeout.
fn check_group_times(kind: &str, values: &Values) -> Result<(), ConfigError> {
    for time in ["heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"] {
        let [name, least, most] = ["", "min.", "max."].map(|bound| format!("group.{kind}.{bound}{time}"));
        at_least(&most, &least, values)?;
        at_least(&name, &least, values)?;
        at_most(&name, &most, values)?;
    }
    let (heartbeat, session) =
        (format!("group.{kind}.heartbeat.interval.ms"), format!("group.{kind}.session.timeout.ms"));
    if values.integer(&heartbeat) < values.integer(&session) {
        return Ok(());
    }
    Err(ConfigError(format!("{heartbeat} must be less than {session}")))
}

fn check_share_groups(values: &Values) -> Result<(), ConfigError> {
    for limit in ["delivery.count.limit", "record.lock.duration.ms", "partition.max.record.locks"] {
        let [name, least, most] = ["", "min.", "max."].map(|bound| format!("group.share.{bound}{limit}"));
        at_least(&most, &name, values)?;
        at_least(&name, &least, values)?;
    }
    at_least("group.share.max.share.sessions", "group.share.max.size", values)
}

fn check_cordoned(properties: &Properties, values: &Values) -> Result<(), ConfigError> {
    let cordoned: Vec<String> = values.read("cordoned.log.dirs");
    let all = cordoned.iter().any(|dir| dir == "*");
    require(!all || cordoned.len() == 1, "When cordoned.log.dirs is set to *, it must not contain other values")?;
    let name = if properties.contains_key("log.dirs") { "log.dirs" } else { "log.dir" };
    let log_dirs: Vec<String> = values.read(name);
    let missing: Vec<&str> =
        cordoned.iter().filter(|dir| !all && !log_dirs.contains(dir)).map(String::as_str).collect();
    require(
        missing.is_empty(),
        &format!(
            "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : {}",
            missing.join(", ")
        ),
    )
}

//! The broker's properties: one table for parsing, defaults, checks, DescribeConfigs and the
//! documentation.
//!
//! The rows are those of Apache Kafka 4.3.1, in its order. The last column says what Gregor does
//! with a property. A property with a field in [`BrokerSettings`] is honoured; a test checks that
//! the two agree.
//!
//! [`BrokerSettings`]: super::BrokerSettings

use super::key::Default::{Is, Null, Required};
use super::key::{Key, Mode, Table, rows};
use super::rule::Emptiness::{MayBeEmpty, NotEmpty};
use super::rule::Rule::{
    Any, AtLeast, Between, GzipLevel, HostPorts, Items, NotEmptyText, OneOf, OneOfAnyCase, UpToHalf, Voters,
};
use super::topic::COMPRESSIONS;

/// The properties of `server.properties`.
pub static BROKER: Table = Table::new(KEYS);

/// Replication quotas, which exist only as dynamic configs.
pub static DYNAMIC_ONLY: Table = Table::new(rows! {
    "leader.replication.throttled.rate", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, Honoured;
    "follower.replication.throttled.rate", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, Honoured;
    "replica.alter.log.dirs.io.max.bytes.per.second", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide,
        Honoured;
});

/// Lists of synonyms: if the first property is not set, the next one is used.
pub(super) const SYNONYMS: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/// Properties that may have a listener's prefix and then change for the whole cluster.
pub(super) const CLUSTER_WIDE_OF_A_LISTENER: &[&str] =
    &["max.connections", "max.connection.creation.rate", "num.network.threads"];

/// Properties that may have the prefix of a listener and a SASL mechanism.
pub(super) const OF_A_MECHANISM: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// Removes `listener.name.NAME.` from a name, and the name of a SASL mechanism if there is one;
/// `None` for a name without that prefix.
pub fn without_listener(name: &str) -> Option<&str> {
    let (listener, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if listener.is_empty() || base.is_empty() {
        return None;
    }
    let of_a_mechanism = OF_A_MECHANISM.iter().find(|suffix| {
        base.strip_suffix(**suffix)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|mechanism| !mechanism.is_empty())
    });
    Some(of_a_mechanism.copied().unwrap_or(base))
}

/// Returns the row of a property, also for a name with a listener's prefix and for one that is only
/// dynamic.
pub(super) fn key_of(name: &str) -> Option<&'static Key> {
    let get = |name: &str| BROKER.get(name).or_else(|| DYNAMIC_ONLY.get(name));
    get(name).or_else(|| get(without_listener(name)?))
}

/// Whether the property may change while the broker runs, under exactly this name.
pub fn is_dynamic(name: &str) -> bool {
    let key = BROKER.get(name).or_else(|| DYNAMIC_ONLY.get(name));
    key.is_some_and(|key| matches!(key.mode, Mode::PerBroker | Mode::ClusterWide))
}

/// Returns the names whose values apply to `name`, in order, `name` included.
pub(super) fn synonyms(name: &str) -> Vec<&str> {
    if name == "log.flush.interval.ms" {
        return vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    }
    if let Some(base) = without_listener(name) {
        return vec![name, base];
    }
    SYNONYMS.iter().find(|names| names.contains(&name)).map_or_else(|| vec![name], |names| names.to_vec())
}

const KEYS: &[Key] = rows! {
    "remote.log.storage.system.enable", Boolean, Is("false"), Any, Medium, ReadOnly, Refused;
    "remote.log.storage.manager.impl.prefix", Text, Is("rsm.config."), NotEmptyText, Medium, ReadOnly, NoEffect;
    "remote.log.metadata.manager.impl.prefix", Text, Is("rlmm.config."), NotEmptyText, Medium, ReadOnly, NoEffect;
    "remote.log.storage.manager.class.name", Text, Null, NotEmptyText, Medium, ReadOnly, NoEffect;
    "remote.log.storage.manager.class.path", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "remote.log.metadata.manager.class.name", Text,
        Is("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        NotEmptyText, Medium, ReadOnly, NoEffect;
    "remote.log.metadata.manager.class.path", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "remote.log.metadata.manager.listener.name", Text, Null, NotEmptyText, Medium, ReadOnly, NoEffect;
    "remote.log.metadata.custom.metadata.max.bytes", Int, Is("128"), AtLeast(0), Low, ReadOnly, NoEffect;
    "remote.log.index.file.cache.total.size.bytes", Long, Is("1073741824"), AtLeast(1), Low, ClusterWide, NoEffect;
    "remote.log.index.file.cache.ttl.ms", Long, Is("900000"), AtLeast(-1), Low, Internal, NoEffect;
    "remote.log.manager.thread.pool.size", Int, Is("2"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "remote.log.manager.copier.thread.pool.size", Int, Is("10"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.manager.expiration.thread.pool.size", Int, Is("10"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.manager.follower.thread.pool.size", Int, Is("2"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.manager.task.interval.ms", Long, Is("30000"), AtLeast(1), Low, ReadOnly, NoEffect;
    "remote.log.manager.task.retry.backoff.ms", Long, Is("500"), AtLeast(1), Low, Internal, NoEffect;
    "remote.log.manager.task.retry.backoff.max.ms", Long, Is("30000"), AtLeast(1), Low, Internal, NoEffect;
    "remote.log.manager.task.retry.jitter", Double, Is("0.2"), UpToHalf, Low, Internal, NoEffect;
    "remote.log.reader.threads", Int, Is("10"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.reader.max.pending.tasks", Int, Is("100"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "log.local.retention.ms", Long, Is("-2"), AtLeast(-2), Medium, ClusterWide, NoEffect;
    "log.local.retention.bytes", Long, Is("-2"), AtLeast(-2), Medium, ClusterWide, NoEffect;
    "remote.log.manager.copy.max.bytes.per.second", Long, Is("9223372036854775807"),
        AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.manager.copy.quota.window.num", Int, Is("11"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "remote.log.manager.copy.quota.window.size.seconds", Int, Is("1"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "remote.log.manager.fetch.max.bytes.per.second", Long, Is("9223372036854775807"),
        AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.log.manager.fetch.quota.window.num", Int, Is("11"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "remote.log.manager.fetch.quota.window.size.seconds", Int, Is("1"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "remote.fetch.max.wait.ms", Int, Is("500"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "remote.list.offsets.request.timeout.ms", Long, Is("30000"), AtLeast(1), Medium, ClusterWide, NoEffect;
    "broker.id", Int, Is("-1"), Any, High, ReadOnly, Honoured;
    "message.max.bytes", Int, Is("1048588"), AtLeast(0), High, ClusterWide, Honoured;
    "num.io.threads", Int, Is("8"), AtLeast(1), High, ClusterWide, NoEffect;
    "num.replica.alter.log.dirs.threads", Int, Null, Any, High, ReadOnly, Honoured;
    "background.threads", Int, Is("10"), AtLeast(1), High, ClusterWide, NoEffect;
    "request.timeout.ms", Int, Is("30000"), Any, High, ReadOnly, Honoured;
    "socket.connection.setup.timeout.ms", Long, Is("10000"), Any, Medium, ReadOnly, NoEffect;
    "socket.connection.setup.timeout.max.ms", Long, Is("30000"), Any, Medium, ReadOnly, NoEffect;
    "config.providers", List, Is(""), Items(&[], MayBeEmpty), Low, ClusterWide, Honoured;
    "authorizer.class.name", Text, Is(""), Any, Low, ReadOnly, Honoured;
    "early.start.listeners", List, Null, Items(&[], MayBeEmpty), High, ReadOnly, NoEffect;
    "broker.rack", Text, Null, Any, Medium, ReadOnly, Honoured;
    "controlled.shutdown.enable", Boolean, Is("true"), Any, Medium, ReadOnly, NotYet;
    "delete.topic.enable", Boolean, Is("true"), Any, High, ReadOnly, Honoured;
    "compression.type", Text, Is("producer"), OneOf(COMPRESSIONS), High, ClusterWide, Honoured;
    "compression.gzip.level", Int, Is("-1"), GzipLevel, Medium, ClusterWide, Honoured;
    "compression.lz4.level", Int, Is("9"), Between(1, 17), Medium, ClusterWide, Honoured;
    "compression.zstd.level", Int, Is("3"), Between(-131072, 22), Medium, ClusterWide, Honoured;
    "max.incremental.fetch.session.cache.slots", Int, Is("1000"), AtLeast(0), Medium, ReadOnly, Honoured;
    "fetch.max.bytes", Int, Is("57671680"), AtLeast(1024), Medium, ReadOnly, Honoured;
    "max.request.partition.size.limit", Int, Is("2000"), AtLeast(1), Medium, ReadOnly, Honoured;
    "unstable.api.versions.enable", Boolean, Is("false"), Any, High, Internal, NotYet;
    "unstable.feature.versions.enable", Boolean, Is("false"), Any, High, Internal, NotYet;
    "process.roles", List, Required, Items(&["broker", "controller"], NotEmpty), High, ReadOnly, Honoured;
    "node.id", Int, Required, AtLeast(0), High, ReadOnly, Honoured;
    "initial.broker.registration.timeout.ms", Int, Is("60000"), Any, Medium, ReadOnly, Honoured;
    "broker.heartbeat.interval.ms", Int, Is("2000"), Any, Medium, ReadOnly, Honoured;
    "broker.session.timeout.ms", Int, Is("9000"), Any, Medium, ReadOnly, Honoured;
    "controller.listener.names", List, Required, Items(&[], NotEmpty), High, ReadOnly, Honoured;
    "sasl.mechanism.controller.protocol", Text, Is("GSSAPI"), Any, High, ReadOnly, Honoured;
    "controller.performance.sample.period.ms", Long, Is("60000"), AtLeast(100), Medium, Internal, NoEffect;
    "controller.performance.always.log.threshold.ms", Long, Is("2000"), AtLeast(0), Medium, Internal, NoEffect;
    "server.max.startup.time.ms", Long, Is("9223372036854775807"), AtLeast(0), Medium, Internal, NoEffect;
    "metadata.log.max.record.bytes.between.snapshots", Long, Is("20971520"), AtLeast(1), High, ReadOnly, Honoured;
    "metadata.log.max.snapshot.interval.ms", Long, Is("3600000"), AtLeast(0), High, ReadOnly, Honoured;
    "metadata.log.dir", Text, Null, Any, High, ReadOnly, Honoured;
    "metadata.log.segment.bytes", Int, Is("1073741824"), AtLeast(8388608), High, ReadOnly, Honoured;
    "metadata.log.segment.ms", Long, Is("604800000"), Any, High, ReadOnly, Honoured;
    "metadata.max.retention.bytes", Long, Is("104857600"), Any, High, ReadOnly, Honoured;
    "metadata.max.retention.ms", Long, Is("604800000"), Any, High, ReadOnly, Honoured;
    "metadata.max.idle.interval.ms", Int, Is("500"), AtLeast(0), Low, ReadOnly, Honoured;
    "internal.metadata.log.segment.bytes", Int, Null, Any, Low, Internal, NoEffect;
    "internal.metadata.max.batch.size.in.bytes", Int, Is("8388608"), Any, Low, Internal, NoEffect;
    "internal.metadata.delete.delay.millis", Long, Is("60000"), Any, Low, Internal, NoEffect;
    "listeners", List, Is("PLAINTEXT://:9092"), Items(&[], NotEmpty), High, PerBroker, Honoured;
    "advertised.listeners", List, Null, Items(&[], NotEmpty), High, ReadOnly, Honoured;
    "listener.security.protocol.map", Text,
        Is("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any, Low, PerBroker, Honoured;
    "socket.send.buffer.bytes", Int, Is("102400"), Any, High, ReadOnly, Honoured;
    "socket.receive.buffer.bytes", Int, Is("102400"), Any, High, ReadOnly, Honoured;
    "socket.request.max.bytes", Int, Is("104857600"), AtLeast(1), High, ReadOnly, Honoured;
    "socket.listen.backlog.size", Int, Is("50"), AtLeast(1), Medium, ReadOnly, Honoured;
    "max.connections.per.ip", Int, Is("2147483647"), AtLeast(0), Medium, ClusterWide, Honoured;
    "max.connections.per.ip.overrides", Text, Is(""), Any, Medium, ClusterWide, Honoured;
    "max.connections", Int, Is("2147483647"), AtLeast(0), Medium, ClusterWide, Honoured;
    "max.connection.creation.rate", Int, Is("2147483647"), AtLeast(0), Medium, ClusterWide, NotYet;
    "connections.max.idle.ms", Long, Is("600000"), Any, Medium, ReadOnly, Honoured;
    "connection.failed.authentication.delay.ms", Int, Is("100"), AtLeast(0), Low, ReadOnly, Honoured;
    "queued.max.requests", Int, Is("500"), AtLeast(1), High, ReadOnly, NoEffect;
    "queued.max.request.bytes", Long, Is("-1"), Any, Medium, ReadOnly, Honoured;
    "num.network.threads", Int, Is("3"), AtLeast(1), High, ClusterWide, NoEffect;
    "controller.socket.timeout.ms", Int, Is("30000"), Any, Medium, ReadOnly, NoEffect;
    "default.replication.factor", Int, Is("1"), Any, Medium, ReadOnly, Honoured;
    "replica.lag.time.max.ms", Long, Is("30000"), Any, High, ReadOnly, Honoured;
    "replica.socket.timeout.ms", Int, Is("30000"), Any, High, ReadOnly, Honoured;
    "replica.socket.receive.buffer.bytes", Int, Is("65536"), Any, High, ReadOnly, NoEffect;
    "replica.fetch.max.bytes", Int, Is("1048576"), AtLeast(0), Medium, ReadOnly, Honoured;
    "replica.fetch.wait.max.ms", Int, Is("500"), Any, High, ReadOnly, Honoured;
    "replica.fetch.backoff.ms", Int, Is("1000"), AtLeast(0), Medium, ReadOnly, Honoured;
    "replica.fetch.min.bytes", Int, Is("1"), Any, High, ReadOnly, Honoured;
    "replica.fetch.response.max.bytes", Int, Is("10485760"), AtLeast(0), Medium, ReadOnly, Honoured;
    "num.replica.fetchers", Int, Is("1"), AtLeast(1), High, ClusterWide, Honoured;
    "replica.high.watermark.checkpoint.interval.ms", Long, Is("5000"), Any, High, ReadOnly, Honoured;
    "fetch.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, NoEffect;
    "producer.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, NoEffect;
    "delete.records.purgatory.purge.interval.requests", Int, Is("1"), Any, Medium, ReadOnly, NoEffect;
    "auto.leader.rebalance.enable", Boolean, Is("true"), Any, High, ReadOnly, Honoured;
    "leader.imbalance.check.interval.seconds", Long, Is("300"), AtLeast(1), High, ReadOnly, Honoured;
    "unclean.leader.election.interval.ms", Long, Is("300000"), AtLeast(1), Medium, Internal, Honoured;
    "unclean.leader.election.enable", Boolean, Is("false"), Any, High, ClusterWide, Honoured;
    "security.inter.broker.protocol", Text, Is("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly, Honoured;
    "inter.broker.listener.name", Text, Null, Any, Medium, ReadOnly, Honoured;
    "replica.selector.class", Text, Null, Any, Medium, ReadOnly, Honoured;
    "follower.fetch.last.tiered.offset.enable", Boolean, Is("false"), Any, Medium, ClusterWide, NoEffect;
    "group.coordinator.rebalance.protocols", List, Is("classic,consumer,streams"),
        Items(&["consumer", "classic", "share", "streams"], NotEmpty), Medium, ReadOnly, NotYet;
    "group.coordinator.threads", Int, Is("4"), AtLeast(1), High, ReadOnly, NoEffect;
    "group.coordinator.background.threads", Int, Is("2"), AtLeast(1), High, ReadOnly, NoEffect;
    "group.coordinator.append.linger.ms", Int, Is("-1"), AtLeast(-1), Medium, ReadOnly, NoEffect;
    "offsets.commit.timeout.ms", Int, Is("5000"), AtLeast(1), High, ReadOnly, Honoured;
    "offsets.load.buffer.size", Int, Is("5242880"), AtLeast(1), High, ReadOnly, NoEffect;
    "offsets.topic.replication.factor", Short, Is("3"), AtLeast(1), High, ReadOnly, Honoured;
    "offsets.topic.num.partitions", Int, Is("50"), AtLeast(1), High, ReadOnly, Honoured;
    "offsets.topic.segment.bytes", Int, Is("104857600"), AtLeast(1), High, ReadOnly, Honoured;
    "offsets.topic.compression.codec", Int, Is("0"), Any, High, ReadOnly, Honoured;
    "group.coordinator.cached.buffer.max.bytes", Int, Is("1048588"), AtLeast(524288), Medium, ClusterWide, NoEffect;
    "offset.metadata.max.bytes", Int, Is("4096"), Any, High, ReadOnly, Honoured;
    "offsets.retention.minutes", Int, Is("10080"), AtLeast(1), High, ReadOnly, Honoured;
    "offsets.retention.check.interval.ms", Long, Is("600000"), AtLeast(1), High, ReadOnly, Honoured;
    "group.min.session.timeout.ms", Int, Is("6000"), Any, Medium, ReadOnly, Honoured;
    "group.max.session.timeout.ms", Int, Is("1800000"), Any, Medium, ReadOnly, Honoured;
    "group.initial.rebalance.delay.ms", Int, Is("3000"), Any, Medium, ReadOnly, Honoured;
    "group.max.size", Int, Is("2147483647"), AtLeast(1), Medium, ReadOnly, Honoured;
    "group.consumer.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.min.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.max.session.timeout.ms", Int, Is("60000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.max.size", Int, Is("2147483647"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.consumer.assignors", List, Is("uniform,range"), Items(&[], NotEmpty), Medium, ReadOnly, Refused;
    "group.consumer.migration.policy", Text, Is("bidirectional"),
        OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), Medium, ReadOnly, NotYet;
    "group.consumer.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "group.consumer.min.assignment.interval.ms", Int, Is("0"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.consumer.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.consumer.regex.refresh.interval.ms", Int, Is("600000"), AtLeast(10000), Medium, Internal, NotYet;
    "group.share.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.min.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.max.session.timeout.ms", Int, Is("60000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.max.size", Int, Is("200"), Between(1, 1000), Medium, ReadOnly, NotYet;
    "group.share.assignors", List, Is("simple"), Items(&[], NotEmpty), Medium, ReadOnly, Refused;
    "group.share.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "group.share.min.assignment.interval.ms", Int, Is("0"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.share.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.share.initialize.retry.interval.ms", Int, Is("30000"), AtLeast(1), Low, Internal, NotYet;
    "group.streams.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.min.session.timeout.ms", Int, Is("45000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.max.session.timeout.ms", Int, Is("60000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.min.heartbeat.interval.ms", Int, Is("5000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.max.heartbeat.interval.ms", Int, Is("15000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.max.size", Int, Is("2147483647"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.streams.num.standby.replicas", Int, Is("0"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.streams.max.standby.replicas", Int, Is("2"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.streams.initial.rebalance.delay.ms", Int, Is("3000"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.streams.assignment.interval.ms", Int, Is("1000"), AtLeast(0), Medium, ClusterWide, NotYet;
    "group.streams.min.assignment.interval.ms", Int, Is("0"), AtLeast(0), Medium, ReadOnly, NotYet;
    "group.streams.max.assignment.interval.ms", Int, Is("15000"), AtLeast(0), Medium, ReadOnly, NotYet;
    "log.cleaner.threads", Int, Is("1"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.cleaner.io.max.bytes.per.second", Double, Is("1.7976931348623157E308"), Any, Medium, ClusterWide, Honoured;
    "log.cleaner.dedupe.buffer.size", Long, Is("134217728"), Any, Medium, ClusterWide, Honoured;
    "log.cleaner.io.buffer.size", Int, Is("524288"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.cleaner.io.buffer.load.factor", Double, Is("0.9"), Any, Medium, ClusterWide, Honoured;
    "log.cleaner.backoff.ms", Long, Is("15000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.cleaner.min.cleanable.ratio", Double, Is("0.5"), Between(0, 1), Medium, ClusterWide, Honoured;
    "log.cleaner.enable", Boolean, Is("true"), Any, Medium, ReadOnly, Honoured;
    "log.cleaner.delete.retention.ms", Long, Is("86400000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.cleaner.min.compaction.lag.ms", Long, Is("0"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.cleaner.max.compaction.lag.ms", Long, Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, Honoured;
    "num.partitions", Int, Is("1"), AtLeast(1), Medium, ReadOnly, Honoured;
    "log.dir", List, Is("/tmp/kafka-logs"), Items(&[], NotEmpty), High, ReadOnly, Honoured;
    "log.dirs", List, Null, Items(&[], NotEmpty), High, ReadOnly, Honoured;
    "cordoned.log.dirs", List, Is(""), Items(&[], MayBeEmpty), Medium, PerBroker, Honoured;
    "log.segment.bytes", Int, Is("1073741824"), AtLeast(1048576), High, ClusterWide, Honoured;
    "log.roll.ms", Long, Null, Any, High, ClusterWide, Honoured;
    "log.roll.hours", Int, Is("168"), AtLeast(1), High, ReadOnly, Honoured;
    "log.roll.jitter.ms", Long, Null, Any, High, ClusterWide, Honoured;
    "log.roll.jitter.hours", Int, Is("0"), AtLeast(0), High, ReadOnly, Honoured;
    "log.retention.ms", Long, Null, Any, High, ClusterWide, Honoured;
    "log.retention.minutes", Int, Null, Any, High, ReadOnly, Honoured;
    "log.retention.hours", Int, Is("168"), Any, High, ReadOnly, Honoured;
    "log.retention.bytes", Long, Is("-1"), Any, High, ClusterWide, Honoured;
    "log.retention.check.interval.ms", Long, Is("300000"), AtLeast(1), Medium, ReadOnly, Honoured;
    "log.cleanup.policy", List, Is("delete"), Items(&["compact", "delete"], MayBeEmpty), Medium, ClusterWide, Honoured;
    "log.index.size.max.bytes", Int, Is("10485760"), AtLeast(4), Medium, ClusterWide, Honoured;
    "log.index.interval.bytes", Int, Is("4096"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.flush.interval.messages", Long, Is("9223372036854775807"), AtLeast(1), High, ClusterWide, Honoured;
    "log.segment.delete.delay.ms", Long, Is("60000"), AtLeast(0), High, ClusterWide, Honoured;
    "log.flush.scheduler.interval.ms", Long, Is("9223372036854775807"), Any, High, ReadOnly, NoEffect;
    "log.flush.interval.ms", Long, Null, Any, High, ClusterWide, Honoured;
    "log.flush.offset.checkpoint.interval.ms", Int, Is("60000"), AtLeast(0), High, ReadOnly, Honoured;
    "log.flush.start.offset.checkpoint.interval.ms", Int, Is("60000"), AtLeast(0), High, ReadOnly, Honoured;
    "log.preallocate", Boolean, Is("false"), Any, Medium, ClusterWide, NotYet;
    "num.recovery.threads.per.data.dir", Int, Is("2"), AtLeast(1), High, ClusterWide, Honoured;
    "auto.create.topics.enable", Boolean, Is("true"), Any, High, ReadOnly, Honoured;
    "min.insync.replicas", Int, Is("1"), AtLeast(1), High, ClusterWide, Honoured;
    "log.message.timestamp.type", Text, Is("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Honoured;
    "log.message.timestamp.before.max.ms", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, Honoured;
    "log.message.timestamp.after.max.ms", Long, Is("3600000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "create.topic.policy.class.name", Class, Null, Any, Low, ReadOnly, Refused;
    "alter.config.policy.class.name", Class, Null, Any, Low, ReadOnly, Refused;
    "log.dir.failure.timeout.ms", Long, Is("30000"), AtLeast(1), Low, ReadOnly, NotYet;
    "log.initial.task.delay.ms", Long, Is("30000"), AtLeast(0), Low, Internal, NoEffect;
    "group.share.delivery.count.limit", Int, Is("5"), Between(2, 10), Medium, ReadOnly, NotYet;
    "group.share.max.delivery.count.limit", Int, Is("10"), Between(5, 25), Medium, ReadOnly, NotYet;
    "group.share.min.delivery.count.limit", Int, Is("2"), Between(2, 5), Medium, ReadOnly, NotYet;
    "group.share.record.lock.duration.ms", Int, Is("30000"), Between(1000, 3600000), Medium, ReadOnly, NotYet;
    "group.share.min.record.lock.duration.ms", Int, Is("15000"), Between(1000, 30000), Medium, ReadOnly, NotYet;
    "group.share.max.record.lock.duration.ms", Int, Is("60000"), Between(30000, 3600000), Medium, ReadOnly, NotYet;
    "group.share.partition.max.record.locks", Int, Is("2000"), Between(100, 10000), Medium, ReadOnly, NotYet;
    "group.share.max.partition.max.record.locks", Int, Is("4000"), Between(2000, 10000), Medium, ReadOnly, NotYet;
    "group.share.min.partition.max.record.locks", Int, Is("100"), Between(100, 2000), Medium, ReadOnly, NotYet;
    "share.fetch.purgatory.purge.interval.requests", Int, Is("1000"), Any, Medium, ReadOnly, NoEffect;
    "group.share.max.share.sessions", Int, Is("2000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "group.share.persister.class.name", Text, Is("org.apache.kafka.server.share.persister.DefaultStatePersister"),
        Any, Medium, Internal, Refused;
    "share.coordinator.state.topic.num.partitions", Int, Is("50"), AtLeast(1), High, ReadOnly, Honoured;
    "share.coordinator.state.topic.replication.factor", Short, Is("3"), AtLeast(1), High, ReadOnly, Honoured;
    "share.coordinator.state.topic.min.isr", Short, Is("2"), AtLeast(1), High, ReadOnly, Honoured;
    "share.coordinator.state.topic.segment.bytes", Int, Is("104857600"), AtLeast(1), High, ReadOnly, Honoured;
    "share.coordinator.threads", Int, Is("1"), AtLeast(1), Medium, ReadOnly, NoEffect;
    "share.coordinator.snapshot.update.records.per.snapshot", Int, Is("500"),
        Between(0, 500), Medium, ReadOnly, NoEffect;
    "share.coordinator.load.buffer.size", Int, Is("5242880"), AtLeast(1), High, ReadOnly, NoEffect;
    "share.coordinator.state.topic.compression.codec", Int, Is("0"), Any, High, ReadOnly, NoEffect;
    "share.coordinator.append.linger.ms", Int, Is("-1"), AtLeast(-1), Medium, ReadOnly, NoEffect;
    "share.coordinator.write.timeout.ms", Int, Is("5000"), AtLeast(1), High, ReadOnly, NoEffect;
    "share.coordinator.state.topic.prune.interval.ms", Int, Is("300000"), AtLeast(1), Low, Internal, NoEffect;
    "share.coordinator.cold.partition.snapshot.interval.ms", Int, Is("300000"), AtLeast(1), Low, Internal, NoEffect;
    "share.coordinator.cached.buffer.max.bytes", Int, Is("1048588"), AtLeast(524288), Medium, ClusterWide, NoEffect;
    "transaction.state.log.min.isr", Int, Is("2"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.state.log.load.buffer.size", Int, Is("5242880"), AtLeast(1), High, ReadOnly, NoEffect;
    "transaction.state.log.replication.factor", Short, Is("3"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.state.log.num.partitions", Int, Is("50"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.state.log.segment.bytes", Int, Is("104857600"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.partition.verification.enable", Boolean, Is("true"), Any, Low, ClusterWide, Honoured;
    "producer.id.expiration.ms", Int, Is("86400000"), AtLeast(1), Low, ClusterWide, Honoured;
    "producer.id.expiration.check.interval.ms", Int, Is("600000"), AtLeast(1), Low, Internal, Honoured;
    "transactional.id.expiration.ms", Int, Is("604800000"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.max.timeout.ms", Int, Is("900000"), AtLeast(1), High, ReadOnly, Honoured;
    "transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Is("10000"), AtLeast(1), Low, ReadOnly, Honoured;
    "transaction.remove.expired.transaction.cleanup.interval.ms", Int, Is("3600000"), AtLeast(1), Low, ReadOnly, Honoured;
    "transaction.two.phase.commit.enable", Boolean, Is("false"), Any, Low, ReadOnly, Honoured;
    "controller.quorum.voters", List, Is(""), Voters, High, ReadOnly, Honoured;
    "controller.quorum.bootstrap.servers", List, Is(""), HostPorts, High, ReadOnly, Honoured;
    "controller.quorum.election.timeout.ms", Int, Is("1000"), AtLeast(0), High, ReadOnly, Honoured;
    "controller.quorum.fetch.timeout.ms", Int, Is("2000"), AtLeast(0), High, ReadOnly, Honoured;
    "controller.quorum.election.backoff.max.ms", Int, Is("1000"), AtLeast(0), High, ReadOnly, Honoured;
    "controller.quorum.append.linger.ms", Int, Is("25"), AtLeast(0), Medium, ReadOnly, NoEffect;
    "controller.quorum.request.timeout.ms", Int, Is("2000"), AtLeast(0), Medium, ReadOnly, Honoured;
    "controller.quorum.retry.backoff.ms", Int, Is("20"), AtLeast(0), Low, ReadOnly, Honoured;
    "controller.quorum.auto.join.enable", Boolean, Is("false"), Any, Low, ReadOnly, Honoured;
    "controller.quorum.fetch.snapshot.max.bytes", Int, Is("1048576"), AtLeast(1), Low, ReadOnly, Honoured;
    "controller.quorum.fetch.max.bytes", Int, Is("1048576"), AtLeast(1), Low, ReadOnly, Honoured;
    "metrics.num.samples", Int, Is("2"), AtLeast(1), Low, ReadOnly, NoEffect;
    "metrics.sample.window.ms", Long, Is("30000"), AtLeast(1), Low, ReadOnly, NoEffect;
    "metric.reporters", List, Is("org.apache.kafka.common.metrics.JmxReporter"),
        Items(&[], MayBeEmpty), Low, ClusterWide, NotYet;
    "metrics.recording.level", Text, Is("INFO"), Any, Low, ReadOnly, NoEffect;
    "kafka.metrics.reporters", List, Is(""), Items(&[], MayBeEmpty), Low, ReadOnly, NotYet;
    "kafka.metrics.polling.interval.secs", Int, Is("10"), AtLeast(1), Low, ReadOnly, NoEffect;
    "telemetry.max.bytes", Int, Is("1048576"), AtLeast(1), Low, ReadOnly, NoEffect;
    "quota.window.num", Int, Is("11"), AtLeast(1), Low, ReadOnly, NotYet;
    "replication.quota.window.num", Int, Is("11"), AtLeast(1), Low, ReadOnly, Honoured;
    "alter.log.dirs.replication.quota.window.num", Int, Is("11"), AtLeast(1), Low, ReadOnly, NoEffect;
    "controller.quota.window.num", Int, Is("11"), AtLeast(1), Low, ReadOnly, NotYet;
    "quota.window.size.seconds", Int, Is("1"), AtLeast(1), Low, ReadOnly, NotYet;
    "replication.quota.window.size.seconds", Int, Is("1"), AtLeast(1), Low, ReadOnly, Honoured;
    "alter.log.dirs.replication.quota.window.size.seconds", Int, Is("1"), AtLeast(1), Low, ReadOnly, NoEffect;
    "controller.quota.window.size.seconds", Int, Is("1"), AtLeast(1), Low, ReadOnly, NotYet;
    "client.quota.callback.class", Class, Null, Any, Low, ReadOnly, Refused;
    "connections.max.reauth.ms", Long, Is("0"), Any, Medium, ReadOnly, Honoured;
    "sasl.server.max.receive.size", Int, Is("524288"), Any, Medium, ReadOnly, Honoured;
    "security.providers", Text, Null, Any, Low, ReadOnly, Refused;
    "principal.builder.class", Class, Is("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        Any, Medium, PerBroker, Refused;
    "ssl.client.auth", Text, Is("none"), OneOf(&["required", "requested", "none"]), Medium, PerBroker, NoEffect;
    "ssl.principal.mapping.rules", Text, Is("DEFAULT"), Any, Low, ReadOnly, NoEffect;
    "ssl.allow.dn.changes", Boolean, Is("false"), Any, Low, ReadOnly, NoEffect;
    "ssl.allow.san.changes", Boolean, Is("false"), Any, Low, ReadOnly, NoEffect;
    "ssl.protocol", Text, Is("TLSv1.3"), Any, Medium, PerBroker, NoEffect;
    "ssl.provider", Text, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.enabled.protocols", List, Is("TLSv1.2,TLSv1.3"), Items(&[], MayBeEmpty), Medium, PerBroker, NoEffect;
    "ssl.keystore.type", Text, Is("JKS"), Any, Medium, PerBroker, NoEffect;
    "ssl.keystore.location", Text, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.keystore.password", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.key.password", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.keystore.key", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.keystore.certificate.chain", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.truststore.type", Text, Is("JKS"), Any, Medium, PerBroker, NoEffect;
    "ssl.truststore.location", Text, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.truststore.password", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.truststore.certificates", Password, Null, Any, Medium, PerBroker, NoEffect;
    "ssl.keymanager.algorithm", Text, Is("SunX509"), Any, Medium, PerBroker, NoEffect;
    "ssl.trustmanager.algorithm", Text, Is("PKIX"), Any, Medium, PerBroker, NoEffect;
    "ssl.endpoint.identification.algorithm", Text, Is("https"), Any, Low, PerBroker, NoEffect;
    "ssl.secure.random.implementation", Text, Null, Any, Low, PerBroker, NoEffect;
    "ssl.cipher.suites", List, Is(""), Items(&[], MayBeEmpty), Medium, PerBroker, NoEffect;
    "ssl.engine.factory.class", Class, Null, Any, Low, PerBroker, Refused;
    "sasl.mechanism.inter.broker.protocol", Text, Is("GSSAPI"), Any, Medium, PerBroker, Honoured;
    "sasl.enabled.mechanisms", List, Is("GSSAPI"), Items(&[], MayBeEmpty), Medium, PerBroker, Honoured;
    "sasl.server.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Refused;
    "sasl.kerberos.principal.to.local.rules", List, Is("DEFAULT"), Items(&[], MayBeEmpty), Medium, PerBroker, NoEffect;
    "sasl.jaas.config", Password, Null, Any, Medium, PerBroker, Honoured;
    "sasl.client.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Refused;
    "sasl.login.class", Class, Null, Any, Medium, ReadOnly, Refused;
    "sasl.login.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Refused;
    "sasl.kerberos.service.name", Text, Null, Any, Medium, PerBroker, NoEffect;
    "sasl.kerberos.kinit.cmd", Text, Is("/usr/bin/kinit"), Any, Medium, PerBroker, NoEffect;
    "sasl.kerberos.ticket.renew.window.factor", Double, Is("0.8"), Any, Medium, PerBroker, NoEffect;
    "sasl.kerberos.ticket.renew.jitter", Double, Is("0.05"), Any, Medium, PerBroker, NoEffect;
    "sasl.kerberos.min.time.before.relogin", Long, Is("60000"), Any, Medium, PerBroker, NoEffect;
    "sasl.login.refresh.window.factor", Double, Is("0.8"), Any, Medium, PerBroker, NoEffect;
    "sasl.login.refresh.window.jitter", Double, Is("0.05"), Any, Medium, PerBroker, NoEffect;
    "sasl.login.refresh.min.period.seconds", Short, Is("60"), Any, Medium, PerBroker, NoEffect;
    "sasl.login.refresh.buffer.seconds", Short, Is("300"), Any, Medium, PerBroker, NoEffect;
    "sasl.login.connect.timeout.ms", Int, Null, Any, Low, ReadOnly, NoEffect;
    "sasl.login.read.timeout.ms", Int, Null, Any, Low, ReadOnly, NoEffect;
    "sasl.login.retry.backoff.max.ms", Long, Is("10000"), Any, Low, ReadOnly, NoEffect;
    "sasl.login.retry.backoff.ms", Long, Is("100"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.jwt.retriever.class", Class,
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Any, Medium, ReadOnly, Refused;
    "sasl.oauthbearer.jwt.validator.class", Class,
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Any, Medium, ReadOnly, Refused;
    "sasl.oauthbearer.scope", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.client.credentials.client.id", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.client.credentials.client.secret", Password, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.algorithm", Text, Is("RS256"),
        OneOfAnyCase(&["ES256", "RS256"]), Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.aud", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.exp.seconds", Int, Is("300"), Between(0, 86400), Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.iss", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.jti.include", Boolean, Is("false"), Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.nbf.seconds", Int, Is("60"), Between(0, 3600), Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.claim.sub", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.file", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.private.key.file", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.private.key.passphrase", Password, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.assertion.template.file", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.scope.claim.name", Text, Is("scope"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.sub.claim.name", Text, Is("sub"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.token.endpoint.url", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.jwks.endpoint.url", Text, Null, Any, Medium, ReadOnly, NoEffect;
    "sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, Is("3600000"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, Is("100"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, Is("10000"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.clock.skew.seconds", Int, Is("30"), Any, Low, ReadOnly, NoEffect;
    "sasl.oauthbearer.expected.audience", List, Is(""), Items(&[], MayBeEmpty), High, ReadOnly, NoEffect;
    "sasl.oauthbearer.expected.issuer", Text, Null, Any, High, ReadOnly, NoEffect;
    "delegation.token.secret.key", Password, Null, Any, Medium, ReadOnly, NotYet;
    "delegation.token.max.lifetime.ms", Long, Is("604800000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "delegation.token.expiry.time.ms", Long, Is("86400000"), AtLeast(1), Medium, ReadOnly, NotYet;
    "delegation.token.expiry.check.interval.ms", Long, Is("3600000"), AtLeast(1), Low, ReadOnly, NotYet;
    "add.partitions.to.txn.retry.backoff.max.ms", Int, Is("100"), AtLeast(0), High, ReadOnly, Honoured;
    "add.partitions.to.txn.retry.backoff.ms", Int, Is("20"), AtLeast(1), High, ReadOnly, Honoured;
};

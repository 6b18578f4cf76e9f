package compat;

import static compat.Main.equal;
import static compat.Main.holds;
import static compat.Main.refused;
import static compat.Main.within;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The admin client. */
final class Administration implements AutoCloseable {
    final Admin admin;

    Administration(String bootstrap) {
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 30_000, "request.timeout.ms", 10_000));
    }

    @Override
    public void close() {
        admin.close();
    }

    private static NewTopic topic(String name, int partitions, int replicas) {
        return new NewTopic(name, partitions, (short) replicas);
    }

    private TopicDescription describe(String name) throws Exception {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
    }

    void create(String name) throws Exception {
        var wanted = topic(name, 2, 1).configs(Map.of("retention.ms", "604800001"));
        admin.createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(true)).all().get();
        var made = admin.createTopics(List.of(wanted));
        made.all().get();
        equal("partitions in the answer", made.numPartitions(name).get(), 2);
        equal("config in the answer", made.config(name).get().get("retention.ms").value(), "604800001");
        refused(TopicExistsException.class, () -> admin.createTopics(List.of(wanted)).all().get());
        refused(InvalidTopicException.class, () -> admin.createTopics(List.of(topic("not/a/name", 1, 1))).all().get());
        refused(InvalidPartitionsException.class, () -> admin.createTopics(List.of(topic(name + "-0", 0, 1))).all().get());
        refused(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(topic(name + "-r", 1, 99))).all().get());
        refused(InvalidConfigurationException.class,
            () -> admin.createTopics(List.of(topic(name + "-c", 1, 1).configs(Map.of("no.such", "1")))).all().get());
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get();
        refused(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get());
        within(() -> {
            try {
                var described = describe(name);
                equal("partitions", described.partitions().size(), 3);
                holds("a partition has no leader", described.partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == 1));
            } catch (java.util.concurrent.ExecutionException e) {
                throw new AssertionError(e);
            }
        });
        holds("the topic is not listed", admin.listTopics().names().get().contains(name));
    }

    void topicIds(String name) throws Exception {
        var id = describe(name).topicId();
        var byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
        equal("name by id", byId.name(), name);
    }

    private Map<Integer, Long> list(String name, OffsetSpec spec) throws Exception {
        var asked = new HashMap<TopicPartition, OffsetSpec>();
        for (int p = 0; p < 3; p++) {
            asked.put(new TopicPartition(name, p), spec);
        }
        var found = new HashMap<Integer, Long>();
        admin.listOffsets(asked).all().get().forEach((p, o) -> found.put(p.partition(), o.offset()));
        return found;
    }

    void listOffsets(Messages messages) throws Exception {
        long each = Messages.total() / 3;
        equal("earliest", list(messages.topic, OffsetSpec.earliest()), Map.of(0, 0L, 1, 0L, 2, 0L));
        equal("latest", list(messages.topic, OffsetSpec.latest()), Map.of(0, each, 1, each, 2, each));
        equal("of the largest time", list(messages.topic, OffsetSpec.maxTimestamp()), Map.of(0, each - 1, 1, each - 1, 2, each - 1));
        equal("earliest here", list(messages.topic, OffsetSpec.earliestLocal()), Map.of(0, 0L, 1, 0L, 2, 0L));
        equal("latest elsewhere", list(messages.topic, OffsetSpec.latestTiered()), Map.of(0, -1L, 1, -1L, 2, -1L));
        equal("by time", list(messages.topic, OffsetSpec.forTimestamp(messages.base + 600_001)), Map.of(0, 201L, 1, 200L, 2, 200L));
    }

    private ConfigEntry entry(Type type, String name, String key) throws Exception {
        var resource = new ConfigResource(type, name);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(key);
    }

    private void is(Type type, String name, String key, String value, ConfigSource source) throws Exception {
        within(() -> {
            var found = entry(type, name, key);
            holds("no config " + key, found != null);
            equal(key, found.value() + " " + found.source(), value + " " + source);
        });
    }

    private void alter(Type type, String name, OpType op, String key, String value) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), op);
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(type, name), List.of(change))).all().get();
    }

    void configs(String name) throws Exception {
        is(Type.TOPIC, name, "retention.ms", "604800001", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        is(Type.TOPIC, name, "max.message.bytes", "1048588", ConfigSource.DEFAULT_CONFIG);
        alter(Type.TOPIC, name, OpType.SET, "max.message.bytes", "20000");
        is(Type.TOPIC, name, "max.message.bytes", "20000", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        alter(Type.TOPIC, name, OpType.APPEND, "cleanup.policy", "compact");
        is(Type.TOPIC, name, "cleanup.policy", "delete,compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        alter(Type.TOPIC, name, OpType.SUBTRACT, "cleanup.policy", "compact");
        is(Type.TOPIC, name, "cleanup.policy", "delete", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        alter(Type.TOPIC, name, OpType.DELETE, "retention.ms", "");
        is(Type.TOPIC, name, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
        refused(InvalidConfigurationException.class, () -> {
            alter(Type.TOPIC, name, OpType.SET, "retention.ms", "soon");
            return null;
        });
        refused(InvalidConfigurationException.class, () -> {
            alter(Type.TOPIC, name, OpType.SET, "no.such.config", "1");
            return null;
        });
    }

    void brokerConfigs() throws Exception {
        var broker = admin.describeCluster().nodes().get().iterator().next().idString();
        is(Type.BROKER, broker, "log.segment.bytes", "1073741824", ConfigSource.DEFAULT_CONFIG);
        alter(Type.BROKER, "", OpType.SET, "log.cleaner.threads", "2");
        is(Type.BROKER, broker, "log.cleaner.threads", "2", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
        alter(Type.BROKER, broker, OpType.SET, "log.cleaner.threads", "1");
        is(Type.BROKER, broker, "log.cleaner.threads", "1", ConfigSource.DYNAMIC_BROKER_CONFIG);
        alter(Type.BROKER, broker, OpType.DELETE, "log.cleaner.threads", "");
        alter(Type.BROKER, "", OpType.DELETE, "log.cleaner.threads", "");
        is(Type.BROKER, broker, "log.cleaner.threads", "1", ConfigSource.DEFAULT_CONFIG);
        holds("a read-only config is not marked", entry(Type.BROKER, broker, "node.id").isReadOnly());
    }

    void brokerLoggers() throws Exception {
        var broker = admin.describeCluster().nodes().get().iterator().next().idString();
        var resource = new ConfigResource(Type.BROKER_LOGGER, broker);
        var loggers = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        holds("no logger is described", !loggers.entries().isEmpty());
        var logger = loggers.entries().iterator().next();
        alter(Type.BROKER_LOGGER, broker, OpType.SET, logger.name(), "WARN");
        within(() -> equal("level", entry(Type.BROKER_LOGGER, broker, logger.name()).value(), "WARN"));
        alter(Type.BROKER_LOGGER, broker, OpType.SET, logger.name(), logger.value());
    }

    void clientMetrics() throws Exception {
        var name = "compat-metrics";
        alter(Type.CLIENT_METRICS, name, OpType.SET, "interval.ms", "60000");
        is(Type.CLIENT_METRICS, name, "interval.ms", "60000", ConfigSource.DYNAMIC_CLIENT_METRICS_CONFIG);
        within(() -> {
            var listed = admin.listConfigResources(Set.of(Type.CLIENT_METRICS), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all().get();
            holds("not listed: " + listed, listed.contains(new ConfigResource(Type.CLIENT_METRICS, name)));
        });
        alter(Type.CLIENT_METRICS, name, OpType.DELETE, "interval.ms", "");
    }

    void cluster() throws Exception {
        var cluster = admin.describeCluster();
        equal("cluster id's length", cluster.clusterId().get().length(), 22);
        holds("no broker", !cluster.nodes().get().isEmpty());
        holds("no controller", cluster.controller().get() != null);
    }

    void quorum() throws Exception {
        var quorum = admin.describeMetadataQuorum().quorumInfo().get();
        holds("no leader epoch", quorum.leaderEpoch() > 0);
        holds("no high watermark", quorum.highWatermark() > 0);
        equal("voters", quorum.voters().stream().anyMatch(v -> v.replicaId() == quorum.leaderId()), true);
    }

    void features() throws Exception {
        var features = admin.describeFeatures().featureMetadata().get();
        holds("metadata.version is not finalized", features.finalizedFeatures().containsKey("metadata.version"));
        holds("metadata.version is not supported", features.supportedFeatures().containsKey("metadata.version"));
    }

    void logDirs(String name) throws Exception {
        var broker = admin.describeCluster().nodes().get().iterator().next().id();
        var dirs = admin.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker);
        var found = dirs.values().stream().flatMap(d -> d.replicaInfos().entrySet().stream())
            .filter(r -> r.getKey().topic().equals(name)).toList();
        equal("replicas", found.size(), 3);
        holds("an empty replica", found.stream().allMatch(r -> r.getValue().size() > 0));
    }

    void producers(String name) throws Exception {
        var partition = new TopicPartition(name, 0);
        var active = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
        holds("no idempotent producer is known", !active.isEmpty());
    }

    void deleteRecords(String name) throws Exception {
        var first = new TopicPartition(name, 0);
        var answer = admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(100)));
        equal("low watermark", answer.lowWatermarks().get(first).get().lowWatermark(), 100L);
        within(() -> equal("earliest", list(name, OffsetSpec.earliest()), Map.of(0, 100L, 1, 0L, 2, 0L)));
        refused(OffsetOutOfRangeException.class,
            () -> admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(1_000_000))).all().get());
    }

    void delete(String name) throws Exception {
        admin.deleteTopics(List.of(name)).all().get();
        within(() -> holds("the topic is still listed", !admin.listTopics().names().get().contains(name)));
        refused(UnknownTopicOrPartitionException.class, () -> describe(name));
        refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(name)).all().get());
    }
}

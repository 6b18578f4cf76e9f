package compat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import java.time.Duration;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * All that a broker says of what it holds, one line each, in an order of its own: {@code SwapListing BOOTSTRAP}. The first word of a line is its
 * section; a section that the broker does not serve is one line with the error.
 */
public final class SwapListing {
    private final Admin admin;
    private final String bootstrap;
    private final TreeSet<String> lines = new TreeSet<>();
    private final Map<String, List<TopicPartition>> partitions = new TreeMap<>();

    private SwapListing(String bootstrap) {
        this.bootstrap = bootstrap;
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", "120000", "request.timeout.ms", "60000"));
    }

    public static void main(String[] arguments) {
        var status = 1;
        try {
            var listing = new SwapListing(arguments[0]);
            listing.all();
            listing.lines.forEach(System.out::println);
            System.out.flush();
            status = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        }
        Runtime.getRuntime().halt(status);
    }

    private void all() throws Exception {
        topics();
        section("config", this::configs);
        section("feature", () -> admin.describeFeatures().featureMetadata().get().finalizedFeatures().forEach(
            (name, range) -> line("feature", name, range)));
        section("quota", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().forEach(
            (entity, values) -> line("quota", new TreeMap<>(nullsAsText(entity.entries())), new TreeMap<>(values))));
        section("scram", () -> admin.describeUserScramCredentials().all().get().forEach((user, found) -> found.credentialInfos().forEach(
            info -> line("scram", user, info))));
        section("acl", () -> admin.describeAcls(AclBindingFilter.ANY).values().get().forEach(acl -> line("acl", acl)));
        section("producer", this::producers);
        section("transaction", this::transactions);
        section("offsets", this::offsets);
        section("group", this::groups);
        section("record", () -> records("read_uncommitted"));
        section("committed", () -> records("read_committed"));
    }

    private void section(String name, Main.Step step) throws Exception {
        try {
            step.run();
        } catch (ExecutionException e) {
            line(name, "error", e.getCause().getClass().getSimpleName());
        }
    }

    private void line(Object... parts) {
        lines.add(List.of(parts).stream().map(Object::toString).collect(Collectors.joining(" ")).replace("\n", "\\n"));
    }

    private static Map<String, String> nullsAsText(Map<String, String> map) {
        var text = new HashMap<String, String>();
        map.forEach((key, value) -> text.put(key, value == null ? "<default>" : value));
        return text;
    }

    private void topics() throws Exception {
        var names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        for (var topic : admin.describeTopics(names).allTopicNames().get().values()) {
            line("topic", topic.name(), topic.topicId(), topic.isInternal(), topic.partitions().size());
            var of = topic.partitions().stream().map(it -> new TopicPartition(topic.name(), it.partition())).toList();
            partitions.put(topic.name(), of);
        }
    }

    private List<TopicPartition> everyPartition() {
        return partitions.values().stream().flatMap(List::stream).toList();
    }

    private void configs() throws Exception {
        var resources = new ArrayList<ConfigResource>();
        partitions.keySet().forEach(name -> resources.add(new ConfigResource(ConfigResource.Type.TOPIC, name)));
        resources.add(new ConfigResource(ConfigResource.Type.BROKER, "1"));
        resources.add(new ConfigResource(ConfigResource.Type.BROKER, ""));
        describe(resources);
        // Releases before 3.9 do not know configs of groups, and log an error when they are asked.
        if (admin.describeFeatures().featureMetadata().get().supportedFeatures().containsKey("group.version")) {
            section("group-config", () -> describe(List.of(new ConfigResource(ConfigResource.Type.GROUP, "sharers"))));
        }
    }

    private void describe(List<ConfigResource> resources) throws Exception {
        for (var found : admin.describeConfigs(resources).all().get().entrySet()) {
            for (var entry : found.getValue().entries()) {
                if (entry.source() != ConfigEntry.ConfigSource.DEFAULT_CONFIG && entry.source() != ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG) {
                    line("config", found.getKey(), entry.name(), String.valueOf(entry.value()), entry.source());
                }
            }
        }
    }

    private void producers() throws Exception {
        for (var found : admin.describeProducers(everyPartition()).all().get().entrySet()) {
            for (var state : found.getValue().activeProducers()) {
                line("producer", found.getKey(), state);
            }
        }
    }

    private void transactions() throws Exception {
        var ids = admin.listTransactions().all().get().stream().map(it -> it.transactionalId()).toList();
        admin.describeTransactions(ids).all().get().forEach((id, found) -> line("transaction", id, found.state(), found.producerId(),
            found.producerEpoch(), found.transactionTimeoutMs(), found.transactionStartTimeMs(), new TreeSet<>(
                found.topicPartitions().stream().map(TopicPartition::toString).toList())));
    }

    private void offsets() throws Exception {
        // The last is inside a compressed message of SwapAncient.
        var specs = Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "max", OffsetSpec.maxTimestamp(),
            "at-a-time", OffsetSpec.forTimestamp(1_400_000_000_020L));
        for (var isolation : IsolationLevel.values()) {
            for (var spec : specs.entrySet()) {
                var asked = new HashMap<TopicPartition, OffsetSpec>();
                everyPartition().forEach(partition -> asked.put(partition, spec.getValue()));
                for (var found : admin.listOffsets(asked, new ListOffsetsOptions(isolation)).all().get().entrySet()) {
                    line("offsets", found.getKey(), isolation, spec.getKey(), found.getValue().offset(), found.getValue().timestamp());
                }
            }
        }
    }

    private void groups() throws Exception {
        var groups = admin.listGroups().all().get();
        var classic = new ArrayList<String>();
        for (var group : groups) {
            // Releases before 3.8 do not tell types, since they know one alone.
            var type = group.type().map(Object::toString).orElse("Classic");
            line("group", group.groupId(), type, group.protocol());
            if (type.equals("Classic")) {
                classic.add(group.groupId());
            }
            if (!group.groupId().equals("sharers")) {
                section("committed-offsets", () -> admin.listConsumerGroupOffsets(group.groupId()).partitionsToOffsetAndMetadata().get().forEach(
                    (partition, offset) -> line("committed-offsets", group.groupId(), partition, offset)));
            }
        }
        for (var found : admin.describeClassicGroups(classic).all().get().values()) {
            line("member", found.groupId(), found.state(), found.protocol(), found.protocolData(), sorted(found.members()));
        }
        section("new-member", () -> {
            var ids = groups.stream().filter(it -> it.type().map(Object::toString).orElse("").equals("Consumer")).map(it -> it.groupId()).toList();
            for (var found : admin.describeConsumerGroups(ids).all().get().values()) {
                line("new-member", found.groupId(), found.groupState(), found.groupEpoch(), found.targetAssignmentEpoch(), sorted(found.members()));
            }
        });
        section("share-member", () -> {
            var ids = groups.stream().filter(it -> it.type().map(Object::toString).orElse("").equals("Share")).map(it -> it.groupId()).toList();
            for (var found : admin.describeShareGroups(ids).all().get().values()) {
                line("share-member", found.groupId(), found.groupState(), found.groupEpoch(), sorted(found.members()));
            }
        });
        section("streams-member", () -> {
            var ids = groups.stream().filter(it -> it.type().map(Object::toString).orElse("").equals("Streams")).map(it -> it.groupId()).toList();
            for (var found : admin.describeStreamsGroups(ids).all().get().values()) {
                line("streams-member", found.groupId(), found.groupState(), found.groupEpoch(), sorted(found.members()));
            }
        });
    }

    /** Members in order, and what is assigned to each. */
    private static List<String> sorted(Collection<?> members) {
        var list = Pattern.compile("(?<=topicPartitions=)[^)]*");
        return members.stream().map(Object::toString).sorted().map(member -> list.matcher(member).replaceAll(
            found -> Arrays.stream(found.group().split(",")).sorted().collect(Collectors.joining(",")))).toList();
    }

    /** All records of all partitions, those of brokers' own topics too. */
    private void records(String isolation) {
        var settings = Map.<String, Object>of("bootstrap.servers", bootstrap, "isolation.level", isolation, "group.protocol", "classic");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var every = everyPartition();
            var ends = consumer.endOffsets(every);
            consumer.assign(every);
            consumer.seekToBeginning(every);
            var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
            while (!every.stream().allMatch(it -> consumer.position(it) >= ends.get(it))) {
                Main.holds("the records do not come", System.currentTimeMillis() < deadline);
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    var headers = new StringBuilder();
                    record.headers().forEach(it -> headers.append(it.key()).append('=').append(crc(it.value())).append(','));
                    line(isolation.equals("read_committed") ? "committed" : "record", record.topic() + "-" + record.partition(),
                        record.offset(), "epoch=" + record.leaderEpoch().orElse(-1), record.timestampType(), record.timestamp(),
                        crc(record.key()), crc(record.value()), headers);
                }
            }
        }
    }

    private static String crc(byte[] bytes) {
        if (bytes == null) {
            return "null";
        }
        var crc = new CRC32();
        crc.update(bytes);
        return bytes.length + ":" + Long.toHexString(crc.getValue());
    }
}

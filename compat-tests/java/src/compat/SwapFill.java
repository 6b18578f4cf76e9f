package compat;

import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.StreamsGroupHeartbeatRequestData;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.StreamsGroupHeartbeatRequest;
import org.apache.kafka.common.requests.StreamsGroupHeartbeatResponse;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Fills a broker with everything that a folder can hold, or adds to it.
 *
 * <pre>
 * SwapFill BOOTSTRAP fill plain|acls|security|groups...   what is named beside records, transactions, classic groups and configs
 * SwapFill BOOTSTRAP touch N                         a round of records, commits and configs
 * SwapFill BOOTSTRAP tokens                          delegation tokens, through a listener with SASL
 * SwapFill BOOTSTRAP obsolete                        configs that only older releases accept
 * SwapFill BOOTSTRAP finish                          ends the transactions that are open
 * </pre>
 *
 * It ends by halting: members stay in their groups and transactions stay open, as after a crash of theirs.
 */
public final class SwapFill {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** Longer than any run: nobody is expired in the middle of it. */
    private static final String PATIENCE_MS = "600000";

    private final String bootstrap;
    private final Admin admin;

    private SwapFill(String bootstrap, Map<String, Object> more) {
        this.bootstrap = bootstrap;
        var settings = new HashMap<String, Object>(more);
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", "120000");
        admin = Admin.create(settings);
    }

    public static void main(String[] arguments) {
        var status = 1;
        try {
            var what = Set.of(arguments);
            switch (arguments[1]) {
                case "fill" -> new SwapFill(arguments[0], Map.of()).fill(what);
                case "touch" -> new SwapFill(arguments[0], Map.of()).touch(Integer.parseInt(arguments[2]));
                case "finish" -> new SwapFill(arguments[0], Map.of()).finish();
                case "obsolete" -> new SwapFill(arguments[0], Map.of()).obsolete();
                case "tokens" -> new SwapFill(arguments[0], sasl()).tokens();
                default -> throw new IllegalArgumentException(arguments[1]);
            }
            status = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        }
        Runtime.getRuntime().halt(status);
    }

    private static Map<String, Object> sasl() {
        return Map.of("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN", "sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" password=\"secret\";");
    }

    private void fill(Set<String> what) throws Exception {
        topics();
        for (var codec : CODECS) {
            send(codec, codec, 0, 200);
        }
        send("compacted", "none", 0, 200);
        send("stamped", "lz4", 0, 100);
        segments();
        transactions();
        admin.deleteRecords(Map.of(new TopicPartition("gzip", 1), RecordsToDelete.beforeOffset(37))).all().get();
        classicGroups();
        configs();
        quotas();
        if (what.contains("acls") || what.contains("security")) {
            acls();
        }
        if (what.contains("security")) {
            scram();
        }
        if (what.contains("groups")) {
            newGroups();
            streamsGroup();
            shareGroup();
        }
    }

    private void topics() throws Exception {
        var topics = new ArrayList<NewTopic>();
        for (var codec : CODECS) {
            topics.add(new NewTopic(codec, 2, (short) 1).configs(Map.of("retention.ms", "604800001")));
        }
        topics.add(new NewTopic("compacted", 2, (short) 1).configs(Map.of("cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.7")));
        topics.add(new NewTopic("stamped", 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime", "compression.type", "zstd")));
        topics.add(new NewTopic("segments", 1, (short) 1).configs(Map.of("segment.bytes", "1048576", "index.interval.bytes", "1000")));
        topics.add(new NewTopic("txn", 2, (short) 1));
        topics.add(new NewTopic("unused", 3, (short) 1).configs(Map.of("min.insync.replicas", "1", "unclean.leader.election.enable", "true")));
        // For the messages of old formats that SwapAncient may put there, or for none.
        topics.add(new NewTopic("ancient", 1, (short) 1).configs(Map.of("retention.ms", "-1")));
        topics.add(new NewTopic("gone", 1, (short) 1));
        admin.createTopics(topics).all().get();
        admin.deleteTopics(List.of("gone")).all().get();
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        var settings = new HashMap<String, Object>(more);
        settings.put("bootstrap.servers", bootstrap);
        settings.put("linger.ms", "10");
        // On a busy machine a broker may take longer than the default of 30 s. A batch that is sent twice for that is an error in the log of Apache Kafka.
        settings.put("request.timeout.ms", "120000");
        settings.put("delivery.timeout.ms", "180000");
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Records {@code from} to {@code to} of a topic; a tombstone and a header now and then. */
    private static List<ProducerRecord<byte[], byte[]>> records(String topic, int from, int to) {
        var records = new ArrayList<ProducerRecord<byte[], byte[]>>();
        for (int n = from; n < to; n++) {
            var value = n % 17 == 3 ? null : ("value " + n + " of " + topic).getBytes();
            var record = new ProducerRecord<>(topic, null, ("key-" + n % 150).getBytes(), value);
            if (n % 10 == 0) {
                record.headers().add("n", Integer.toString(n).getBytes()).add("nothing", null);
            }
            records.add(record);
        }
        return records;
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, List<ProducerRecord<byte[], byte[]>> records) throws Exception {
        var sent = new ArrayList<Future<RecordMetadata>>();
        for (var record : records) {
            sent.add(producer.send(record));
        }
        producer.flush();
        for (var one : sent) {
            one.get();
        }
    }

    private void send(String topic, String codec, int from, int to) throws Exception {
        try (var producer = producer(Map.of("compression.type", codec))) {
            send(producer, records(topic, from, to));
        }
    }

    /** More than one segment, of records that no codec makes small. */
    private void segments() throws Exception {
        var random = new Random(7);
        try (var producer = producer(Map.of())) {
            var records = new ArrayList<ProducerRecord<byte[], byte[]>>();
            for (int n = 0; n < 300; n++) {
                var value = new byte[9000];
                random.nextBytes(value);
                records.add(new ProducerRecord<>("segments", 0, ("key-" + n).getBytes(), value));
            }
            send(producer, records);
        }
    }

    private KafkaProducer<byte[], byte[]> transactional(String id) {
        var producer = producer(Map.of("transactional.id", id, "transaction.timeout.ms", PATIENCE_MS));
        producer.initTransactions();
        return producer;
    }

    private void transactions() throws Exception {
        var offsets = Map.of(new TopicPartition("none", 0), new OffsetAndMetadata(5, Optional.of(0), "in a transaction"));
        var committed = transactional("commits");
        for (int n = 0; n < 3; n++) {
            committed.beginTransaction();
            send(committed, records("txn", n * 10, n * 10 + 10));
            committed.sendOffsetsToTransaction(offsets, group("of-transactions"));
            committed.commitTransaction();
        }
        var aborted = transactional("aborts");
        for (int n = 3; n < 5; n++) {
            aborted.beginTransaction();
            send(aborted, records("txn", n * 10, n * 10 + 10));
            aborted.abortTransaction();
        }
        // One in each partition alone, so that the last stable offsets differ.
        var open = transactional("stays-open");
        open.beginTransaction();
        send(open, records("txn", 50, 60));
        open.sendOffsetsToTransaction(Map.of(new TopicPartition("none", 0), new OffsetAndMetadata(99)), group("pending"));
        committed.beginTransaction();
        send(committed, records("txn", 60, 70));
        committed.commitTransaction();
        aborted.beginTransaction();
        send(aborted, records("txn", 70, 80));
        aborted.abortTransaction();
    }

    private ConsumerGroupMetadata group(String id) {
        try (var consumer = consumer(Map.of("group.id", id, "group.protocol", "classic"))) {
            return consumer.groupMetadata();
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> more) {
        var settings = new HashMap<String, Object>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void poll(KafkaConsumer<byte[], byte[]> consumer) {
        var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
        while (consumer.poll(Duration.ofMillis(100)).isEmpty()) {
            Main.holds("no record came", System.currentTimeMillis() < deadline);
        }
    }

    private void classicGroups() throws Exception {
        var base = Map.<String, Object>of("group.protocol", "classic", "session.timeout.ms", PATIENCE_MS);
        try (var leaver = consumer(with(base, "group.id", "left"))) {
            leaver.subscribe(List.of("none", "zstd"));
            poll(leaver);
            leaver.commitSync();
        }
        var dynamic = consumer(with(base, "group.id", "members", "client.id", "dynamic"));
        dynamic.subscribe(List.of("gzip"));
        poll(dynamic);
        dynamic.commitSync();
        var steady = consumer(with(base, "group.id", "static", "group.instance.id", "one", "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        steady.subscribe(List.of("lz4"));
        poll(steady);
        steady.commitSync();
        commitSimply(0);
    }

    /** Offsets of a group that nobody ever joined. */
    private void commitSimply(int round) throws Exception {
        admin.alterConsumerGroupOffsets("simple", Map.of(
            new TopicPartition("none", 0), new OffsetAndMetadata(round + 1, Optional.of(0), "round " + round),
            new TopicPartition("zstd", 1), new OffsetAndMetadata(round + 2))).all().get();
    }

    private static Map<String, Object> with(Map<String, Object> base, Object... more) {
        var all = new HashMap<String, Object>(base);
        for (int i = 0; i < more.length; i += 2) {
            all.put((String) more[i], more[i + 1]);
        }
        return all;
    }

    private void newGroups() {
        var base = Map.<String, Object>of("group.protocol", "consumer");
        try (var leaver = consumer(with(base, "group.id", "new-left"))) {
            leaver.subscribe(List.of("snappy"));
            poll(leaver);
            leaver.commitSync();
        }
        var member = consumer(with(base, "group.id", "new-members", "client.rack", "r1", "group.remote.assignor", "range"));
        member.subscribe(List.of("none", "gzip"));
        poll(member);
        member.commitSync();
        var steady = consumer(with(base, "group.id", "new-static", "group.instance.id", "two"));
        steady.subscribe(List.of("zstd"));
        poll(steady);
        steady.commitSync();
        var pattern = consumer(with(base, "group.id", "new-pattern"));
        pattern.subscribe(new SubscriptionPattern("(lz4|gz.*)"));
        poll(pattern);
        pattern.commitSync();
        // A classic group that a member of the new protocol has taken over.
        try (var classic = consumer(Map.of("group.id", "upgraded", "group.protocol", "classic"))) {
            classic.subscribe(List.of("none"));
            poll(classic);
            classic.commitSync();
        }
        var upgraded = consumer(with(base, "group.id", "upgraded"));
        upgraded.subscribe(List.of("none", "lz4"));
        poll(upgraded);
    }

    private void shareGroup() throws Exception {
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, "sharers"),
            List.of(set("share.auto.offset.reset", "earliest")))).all().get();
        var settings = Map.<String, Object>of("bootstrap.servers", bootstrap, "group.id", "sharers");
        var consumer = new KafkaShareConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of("lz4"));
        var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
        while (consumer.poll(Duration.ofMillis(100)).isEmpty()) {
            Main.holds("no record was shared", System.currentTimeMillis() < deadline);
        }
        consumer.commitSync();
    }

    /** A member of a streams group, in one request: the library that makes them is not among the jars. */
    private void streamsGroup() throws Exception {
        var topology = new StreamsGroupHeartbeatRequestData.Topology().setEpoch(1).setSubtopologies(List.of(
            new StreamsGroupHeartbeatRequestData.Subtopology().setSubtopologyId("0").setSourceTopics(List.of("none"))));
        var data = new StreamsGroupHeartbeatRequestData().setGroupId("streams").setMemberId("member-of-streams").setMemberEpoch(0)
            .setRebalanceTimeoutMs(60_000).setTopology(topology).setProcessId("process").setActiveTasks(List.of())
            .setStandbyTasks(List.of()).setWarmupTasks(List.of());
        var request = new StreamsGroupHeartbeatRequest.Builder(data).build();
        Main.within(() -> {
            var response = (StreamsGroupHeartbeatResponse) exchange(request);
            Main.equal("error of the streams group", Errors.forCode(response.data().errorCode()), Errors.NONE);
        });
    }

    private AbstractResponse exchange(StreamsGroupHeartbeatRequest request) throws Exception {
        var header = new RequestHeader(request.apiKey(), request.version(), "swap", 1);
        var bytes = request.serializeWithHeader(header);
        var address = bootstrap.split(":");
        try (var socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            var out = new java.io.DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            var in = new java.io.DataInputStream(socket.getInputStream());
            var answer = new byte[in.readInt()];
            in.readFully(answer);
            return AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header);
        }
    }

    private static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }

    private void configs() throws Exception {
        var changes = new HashMap<ConfigResource, Collection<AlterConfigOp>>();
        changes.put(new ConfigResource(ConfigResource.Type.BROKER, ""), List.of(set("log.cleaner.threads", "2"), set("log.retention.ms", "700000000")));
        changes.put(new ConfigResource(ConfigResource.Type.BROKER, "1"), List.of(set("log.cleaner.io.buffer.size", "600000")));
        changes.put(new ConfigResource(ConfigResource.Type.TOPIC, "unused"), List.of(set("max.message.bytes", "100000")));
        for (var change : changes.entrySet()) {
            admin.incrementalAlterConfigs(Map.of(change.getKey(), change.getValue())).all().get();
        }
    }

    private void quotas() throws Exception {
        var entities = List.of(Map.of("user", "alice"), Map.of("user", "alice", "client-id", "app"), Map.of("client-id", "app"));
        var changes = new ArrayList<ClientQuotaAlteration>();
        for (var entity : entities) {
            var ops = List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9 + changes.size()), new ClientQuotaAlteration.Op("request_percentage", 200.5));
            changes.add(new ClientQuotaAlteration(new ClientQuotaEntity(entity), ops));
        }
        var anyUser = new HashMap<String, String>();
        anyUser.put("user", null);
        changes.add(new ClientQuotaAlteration(new ClientQuotaEntity(anyUser), List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 1e9))));
        changes.add(new ClientQuotaAlteration(new ClientQuotaEntity(Map.of("ip", "10.0.0.1")), List.of(new ClientQuotaAlteration.Op("connection_creation_rate", 1e3))));
        admin.alterClientQuotas(changes).all().get();
    }

    private void acls() throws Exception {
        var topics = new ResourcePattern(ResourceType.TOPIC, "pre", PatternType.PREFIXED);
        var group = new ResourcePattern(ResourceType.GROUP, "*", PatternType.LITERAL);
        var id = new ResourcePattern(ResourceType.TRANSACTIONAL_ID, "commits", PatternType.LITERAL);
        admin.createAcls(List.of(
            new AclBinding(topics, new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW)),
            new AclBinding(topics, new AccessControlEntry("User:bob", "10.0.0.1", AclOperation.ALL, AclPermissionType.DENY)),
            new AclBinding(group, new AccessControlEntry("User:*", "*", AclOperation.DESCRIBE, AclPermissionType.ALLOW)),
            new AclBinding(id, new AccessControlEntry("User:alice", "*", AclOperation.WRITE, AclPermissionType.ALLOW)))).all().get();
    }

    private void scram() throws Exception {
        // One of a user for each request, as Kafka wants it.
        var secrets = List.of(Map.entry("alice", ScramMechanism.SCRAM_SHA_256), Map.entry("alice", ScramMechanism.SCRAM_SHA_512),
            Map.entry("bob", ScramMechanism.SCRAM_SHA_512));
        for (var secret : secrets) {
            var credential = new ScramCredentialInfo(secret.getValue(), 8192);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(secret.getKey(), credential, "secret"))).all().get();
        }
    }

    private void tokens() throws Exception {
        for (int n = 0; n < 2; n++) {
            admin.createDelegationToken().delegationToken().get();
        }
    }

    /** On the topic that every round alters. */
    private void obsolete() throws Exception {
        var unused = new ConfigResource(ConfigResource.Type.TOPIC, "unused");
        admin.incrementalAlterConfigs(Map.of(unused, List.of(set("message.format.version", "2.8"), set("message.downconversion.enable", "false")))).all().get();
        var brokers = new ConfigResource(ConfigResource.Type.BROKER, "");
        admin.incrementalAlterConfigs(Map.of(brokers, List.of(set("log.message.downconversion.enable", "false")))).all().get();
    }

    private void touch(int round) throws Exception {
        for (var codec : CODECS) {
            send(codec, codec, 1000 * round, 1000 * round + 40);
        }
        send("compacted", "none", 1000 * round, 1000 * round + 40);
        send("ancient", "lz4", 1000 * round, 1000 * round + 10);
        send("txn", "snappy", 1000 * round, 1000 * round + 10);
        commitSimply(round);
        var unused = new ConfigResource(ConfigResource.Type.TOPIC, "unused");
        admin.incrementalAlterConfigs(Map.of(unused, List.of(set("max.message.bytes", Integer.toString(100_000 + round))))).all().get();
        admin.createTopics(List.of(new NewTopic("round-" + round, 1, (short) 1))).all().get();
        send("round-" + round, "gzip", 0, 10);
        try (var consumer = consumer(Map.of("group.id", "round-" + round, "group.protocol", "classic"))) {
            consumer.subscribe(Pattern.compile("round-.*"));
            poll(consumer);
            consumer.commitSync();
        }
    }

    /** The next producer of a transactional id ends what the one before left open. */
    private void finish() throws Exception {
        var producer = transactional("stays-open");
        producer.beginTransaction();
        send(producer, records("txn", 900, 910));
        producer.commitTransaction();
        Main.within(() -> {
            for (int p = 0; p < 2; p++) {
                var partition = new TopicPartition("txn", p);
                var latest = Map.of(partition, org.apache.kafka.clients.admin.OffsetSpec.latest());
                var committed = new org.apache.kafka.clients.admin.ListOffsetsOptions(org.apache.kafka.common.IsolationLevel.READ_COMMITTED);
                Main.equal("the last stable offset of " + partition, admin.listOffsets(latest, committed).all().get().get(partition).offset(),
                    admin.listOffsets(latest).all().get().get(partition).offset());
            }
        });
    }
}

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Fills a broker with records of every kind, and a folder with segments in the formats before 0.11:
 * `Fill BOOTSTRAP FOLDER`.
 */
public class Fill {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static String bootstrap;

    public static void main(String[] words) throws Exception {
        bootstrap = words[0];
        old(Path.of(words[1]));
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var small = Map.of("index.interval.bytes", "300", "segment.bytes", "1048576");
            var topics = new ArrayList<NewTopic>();
            for (var codec : CODECS) topics.add(new NewTopic(codec, 1, (short) 1).configs(small));
            topics.add(new NewTopic("appended", 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime", "index.interval.bytes", "300")));
            topics.add(new NewTopic("transactions", 2, (short) 1).configs(small));
            topics.add(new NewTopic("dotted.topic-name", 1, (short) 1));
            admin.createTopics(topics).all().get();
            for (var codec : CODECS) plain(codec, codec);
            plain("appended", "lz4");
            transactions();
            groups(admin);
            metadata(admin);
        }
    }

    static Map<String, Object> producer(Map<String, ?> more) {
        var settings = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "key.serializer", ByteArraySerializer.class,
            "value.serializer", ByteArraySerializer.class, "linger.ms", 3));
        settings.putAll(more);
        return settings;
    }

    static byte[] utf8(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    /** Writes keys and values of every shape: null, empty, invalid UTF-8, large; and headers. */
    static void plain(String topic, String codec) throws Exception {
        var random = new Random(topic.hashCode());
        try (var producer = new KafkaProducer<byte[], byte[]>(producer(Map.of("compression.type", codec)))) {
            for (int n = 0; n < 1500; n++) {
                var key = n % 7 == 0 ? null : utf8("key-" + n);
                var noise = new byte[random.nextInt(600)];
                random.nextBytes(noise);
                var value = n % 11 == 0 ? null : n % 5 == 0 ? noise : utf8("värde 😀 " + n + " of " + topic);
                if (n % 13 == 0) value = new byte[0];
                if (n % 400 == 399) value = utf8("x".repeat(200_000));
                if (topic.equals("none") && n % 2 == 0) value = new byte[1000];
                var record = new ProducerRecord<>(topic, 0, key, value);
                if (n % 3 == 0) record.headers().add("trace", utf8("" + n)).add("tom", null).add("überschrift", new byte[0]);
                producer.send(record);
                if (n % 97 == 0) producer.flush();
            }
        }
        try (var producer = new KafkaProducer<byte[], byte[]>(producer(Map.of("compression.type", codec, "enable.idempotence", false)))) {
            producer.send(new ProducerRecord<>(topic, 0, 5L, utf8("old"), utf8("of long ago"))).get();
        }
    }

    @SuppressWarnings("removal")
    static void transactions() throws Exception {
        for (int id = 0; id < 3; id++) {
            try (var producer = new KafkaProducer<byte[], byte[]>(producer(Map.of("transactional.id", "txn-" + id)))) {
                producer.initTransactions();
                for (int n = 0; n < 12; n++) {
                    producer.beginTransaction();
                    for (int r = 0; r < 20; r++) producer.send(new ProducerRecord<>("transactions", r % 2, utf8("k" + r), utf8("txn " + id + " " + n)));
                    producer.sendOffsetsToTransaction(Map.of(new TopicPartition("none", 0), new OffsetAndMetadata(n)),
                        new org.apache.kafka.clients.consumer.ConsumerGroupMetadata("group-of-txn"));
                    producer.flush();
                    if (n % 3 == 1) producer.abortTransaction(); else producer.commitTransaction();
                }
            }
        }
        // An open transaction: its producer is never closed.
        var open = new KafkaProducer<byte[], byte[]>(producer(Map.of("transactional.id", "open")));
        open.initTransactions();
        open.beginTransaction();
        open.send(new ProducerRecord<>("transactions", 0, utf8("k"), utf8("of an open transaction"))).get();
    }

    static void groups(Admin admin) throws Exception {
        for (var protocol : List.of("classic", "consumer")) {
            for (var group : List.of(protocol + "-kept", protocol + "-gone")) {
                var settings = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "group.id", group, "group.protocol", protocol,
                    "auto.offset.reset", "earliest", "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class));
                if (group.endsWith("kept")) settings.put("group.instance.id", "instance");
                try (var consumer = new KafkaConsumer<byte[], byte[]>(settings)) {
                    consumer.subscribe(List.of("none", "gzip", "transactions"));
                    for (int n = 0, seen = 0; n < 200 && seen < 100; n++) seen += consumer.poll(Duration.ofMillis(100)).count();
                    consumer.commitSync(Map.of(new TopicPartition("none", 0), new OffsetAndMetadata(7, java.util.Optional.of(0), "a \"note\"\n\u0001")));
                    consumer.commitSync();
                }
            }
            admin.deleteConsumerGroups(List.of(protocol + "-gone")).all().get();
        }
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, "sharers"),
            List.of(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all().get();
        try (var consumer = new KafkaShareConsumer<byte[], byte[]>(Map.of("bootstrap.servers", bootstrap, "group.id", "sharers",
                "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class))) {
            consumer.subscribe(List.of("zstd"));
            for (int n = 0, seen = 0; n < 200 && seen < 100; n++) {
                seen += consumer.poll(Duration.ofMillis(100)).count();
                consumer.commitSync();
            }
        }
    }

    static void metadata(Admin admin) throws Exception {
        var entity = new ClientQuotaEntity(Map.of("user", "alice"));
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9),
            new ClientQuotaAlteration.Op("request_percentage", 0.0005), new ClientQuotaAlteration.Op("consumer_byte_rate", 1024.0))))).all().get();
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("bob", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all().get();
        admin.createAcls(List.of(new AclBinding(new ResourcePattern(ResourceType.TOPIC, "none", PatternType.PREFIXED),
            new AccessControlEntry("User:carol", "*", AclOperation.READ, AclPermissionType.ALLOW)))).all().get();
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, "none"),
            List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "604800001"), AlterConfigOp.OpType.SET)))).all().get();
        admin.deleteTopics(Set.of("dotted.topic-name")).all().get();
    }

    /** Writes segments of formats v0 and v1, which brokers no longer write. */
    static void old(Path folder) throws Exception {
        for (byte magic = 0; magic < 2; magic++) {
            for (var type : List.of(CompressionType.NONE, CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4)) {
                for (var kind : magic == 0 ? List.of(TimestampType.CREATE_TIME) : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                    var dir = Files.createDirectories(folder.resolve("v" + magic + "-" + type.name + "-" + kind.id));
                    try (var out = Files.newOutputStream(dir.resolve("00000000000000000100.log"))) {
                        for (int batch = 0; batch < 5; batch++) {
                            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024), magic, Compression.of(type).build(), kind, 100 + batch * 10L, 1_600_000_000_000L + batch);
                            for (int n = 0; n < 10; n++) {
                                builder.appendWithOffset(100 + batch * 10L + n, 1_500_000_000_000L + n, n == 3 ? null : utf8("key" + n), n == 4 ? null : utf8("value " + n));
                            }
                            var buffer = builder.build().buffer();
                            var bytes = new byte[buffer.remaining()];
                            buffer.get(bytes);
                            out.write(bytes);
                        }
                    }
                }
            }
        }
    }
}

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes the records that both brokers compact.
 *
 *   fill BOOTSTRAP TIME          topics with everything that compaction handles differently
 *   more BOOTSTRAP TIME ROUND    a few more records at the end, the same on any broker, to clean again
 *   old SEGMENT                  replaces a segment by one with its records in formats before 0.11
 */
public class Fill {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static String bootstrap;
    static long time;
    static final Random RANDOM = new Random(7);

    public static void main(String[] words) throws Exception {
        if (words[0].equals("old")) {
            old(new File(words[1]));
            return;
        }
        bootstrap = words[1];
        time = Long.parseLong(words[2]);
        if (words[0].equals("more")) more(words[3]);
        else fill();
    }

    static Map<String, String> compacted(String... more) {
        var configs = new HashMap<>(Map.of("cleanup.policy", "compact", "internal.segment.bytes", "4000", "index.interval.bytes", "500",
            "min.cleanable.dirty.ratio", "0", "delete.retention.ms", System.getenv("DELETE_RETENTION_MS"), "file.delete.delay.ms", "1000"));
        for (int at = 0; at < more.length; at += 2) configs.put(more[at], more[at + 1]);
        return configs;
    }

    static void fill() throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var topics = new ArrayList<NewTopic>();
            for (var name : List.of("codecs", "idempotent", "transactions", "open", "old")) topics.add(new NewTopic(name, 1, (short) 1).configs(compacted()));
            topics.add(new NewTopic("appended", 1, (short) 1).configs(compacted("message.timestamp.type", "LogAppendTime")));
            topics.add(new NewTopic("both", 1, (short) 1).configs(compacted("cleanup.policy", "compact,delete", "retention.ms", "-1")));
            topics.add(new NewTopic("keyless", 1, (short) 1).configs(compacted("cleanup.policy", "delete", "retention.ms", "-1")));
            topics.add(new NewTopic("big", 1, (short) 1).configs(compacted("internal.segment.bytes", "1048576")));
            admin.createTopics(topics).all().get();
            for (var topic : List.of("codecs", "appended", "both")) for (var codec : CODECS) plain(topic, codec, 24);
            plain("old", "none", 40);
            keyless();
            big(12, "");
            idempotent();
            transactions("transactions", false);
            transactions("open", true);
            admin.deleteRecords(Map.of(new TopicPartition("both", 0), RecordsToDelete.beforeOffset(77))).all().get();
            var policy = new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, "keyless"), List.of(policy))).all().get();
        }
    }

    static KafkaProducer<String, String> producer(boolean idempotent, Map<String, Object> more) {
        var settings = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 60000, "acks", "all", "max.request.size", 2000000,
            "enable.idempotence", idempotent, "transaction.timeout.ms", 900000));
        settings.putAll(more);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    /** Sends one batch. One of ten records deletes its key, and some records have a header. */
    static void batch(KafkaProducer<String, String> producer, String topic, int count) {
        for (int number = 0; number < count; number++) {
            var value = RANDOM.nextInt(10) == 0 ? null : "value " + RANDOM.nextInt(1000000) + " " + "x".repeat(RANDOM.nextInt(60));
            var record = new ProducerRecord<>(topic, 0, time + RANDOM.nextInt(1000), "key " + RANDOM.nextInt(40), value);
            if (number % 3 == 0) record.headers().add("name", "a header".getBytes());
            producer.send(record);
        }
        producer.flush();
    }

    static void plain(String topic, String codec, int batches) {
        try (var producer = producer(false, Map.of("compression.type", codec))) {
            for (int number = 0; number < batches; number++) batch(producer, topic, 1 + number % 6);
        }
    }

    /** Sends each record as a separate batch, without waiting for it. */
    static final Map<String, Object> SINGLE = Map.of("batch.size", 0, "linger.ms", 0);

    static void keyless() {
        try (var producer = producer(false, SINGLE)) {
            for (int number = 0; number < 40; number++) {
                producer.send(new ProducerRecord<>("keyless", 0, time, null, "without a key " + number));
                if (number % 4 == 0) producer.send(new ProducerRecord<>("keyless", 0, time, "key " + number % 3, "with one " + "x".repeat(200)));
            }
        }
    }

    static void big(int count, String prefix) {
        try (var producer = producer(false, SINGLE)) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>("big", 0, time, prefix + "key " + number % 5, ("" + number % 10).repeat(300000)));
            }
        }
    }

    static void idempotent() {
        var producers = new ArrayList<KafkaProducer<String, String>>();
        for (var codec : CODECS) producers.add(producer(true, Map.of("compression.type", codec)));
        for (int round = 0; round < 8; round++) {
            for (int number = 0; number < producers.size(); number++) {
                // Some producers stop early, so that records of others supersede their last batch.
                if (round < 2 + 2 * number) batch(producers.get(number), "idempotent", 1 + RANDOM.nextInt(4));
            }
        }
        producers.forEach(KafkaProducer::close);
    }

    /**
     * Writes interleaved transactions over several segments, committed and aborted, an empty one,
     * and on request one that stays open.
     */
    static void transactions(String topic, boolean leaveOpen) throws Exception {
        var producers = new ArrayList<KafkaProducer<String, String>>();
        for (int number = 0; number < 4; number++) {
            var producer = producer(true, Map.of("transactional.id", topic + number, "compression.type", CODECS.get(number)));
            producer.initTransactions();
            producer.beginTransaction();
            producers.add(producer);
        }
        for (int round = 0; round < 120; round++) {
            int number = RANDOM.nextInt(4);
            var producer = producers.get(number);
            if (leaveOpen && round == 60) {
                // The records before it can be cleaned.
                producers.get(3).commitTransaction();
                producers.get(3).beginTransaction();
                batch(producers.get(3), topic, 2);
            }
            if (leaveOpen && number == 3 && round >= 60) continue;
            batch(producer, topic, 1 + RANDOM.nextInt(4));
            if (RANDOM.nextInt(3) > 0) continue;
            if (RANDOM.nextBoolean()) producer.commitTransaction();
            else producer.abortTransaction();
            producer.beginTransaction();
        }
        for (int number = 0; number < 4; number++) {
            if (leaveOpen && number == 3) continue;
            if (number % 2 == 0) producers.get(number).commitTransaction();
            else producers.get(number).abortTransaction();
            producers.get(number).close();
        }
        if (leaveOpen) {
            batch(producers.get(3), topic, 2);
            plain(topic, "none", 20);
        }
        // The open transaction stays open: closing the producer would abort it.
    }

    static final List<String> GROWING = List.of("codecs", "idempotent", "transactions", "old", "both", "keyless");

    /**
     * Sets how dirty a log must be. With 1 nothing is cleaned, so that each broker later cleans all
     * that is due at once, with the same result.
     */
    static void dirtyRatio(String ratio) throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var set = List.of(new AlterConfigOp(new ConfigEntry("min.cleanable.dirty.ratio", ratio), AlterConfigOp.OpType.SET));
            var all = new HashMap<ConfigResource, java.util.Collection<AlterConfigOp>>();
            for (var topic : GROWING) all.put(new ConfigResource(ConfigResource.Type.TOPIC, topic), set);
            all.put(new ConfigResource(ConfigResource.Type.TOPIC, "big"), set);
            admin.incrementalAlterConfigs(all).all().get();
        }
    }

    static void more(String round) throws Exception {
        dirtyRatio("1");
        try (var producer = producer(false, SINGLE)) {
            for (var topic : GROWING) {
                for (int number = 0; number < 60; number++) {
                    var key = number % 2 == 0 ? "key " + number : "more " + round + " " + number % 10;
                    producer.send(new ProducerRecord<>(topic, 0, time, key, "x".repeat(100) + round + number));
                }
            }
        }
        big(8, "more ");
        dirtyRatio("0");
    }

    static void old(File segment) throws Exception {
        var out = ByteBuffer.allocate(1 << 20);
        var kinds = List.of(Map.entry((byte) 0, CompressionType.NONE), Map.entry((byte) 1, CompressionType.NONE), Map.entry((byte) 1, CompressionType.GZIP),
            Map.entry((byte) 0, CompressionType.SNAPPY), Map.entry((byte) 1, CompressionType.LZ4), Map.entry((byte) 0, CompressionType.GZIP));
        try (var records = FileRecords.open(segment)) {
            int number = 0;
            for (var batch : records.batches()) {
                var kind = kinds.get(number++ % kinds.size());
                var buffer = ByteBuffer.allocate(1 << 16);
                var builder = MemoryRecords.builder(buffer, kind.getKey(), Compression.of(kind.getValue()).build(), TimestampType.CREATE_TIME, batch.baseOffset());
                for (Record record : batch) {
                    var timestamp = kind.getKey() == 0 ? -1 : record.timestamp();
                    builder.appendWithOffset(record.offset(), timestamp, record.key(), record.value());
                }
                out.put(builder.build().buffer());
            }
        }
        out.flip();
        var bytes = new byte[out.remaining()];
        out.get(bytes);
        Files.write(Path.of(segment.getPath()), bytes);
    }
}

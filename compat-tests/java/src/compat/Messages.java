package compat;

import static compat.Main.equal;
import static compat.Main.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What is sent, what must come back, and the scenarios of the producer and the plain consumer. */
final class Messages {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final int PARTITIONS = 3;
    static final int PER_CODEC = 300;

    /** A record in a form that can be compared: headers as text. */
    record Row(int partition, long offset, String key, String value, String headers, long time) {
        static Row of(ConsumerRecord<String, String> r) {
            var headers = new StringBuilder();
            r.headers().forEach(h -> headers.append(h.key()).append('=').append(h.value() == null ? "null" : new String(h.value())).append(';'));
            return new Row(r.partition(), r.offset(), r.key(), r.value(), headers.toString(), r.timestamp());
        }
    }

    final String bootstrap;
    final String topic;
    final long base = System.currentTimeMillis() / 1000 * 1000 - 7_200_000;

    Messages(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
    }

    /** Record n has time base + n seconds and is in partition n % 3, so its offset is n / 3. */
    Row row(int n) {
        var codec = CODECS.get(n / PER_CODEC % CODECS.size());
        // A tombstone and a record without a key now and then.
        var key = n % 50 == 7 ? null : codec + "-" + n;
        var value = n % 50 == 8 ? null : "value " + n + " " + "abcdefgh".repeat(12);
        return new Row(n % PARTITIONS, n / PARTITIONS, key, value, "codec=" + codec + ";empty=;nothing=null;", base + n * 1000L);
    }

    List<Row> rows(int from, int to) {
        var rows = new ArrayList<Row>();
        for (int n = from; n < to; n++) {
            rows.add(row(n));
        }
        return rows;
    }

    static int total() {
        return PER_CODEC * CODECS.size();
    }

    KafkaProducer<String, String> producer(Map<String, ?> settings) {
        var p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("linger.ms", "20");
        p.put("delivery.timeout.ms", "30000");
        p.put("request.timeout.ms", "10000");
        p.putAll(settings);
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, ?> settings) {
        var p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("group.protocol", "classic");
        p.put("default.api.timeout.ms", "30000");
        p.putAll(settings);
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    void send(List<Row> rows, String codec) throws Exception {
        // The default, idempotent with acks=all, in all codecs but one.
        var settings = codec.equals("none") ? Map.of("enable.idempotence", "false", "acks", "1") : Map.of("compression.type", codec);
        try (var producer = producer(settings)) {
            var sent = new ArrayList<Future<RecordMetadata>>();
            for (var row : rows) {
                var record = new ProducerRecord<>(topic, row.partition, row.time, row.key, row.value);
                for (var header : row.headers.split(";")) {
                    var parts = header.split("=", 2);
                    record.headers().add(new RecordHeader(parts[0], parts[1].equals("null") ? null : parts[1].getBytes()));
                }
                sent.add(producer.send(record));
            }
            for (int i = 0; i < rows.size(); i++) {
                equal("acknowledged offset", sent.get(i).get().offset(), rows.get(i).offset);
            }
        }
    }

    void produce(String codec) throws Exception {
        var first = CODECS.indexOf(codec) * PER_CODEC;
        send(rows(first, first + PER_CODEC), codec);
    }

    List<TopicPartition> partitions() {
        return List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
    }

    /** Polls until so many records came. */
    static List<Row> take(KafkaConsumer<String, String> consumer, int count) {
        var found = new ArrayList<Row>();
        var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
        while (found.size() < count) {
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError(found.size() + " of " + count + " records came");
            }
            consumer.poll(Duration.ofMillis(200)).forEach(r -> found.add(Row.of(r)));
        }
        return found;
    }

    /** The same records, in the order of each partition. */
    static void compare(List<Row> found, List<Row> wanted) {
        for (int p = 0; p < PARTITIONS; p++) {
            var partition = p;
            var mine = found.stream().filter(r -> r.partition == partition).toList();
            var expected = wanted.stream().filter(r -> r.partition == partition).toList();
            for (int i = 0; i < Math.min(mine.size(), expected.size()); i++) {
                equal("record", mine.get(i), expected.get(i));
            }
            equal("records of partition " + p, mine.size(), expected.size());
        }
    }

    void consume() {
        for (var isolation : List.of("read_uncommitted", "read_committed")) {
            try (var consumer = consumer(Map.of("isolation.level", isolation))) {
                consumer.assign(partitions());
                consumer.seekToBeginning(partitions());
                compare(take(consumer, total()), rows(0, total()));
            }
        }
    }

    void seekByTime() {
        try (var consumer = consumer(Map.of())) {
            var asked = new HashMap<TopicPartition, Long>();
            // Record 600 is the first of partition 0 at that time; one millisecond later it is record 603.
            asked.put(partitions().get(0), base + 600_001);
            asked.put(partitions().get(1), base + 600_001);
            asked.put(partitions().get(2), base + 99_000_000);
            var found = consumer.offsetsForTimes(asked);
            equal("partition 0", found.get(partitions().get(0)).offset(), 201L);
            equal("time of partition 0", found.get(partitions().get(0)).timestamp(), base + 603_000);
            equal("partition 1", found.get(partitions().get(1)).offset(), 200L);
            equal("partition 2", found.get(partitions().get(2)), (OffsetAndTimestamp) null);
            consumer.assign(partitions());
            partitions().forEach(p -> consumer.seek(p, 200));
            compare(take(consumer, total() - 600), rows(600, total()));
            equal("position", consumer.position(partitions().get(0)), (long) total() / 3);
        }
    }

    void tooLarge() throws Exception {
        try (var producer = producer(Map.of("max.request.size", "5000000", "enable.idempotence", "false"))) {
            refused(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(topic, 0, "k", "x".repeat(3_000_000))).get());
        }
    }
}

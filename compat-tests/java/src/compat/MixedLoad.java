package compat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A load on three brokers that come and go, and the proof that nothing was lost, repeated or reordered.
 *
 * <pre>MixedLoad BOOTSTRAP DIR PREFIX [may-repeat]</pre>
 *
 * With {@code may-repeat} an idempotent producer may repeat what it got no answer for, without a gap. Apache Kafka allows that where a broker that was stopped
 * cleanly meanwhile leads next: it knows only the last batch of each producer, and refuses the batches before it as out of order. Transactions never repeat.
 *
 * It writes what each part has done into DIR/progress, a line each, with what the cluster says of its replicas. When DIR/elect exists, the preferred
 * leaders are elected. When DIR/stop exists, the parts end, and everything is read once more and compared with what the producers were told. DIR/verdict
 * then says "no problem", or has a line for each problem.
 */
final class MixedLoad {
    static final int PARTITIONS = 3;
    private static final List<String> TOPICS = List.of("plain", "idempotent", "lz4", "zstd", "large", "transactions", "slow", "copied");
    private static final int IN_FLIGHT_MAX = 500;
    private static final int LARGE_BYTES = 200_000;
    private static final int REQUEST_TIMEOUT_MS = 4000;
    private static final int PROBLEMS_MAX = 50;

    private final String bootstrap;
    private final Path dir;
    private final String prefix;
    private final ConcurrentLinkedQueue<String> problems = new ConcurrentLinkedQueue<>();
    private final Map<String, AtomicLong> progress = new ConcurrentHashMap<>();
    /** What the producers of a partition were told is written, in their order. */
    private final Map<TopicPartition, List<String>> written = new ConcurrentHashMap<>();
    private final boolean mayRepeat;
    volatile boolean stops;

    private MixedLoad(String bootstrap, Path dir, String prefix, boolean mayRepeat) {
        this.mayRepeat = mayRepeat;
        this.bootstrap = bootstrap;
        this.dir = dir;
        this.prefix = prefix;
    }

    public static void main(String[] arguments) throws Exception {
        var load = new MixedLoad(arguments[0], Path.of(arguments[1]), arguments[2], arguments.length > 3);
        load.createTopics();
        load.run();
        Files.write(load.dir.resolve("verdict"), load.problems.isEmpty() ? List.of("no problem") : load.problems);
        System.exit(0);
    }

    void problem(String where, String what) {
        if (problems.size() < PROBLEMS_MAX) {
            problems.add(where + ": " + what);
        }
    }

    AtomicLong counter(String name) {
        return progress.computeIfAbsent(name, key -> new AtomicLong());
    }

    String topic(String name) {
        return prefix + "-" + name;
    }

    private void wrote(TopicPartition to, String value) {
        written.computeIfAbsent(to, key -> new ArrayList<>()).add(value);
    }

    /** The first partition is led by the first node, and so on. */
    private void createTopics() throws Exception {
        var assignment = Map.of(0, List.of(1, 2, 3), 1, List.of(2, 3, 1), 2, List.of(3, 1, 2));
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            for (var name : TOPICS) {
                // Small segments, so that there are several, with snapshots of their producers.
                var type = name.equals("lz4") ? "LogAppendTime" : "CreateTime";
                var configs = Map.of("min.insync.replicas", "2", "segment.bytes", "1048576", "message.timestamp.type", type);
                var topic = new NewTopic(topic(name), assignment).configs(configs);
                try {
                    admin.createTopics(List.of(topic)).all().get();
                } catch (ExecutionException refused) {
                    if (!(refused.getCause() instanceof TopicExistsException)) {
                        throw refused;
                    }
                }
            }
        }
    }

    Map<String, Object> producerConfig(Map<String, Object> more) {
        var config = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "request.timeout.ms", REQUEST_TIMEOUT_MS,
            "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class));
        config.putAll(more);
        return config;
    }

    Map<String, Object> consumerConfig(Map<String, Object> more) {
        var config = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "isolation.level", "read_committed",
            "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class));
        config.putAll(more);
        return config;
    }

    private void run() throws Exception {
        var threads = new ArrayList<Thread>();
        // Without idempotence only one request in flight keeps the order.
        start(threads, "plain", () -> send("plain", 5, 20, Map.of("enable.idempotence", false, "max.in.flight.requests.per.connection", 1)));
        start(threads, "idempotent", () -> send("idempotent", 5, 20, Map.of()));
        start(threads, "lz4", () -> send("lz4", 10, 200, Map.of("compression.type", "lz4", "linger.ms", 20)));
        start(threads, "zstd", () -> send("zstd", 10, 200, Map.of("compression.type", "zstd", "linger.ms", 20)));
        start(threads, "large", () -> send("large", 500, LARGE_BYTES, Map.of("batch.size", 900_000, "linger.ms", 1500)));
        start(threads, "transactions", () -> transactions("transactions", 20));
        start(threads, "slow", () -> transactions("slow", 4000));
        var groups = new MixedGroups(this);
        for (var member : List.of("a", "b")) {
            start(threads, "copier-" + member, () -> groups.copy(member, topic("idempotent"), topic("copied")));
            start(threads, "reader-" + member, () -> groups.read(member, List.of(topic("plain"), topic("lz4"), topic("transactions"))));
        }
        start(threads, "looks", this::look);
        while (!Files.exists(dir.resolve("stop"))) {
            writeProgress();
            Thread.sleep(100);
        }
        stops = true;
        for (var thread : threads) {
            thread.join(240_000);
            if (thread.isAlive()) {
                problem(thread.getName(), "does not end: " + List.of(thread.getStackTrace()));
            }
        }
        writeProgress();
        verify();
    }

    /** A part of the load. It ends with its first problem. */
    interface Part {
        void run() throws Exception;
    }

    private void start(List<Thread> threads, String name, Part part) {
        counter(name);
        var thread = new Thread(() -> {
            try {
                part.run();
            } catch (Exception | AssertionError failure) {
                var cause = failure.getCause() == null ? "" : ", because of " + failure.getCause();
                problem(name, "ends with " + failure + cause + " at " + failure.getStackTrace()[0]);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        threads.add(thread);
    }

    /** Counts the partitions that lack a replica in sync. */
    private void look() throws Exception {
        var elect = dir.resolve("elect");
        // A node that does not answer is not waited for.
        var config = Map.<String, Object>of("bootstrap.servers", bootstrap, "request.timeout.ms", REQUEST_TIMEOUT_MS, "default.api.timeout.ms", 8000);
        try (var admin = Admin.create(config)) {
            while (!stops) {
                try {
                    var names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
                    int lacking = 0;
                    for (var topic : admin.describeTopics(names).allTopicNames().get().values()) {
                        for (var partition : topic.partitions()) {
                            lacking += partition.isr().size() < partition.replicas().size() || partition.leader() == null ? 1 : 0;
                        }
                    }
                    counter("under-replicated").set(lacking);
                    counter("looks").incrementAndGet();
                    if (Files.exists(elect)) {
                        admin.electLeaders(ElectionType.PREFERRED, null).partitions().get();
                        Files.delete(elect);
                    }
                } catch (ExecutionException busy) {
                    counter("looks-refused").incrementAndGet();
                }
                Thread.sleep(300);
            }
        }
    }

    private void writeProgress() throws Exception {
        var text = new StringBuilder();
        new TreeMap<>(progress).forEach((name, count) -> text.append(name).append(' ').append(count).append('\n'));
        problems.forEach(problem -> text.append("problem ").append(problem).append('\n'));
        var file = dir.resolve("progress.new");
        Files.writeString(file, text);
        Files.move(file, dir.resolve("progress"), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private void send(String name, int pauseMs, int padding, Map<String, Object> more) throws Exception {
        var inFlight = new Semaphore(IN_FLIGHT_MAX);
        var random = new Random(name.hashCode());
        var bytes = new byte[padding];
        try (var producer = new KafkaProducer<String, String>(producerConfig(more))) {
            for (long sequence = 0; !stops; sequence++) {
                for (int i = 0; i < padding; i++) {
                    bytes[i] = (byte) (padding == LARGE_BYTES || i % 4 == 0 ? 'a' + random.nextInt(26) : 'x');
                }
                var value = sequence + " " + new String(bytes, StandardCharsets.US_ASCII);
                // A large value is not kept, only how it begins.
                var kept = value.substring(0, Math.min(value.length(), 60));
                for (int partition = 0; partition < PARTITIONS; partition++) {
                    var to = new TopicPartition(topic(name), partition);
                    inFlight.acquire();
                    producer.send(new ProducerRecord<>(to.topic(), partition, null, value), (sent, failure) -> {
                        inFlight.release();
                        if (failure != null) {
                            problem(name, "a record of " + to + " is refused: " + failure);
                        } else {
                            wrote(to, kept);
                            counter(name).incrementAndGet();
                        }
                    });
                }
                Thread.sleep(pauseMs);
            }
        }
    }

    /** Every fourth transaction is aborted. Each has records in every partition. */
    private void transactions(String name, int openMs) throws Exception {
        try (var producer = new KafkaProducer<String, String>(producerConfig(Map.of("transactional.id", topic(name))))) {
            retried(producer::initTransactions);
            for (long sequence = 0; !stops; sequence++) {
                boolean commits = sequence % 4 != 3;
                var value = (commits ? "committed " : "aborted ") + sequence;
                producer.beginTransaction();
                try {
                    sendToAll(producer, name, value);
                    producer.flush();
                    for (int waited = 0; waited < openMs && !stops; waited += 20) {
                        Thread.sleep(20);
                    }
                    sendToAll(producer, name, value + " again");
                    retried(commits ? producer::commitTransaction : producer::abortTransaction);
                } catch (KafkaException failure) {
                    problem(name, "transaction " + sequence + " fails: " + failure + ", because of " + failure.getCause());
                    producer.abortTransaction();
                    continue;
                }
                for (int partition = 0; partition < PARTITIONS && commits; partition++) {
                    wrote(new TopicPartition(topic(name), partition), value);
                    wrote(new TopicPartition(topic(name), partition), value + " again");
                }
                counter(name).incrementAndGet();
            }
        }
    }

    private void sendToAll(KafkaProducer<String, String> producer, String name, String value) {
        for (int partition = 0; partition < PARTITIONS; partition++) {
            producer.send(new ProducerRecord<>(topic(name), partition, null, value));
        }
    }

    /** A call of a transaction that took too long may be repeated. */
    static void retried(Runnable call) {
        for (int attempt = 0;; attempt++) {
            try {
                call.run();
                return;
            } catch (TimeoutException late) {
                if (attempt == 3) {
                    throw late;
                }
            }
        }
    }

    /** Reads every topic from its beginning to its end. */
    private void verify() {
        var found = new HashMap<TopicPartition, List<String>>();
        var partitions = new ArrayList<TopicPartition>();
        for (var name : TOPICS) {
            for (int partition = 0; partition < PARTITIONS; partition++) {
                partitions.add(new TopicPartition(topic(name), partition));
            }
        }
        try (var consumer = new KafkaConsumer<String, String>(consumerConfig(Map.of("fetch.max.bytes", 10_000_000)))) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            long deadline = System.nanoTime() + Duration.ofSeconds(120).toNanos();
            while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                if (System.nanoTime() > deadline) {
                    partitions.removeIf(it -> consumer.position(it) >= ends.get(it));
                    problem("verify", "it does not reach the ends of " + partitions);
                    return;
                }
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    var value = record.value().substring(0, Math.min(record.value().length(), 60));
                    found.computeIfAbsent(new TopicPartition(record.topic(), record.partition()), key -> new ArrayList<>()).add(value);
                }
            }
        }
        for (var partition : partitions) {
            var read = found.getOrDefault(partition, List.of());
            if (partition.topic().equals(topic("copied"))) {
                // Exactly what there is to copy.
                compare(partition, found.getOrDefault(new TopicPartition(topic("idempotent"), partition.partition()), List.of()), read, false);
                continue;
            }
            var expected = written.getOrDefault(partition, new ArrayList<>());
            // The answer to a batch may be lost and the next one's not: then the producer learns of the later batch first.
            expected.sort(Comparator.comparingLong(MixedLoad::sequence));
            if (partition.topic().equals(topic("plain"))) {
                compareUnordered(partition, expected, read);
                continue;
            }
            boolean isTransactional = List.of(topic("transactions"), topic("slow")).contains(partition.topic());
            compare(partition, expected, read, mayRepeat && !isTransactional);
        }
    }

    /**
     * A producer without idempotence repeats what it got no answer for. A request that was under way to a node that was paused or cut off may be read there
     * after that, when much more is written. Nothing is missing, and what is new is in order.
     */
    private void compareUnordered(TopicPartition partition, List<String> expected, List<String> read) {
        var known = new HashSet<String>();
        for (var value : read) {
            if (known.size() < expected.size() && value.equals(expected.get(known.size()))) {
                known.add(value);
            } else if (!known.contains(value)) {
                problem(partition.toString(), "in place of '" + shortened(expected, known.size()) + "' it has '" + value + "'");
                return;
            }
        }
        if (known.size() != expected.size()) {
            problem(partition.toString(), "it ends before '" + shortened(expected, known.size()) + "'");
        }
    }

    /** The first number of a value. Those of one transaction keep their order. */
    private static long sequence(String value) {
        return Long.parseLong(value.replaceFirst("^[a-z]+ ", "").replaceFirst(" .*", ""));
    }

    private void compare(TopicPartition partition, List<String> expected, List<String> read, boolean repeats) {
        if (expected.isEmpty()) {
            problem(partition.toString(), "nothing was written");
        }
        int at = 0;
        int most = 0;
        for (var value : read) {
            if (at == expected.size() || !value.equals(expected.get(at))) {
                var known = expected.subList(Math.max(0, most - IN_FLIGHT_MAX), most);
                if (!repeats || !known.contains(value)) {
                    problem(partition.toString(), "in place of '" + shortened(expected, at) + "' it has '" + value + "'");
                    return;
                }
                // From here on it is in order again.
                at = most - known.size() + known.indexOf(value);
            }
            at++;
            most = Math.max(most, at);
        }
        if (most != expected.size()) {
            problem(partition.toString(), "it ends before '" + shortened(expected, most) + "'");
        }
    }

    private static String shortened(List<String> values, int at) {
        return at + ": " + (at < values.size() ? values.get(at) : "its end");
    }
}

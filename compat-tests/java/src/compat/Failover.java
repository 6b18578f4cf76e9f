package compat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes numbers until a file exists, while a member of a group reads them. Everything that was written must be read, and be in the log once and in order, whatever
 * happens to the brokers meanwhile.
 *
 * <pre>Failover BOOTSTRAP STOP-FILE TOPIC [TOPIC...]</pre>
 *
 * It creates all topics, for other clients too, and uses the first. The first partition of each is led by the first node, and so on.
 */
final class Failover {
    private static final int PARTITIONS = 3;
    private static final Duration READ_LIMIT = Duration.ofSeconds(90);

    private final String bootstrap;
    private final String topic;
    private final List<Map<Long, String>> found = List.of(new ConcurrentHashMap<>(), new ConcurrentHashMap<>(), new ConcurrentHashMap<>());
    private final ConcurrentLinkedQueue<Exception> lost = new ConcurrentLinkedQueue<>();
    private volatile boolean reads = true;

    private Failover(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
    }

    public static void main(String[] arguments) throws Exception {
        var topics = List.of(arguments).subList(2, arguments.length);
        createTopics(arguments[0], topics);
        var why = new Failover(arguments[0], topics.get(0)).run(Path.of(arguments[1]));
        System.out.println(why);
        System.exit(why.startsWith("all is well") ? 0 : 1);
    }

    private static void createTopics(String bootstrap, List<String> topics) throws Exception {
        var assignment = Map.of(0, List.of(1, 2, 3), 1, List.of(2, 3, 1), 2, List.of(3, 1, 2));
        var configs = Map.of("min.insync.replicas", "2");
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(topics.stream().map(name -> new NewTopic(name, assignment).configs(configs)).toList()).all().get();
        }
        System.out.println("the topics are there");
    }

    private String run(Path stop) throws Exception {
        var reader = new Thread(this::read, "reader");
        reader.start();
        long written = write(stop);
        long deadline = System.nanoTime() + READ_LIMIT.toNanos();
        while (count() < written && lost.isEmpty() && System.nanoTime() < deadline) {
            Thread.sleep(100);
        }
        reads = false;
        reader.join();
        if (!lost.isEmpty()) {
            return lost.size() + " records were lost, the first with " + lost.peek();
        }
        if (count() < written) {
            return count() + " of " + written + " records were read";
        }
        for (int partition = 0; partition < PARTITIONS; partition++) {
            for (var record : new TreeMap<>(found.get(partition)).entrySet()) {
                var wanted = Long.toString(record.getKey() * PARTITIONS + partition);
                if (!record.getValue().equals(wanted)) {
                    return "partition " + partition + " has " + record.getValue() + " at offset " + record.getKey() + ", and not " + wanted;
                }
            }
        }
        return "all is well with " + written;
    }

    private long count() {
        return found.stream().mapToLong(Map::size).sum();
    }

    private long write(Path stop) throws Exception {
        var acknowledged = new AtomicLong();
        long written = 0;
        var config = Map.<String, Object>of("bootstrap.servers", bootstrap, "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
        try (var producer = new KafkaProducer<String, String>(config)) {
            for (; !Files.exists(stop); written++) {
                producer.send(new ProducerRecord<>(topic, (int) (written % PARTITIONS), null, Long.toString(written)), (sent, failure) -> {
                    if (failure != null) {
                        lost.add(failure);
                    } else if (acknowledged.incrementAndGet() % 100 == 0) {
                        System.out.println("acknowledged " + acknowledged);
                    }
                });
                Thread.sleep(4);
            }
        }
        return written;
    }

    private void read() {
        var config = Map.<String, Object>of("bootstrap.servers", bootstrap, "group.id", "of-" + topic, "auto.offset.reset", "earliest",
            "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class);
        try (var consumer = new KafkaConsumer<String, String>(config)) {
            consumer.subscribe(List.of(topic));
            while (reads) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    found.get(record.partition()).put(record.offset(), record.value());
                }
            }
        }
    }
}

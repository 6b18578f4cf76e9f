import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Kafka Streams' word count with exactly_once_v2, and its check: {@code WordCount BOOTSTRAP DIR}.
 *
 * <p>Writes lines until the file DIR/finish exists, and says in DIR/counted how many counts are
 * committed. A file DIR/fail makes a stream thread fail between two commits. At the end it waits for the
 * count of the last word. Each word of the input must have been counted
 * once: the committed counts of a word are 1, 2, 3 and so on, without a gap and without a repetition.
 */
public final class WordCount {
    private static final int PARTITIONS = 3;
    private static final int WORDS = 40;
    private static final long LIMIT_MS = 120_000;

    private final String bootstrap;
    private final Path dir;
    /** The committed counts of each word, as far as they were read. */
    private final Map<String, List<Long>> counts = new HashMap<>();
    private long counted;

    private WordCount(String bootstrap, Path dir) {
        this.bootstrap = bootstrap;
        this.dir = dir;
    }

    private Properties settings(Map<String, Object> more) {
        var settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("reconnect.backoff.max.ms", "200");
        settings.put("retry.backoff.max.ms", "200");
        settings.putAll(more);
        return settings;
    }

    private KafkaStreams application() {
        var builder = new StreamsBuilder();
        builder.<String, String>stream("lines")
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count(Materialized.as("counted"))
            .toStream()
            // It is counted, and not yet committed.
            .peek((word, count) -> failIfAsked())
            .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        var streams = new KafkaStreams(builder.build(), settings(Map.of(
            StreamsConfig.APPLICATION_ID_CONFIG, "word-count",
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
            StreamsConfig.STATE_DIR_CONFIG, dir.resolve("state").toString(),
            StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class,
            StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class,
            StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2,
            // Without a cache each word gives a count.
            StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0,
            StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100,
            // A thread that fails does not leave its group.
            "session.timeout.ms", 6000)));
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        return streams;
    }

    private void failIfAsked() {
        try {
            if (Files.deleteIfExists(dir.resolve("fail"))) {
                throw new IllegalStateException("a stream thread fails, as it was asked to");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    private <V> KafkaConsumer<String, V> reader(String topic, Deserializer<V> values) {
        var consumer = new KafkaConsumer<>(settings(Map.of("isolation.level", "read_committed", "default.api.timeout.ms", "120000",
            "auto.offset.reset", "earliest")), new StringDeserializer(), values);
        consumer.assign(partitions(topic));
        consumer.seekToBeginning(partitions(topic));
        return consumer;
    }

    private void takeCounts(KafkaConsumer<String, Long> consumer, long waitMs) throws Exception {
        for (var r : consumer.poll(Duration.ofMillis(waitMs))) {
            counts.computeIfAbsent(r.key(), word -> new ArrayList<>()).add(r.value());
            counted++;
        }
        Files.writeString(dir.resolve("counted.new"), counted + "\n");
        Files.move(dir.resolve("counted.new"), dir.resolve("counted"), StandardCopyOption.ATOMIC_MOVE);
    }

    /** The words of all lines that are in the input. */
    private Map<String, Long> input() {
        var words = new HashMap<String, Long>();
        try (var consumer = reader("lines", new StringDeserializer())) {
            var ends = consumer.endOffsets(partitions("lines"));
            while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
                consumer.poll(Duration.ofMillis(100)).forEach(r -> List.of(r.value().split(" ")).forEach(word -> words.merge(word, 1L, Long::sum)));
            }
        }
        return words;
    }

    private static void holds(String what, boolean condition) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    private void run() throws Exception {
        try (var admin = Admin.create(settings(Map.of()))) {
            admin.createTopics(List.of(new NewTopic("lines", PARTITIONS, (short) 1), new NewTopic("counts", PARTITIONS, (short) 1))).all().get();
        }
        var sentWords = new HashMap<String, Long>();
        try (var streams = application(); var consumer = reader("counts", new LongDeserializer())) {
            streams.start();
            long lines = 0;
            try (var producer = new KafkaProducer<>(settings(Map.of("delivery.timeout.ms", "120000", "max.block.ms", "120000", "linger.ms", "5")),
                new StringSerializer(), new StringSerializer())) {
                var sent = new ArrayList<Future<RecordMetadata>>();
                while (!Files.exists(dir.resolve("finish"))) {
                    for (int n = 0; n < 10; n++, lines++) {
                        var words = List.of("word" + lines % WORDS, "word" + lines * 7 % WORDS, "all");
                        words.forEach(word -> sentWords.merge(word, 1L, Long::sum));
                        sent.add(producer.send(new ProducerRecord<>("lines", (int) (lines % PARTITIONS), null, String.join(" ", words))));
                    }
                    takeCounts(consumer, 20);
                }
                for (var one : sent) {
                    one.get();
                }
            }
            var deadline = System.currentTimeMillis() + LIMIT_MS;
            while (counted < lines * 3) {
                holds(counted + " of " + lines * 3 + " words are counted", System.currentTimeMillis() < deadline);
                takeCounts(consumer, 100);
            }
            System.err.println(lines + " lines, " + counted + " counts");
        }
        // The application has ended, and so nothing is pending.
        try (var consumer = reader("counts", new LongDeserializer())) {
            counts.clear();
            counted = 0;
            var ends = consumer.endOffsets(partitions("counts"));
            while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
                takeCounts(consumer, 100);
            }
        }
        var words = input();
        holds("the input has " + words + ", sent was " + sentWords, words.equals(sentWords));
        holds("counted words: " + counts.keySet() + ", wanted " + words.keySet(), counts.keySet().equals(words.keySet()));
        counts.forEach((word, found) -> {
            for (int i = 0; i < found.size(); i++) {
                holds("count " + i + " of " + word + " is " + found.get(i), found.get(i) == i + 1);
            }
            holds(word + " was counted " + found.size() + " times and is " + words.get(word) + " times in the input", found.size() == words.get(word));
        });
    }

    public static void main(String[] arguments) {
        try {
            new WordCount(arguments[0], Path.of(arguments[1])).run();
        } catch (Exception | AssertionError e) {
            e.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }
}

package compat;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;

/** The groups of MixedLoad: one that reads and commits, and one that copies a topic in transactions. */
final class MixedGroups {
    private static final Duration COPY_LIMIT = Duration.ofSeconds(90);

    private final MixedLoad load;
    /** What was read at each offset. */
    private final Map<TopicPartition, Map<Long, String>> seen = new ConcurrentHashMap<>();
    /** What the members were told is committed. */
    private final Map<TopicPartition, Long> committed = new ConcurrentHashMap<>();

    MixedGroups(MixedLoad load) {
        this.load = load;
    }

    /** Checks that no member begins before what is committed, and that a record read twice is the same. */
    void read(String member, List<String> topics) {
        var name = "reader-" + member;
        var config = load.consumerConfig(Map.of("group.id", load.topic("readers"), "client.id", name));
        try (var consumer = new KafkaConsumer<String, String>(config)) {
            var next = new HashMap<TopicPartition, Long>();
            consumer.subscribe(topics, new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
                    commit(consumer, next);
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> lost) {
                    next.clear();
                    load.counter(name + "-lost").incrementAndGet();
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
                    next.clear();
                    load.counter(name + "-assigned").incrementAndGet();
                    for (var partition : assigned) {
                        long position = consumer.position(partition);
                        long known = committed.getOrDefault(partition, 0L);
                        if (position < known) {
                            load.problem(name, partition + " begins at " + position + " though " + known + " is committed");
                        }
                    }
                }
            });
            for (long round = 0; !load.stops; round++) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    var partition = new TopicPartition(record.topic(), record.partition());
                    var before = seen.computeIfAbsent(partition, key -> new ConcurrentHashMap<>()).put(record.offset(), record.value());
                    if (before != null && !before.equals(record.value())) {
                        load.problem(name, partition + " has another record at " + record.offset());
                    }
                    next.put(partition, record.offset() + 1);
                    load.counter(name).incrementAndGet();
                }
                if (round % 5 == 4) {
                    commit(consumer, next);
                }
            }
            commit(consumer, next);
        }
    }

    private void commit(KafkaConsumer<String, String> consumer, Map<TopicPartition, Long> next) {
        var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
        next.forEach((partition, offset) -> offsets.put(partition, new OffsetAndMetadata(offset)));
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets);
            next.forEach((partition, offset) -> committed.merge(partition, offset, Math::max));
        } catch (CommitFailedException | RebalanceInProgressException rebalance) {
            load.counter("commits-refused-by-a-rebalance").incrementAndGet();
        }
        next.clear();
    }

    /** Copies a topic exactly once, partition by partition. Ends when everything is copied. */
    void copy(String member, String from, String to) {
        var name = "copier-" + member;
        var config = load.consumerConfig(Map.of("group.id", load.topic("copiers"), "client.id", name, "max.poll.records", 200));
        try (var consumer = new KafkaConsumer<String, String>(config);
            var producer = new KafkaProducer<String, String>(load.producerConfig(Map.of("transactional.id", load.topic(name))))) {
            MixedLoad.retried(producer::initTransactions);
            consumer.subscribe(List.of(from));
            long deadline = 0;
            while (true) {
                var records = consumer.poll(Duration.ofMillis(200));
                if (!records.isEmpty()) {
                    copy(name, records, to, consumer, producer);
                } else if (load.stops && hasAll(consumer, from)) {
                    return;
                }
                if (load.stops && deadline == 0) {
                    deadline = System.nanoTime() + COPY_LIMIT.toNanos();
                }
                if (load.stops && System.nanoTime() > deadline) {
                    load.problem(name, "does not reach the end: " + consumer.committed(consumer.assignment()));
                    return;
                }
            }
        }
    }

    private void copy(String name, ConsumerRecords<String, String> records, String to, KafkaConsumer<String, String> consumer,
        KafkaProducer<String, String> producer) {
        producer.beginTransaction();
        try {
            var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
            for (var record : records) {
                producer.send(new ProducerRecord<>(to, record.partition(), null, record.value()));
                offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            MixedLoad.retried(producer::commitTransaction);
            load.counter(name).addAndGet(records.count());
        } catch (CommitFailedException | RebalanceInProgressException rebalance) {
            load.counter("copies-refused-by-a-rebalance").incrementAndGet();
            abort(consumer, producer);
        } catch (KafkaException failure) {
            load.problem(name, "a transaction fails: " + failure + ", because of " + failure.getCause());
            abort(consumer, producer);
        }
    }

    /** Takes a transaction back, and reads again from what is committed. */
    private static void abort(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer) {
        MixedLoad.retried(producer::abortTransaction);
        var offsets = consumer.committed(consumer.assignment());
        offsets.forEach((partition, offset) -> consumer.seek(partition, offset == null ? 0 : offset.offset()));
    }

    /** Whether the group has committed the end of every partition, whoever reads it. */
    private static boolean hasAll(KafkaConsumer<String, String> consumer, String topic) {
        var partitions = new HashSet<TopicPartition>();
        for (int partition = 0; partition < MixedLoad.PARTITIONS; partition++) {
            partitions.add(new TopicPartition(topic, partition));
        }
        var offsets = consumer.committed(partitions);
        return consumer.endOffsets(partitions).entrySet().stream()
            .allMatch(end -> end.getValue() == 0 || offsets.get(end.getKey()) != null && offsets.get(end.getKey()).offset() >= end.getValue());
    }
}

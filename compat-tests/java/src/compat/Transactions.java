package compat;

import static compat.Main.equal;
import static compat.Main.holds;
import static compat.Main.refused;
import static compat.Main.within;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;

/** Transactional producers, and readers of both isolations. */
final class Transactions {
    static final int PARTITIONS = 3;
    private static final int INPUT = 300;

    /** A record as its producer was told that it was written, and as a reader must find it. */
    record Sent(int partition, long offset, String value) {}

    final Admin admin;
    final Messages messages;
    final String prefix;
    private final List<String> topics = new ArrayList<>();
    private KafkaProducer<String, String> expires;

    Transactions(Admin admin, Messages messages) {
        this.admin = admin;
        this.messages = messages;
        prefix = messages.topic + "-transactions-";
    }

    String topic(String name) throws Exception {
        var topic = prefix + name;
        admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        topics.add(topic);
        return topic;
    }

    KafkaProducer<String, String> open(String id, Map<String, String> settings) {
        var all = new HashMap<String, String>(Map.of("transactional.id", prefix + id, "compression.type", "lz4",
            "linger.ms", "0", "max.block.ms", "30000"));
        all.putAll(settings);
        var producer = messages.producer(all);
        producer.initTransactions();
        return producer;
    }

    KafkaProducer<String, String> open(String id) {
        return open(id, Map.of());
    }

    /** Sends and waits, so that the records are in the log. */
    static List<Sent> send(KafkaProducer<String, String> producer, String topic, String... values) throws Exception {
        var futures = new ArrayList<Future<RecordMetadata>>();
        for (int i = 0; i < values.length; i++) {
            futures.add(producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, values[i])));
        }
        producer.flush();
        var sent = new ArrayList<Sent>();
        for (int i = 0; i < values.length; i++) {
            var at = futures.get(i).get();
            sent.add(new Sent(at.partition(), at.offset(), values[i]));
        }
        return sent;
    }

    static List<Sent> transaction(KafkaProducer<String, String> producer, String topic, String... values) throws Exception {
        producer.beginTransaction();
        var sent = send(producer, topic, values);
        producer.commitTransaction();
        return sent;
    }

    static List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    KafkaConsumer<String, String> reader(String isolation) {
        return messages.consumer(Map.of("isolation.level", isolation, "fetch.max.wait.ms", "100"));
    }

    /** All that a reader finds up to the end that its isolation has. */
    List<Sent> read(String isolation, String topic) {
        try (var consumer = reader(isolation)) {
            consumer.assign(partitions(topic));
            consumer.seekToBeginning(partitions(topic));
            var ends = consumer.endOffsets(partitions(topic));
            var found = new ArrayList<Sent>();
            var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
            while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
                holds("the reader stays before " + ends + " after " + found.size(), System.currentTimeMillis() < deadline);
                consumer.poll(Duration.ofMillis(100)).forEach(r -> found.add(new Sent(r.partition(), r.offset(), r.value())));
            }
            return found;
        }
    }

    private static List<Sent> inOrder(Collection<Sent> sent) {
        return sent.stream().sorted(Comparator.comparing(Sent::partition).thenComparing(Sent::offset)).toList();
    }

    /** A reader of committed records finds these, and one of all records those too. */
    void readersFind(String topic, Collection<Sent> committed, Collection<Sent> others) throws Exception {
        var all = new ArrayList<>(committed);
        all.addAll(others);
        equal("read_uncommitted", inOrder(read("read_uncommitted", topic)), inOrder(all));
        // The answer to a commit may come before the last stable offset has moved.
        within(() -> equal("read_committed", inOrder(read("read_committed", topic)), inOrder(committed)));
    }

    Map<Integer, Long> ends(String isolation, String topic) {
        try (var consumer = reader(isolation)) {
            return consumer.endOffsets(partitions(topic)).entrySet().stream()
                .collect(Collectors.toMap(e -> e.getKey().partition(), Map.Entry::getValue));
        }
    }

    private Map<Integer, Long> listed(IsolationLevel isolation, String topic) throws Exception {
        var asked = partitions(topic).stream().collect(Collectors.toMap(p -> p, p -> OffsetSpec.latest()));
        return admin.listOffsets(asked, new ListOffsetsOptions(isolation)).all().get().entrySet().stream()
            .collect(Collectors.toMap(e -> e.getKey().partition(), e -> e.getValue().offset()));
    }

    Map<TopicPartition, OffsetAndMetadata> committed(String group, boolean requireStable) throws Exception {
        return admin.listConsumerGroupOffsets(group, new ListConsumerGroupOffsetsOptions().requireStable(requireStable))
            .partitionsToOffsetAndMetadata().get();
    }

    /** What says the group of somebody who is no member of it. */
    private ConsumerGroupMetadata outside(String group) {
        try (var consumer = messages.consumer(Map.of("group.id", group))) {
            return consumer.groupMetadata();
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> positions(Iterable<ConsumerRecord<String, String>> records) {
        var next = new HashMap<TopicPartition, OffsetAndMetadata>();
        for (var r : records) {
            next.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1, "after " + r.value()));
        }
        return next;
    }

    /** Consumes, transforms and produces. Every third transaction is aborted and its records are consumed again. */
    void loop() throws Exception {
        var input = topic("input");
        var output = topic("output");
        try (var producer = messages.producer(Map.of())) {
            send(producer, input, IntStream.range(0, INPUT).mapToObj(n -> "n" + n).toArray(String[]::new));
        }
        var group = prefix + "loop";
        var written = new ArrayList<Sent>();
        var aborted = new ArrayList<Sent>();
        Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
        var settings = Map.of("group.id", group, "max.poll.records", "40", "isolation.level", "read_committed");
        try (var consumer = messages.consumer(settings); var producer = open("loop")) {
            consumer.subscribe(List.of(input));
            var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
            for (int n = 1; written.size() < INPUT; n++) {
                holds("only " + written.size() + " records were written", System.currentTimeMillis() < deadline);
                var records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    n--;
                    continue;
                }
                producer.beginTransaction();
                var values = new ArrayList<String>();
                records.forEach(r -> values.add("copy of " + r.value()));
                var sent = send(producer, output, values.toArray(String[]::new));
                var next = positions(records);
                producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
                if (n % 3 == 0) {
                    producer.abortTransaction();
                    aborted.addAll(sent);
                    next.keySet().forEach(p -> consumer.seek(p, done.containsKey(p) ? done.get(p).offset() : 0));
                } else {
                    producer.commitTransaction();
                    written.addAll(sent);
                    done.putAll(next);
                }
                equal("committed offsets", consumer.committed(next.keySet()),
                    next.keySet().stream().collect(HashMap::new, (m, p) -> m.put(p, done.get(p)), HashMap::putAll));
            }
        }
        holds("nothing was aborted", !aborted.isEmpty());
        equal("values", written.stream().map(Sent::value).sorted().toList(),
            IntStream.range(0, INPUT).mapToObj(n -> "copy of n" + n).sorted().toList());
        readersFind(output, written, aborted);
        equal("committed offsets", committed(group, true), done);
        equal("offsets at the end", done.values().stream().mapToLong(OffsetAndMetadata::offset).sum(), (long) INPUT);
        equal("ends", ends("read_committed", output), ends("read_uncommitted", output));
    }

    /** The second instance of a transactional id aborts what the first has open, and the first is fenced for good. */
    void fencing() throws Exception {
        var topic = topic("fencing");
        try (var first = open("fencing")) {
            var before = transaction(first, topic, "a", "b", "c");
            first.beginTransaction();
            var open = send(first, topic, "d", "e");
            try (var second = open("fencing")) {
                readersFind(topic, before, open);
                refused(ProducerFencedException.class, () -> {
                    first.commitTransaction();
                    return null;
                });
                refused(ProducerFencedException.class, () -> {
                    first.beginTransaction();
                    return null;
                });
                before.addAll(transaction(second, topic, "f", "g"));
                readersFind(topic, before, open);
                // And back: the third instance fences the second between two transactions.
                try (var third = open("fencing")) {
                    refused(KafkaException.class, () -> transaction(second, topic, "h"));
                    before.addAll(transaction(third, topic, "i"));
                }
            }
            readersFind(topic, before, open);
        }
    }

    /** Offsets of a member that the group no longer has are refused, and the transaction can be aborted. */
    void staleMember() throws Exception {
        var topic = topic("stale");
        var group = prefix + "stale";
        try (var producer = open("stale")) {
            var before = transaction(producer, topic, "a", "b", "c");
            try (var consumer = messages.consumer(Map.of("group.id", group))) {
                consumer.subscribe(List.of(topic));
                var records = Messages.take(consumer, 3);
                equal("records", records.size(), 3);
                var stale = consumer.groupMetadata();
                consumer.unsubscribe();
                producer.beginTransaction();
                var open = send(producer, topic, "d");
                refused(CommitFailedException.class, () -> {
                    producer.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)), stale);
                    return null;
                });
                producer.abortTransaction();
                readersFind(topic, before, open);
                equal("committed offsets", committed(group, true), Map.of());
            }
        }
    }

    /** Aborted transactions, empty ones, and new ones after them. */
    void afterAbort() throws Exception {
        var topic = topic("after-abort");
        var committed = new ArrayList<Sent>();
        var aborted = new ArrayList<Sent>();
        try (var producer = open("after-abort")) {
            for (int n = 0; n < 4; n++) {
                producer.beginTransaction();
                aborted.addAll(send(producer, topic, "aborted " + n, "aborted too " + n));
                producer.abortTransaction();
                committed.addAll(transaction(producer, topic, "committed " + n));
                producer.beginTransaction();
                producer.commitTransaction();
                producer.beginTransaction();
                producer.abortTransaction();
            }
            // Aborted before the records are sent.
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 2, null, "perhaps"));
            producer.abortTransaction();
            committed.addAll(transaction(producer, topic, "last", "of", "all"));
        }
        var all = read("read_uncommitted", topic);
        all.stream().filter(s -> s.value().equals("perhaps")).forEach(aborted::add);
        readersFind(topic, committed, aborted);
    }

    /** A producer that ends in an open transaction: the next with its id aborts it. */
    void afterCrash() throws Exception {
        var topic = topic("after-crash");
        var group = prefix + "after-crash";
        var first = partitions(topic).get(0);
        var crashed = open("after-crash");
        var before = transaction(crashed, topic, "a", "b");
        crashed.beginTransaction();
        var open = send(crashed, topic, "c", "d", "e");
        crashed.sendOffsetsToTransaction(Map.of(first, new OffsetAndMetadata(1)), outside(group));
        crashed.close(Duration.ZERO);
        equal("read_committed", inOrder(read("read_committed", topic)), inOrder(before));
        try (var producer = open("after-crash")) {
            readersFind(topic, before, open);
            equal("committed offsets", committed(group, true), Map.of());
            producer.beginTransaction();
            before.addAll(send(producer, topic, "f", "g", "h"));
            producer.sendOffsetsToTransaction(Map.of(first, new OffsetAndMetadata(2)), outside(group));
            producer.commitTransaction();
        }
        readersFind(topic, before, open);
        equal("committed offsets", committed(group, true), Map.of(first, new OffsetAndMetadata(2)));
    }

    /** While a transaction is open, readers of committed records see the log end at its first record. */
    void lastStableOffset() throws Exception {
        var topic = topic("stable");
        var group = prefix + "stable";
        var first = partitions(topic).get(0);
        var metadata = outside(group);
        try (var producer = open("stable"); var other = open("stable-other")) {
            var committed = transaction(other, topic, "a", "b", "c");
            var at = System.currentTimeMillis();
            producer.beginTransaction();
            var open = new ArrayList<Sent>();
            var record = new ProducerRecord<String, String>(topic, 0, at + 10_000, null, "open");
            open.add(new Sent(0, producer.send(record).get().offset(), "open"));
            producer.sendOffsetsToTransaction(Map.of(first, new OffsetAndMetadata(3, "pending")), metadata);
            // Records of others that are committed after it wait for it.
            var after = transaction(other, topic, "d", "e");
            var stable = Map.of(0, 2L, 1, 4L, 2, 2L);
            var whole = Map.of(0, 5L, 1, 4L, 2, 2L);
            within(() -> equal("stable ends", ends("read_committed", topic), stable));
            equal("ends", ends("read_uncommitted", topic), whole);
            equal("stable ends", listed(IsolationLevel.READ_COMMITTED, topic), stable);
            equal("ends", listed(IsolationLevel.READ_UNCOMMITTED, topic), whole);
            var readable = new ArrayList<>(committed);
            readable.add(after.get(1));
            open.add(after.get(0));
            readersFind(topic, readable, open);
            try (var consumer = messages.consumer(Map.of("group.id", group, "isolation.level", "read_committed"));
                var all = reader("read_uncommitted")) {
                equal("stable time", consumer.offsetsForTimes(Map.of(first, at + 10_000)).get(first), null);
                equal("time", all.offsetsForTimes(Map.of(first, at + 10_000)).get(first).offset(), 2L);
                equal("committed offsets", committed(group, false), Map.of());
                refused(TimeoutException.class, () -> consumer.committed(Set.of(first), Duration.ofMillis(300)));
                producer.commitTransaction();
                equal("committed offset", consumer.committed(Set.of(first)), Map.of(first, new OffsetAndMetadata(3, "pending")));
                within(() -> equal("stable ends", ends("read_committed", topic), Map.of(0, 6L, 1, 4L, 2, 2L)));
                equal("stable time", consumer.offsetsForTimes(Map.of(first, at + 10_000)).get(first).offset(), 2L);
            }
            readable.addAll(open);
            readersFind(topic, readable, List.of());
        }
    }

    /** Opens a transaction whose time runs out while other scenarios run. */
    void startExpiring() throws Exception {
        var topic = topic("expires");
        expires = open("expires", Map.of("transaction.timeout.ms", "1000"));
        transaction(expires, topic, "a");
        expires.beginTransaction();
        send(expires, topic, "b", "c");
    }

    /** The broker aborts a transaction whose time has run out, and fences its producer. */
    void expired() throws Exception {
        var topic = prefix + "expires";
        try (var producer = expires) {
            var a = new Sent(0, 0, "a");
            var others = List.of(new Sent(0, 2, "b"), new Sent(1, 0, "c"));
            within(() -> equal("stable ends", ends("read_committed", topic), Map.of(0, 4L, 1, 2L, 2, 0L)));
            readersFind(topic, List.of(a), others);
            refused(KafkaException.class, () -> {
                producer.send(new ProducerRecord<>(topic, 2, null, "late")).get();
                producer.commitTransaction();
                return null;
            });
            try (var next = open("expires")) {
                var late = transaction(next, topic, "late");
                readersFind(topic, List.of(a, late.get(0)), others);
            }
        }
    }

    void delete() throws Exception {
        admin.deleteTopics(topics).all().get();
    }
}

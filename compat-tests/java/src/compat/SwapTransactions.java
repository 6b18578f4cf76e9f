package compat;

import java.io.File;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.EndTxnRequestData;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.EndTxnRequest;
import org.apache.kafka.common.requests.EndTxnResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.coordinator.transaction.generated.TransactionLogKey;
import org.apache.kafka.coordinator.transaction.generated.TransactionLogValue;

/**
 * Transactions in each state, made by one broker and finished by the next one.
 *
 * <pre>
 * SwapTransactions BOOTSTRAP make ROUND      leaves a transaction in each state
 * SwapTransactions BOOTSTRAP live ROUND DIR  producers that begin under one broker and end under the next: makes DIR/begun, waits for
 *                                            DIR/continue, ends
 * SwapTransactions DIR cut ROUND             takes the last batches of two transactions from a log dir that no broker has open: their last record
 *                                            of __transaction_state, and their markers in one partition of data and in __consumer_offsets
 * SwapTransactions BOOTSTRAP finish ROUND    checks the states, ends what is open, and reads everything
 * </pre>
 */
public final class SwapTransactions {
    /** Longer than any run. */
    private static final String PATIENCE_MS = "600000";
    /** Of the topics of the coordinators, as the suite configures them. */
    private static final int PARTITIONS = 4;

    private final String bootstrap;
    private final String round;
    private final Admin admin;

    private SwapTransactions(String bootstrap, String round) {
        this.bootstrap = bootstrap;
        this.round = round;
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", "120000"));
    }

    public static void main(String[] arguments) {
        var status = 1;
        try {
            if (arguments[1].equals("cut")) {
                cut(Path.of(arguments[0]), arguments[2]);
            } else {
                var swap = new SwapTransactions(arguments[0], arguments[2]);
                switch (arguments[1]) {
                    case "make" -> swap.make();
                    case "live" -> swap.live(Path.of(arguments[3]));
                    case "finish" -> swap.finish();
                    default -> throw new IllegalArgumentException(arguments[1]);
                }
            }
            status = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        }
        // Transactions stay open, as after a crash of their producers.
        Runtime.getRuntime().halt(status);
    }

    /** A name whose coordinator is in a certain partition. */
    private static String in(int partition, String name) {
        for (int n = 0;; n++) {
            if (Math.abs((name + "-" + n).hashCode()) % PARTITIONS == partition) {
                return name + "-" + n;
            }
        }
    }

    /** The id, and the group, of a transaction whose last batches are cut: alone at the ends of the coordinators' logs. */
    private static String prepared(String how, String round) {
        return in(how.equals("commit") ? 0 : 1, "prepared-" + how + "-" + round);
    }

    /** Of the others: in the other partitions of the coordinators. */
    private String id(String name) {
        return in(2, name + "-" + round);
    }

    private String topic(String name) {
        return "txn-" + name + "-" + round;
    }

    private static final List<String> TOPICS = List.of("prepared-commit", "prepared-abort", "mixed", "open", "live");

    private KafkaProducer<String, String> producer(String id) {
        var settings = new HashMap<String, Object>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", PATIENCE_MS);
        settings.put("request.timeout.ms", "120000");
        settings.put("delivery.timeout.ms", "180000");
        settings.put("max.block.ms", "120000");
        var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    /** Four records in each partition, named after the transaction. */
    private static void send(KafkaProducer<String, String> producer, String topic, String what) throws Exception {
        for (int n = 0; n < 8; n++) {
            producer.send(new ProducerRecord<>(topic, n % 2, what, what + "-" + n));
        }
        producer.flush();
    }

    private void offsets(KafkaProducer<String, String> producer, String group, String topic, long offset) {
        producer.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset)), group(group));
    }

    private ConsumerGroupMetadata group(String id) {
        var settings = Map.<String, Object>of("bootstrap.servers", bootstrap, "group.id", id);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            return consumer.groupMetadata();
        }
    }

    private void make() throws Exception {
        admin.createTopics(TOPICS.stream().filter(name -> !name.equals("live")).map(name -> new NewTopic(topic(name), 2, (short) 1)).toList()).all().get();
        producer(id("empty"));
        for (var how : List.of("commit", "abort")) {
            var complete = producer(id("complete-" + how));
            for (int n = 0; n < 2; n++) {
                complete.beginTransaction();
                send(complete, topic("mixed"), how + n);
                offsets(complete, id("group-" + how), topic("mixed"), n + 1);
                end(complete, how);
            }
            var open = producer(id("open-" + how));
            open.beginTransaction();
            send(open, topic("open"), "open-" + how);
            var pending = producer(id("offsets-" + how));
            pending.beginTransaction();
            offsets(pending, id("pending-" + how), topic("mixed"), 7);
        }
        var fenced = producer(id("fenced"));
        fenced.beginTransaction();
        send(fenced, topic("open"), "fenced");
        offsets(fenced, id("pending-fenced"), topic("mixed"), 8);
        for (var how : List.of("commit", "abort")) {
            var last = producer(prepared(how, round));
            last.beginTransaction();
            send(last, topic("prepared-" + how), "prepared-" + how);
            offsets(last, prepared(how, round), topic("mixed"), 9);
            end(last, how);
            await(prepared(how, round), complete(how));
        }
    }

    private static void end(KafkaProducer<String, String> producer, String how) {
        if (how.equals("commit")) {
            producer.commitTransaction();
        } else {
            producer.abortTransaction();
        }
    }

    private static TransactionState complete(String how) {
        return how.equals("commit") ? TransactionState.COMPLETE_COMMIT : TransactionState.COMPLETE_ABORT;
    }

    private TransactionDescription describe(String id) throws Exception {
        return admin.describeTransactions(List.of(id)).description(id).get();
    }

    private void await(String id, TransactionState state) throws Exception {
        Main.within(() -> Main.equal("the state of " + id, describe(id).state(), state));
    }

    /** Producers that live while the broker is replaced by the other one. */
    private void live(Path dir) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic("live"), 2, (short) 1))).all().get();
        var producers = new HashMap<String, KafkaProducer<String, String>>();
        for (var how : List.of("commit", "abort")) {
            var producer = producer(id("live-" + how));
            producers.put(how, producer);
            producer.beginTransaction();
            send(producer, topic("live"), "live-" + how + "-before");
            offsets(producer, id("live-group-" + how), topic("live"), 3);
        }
        Files.createFile(dir.resolve("begun"));
        var deadline = System.currentTimeMillis() + 480_000;
        while (!Files.exists(dir.resolve("continue"))) {
            Main.holds("the other broker came", System.currentTimeMillis() < deadline);
            Thread.sleep(50);
        }
        for (var how : producers.keySet()) {
            var producer = producers.get(how);
            send(producer, topic("live"), "live-" + how + "-after");
            offsets(producer, id("live-group-" + how), topic("live"), 4);
            end(producer, how);
            producer.beginTransaction();
            send(producer, topic("live"), "live-" + how + "-next");
            producer.commitTransaction();
        }
    }

    /** Cuts what {@link #make} wrote last. */
    private static void cut(Path dir, String round) throws Exception {
        for (var how : List.of("commit", "abort")) {
            var partition = how.equals("commit") ? 0 : 1;
            cutLastRecord(dir, "__transaction_state-" + partition, prepared(how, round), complete(how));
            cutLastBatch(dir, "__consumer_offsets-" + partition);
            cutLastBatch(dir, "txn-prepared-" + how + "-" + round + "-1");
        }
    }

    /** Takes the last state of a transaction, and leaves that it is prepared. */
    private static void cutLastRecord(Path dir, String partition, String id, TransactionState state) throws Exception {
        Main.equal("the last state in " + partition, lastState(dir, partition), id + " " + state);
        cutLastBatch(dir, partition);
        var before = state == TransactionState.COMPLETE_COMMIT ? TransactionState.PREPARE_COMMIT : TransactionState.PREPARE_ABORT;
        Main.equal("the last state in " + partition, lastState(dir, partition), id + " " + before);
    }

    private static String lastState(Path dir, String partition) throws Exception {
        var state = "nothing";
        try (var records = FileRecords.open(lastSegment(dir, partition), false)) {
            for (var record : records.records()) {
                var id = new TransactionLogKey(new ByteBufferAccessor(skipVersion(record.key())), (short) 0).transactionalId();
                var version = record.value().getShort();
                var value = new TransactionLogValue(new ByteBufferAccessor(skipVersion(record.value())), version);
                state = id + " " + STATES.get(value.transactionStatus());
            }
        }
        return state;
    }

    /** By their numbers. */
    private static final List<TransactionState> STATES = List.of(TransactionState.EMPTY, TransactionState.ONGOING, TransactionState.PREPARE_COMMIT,
        TransactionState.PREPARE_ABORT, TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT);

    private static ByteBuffer skipVersion(ByteBuffer buffer) {
        buffer.getShort();
        return buffer;
    }

    private static File lastSegment(Path dir, String partition) {
        var segments = dir.resolve(partition).toFile().listFiles((parent, name) -> name.endsWith(".log"));
        File last = null;
        for (var segment : segments) {
            if (segment.length() > 0 && (last == null || segment.getName().compareTo(last.getName()) > 0)) {
                last = segment;
            }
        }
        Main.holds(partition + " has a batch", last != null);
        return last;
    }

    private static void cutLastBatch(Path dir, String partition) throws Exception {
        var last = lastSegment(dir, partition);
        var end = -1L;
        try (var records = FileRecords.open(last, false)) {
            for (var batch : records.batches()) {
                end = batch.position();
            }
        }
        try (var channel = FileChannel.open(last.toPath(), StandardOpenOption.WRITE)) {
            channel.truncate(end);
        }
    }

    private void finish() throws Exception {
        states();
        endOpen();
        var fencing = producer(id("fenced"));
        await(id("fenced"), TransactionState.EMPTY);
        fencing.beginTransaction();
        send(fencing, topic("open"), "fencing");
        fencing.commitTransaction();
        for (var name : List.of("empty", "complete-commit", "complete-abort", "open-commit", "open-abort")) {
            goesOn(id(name));
        }
        goesOn(prepared("commit", round));
        goesOn(prepared("abort", round));
        committedOffsets();
        for (var name : TOPICS) {
            records(name);
        }
    }

    private void states() throws Exception {
        for (var how : List.of("commit", "abort")) {
            await(prepared(how, round), complete(how));
            await(id("complete-" + how), complete(how));
            await(id("open-" + how), TransactionState.ONGOING);
            await(id("offsets-" + how), TransactionState.ONGOING);
            Main.equal("partitions of open-" + how, new TreeSet<>(describe(id("open-" + how)).topicPartitions().stream().map(TopicPartition::toString).toList()),
                new TreeSet<>(List.of(topic("open") + "-0", topic("open") + "-1")));
        }
        await(id("empty"), TransactionState.EMPTY);
        await(id("fenced"), TransactionState.ONGOING);
    }

    /** Ends the open transactions with the ids and epochs of their producers. */
    private void endOpen() throws Exception {
        for (var how : List.of("commit", "abort")) {
            for (var name : List.of("open-", "offsets-")) {
                var id = id(name + how);
                var found = describe(id);
                var data = new EndTxnRequestData().setTransactionalId(id).setProducerId(found.producerId())
                    .setProducerEpoch((short) found.producerEpoch()).setCommitted(how.equals("commit"));
                var response = (EndTxnResponse) exchange(new EndTxnRequest.Builder(data, false, false).build((short) 3));
                Main.equal("error of the end of " + id, response.error(), Errors.NONE);
                await(id, complete(how));
            }
        }
    }

    private AbstractResponse exchange(EndTxnRequest request) throws Exception {
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

    /** The next producer of an id has the producer id of the one before and a higher epoch, and commits. */
    private void goesOn(String id) throws Exception {
        var before = describe(id);
        var next = producer(id);
        var after = describe(id);
        Main.equal("producer id of " + id, after.producerId(), before.producerId());
        Main.holds("the epoch of " + id + " is higher", after.producerEpoch() > before.producerEpoch());
        next.beginTransaction();
        send(next, topic("mixed"), "next-of-" + id);
        next.commitTransaction();
        await(id, TransactionState.COMPLETE_COMMIT);
    }

    private void committedOffsets() throws Exception {
        var mixed = new TopicPartition(topic("mixed"), 0);
        var live = new TopicPartition(topic("live"), 0);
        var wanted = new HashMap<String, Map<TopicPartition, Long>>();
        wanted.put(id("group-commit"), Map.of(mixed, 2L));
        wanted.put(id("group-abort"), Map.of());
        wanted.put(id("pending-commit"), Map.of(mixed, 7L));
        wanted.put(id("pending-abort"), Map.of());
        wanted.put(id("pending-fenced"), Map.of());
        wanted.put(prepared("commit", round), Map.of(mixed, 9L));
        wanted.put(prepared("abort", round), Map.of());
        wanted.put(id("live-group-commit"), Map.of(live, 4L));
        wanted.put(id("live-group-abort"), Map.of());
        for (var group : wanted.entrySet()) {
            Main.within(() -> {
                var found = new HashMap<TopicPartition, Long>();
                try {
                    admin.listConsumerGroupOffsets(group.getKey()).partitionsToOffsetAndMetadata().get()
                        .forEach((partition, offset) -> found.put(partition, offset.offset()));
                } catch (java.util.concurrent.ExecutionException e) {
                    // Newer releases say so of a group that never committed anything.
                    if (!(e.getCause() instanceof org.apache.kafka.common.errors.GroupIdNotFoundException)) {
                        throw e;
                    }
                }
                Main.equal("offsets of " + group.getKey(), found, group.getValue());
            });
        }
    }

    /** A reader of committed records sees those and no others, and nothing is held back. */
    private void records(String name) throws Exception {
        var partitions = List.of(new TopicPartition(topic(name), 0), new TopicPartition(topic(name), 1));
        var asked = new HashMap<TopicPartition, OffsetSpec>();
        partitions.forEach(partition -> asked.put(partition, OffsetSpec.latest()));
        Main.within(() -> {
            var stable = admin.listOffsets(asked, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get();
            var ends = admin.listOffsets(asked).all().get();
            for (var partition : partitions) {
                Main.equal("the last stable offset of " + partition, stable.get(partition).offset(), ends.get(partition).offset());
            }
        });
        var found = new TreeSet<String>();
        var settings = Map.<String, Object>of("bootstrap.servers", bootstrap, "isolation.level", "read_committed", "enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            var deadline = System.currentTimeMillis() + Main.LIMIT_MS;
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                Main.holds("everything was read", System.currentTimeMillis() < deadline);
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    Main.holds("it is new: " + record.value(), found.add(record.value()));
                }
            }
        }
        var wanted = new TreeSet<String>();
        for (var transaction : committed(name)) {
            for (int n = 0; n < 8; n++) {
                wanted.add(transaction + "-" + n);
            }
        }
        Main.equal("committed records of " + topic(name), found, wanted);
    }

    private List<String> committed(String name) {
        return switch (name) {
            case "prepared-commit" -> List.of("prepared-commit");
            case "prepared-abort" -> List.of();
            case "open" -> List.of("open-commit", "fencing");
            case "live" -> List.of("live-commit-before", "live-commit-after", "live-commit-next", "live-abort-next");
            default -> {
                var all = new ArrayList<>(List.of("commit0", "commit1"));
                for (var id : List.of("empty", "complete-commit", "complete-abort", "open-commit", "open-abort")) {
                    all.add("next-of-" + id(id));
                }
                all.add("next-of-" + prepared("commit", round));
                all.add("next-of-" + prepared("abort", round));
                yield all;
            }
        };
    }
}

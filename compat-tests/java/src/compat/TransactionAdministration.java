package compat;

import static compat.Main.equal;
import static compat.Main.holds;
import static compat.Main.refused;
import static compat.Main.within;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** What the admin client says of transactions, and how it ends them. */
final class TransactionAdministration {
    private final Transactions transactions;
    private final Admin admin;

    TransactionAdministration(Transactions transactions) {
        this.transactions = transactions;
        admin = transactions.admin;
    }

    private String id(String name) {
        return transactions.prefix + name;
    }

    /** The states of all transactional ids of this run that a filter leaves, by name. */
    private Map<String, TransactionState> list(ListTransactionsOptions filter) throws Exception {
        var found = new TreeMap<String, TransactionState>();
        for (var listing : admin.listTransactions(filter).all().get()) {
            if (listing.transactionalId().startsWith(id("listed-"))) {
                found.put(listing.transactionalId().substring(id("listed-").length()), listing.state());
            }
        }
        return found;
    }

    private TransactionDescription describe(String name) throws Exception {
        return admin.describeTransactions(List.of(id(name))).all().get().get(id(name));
    }

    private ProducerState producer(TopicPartition partition, long producerId) throws Exception {
        var states = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
        return states.stream().filter(s -> s.producerId() == producerId).findFirst().orElseThrow(() -> new AssertionError("no producer " + producerId + " in " + states));
    }

    void list() throws Exception {
        var topic = transactions.topic("listed");
        try (var open = transactions.open("listed-open"); var committed = transactions.open("listed-committed");
            var aborted = transactions.open("listed-aborted"); var empty = transactions.open("listed-empty")) {
            Transactions.transaction(committed, topic, "a");
            aborted.beginTransaction();
            Transactions.send(aborted, topic, "b");
            aborted.abortTransaction();
            open.beginTransaction();
            Transactions.send(open, topic, "c", "d");
            var all = Map.of("open", TransactionState.ONGOING, "committed", TransactionState.COMPLETE_COMMIT,
                "aborted", TransactionState.COMPLETE_ABORT, "empty", TransactionState.EMPTY);
            within(() -> equal("all", list(new ListTransactionsOptions()), all));
            var ongoing = Map.of("open", TransactionState.ONGOING);
            var ongoingOnly = Set.of(TransactionState.ONGOING);
            equal("ongoing", list(new ListTransactionsOptions().filterStates(ongoingOnly)), ongoing);
            equal("ongoing and empty", list(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING, TransactionState.EMPTY))),
                Map.of("open", TransactionState.ONGOING, "empty", TransactionState.EMPTY));
            var producerId = describe("listed-committed").producerId();
            equal("of a producer id", list(new ListTransactionsOptions().filterProducerIds(Set.of(producerId))), Map.of("committed", TransactionState.COMPLETE_COMMIT));
            equal("of no producer id", list(new ListTransactionsOptions().filterProducerIds(Set.of(987_654_321L))), Map.of());
            within(() -> equal("that last", list(new ListTransactionsOptions().filterStates(ongoingOnly).filterOnDuration(20)), ongoing));
            equal("that last long", list(new ListTransactionsOptions().filterStates(ongoingOnly).filterOnDuration(3_600_000)), Map.of());
            // What never had a transaction has the start time -1, and so has lasted since 1970.
            equal("that last long in all states", list(new ListTransactionsOptions().filterOnDuration(3_600_000)), Map.of("empty", TransactionState.EMPTY));
            equal("by pattern", list(new ListTransactionsOptions().filterOnTransactionalIdPattern(".*listed-[ce].*")),
                Map.of("committed", TransactionState.COMPLETE_COMMIT, "empty", TransactionState.EMPTY));
            equal("by a pattern of a part", list(new ListTransactionsOptions().filterOnTransactionalIdPattern("listed-")), Map.of());
            refused(InvalidRegularExpression.class, () -> list(new ListTransactionsOptions().filterOnTransactionalIdPattern("(")));
            for (var listing : admin.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern(id("listed-open"))).all().get()) {
                equal("producer id", listing.producerId(), describe("listed-open").producerId());
            }
            open.abortTransaction();
        }
    }

    void describe() throws Exception {
        var topic = transactions.topic("described");
        var from = System.currentTimeMillis();
        try (var producer = transactions.open("described", Map.of("transaction.timeout.ms", "54321"))) {
            var empty = describe("described");
            equal("state", empty.state(), TransactionState.EMPTY);
            equal("timeout", empty.transactionTimeoutMs(), 54_321L);
            holds("it has started", empty.transactionStartTimeMs().isEmpty());
            equal("partitions", empty.topicPartitions(), Set.of());
            producer.beginTransaction();
            Transactions.send(producer, topic, "a", "b");
            var open = describe("described");
            var partitions = Transactions.partitions(topic).subList(0, 2);
            equal("state", open.state(), TransactionState.ONGOING);
            equal("partitions", open.topicPartitions(), Set.copyOf(partitions));
            equal("coordinator", open.coordinatorId(), admin.describeCluster().nodes().get().iterator().next().id());
            equal("epoch", open.producerEpoch(), empty.producerEpoch());
            equal("producer id", open.producerId(), empty.producerId());
            var started = open.transactionStartTimeMs().orElse(-1);
            holds("it started at " + started, started >= from && started <= System.currentTimeMillis());
            var state = producer(partitions.get(0), open.producerId());
            equal("start offset", state.currentTransactionStartOffset().orElse(-1), 0L);
            equal("epoch of the partition", state.producerEpoch(), open.producerEpoch());
            equal("sequence", state.lastSequence(), 0);
            equal("coordinator epoch", state.coordinatorEpoch().orElse(-1), -1);
            producer.commitTransaction();
            within(() -> equal("state", describe("described").state(), TransactionState.COMPLETE_COMMIT));
            var after = describe("described");
            equal("partitions", after.topicPartitions(), Set.of());
            equal("epoch", after.producerEpoch(), open.producerEpoch() + 1);
            var done = producer(partitions.get(0), open.producerId());
            holds("it is still open", done.currentTransactionStartOffset().isEmpty());
            equal("sequence", done.lastSequence(), -1);
            equal("epoch of the partition", done.producerEpoch(), after.producerEpoch());
            equal("coordinator epoch", done.coordinatorEpoch().orElse(-1), 0);
        }
        refused(TransactionalIdNotFoundException.class, () -> describe("unknown"));
    }

    /** A marker that the admin client writes ends the transaction in one partition. */
    void abort() throws Exception {
        var topic = transactions.topic("aborted");
        try (var producer = transactions.open("aborted")) {
            producer.beginTransaction();
            var open = Transactions.send(producer, topic, "a", "b");
            var described = describe("aborted");
            var first = Transactions.partitions(topic).get(0);
            admin.abortTransaction(new AbortTransactionSpec(first, described.producerId(), (short) described.producerEpoch(), 0)).all().get();
            within(() -> equal("stable ends", transactions.ends("read_committed", topic), Map.of(0, 2L, 1, 0L, 2, 0L)));
            holds("it is still open", producer(first, described.producerId()).currentTransactionStartOffset().isEmpty());
            equal("state", describe("aborted").state(), TransactionState.ONGOING);
            // A coordinator epoch of the past.
            refused(KafkaException.class, () -> admin.abortTransaction(
                new AbortTransactionSpec(first, described.producerId(), (short) described.producerEpoch(), -5)).all().get());
            producer.abortTransaction();
            transactions.readersFind(topic, List.of(), open);
        }
    }

    /** The open transaction of a producer that is fenced is aborted. */
    void fence() throws Exception {
        var topic = transactions.topic("fenced");
        try (var producer = transactions.open("fenced")) {
            var before = Transactions.transaction(producer, topic, "a");
            producer.beginTransaction();
            var open = Transactions.send(producer, topic, "b", "c");
            var described = describe("fenced");
            var fenced = admin.fenceProducers(List.of(id("fenced"), id("fenced-new")));
            fenced.all().get();
            equal("producer id", fenced.producerId(id("fenced")).get(), described.producerId());
            holds("the epoch is " + fenced.epochId(id("fenced")).get(), fenced.epochId(id("fenced")).get() > described.producerEpoch());
            equal("epoch of a new one", fenced.epochId(id("fenced-new")).get(), (short) 0);
            transactions.readersFind(topic, before, open);
            refused(ProducerFencedException.class, () -> {
                producer.commitTransaction();
                return null;
            });
            try (var next = transactions.open("fenced")) {
                var all = new ArrayList<>(before);
                all.addAll(Transactions.transaction(next, topic, "d"));
                transactions.readersFind(topic, all, open);
            }
        }
    }

    void terminate() throws Exception {
        var topic = transactions.topic("terminated");
        try (var producer = transactions.open("terminated")) {
            producer.beginTransaction();
            var open = Transactions.send(producer, topic, "a", "b");
            admin.forceTerminateTransaction(id("terminated")).result().get();
            within(() -> equal("state", describe("terminated").state(), TransactionState.EMPTY));
            transactions.readersFind(topic, List.of(), open);
            refused(ProducerFencedException.class, () -> {
                producer.commitTransaction();
                return null;
            });
            producer.close(Duration.ZERO);
        }
    }
}

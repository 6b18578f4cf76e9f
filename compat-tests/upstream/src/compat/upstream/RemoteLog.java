package compat.upstream;

import kafka.cluster.Partition;
import kafka.log.LogManager;
import kafka.server.ReplicaManager;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.UnifiedLog;

import java.io.File;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;

import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A broker's logs, as far as tests look at them: the offsets and the producers are asked of the
 * broker over the wire, with ListOffsets and DescribeProducers.
 */
final class RemoteLog {
    private RemoteLog() {}

    static ReplicaManager replicaManager(BrokerProcess process) {
        return Stand.in(ReplicaManager.class, call -> {
            switch (call.getMethod().getName()) {
                case "localLog": return log(process, call.getArgument(0));
                case "logManager": return logManager(process);
                case "onlinePartition": return log(process, call.getArgument(0)).map(log -> partition(log));
                default: throw Stand.refused(ReplicaManager.class, call.getMethod().getName());
            }
        });
    }

    static LogManager logManager(BrokerProcess process) {
        return Stand.in(LogManager.class, call -> {
            switch (call.getMethod().getName()) {
                case "getLog": return log(process, call.getArgument(0));
                case "getLog$default$2": return false;
                case "liveLogDirs":
                    return CollectionConverters.asScala(List.of(new File(process.properties().get("log.dirs"))));
                default: throw Stand.refused(LogManager.class, call.getMethod().getName());
            }
        });
    }

    private static Partition partition(UnifiedLog log) {
        return Stand.in(Partition.class, call -> {
            switch (call.getMethod().getName()) {
                case "leaderLogIfLocal": return Option.apply(log);
                case "leaderIdIfLocal": return Option.apply(BrokerProcess.NODE_ID);
                default: throw Stand.refused(Partition.class, call.getMethod().getName());
            }
        });
    }

    /** None if the broker does not know the partition. */
    private static Option<UnifiedLog> log(BrokerProcess process, TopicPartition partition) {
        String bootstrapServers = process.bootstrapServers();
        if (RemoteMetadata.partitions(bootstrapServers, partition.topic()).size() <= partition.partition()) return Option.empty();
        return Option.apply(Stand.in(UnifiedLog.class, call -> {
            switch (call.getMethod().getName()) {
                case "logStartOffset": return offset(bootstrapServers, partition, OffsetSpec.earliest());
                case "logEndOffset": return offset(bootstrapServers, partition, OffsetSpec.latest());
                case "producerStateManager": return producers(bootstrapServers, partition);
                default: throw Stand.refused(UnifiedLog.class, call.getMethod().getName());
            }
        }));
    }

    private static ProducerStateManager producers(String bootstrapServers, TopicPartition partition) {
        return Stand.in(ProducerStateManager.class, "activeProducers", () -> {
            Map<Long, ProducerStateEntry> entries = new HashMap<>();
            for (ProducerState state : states(bootstrapServers, partition)) {
                entries.put(state.producerId(), new ProducerStateEntry(state.producerId(), (short) state.producerEpoch(),
                    state.coordinatorEpoch().orElse(-1), state.lastTimestamp(), state.currentTransactionStartOffset()));
            }
            return entries;
        });
    }

    private static List<ProducerState> states(String bootstrapServers, TopicPartition partition) {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers))) {
            return admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private static long offset(String bootstrapServers, TopicPartition partition, OffsetSpec spec) throws InterruptedException {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers))) {
            return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }
}

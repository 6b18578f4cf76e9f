package compat.upstream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.metadata.LeaderAndIsr;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.metadata.MetadataCache;
import org.mockito.invocation.InvocationOnMock;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;

/** A broker's metadata, as far as tests wait for it: asked of the broker over the wire. */
public final class RemoteMetadata {
    private RemoteMetadata() {}

    public static MetadataCache cache(String bootstrapServers) {
        return Stand.in(KRaftMetadataCache.class, call -> {
            String method = call.getMethod().getName();
            switch (method) {
                case "numPartitions":
                    return Optional.of(partitions(bootstrapServers, call.getArgument(0)).size()).filter(count -> count > 0);
                case "getLeaderAndIsr":
                    return partition(bootstrapServers, call).map(RemoteMetadata::leaderAndIsr);
                case "getPartitionLeaderEndpoint":
                    return partition(bootstrapServers, call).map(TopicPartitionInfo::leader);
                case "getTopicId":
                    return topicId(bootstrapServers, call.getArgument(0));
                case "hasAliveBroker":
                    return call.<Integer>getArgument(0) == BrokerProcess.NODE_ID;
                case "contains":
                    if (call.getArgument(0) instanceof String topic) return !partitions(bootstrapServers, topic).isEmpty();
                    throw Stand.refused(MetadataCache.class, method);
                default:
                    throw Stand.refused(MetadataCache.class, method);
            }
        });
    }

    /** The partition that the call names by topic and number. */
    private static Optional<TopicPartitionInfo> partition(String bootstrapServers, InvocationOnMock call) {
        return partitions(bootstrapServers, call.getArgument(0)).stream()
            .filter(partition -> partition.partition() == call.<Integer>getArgument(1)).findFirst();
    }

    /** The partitions of a topic, none if it does not exist. */
    public static List<TopicPartitionInfo> partitions(String bootstrapServers, String topic) {
        return describe(bootstrapServers, topic).map(TopicDescription::partitions).orElse(List.of());
    }

    private static Uuid topicId(String bootstrapServers, String topic) {
        return describe(bootstrapServers, topic).map(TopicDescription::topicId).orElse(Uuid.ZERO_UUID);
    }

    private static Optional<TopicDescription> describe(String bootstrapServers, String topic) {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers))) {
            return Optional.of(admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic));
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException) return Optional.empty();
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static LeaderAndIsr leaderAndIsr(TopicPartitionInfo partition) {
        int leader = partition.leader() == null ? LeaderAndIsr.NO_LEADER : partition.leader().id();
        return new LeaderAndIsr(leader, partition.isr().stream().map(Node::id).toList());
    }
}

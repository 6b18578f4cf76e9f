package compat.upstream;

import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;
import kafka.server.SharedServer;

import org.apache.kafka.coordinator.group.GroupCoordinator;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.raft.LogOffsetMetadata;
import org.apache.kafka.raft.RaftLog;

import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/**
 * What tests may ask of a broker that is another process: its configuration, what it answers over
 * the wire, and to start and stop it. All other calls are refused with an exception, because their
 * answers are inside the broker.
 */
public final class RemoteBroker {
    private RemoteBroker() {}

    public static KafkaBroker of(BrokerProcess process) {
        Map<Object, Object> properties = new HashMap<>(process.properties());
        KafkaConfig config = new KafkaConfig(properties, false);
        return Stand.in(BrokerServer.class, call -> answer(process, config, call.getMethod()));
    }

    /** A controller that has nothing to wait for: what one node answered is what it has. */
    public static ControllerServer controller() {
        RaftLog log = Stand.in(RaftLog.class, "endOffset", () -> new LogOffsetMetadata(0));
        KafkaRaftManager<?> raft = Stand.in(KafkaRaftManager.class, "raftLog", () -> log);
        return Stand.in(ControllerServer.class, "raftManager", () -> raft);
    }

    private static Object answer(BrokerProcess process, KafkaConfig config, Method method) {
        switch (method.getName()) {
            case "config": return config;
            case "groupCoordinator": return groupCoordinator(config);
            case "replicaManager": return RemoteLog.replicaManager(process);
            case "logManager": return RemoteLog.logManager(process);
            case "dataPlaneRequestProcessor":
                return Stand.in(KafkaApis.class, "metadataCache", () -> RemoteMetadata.cache(process.bootstrapServers()));
            case "socketServer": return Stand.in(SocketServer.class, "boundPort", process::port);
            case "metadataCache": return RemoteMetadata.cache(process.bootstrapServers());
            case "clusterId": return process.clusterId();
            case "boundPort": return process.port();
            case "startup": process.start(); return null;
            case "shutdown": process.stop(); return null;
            // `shutdown` waits.
            case "awaitShutdown": return null;
            case "isShutdown": return !process.runs();
            case "brokerState": return process.runs() ? BrokerState.RUNNING : BrokerState.NOT_RUNNING;
            case "sharedServer": return sharedServer();
            case "toString": return "broker " + BrokerProcess.NODE_ID;
            default: throw Stand.refused(KafkaBroker.class, method.getName());
        }
    }

    /** Knows how the topic of offsets is created. */
    private static GroupCoordinator groupCoordinator(KafkaConfig config) {
        return Stand.in(GroupCoordinator.class, "groupMetadataTopicConfigs", () -> {
            Properties properties = new Properties();
            properties.put("cleanup.policy", "compact");
            properties.put("compression.type", "producer");
            properties.put("segment.bytes", String.valueOf(config.groupCoordinatorConfig().offsetsTopicSegmentBytes()));
            return properties;
        });
    }

    /** Has applied whatever a test waits for. */
    private static SharedServer sharedServer() {
        MetadataLoader loader = Stand.in(MetadataLoader.class, "lastAppliedOffset", () -> Long.MAX_VALUE);
        return Stand.in(SharedServer.class, "loader", () -> loader);
    }

    /** The exception of what a test cannot have here. */
    public static UnsupportedOperationException unsupported(String what) {
        return Stand.refused(what);
    }
}

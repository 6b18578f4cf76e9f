package compat.upstream;

import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.GroupProtocol;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.ClusterInstance;

import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.fault.FaultHandlerException;
import org.apache.kafka.test.TestUtils;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;

/** The cluster of Apache Kafka's tests, as one broker and controller in a process of its own. */
public final class ProcessCluster implements ClusterInstance, AutoCloseable {
    private final ClusterConfig config;
    private final Type type;
    private BrokerProcess process;
    private KafkaBroker broker;
    private boolean started;
    private boolean stopped;

    public ProcessCluster(ClusterConfig config, Type type) {
        this.config = config;
        this.type = type;
    }

    /** Prepares the process, without starting it. */
    public void prepare() {
        if (config.brokerSecurityProtocol() != SecurityProtocol.PLAINTEXT) {
            throw RemoteBroker.unsupported("listener of " + config.brokerSecurityProtocol());
        }
        List<String> features = new ArrayList<>();
        if (config.metadataVersion().isLessThan(MetadataVersion.latestProduction())) {
            features.add("metadata.version=" + config.metadataVersion().featureLevel());
        }
        config.features().forEach((feature, level) -> features.add(feature.featureName() + "=" + level));
        Map<String, String> properties = new HashMap<>(config.serverProperties());
        properties.putAll(config.perServerOverrideProperties().getOrDefault(BrokerProcess.NODE_ID, Map.of()));
        process = new BrokerProcess(clientListener().value(), SingleReplica.properties(properties), features);
        broker = RemoteBroker.of(process);
    }

    @Override
    public void start() {
        process.start();
        started = true;
    }

    @Override
    public void stop() {
        process.stop();
        stopped = true;
    }

    @Override
    public void close() {
        if (process != null) process.close();
        stopped = true;
    }

    @Override
    public boolean started() {
        return started;
    }

    @Override
    public boolean stopped() {
        return stopped;
    }

    @Override
    public void startBroker(int id) {
        process.start();
    }

    @Override
    public void shutdownBroker(int id) {
        process.stop();
    }

    @Override
    public void waitForReadyBrokers() {
        // A start waits until the broker answers.
    }

    @Override
    public Type type() {
        return type;
    }

    @Override
    public ClusterConfig config() {
        return config;
    }

    @Override
    public String clusterId() {
        return process.clusterId();
    }

    @Override
    public ListenerName clientListener() {
        return config.brokerListenerName();
    }

    @Override
    public ListenerName controllerListenerName() {
        return config.controllerListenerName();
    }

    @Override
    public String bootstrapServers() {
        return process.bootstrapServers();
    }

    @Override
    public String bootstrapControllers() {
        throw RemoteBroker.unsupported("bootstrap controllers");
    }

    @Override
    public List<Integer> brokerBoundPorts() {
        return List.of(process.port());
    }

    @Override
    public Map<Integer, KafkaBroker> brokers() {
        return Map.of(BrokerProcess.NODE_ID, broker);
    }

    /** None: tests that wait for each controller to have seen a change have nothing to wait for. */
    @Override
    public Map<Integer, ControllerServer> controllers() {
        return Map.of();
    }

    @Override
    public Set<Integer> controllerIds() {
        return Set.of(BrokerProcess.NODE_ID);
    }

    /** Gregor does not serve the consumer protocol (KIP-848) yet. */
    @Override
    public Set<GroupProtocol> supportedGroupProtocols() {
        return Set.of(GroupProtocol.CLASSIC);
    }

    @Override
    public Optional<FaultHandlerException> firstFatalException() {
        return Optional.empty();
    }

    @Override
    public Optional<FaultHandlerException> firstNonFatalException() {
        return Optional.empty();
    }

    @Override
    public Admin admin(Map<String, Object> configs, boolean usingBootstrapControllers) {
        return SingleReplica.admin(ClusterInstance.super.admin(configs, usingBootstrapControllers), config.numBrokers());
    }

    @Override
    public void createTopic(String name, int partitions, short replicas, Map<String, String> configs) throws InterruptedException {
        create(new NewTopic(name, partitions, replicas).configs(configs));
    }

    @Override
    public void createTopicWithAssignment(String name, Map<Integer, List<Integer>> assignments) throws InterruptedException {
        create(new NewTopic(name, assignments));
    }

    /**
     * Creates a topic. Some tests create one that is there already, which Apache Kafka's cluster does
     * not refuse either.
     */
    private void create(NewTopic topic) throws InterruptedException {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(topic)).all().get();
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof TopicExistsException)) throw new IllegalStateException(e.getCause());
        }
    }

    @Override
    public void waitTopicCreation(String topic, int partitions) throws InterruptedException {
        TestUtils.waitForCondition(() -> partitions == RemoteMetadata.partitions(process.bootstrapServers(), topic).size(),
            topic + " does not have " + partitions + " partitions");
    }

    @Override
    public void waitTopicDeletion(String topic) throws InterruptedException {
        try (Admin admin = admin()) {
            TestUtils.waitForCondition(() -> !admin.listTopics().names().get().contains(topic), topic + " is not deleted");
        }
    }

    @Override
    public void ensureConsistentMetadata() {
        // One node: what it answered is what it has.
    }

    @Override
    public void ensureConsistentMetadata(Collection<KafkaBroker> brokers, Collection<ControllerServer> controllers) {
        // One node: what it answered is what it has.
    }
}

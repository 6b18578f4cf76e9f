package kafka.integration;

import compat.upstream.BrokerProcess;
import compat.upstream.RemoteBroker;
import compat.upstream.RemoteMetadata;
import compat.upstream.SingleReplica;

import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KRaftQuorumImplementation;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;
import kafka.server.QuorumTestHarness;
import kafka.utils.TestInfoUtils;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.common.TransactionVersion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;

import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;

import scala.Option;
import scala.Tuple2;
import scala.collection.Seq;
import scala.collection.mutable.Buffer;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Stands before the class of this name in Apache Kafka's jar, below its tests in Scala that start
 * brokers themselves. Their one broker here is a process. The names of the methods are those that
 * Scala's compiler gives, so that the compiled tests find them.
 */
public abstract class KafkaServerTestHarness extends QuorumTestHarness {
    /** What the process sets itself. */
    private static final Set<String> OWN = Set.of("process.roles", "node.id", "broker.id", "listeners", "advertised.listeners",
        "listener.security.protocol.map", "inter.broker.listener.name", "security.inter.broker.protocol", "controller.listener.names",
        "controller.quorum.voters", "controller.quorum.bootstrap.servers", "log.dir", "log.dirs", "metadata.log.dir", "server.max.startup.time.ms",
        "unstable.feature.versions.enable", "unstable.api.versions.enable");

    private Seq<KafkaConfig> instanceConfigs;
    private BrokerProcess process;
    private KafkaBroker broker;

    public abstract Seq<KafkaConfig> generateConfigs();

    public Seq<KafkaConfig> configs() {
        if (instanceConfigs == null) instanceConfigs = generateConfigs();
        return instanceConfigs;
    }

    public Seq<KafkaConfig> instanceConfigs() {
        return instanceConfigs;
    }

    public void instanceConfigs_$eq(Seq<KafkaConfig> configs) {
        instanceConfigs = configs;
    }

    @BeforeEach
    @Override
    public void setUp(TestInfo test) {
        if (securityProtocol() != SecurityProtocol.PLAINTEXT) throw RemoteBroker.unsupported("listener of " + securityProtocol());
        super.setUp(test);
        configureSecurityBeforeServersStart(test);
        List<String> features = new ArrayList<>();
        if (metadataVersion().isLessThan(MetadataVersion.latestProduction())) features.add("metadata.version=" + metadataVersion().featureLevel());
        if (!TestInfoUtils.isTransactionV2Enabled(test)) features.add(TransactionVersion.FEATURE_NAME + "=" + TransactionVersion.TV_1.featureLevel());
        start(features);
        configureSecurityAfterServersStart();
    }

    /** The process is the controller too. */
    @Override
    public KRaftQuorumImplementation newKRaftQuorum(TestInfo test, Properties overrides) {
        return null;
    }

    @AfterEach
    @Override
    public void tearDown() {
        try {
            if (process != null) process.close();
        } finally {
            process = null;
            super.tearDown();
        }
    }

    private void start(List<String> features) {
        Map<String, String> properties = new HashMap<>();
        configs().head().originals().forEach((name, value) -> {
            if (!OWN.contains(name) && !name.startsWith("listener.name.")) properties.put(name, String.valueOf(value));
        });
        process = new BrokerProcess(listenerName().value(), SingleReplica.properties(properties), features);
        broker = RemoteBroker.of(process);
        process.start();
    }

    public void recreateBrokers(boolean reconfigure, boolean startup) {
        if (reconfigure) throw RemoteBroker.unsupported("recreateBrokers with another configuration");
        process.stop();
        if (startup) process.start();
    }

    public boolean recreateBrokers$default$1() {
        return false;
    }

    public boolean recreateBrokers$default$2() {
        return false;
    }

    public Buffer<KafkaBroker> brokers() {
        return CollectionConverters.asScala(broker == null ? new ArrayList<>() : new ArrayList<>(List.of(broker)));
    }

    public Buffer<KafkaBroker> servers() {
        return brokers();
    }

    public Seq<KafkaBroker> aliveBrokers() {
        return process.runs() ? brokers() : CollectionConverters.asScala(new ArrayList<>());
    }

    public boolean[] alive() {
        return new boolean[] {process.runs()};
    }

    public void alive_$eq(boolean[] alive) {
        throw RemoteBroker.unsupported("alive=");
    }

    public Buffer<BrokerServer> brokerServers() {
        throw RemoteBroker.unsupported("BrokerServer");
    }

    @Override
    public ControllerServer controllerServer() {
        return RemoteBroker.controller();
    }

    /** None: tests that wait for each controller to have seen a change have nothing to wait for. */
    @Override
    public Seq<ControllerServer> controllerServers() {
        return CollectionConverters.asScala(new ArrayList<>());
    }

    public Option<KafkaBroker> serverForId(int id) {
        return id == BrokerProcess.NODE_ID ? Option.apply(broker) : Option.empty();
    }

    public int boundPort(KafkaBroker any) {
        return process.port();
    }

    public String bootstrapServers(ListenerName listener) {
        return process.bootstrapServers();
    }

    public ListenerName bootstrapServers$default$1() {
        return listenerName();
    }

    public SecurityProtocol securityProtocol() {
        return SecurityProtocol.PLAINTEXT;
    }

    public ListenerName listenerName() {
        return ListenerName.forSecurityProtocol(securityProtocol());
    }

    public Option<File> trustStoreFile() {
        return Option.empty();
    }

    public Option<Properties> serverSaslProperties() {
        return Option.empty();
    }

    public Option<Properties> clientSaslProperties() {
        return Option.empty();
    }

    public Time brokerTime(int id) {
        throw RemoteBroker.unsupported("brokerTime");
    }

    /** A test may override it. */
    public void configureSecurityBeforeServersStart(TestInfo test) {}

    /** A test may override it. */
    public void configureSecurityAfterServersStart() {}

    public void killBroker(int index) {
        process.stop();
    }

    public void killBroker(int index, Duration timeout) {
        process.stop();
    }

    public int killRandomBroker() {
        process.stop();
        return BrokerProcess.NODE_ID;
    }

    public void startBroker(int index) {
        process.start();
    }

    public void restartDeadBrokers(boolean reconfigure) {
        if (reconfigure) throw RemoteBroker.unsupported("restartDeadBrokers with another configuration");
        process.start();
    }

    public boolean restartDeadBrokers$default$1() {
        return false;
    }

    public void ensureConsistentKRaftMetadata() {
        // One node: what it answered is what it has.
    }

    public void createOffsetsTopic(ListenerName listener, Properties adminConfig) {
        int partitions = broker.config().groupCoordinatorConfig().offsetsTopicPartitions();
        create(new NewTopic("__consumer_offsets", partitions, (short) 1).configs(strings(broker.groupCoordinator().groupMetadataTopicConfigs())));
    }

    public ListenerName createOffsetsTopic$default$1() {
        return listenerName();
    }

    public Properties createOffsetsTopic$default$2() {
        return new Properties();
    }

    public scala.collection.immutable.Map<Object, Object> createTopic(String topic, int partitions, int replicas, Properties config,
            ListenerName listener, Properties adminConfig) {
        return create(new NewTopic(topic, partitions, (short) replicas).configs(strings(config)));
    }

    public int createTopic$default$2() {
        return 1;
    }

    public int createTopic$default$3() {
        return 1;
    }

    public Properties createTopic$default$4() {
        return new Properties();
    }

    public ListenerName createTopic$default$5() {
        return listenerName();
    }

    public Properties createTopic$default$6() {
        return new Properties();
    }

    public scala.collection.immutable.Map<Object, Object> createTopicWithAssignment(String topic,
            scala.collection.Map<Object, Seq<Object>> assignment, ListenerName listener) {
        Map<Integer, List<Integer>> replicas = new HashMap<>();
        CollectionConverters.asJava(assignment).forEach((partition, ids) ->
            replicas.put((Integer) partition, CollectionConverters.asJava(ids).stream().map(Integer.class::cast).toList()));
        return create(new NewTopic(topic, replicas));
    }

    public ListenerName createTopicWithAssignment$default$3() {
        return listenerName();
    }

    public void deleteTopic(String topic, ListenerName listener) {
        withAdmin(admin -> admin.deleteTopics(List.of(topic)).all().get());
    }

    public ListenerName deleteTopic$default$2() {
        return listenerName();
    }

    public scala.collection.immutable.Map<String, Uuid> getTopicIds(Seq<String> names) {
        Map<String, Uuid> ids = ids();
        ids.keySet().retainAll(CollectionConverters.asJava(names));
        return immutable(ids);
    }

    public scala.collection.immutable.Map<String, Uuid> getTopicIds() {
        return immutable(ids());
    }

    public scala.collection.immutable.Map<Uuid, String> getTopicNames() {
        Map<Uuid, String> names = new HashMap<>();
        ids().forEach((name, id) -> names.put(id, name));
        return immutable(names);
    }

    private Map<String, Uuid> ids() {
        return withAdmin(admin -> {
            Map<String, Uuid> ids = new HashMap<>();
            for (var topic : admin.listTopics().listings().get()) ids.put(topic.name(), topic.topicId());
            return ids;
        });
    }

    /** Creates a topic and answers with the leader of each partition. */
    private scala.collection.immutable.Map<Object, Object> create(NewTopic topic) {
        withAdmin(admin -> SingleReplica.admin(admin, configs().size()).createTopics(List.of(topic)).all().get());
        Map<Object, Object> leaders = new HashMap<>();
        RemoteMetadata.partitions(process.bootstrapServers(), topic.name())
            .forEach(partition -> leaders.put(partition.partition(), partition.leader().id()));
        return immutable(leaders);
    }

    private interface AdminCall<T> {
        T call(Admin admin) throws ExecutionException, InterruptedException;
    }

    private <T> T withAdmin(AdminCall<T> call) {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", process.bootstrapServers()))) {
            return call.call(admin);
        } catch (ExecutionException e) {
            throw KafkaServerTestHarness.<RuntimeException>unchecked(e.getCause());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Throws what Scala's code would let through, whether it is checked or not. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> RuntimeException unchecked(Throwable thrown) throws E {
        throw (E) thrown;
    }

    private static <K, V> scala.collection.immutable.Map<K, V> immutable(Map<K, V> map) {
        var builder = scala.collection.immutable.Map$.MODULE$.<K, V>newBuilder();
        map.forEach((key, value) -> builder.addOne(new Tuple2<>(key, value)));
        return builder.result();
    }

    private static Map<String, String> strings(Properties properties) {
        Map<String, String> strings = new HashMap<>();
        properties.forEach((name, value) -> strings.put(name.toString(), value.toString()));
        return strings;
    }
}

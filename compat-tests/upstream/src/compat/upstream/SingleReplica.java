package compat.upstream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a test that asks for several brokers gets on one: each replication factor that its brokers
 * could hold becomes 1. Factors that no cluster of that size could hold stay as they are.
 */
public final class SingleReplica {
    private static final List<String> FACTORS = List.of("default.replication.factor", "min.insync.replicas",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor", "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr");

    private SingleReplica() {}

    /** The internal topics have one replica, also where the test keeps the default of three. */
    public static Map<String, String> properties(Map<String, String> properties) {
        Map<String, String> single = new HashMap<>();
        for (String name : FACTORS) if (name.contains(".topic.") || name.contains(".log.")) single.put(name, "1");
        properties.forEach((name, value) -> single.put(name, FACTORS.contains(name) ? "1" : value));
        return single;
    }

    public static Admin admin(Admin admin, int brokerCount) {
        if (brokerCount == 1) return admin;
        return (Admin) Proxy.newProxyInstance(SingleReplica.class.getClassLoader(), new Class<?>[] {Admin.class}, (proxy, method, arguments) -> {
            if (method.getName().equals("createTopics")) {
                List<NewTopic> topics = new ArrayList<>();
                for (Object topic : (Collection<?>) arguments[0]) topics.add(topic((NewTopic) topic, brokerCount));
                arguments[0] = topics;
            }
            try {
                return method.invoke(admin, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    public static NewTopic topic(NewTopic topic, int brokerCount) {
        NewTopic single = topic;
        if (topic.replicasAssignments() != null) {
            Map<Integer, List<Integer>> assignments = new HashMap<>();
            topic.replicasAssignments().forEach((partition, replicas) -> assignments.put(partition,
                replicas.stream().map(id -> id >= 0 && id < brokerCount ? BrokerProcess.NODE_ID : id).distinct().toList()));
            single = new NewTopic(topic.name(), assignments);
        } else if (topic.replicationFactor() > 1 && topic.replicationFactor() <= brokerCount) {
            single = new NewTopic(topic.name(), topic.numPartitions(), (short) 1);
        }
        if (single == topic || topic.configs() == null) return single;
        Map<String, String> configs = new HashMap<>(topic.configs());
        configs.replace("min.insync.replicas", "1");
        return single.configs(configs);
    }
}

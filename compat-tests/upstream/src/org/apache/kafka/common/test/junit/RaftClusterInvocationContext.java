package org.apache.kafka.common.test.junit;

import compat.upstream.ProcessCluster;

import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;

import java.util.List;

/**
 * Stands before the class of this name in Apache Kafka's jar: its `ClusterTestExtensions`, which
 * reads the annotations of tests, constructs this class for each cluster that a test wants. The
 * cluster here is a process.
 */
public class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private final String name;
    private final ClusterConfig config;
    private final boolean combined;

    public RaftClusterInvocationContext(String name, ClusterConfig config, boolean combined) {
        this.name = name;
        this.config = config;
        this.combined = combined;
    }

    @Override
    public String getDisplayName(int index) {
        return name + " [" + index + "]";
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
        ProcessCluster cluster = new ProcessCluster(config, combined ? Type.CO_KRAFT : Type.KRAFT);
        ExecutionCondition once = context -> !combined && config.clusterTypes().contains(Type.CO_KRAFT)
            ? ConditionEvaluationResult.disabled("the broker is also the controller, so once is enough")
            : ConditionEvaluationResult.enabled("");
        BeforeEachCallback before = context -> {
            cluster.prepare();
            try {
                if (config.isAutoStart()) cluster.start();
            } catch (RuntimeException e) {
                cluster.close();
                throw e;
            }
        };
        AfterTestExecutionCallback after = context -> cluster.close();
        // For a test that fails before its body.
        AfterEachCallback afterAll = context -> cluster.close();
        return List.of(once, before, after, afterAll, new ClusterInstanceParameterResolver(cluster));
    }
}

package compat.upstream;

import org.apache.kafka.clients.admin.Admin;
import org.junit.jupiter.api.extension.BeforeTestExecutionCallback;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

import java.lang.reflect.Field;

import kafka.integration.KafkaServerTestHarness;

/**
 * Fits the tests in Scala to one broker: the admin clients that they made in their set-up create
 * topics of one replica, and the invocations of the consumer protocol do not run.
 */
public final class SingleNode implements BeforeTestExecutionCallback, ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return context.getDisplayName().contains("groupProtocol=consumer")
            ? ConditionEvaluationResult.disabled("Gregor does not serve the consumer protocol (KIP-848) yet")
            : ConditionEvaluationResult.enabled("");
    }

    @Override
    public void beforeTestExecution(ExtensionContext context) throws IllegalAccessException {
        if (!(context.getRequiredTestInstance() instanceof KafkaServerTestHarness test)) return;
        for (Class<?> c = test.getClass(); c != null; c = c.getSuperclass()) {
            for (Field field : c.getDeclaredFields()) {
                if (field.getType() != Admin.class) continue;
                field.setAccessible(true);
                Admin admin = (Admin) field.get(test);
                if (admin != null) field.set(test, SingleReplica.admin(admin, test.configs().size()));
            }
        }
    }
}

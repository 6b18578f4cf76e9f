package compat.upstream;

import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * Runs the tests of Apache Kafka's jars that the list names, and prints the lines that
 * `compat-tests/run` counts.
 *
 * Arguments: the list, the folder of the jars, a folder in which several JVMs note which of them runs
 * a class, and a pattern of CLASS#TEST, which runs all that it finds, also what the list leaves out.
 */
public final class Runner {
    private static final String CLIENT = "upstream";
    /**
     * As in the runs of Apache Kafka's own integration (-PmaxTestRetries=1 -PmaxTestRetryFailures=3), a
     * test that fails runs once more, and only so many of them in a JVM: some wait a fixed time for what a
     * busy machine does later. The line of such a test says why it failed first.
     */
    private static final int RETRIES_MAX = 1;

    private final TestList list;
    private final Optional<Pattern> only;
    private final Map<String, String> failedFirst = new LinkedHashMap<>();
    private boolean failed;

    private Runner(TestList list, Optional<Pattern> only) {
        this.list = list;
        this.only = only;
    }

    public static void main(String[] arguments) throws Exception {
        TestList list = new TestList(Path.of(arguments[0]));
        Map<String, SortedSet<String>> tests = Catalog.read(Path.of(arguments[1]));
        Path taken = Path.of(arguments[2]);
        Optional<Pattern> only = arguments.length > 3 ? Optional.of(Pattern.compile(arguments[3])) : Optional.empty();
        Runner runner = new Runner(list, only);
        if (only.isEmpty() && takes(taken.resolve("list"))) runner.checkList(tests);
        for (String name : tests.keySet()) {
            if (runner.wants(name, tests.get(name)) && takes(taken.resolve(name))) runner.execute(name);
        }
        System.exit(runner.failed ? 1 : 0);
    }

    private void checkList(Map<String, SortedSet<String>> tests) {
        list.leftOut().forEach((name, why) -> say("SKIP", brief(name) + ": " + why));
        List<String> faults = list.faults(tests);
        if (faults.isEmpty()) say("PASS", "list");
        faults.forEach(fault -> fail("list", fault));
    }

    private boolean wants(String className, SortedSet<String> tests) {
        if (only.isEmpty()) return list.runs(className);
        return tests.stream().anyMatch(test -> only.get().matcher(className + "#" + test).find());
    }

    private boolean wants(TestSource source) {
        if (!(source instanceof MethodSource method)) return true;
        if (only.isPresent()) return only.get().matcher(method.getClassName() + "#" + method.getMethodName()).find();
        return list.runs(method.getClassName(), method.getMethodName());
    }

    /** Whether this JVM is the first to take it. */
    private static boolean takes(Path note) throws IOException {
        try {
            Files.createFile(note);
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        }
    }

    private void execute(String className) {
        int before = failedFirst.size();
        execute(className, this::wants, false);
        List.copyOf(failedFirst.keySet()).stream().skip(before).forEach(test ->
            execute(className, source -> !(source instanceof MethodSource method) || nameOf(method).equals(test), true));
    }

    private void execute(String className, Predicate<TestSource> wanted, boolean isAgain) {
        var request = LauncherDiscoveryRequestBuilder.request()
            .selectors(DiscoverySelectors.selectClass(className))
            .filters((PostDiscoveryFilter) test -> FilterResult.includedIf(wanted.test(test.getSource().orElse(null))))
            .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
            // The limit ends what hangs.
            .configurationParameter("junit.jupiter.execution.timeout.default", "120 s")
            .build();
        LauncherFactory.create().execute(request, new Listener(isAgain));
    }

    private void fail(String scenario, String why) {
        failed = true;
        String line = why.replaceAll("\\s+", " ");
        say("FAIL", scenario + ": " + line.substring(0, Math.min(400, line.length())));
    }

    /** Writes a line at once, because several JVMs write to the same output. */
    private static void say(String outcome, String what) {
        System.out.print(outcome + " " + CLIENT + " " + what + "\n");
        System.out.flush();
    }

    private static String nameOf(MethodSource method) {
        return brief(method.getClassName()) + "#" + method.getMethodName();
    }

    private static String brief(String name) {
        return name.substring(name.lastIndexOf('.') + 1);
    }

    /** What became of one test in all its invocations. */
    private static final class Outcome {
        private final long fromMs = System.currentTimeMillis();
        private int ran;
        private String failure;
    }

    private final class Listener implements TestExecutionListener {
        private final Map<MethodSource, Outcome> outcomes = new LinkedHashMap<>();
        private final boolean isAgain;
        private TestPlan plan;

        private Listener(boolean isAgain) {
            this.isAgain = isAgain;
        }

        @Override
        public void testPlanExecutionStarted(TestPlan started) {
            plan = started;
        }

        @Override
        public void executionStarted(TestIdentifier test) {
            methodOf(test).ifPresent(method -> outcomes.computeIfAbsent(method, any -> new Outcome()));
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            Optional<MethodSource> method = methodOf(test);
            boolean aborted = result.getStatus() == TestExecutionResult.Status.ABORTED;
            Throwable thrown = aborted || result.getStatus() == TestExecutionResult.Status.SUCCESSFUL
                ? null : result.getThrowable().orElseGet(() -> new AssertionError(result.getStatus().toString()));
            if (method.isEmpty()) {
                if (thrown != null) report(brief(test.getDisplayName()), test.getDisplayName(), thrown);
                return;
            }
            Outcome outcome = outcomes.get(method.get());
            if (test.isTest() && !aborted) outcome.ran++;
            if (thrown != null) {
                if (outcome.failure == null) outcome.failure = test.getDisplayName() + ": " + thrown;
                trace(nameOf(method.get()) + " " + test.getDisplayName(), thrown);
            }
            boolean last = plan.getParent(test).flatMap(this::methodOf).filter(method.get()::equals).isEmpty();
            if (!last) return;
            outcomes.remove(method.get());
            String name = nameOf(method.get());
            if (outcome.failure != null && !isAgain && failedFirst.size() < RETRIES_MAX) failedFirst.put(name, outcome.failure);
            else if (outcome.failure != null) fail(name, outcome.failure);
            else if (outcome.ran == 0) fail(name, "none of its invocations ran");
            else if (isAgain) say("PASS", name + " the second time; the first: " + failedFirst.get(name).replaceAll("\\s+", " "));
            else say("PASS", name);
            System.err.println(nameOf(method.get()) + " took " + (System.currentTimeMillis() - outcome.fromMs) + " ms");
        }

        private void report(String scenario, String name, Throwable thrown) {
            fail(scenario, thrown.toString());
            trace(name, thrown);
        }

        private void trace(String name, Throwable thrown) {
            System.err.println("--- " + name);
            thrown.printStackTrace();
            System.err.println("--- the broker's log:");
            BrokerProcess.lastLog().forEach(System.err::println);
        }

        private Optional<MethodSource> methodOf(TestIdentifier test) {
            return test.getSource().filter(MethodSource.class::isInstance).map(MethodSource.class::cast);
        }

    }
}

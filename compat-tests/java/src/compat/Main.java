package compat;

import java.util.Objects;
import java.util.concurrent.Callable;

/** Runs all scenarios through Java's own clients: {@code Main BOOTSTRAP}. */
public final class Main {
    private static boolean failed;

    /** A scenario, or a step of one. */
    interface Step {
        void run() throws Exception;
    }

    static final long LIMIT_MS = 30_000;

    private Main() {}

    static void scenario(String name, Step step) {
        try {
            step.run();
            System.out.println("PASS java " + name);
        } catch (Exception | AssertionError e) {
            failed = true;
            e.printStackTrace();
            var why = e.toString().replace('\n', ' ');
            System.out.println("FAIL java " + name + ": " + why.substring(0, Math.min(400, why.length())));
        }
    }

    static void equal(String what, Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(what + ": found " + found + ", wanted " + wanted);
        }
    }

    static void holds(String what, boolean condition) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** Polls until the step runs without an AssertionError, and lets the last one out at the deadline. */
    static void within(Step step) throws Exception {
        var deadline = System.currentTimeMillis() + LIMIT_MS;
        while (true) {
            try {
                step.run();
                return;
            } catch (AssertionError e) {
                if (System.currentTimeMillis() > deadline) {
                    throw e;
                }
            }
            Thread.sleep(50);
        }
    }

    /** The call fails with an error of this class, itself or as the cause. */
    static void refused(Class<? extends Throwable> kind, Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (Exception e) {
            var cause = e instanceof java.util.concurrent.ExecutionException ? e.getCause() : e;
            if (kind.isInstance(cause)) {
                return;
            }
            throw e;
        }
        throw new AssertionError("not refused with " + kind.getSimpleName());
    }

    public static void main(String[] arguments) {
        var bootstrap = arguments[0];
        try (var administration = new Administration(bootstrap)) {
            var topic = "java-" + System.currentTimeMillis();
            var messages = new Messages(bootstrap, topic);
            var groups = new Groups(administration.admin, messages);
            var transactions = new Transactions(administration.admin, messages);
            var transactionAdministration = new TransactionAdministration(transactions);
            scenario("create", () -> administration.create(topic));
            if (!failed) {
                // This one waits for the broker while the others run.
                scenario("transactions-open", transactions::startExpiring);
                for (var codec : Messages.CODECS) {
                    scenario("produce-" + codec, () -> messages.produce(codec));
                }
                scenario("consume", messages::consume);
                scenario("seek-by-time", messages::seekByTime);
                scenario("list-offsets", () -> administration.listOffsets(messages));
                scenario("too-large", messages::tooLarge);
                scenario("topic-ids", () -> administration.topicIds(topic));
                scenario("commit-and-resume", groups::commitAndResume);
                scenario("group-of-three", () -> groups.three("three", "range"));
                scenario("group-of-three-cooperative", () -> groups.three("cooperative", "cooperative"));
                scenario("static-members", groups::staticMembers);
                scenario("groups", groups::administer);
                scenario("configs", () -> administration.configs(topic));
                scenario("broker-configs", administration::brokerConfigs);
                scenario("broker-loggers", administration::brokerLoggers);
                scenario("client-metrics-configs", administration::clientMetrics);
                scenario("cluster", administration::cluster);
                scenario("quorum", administration::quorum);
                scenario("features", administration::features);
                scenario("log-dirs", () -> administration.logDirs(topic));
                scenario("producers", () -> administration.producers(topic));
                scenario("transactions-loop", transactions::loop);
                scenario("transactions-fencing", transactions::fencing);
                scenario("transactions-stale-member", transactions::staleMember);
                scenario("transactions-after-abort", transactions::afterAbort);
                scenario("transactions-after-crash", transactions::afterCrash);
                scenario("transactions-last-stable-offset", transactions::lastStableOffset);
                scenario("transactions-list", transactionAdministration::list);
                scenario("transactions-describe", transactionAdministration::describe);
                scenario("transactions-abort", transactionAdministration::abort);
                scenario("transactions-fence", transactionAdministration::fence);
                scenario("transactions-terminate", transactionAdministration::terminate);
                scenario("transactions-expired", transactions::expired);
                scenario("transactions-delete", transactions::delete);
                scenario("delete-records", () -> administration.deleteRecords(topic));
                scenario("delete", () -> administration.delete(topic));
            }
        }
        System.exit(failed ? 1 : 0);
    }
}

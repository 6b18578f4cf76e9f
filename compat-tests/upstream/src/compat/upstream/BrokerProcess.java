package compat.upstream;

import org.apache.kafka.common.requests.MetadataRequest;
import org.apache.kafka.common.requests.MetadataResponse;
import org.apache.kafka.server.IntegrationTestUtils;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * A broker and controller in a process of its own, on a new folder: Gregor, or Apache Kafka if the
 * environment variable UPSTREAM_BROKER is "kafka". The process is ended by its id.
 */
public final class BrokerProcess implements AutoCloseable {
    /** The only node. Brokers of Apache Kafka's own test cluster are numbered from 0. */
    public static final int NODE_ID = 0;

    /** The processes that run now. A JVM that ends early ends them. */
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly)));
    }

    private static volatile List<String> lastLog = List.of();
    private static final boolean KAFKA = "kafka".equals(System.getenv("UPSTREAM_BROKER"));
    private static final long START_MS_MAX = 60_000;
    private static final long STOP_MS_MAX = 30_000;
    private static final String CLUSTER_ID = "upstreamupstreamupstrQ";

    private final Map<String, String> properties = new TreeMap<>();
    private final List<String> features;
    private final Path folder;
    private final int port;
    private Process process;
    private boolean formatted;

    /** The listener that clients use is named `listener`. Features are written as name=level. */
    public BrokerProcess(String listener, Map<String, String> overrides, List<String> features) {
        try {
            folder = Files.createTempDirectory("upstream-");
            port = freePort();
            int controllerPort = freePort();
            while (controllerPort == port) controllerPort = freePort();
            properties.put("process.roles", "broker,controller");
            properties.put("node.id", String.valueOf(NODE_ID));
            properties.put("controller.quorum.voters", NODE_ID + "@localhost:" + controllerPort);
            properties.put("listeners", listener + "://localhost:" + port + ",CONTROLLER://localhost:" + controllerPort);
            properties.put("listener.security.protocol.map", listener + ":PLAINTEXT,CONTROLLER:PLAINTEXT");
            properties.put("inter.broker.listener.name", listener);
            properties.put("controller.listener.names", "CONTROLLER");
            properties.put("log.dirs", folder.resolve("data").toString());
            properties.put("log.cleaner.dedupe.buffer.size", "2097152");
            properties.putAll(overrides);
            this.features = features;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public Map<String, String> properties() {
        return properties;
    }

    public int port() {
        return port;
    }

    public String bootstrapServers() {
        return "localhost:" + port;
    }

    public String clusterId() {
        return CLUSTER_ID;
    }

    public boolean runs() {
        return process != null && process.isAlive();
    }

    /** Formats the folder if it is new, starts the process, and waits until it answers. */
    public void start() {
        if (runs()) return;
        try {
            Path file = folder.resolve("server.properties");
            List<String> lines = new ArrayList<>();
            properties.forEach((name, value) -> lines.add(name + "=" + value.replace("\n", "\\\n")));
            Files.write(file, lines);
            if (KAFKA) {
                process = launch(kafka(file));
            } else {
                format(file);
                process = launch(List.of(System.getenv("GREGOR_BIN"), "start", file.toString()));
            }
            awaitAnswer();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Stops the process with SIGTERM, and with SIGKILL if it does not end. */
    public void stop() {
        if (process == null) return;
        process.destroy();
        try {
            if (!process.waitFor(STOP_MS_MAX, TimeUnit.MILLISECONDS)) {
                process.destroyForcibly().waitFor();
                throw new IllegalStateException("SIGTERM did not end the broker within " + STOP_MS_MAX + " ms");
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            throw new IllegalStateException(e);
        } finally {
            process = null;
        }
    }

    /** Ends the process, Apache Kafka with SIGKILL to save its flushes, and deletes the folder. */
    @Override
    public void close() {
        lastLog = log();
        try {
            if (KAFKA && process != null) {
                process.destroyForcibly().waitFor();
                process = null;
            }
            stop();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        } finally {
            if (Files.exists(folder)) delete(folder);
        }
    }

    /** What the process that ended last printed last. */
    public static List<String> lastLog() {
        return lastLog;
    }

    private List<String> log() {
        try {
            Path log = folder.resolve("log");
            if (!Files.exists(log)) return List.of();
            List<String> lines = Files.readAllLines(log);
            return lines.subList(Math.max(0, lines.size() - 20), lines.size());
        } catch (IOException e) {
            return List.of(e.toString());
        }
    }

    private List<String> kafka(Path file) {
        List<String> command = new ArrayList<>(List.of("java", "-Xmx384m", "-Xlog:disable", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Xshare:auto", "-Dlog4j2.configurationFile=" + System.getenv("UPSTREAM_LOG4J"),
            "-cp", System.getenv("UPSTREAM_KAFKA_CLASSPATH"), "compat.upstream.KafkaMain", file.toString(), CLUSTER_ID));
        command.addAll(features);
        return command;
    }

    private void format(Path file) throws IOException {
        if (formatted) return;
        List<String> command = new ArrayList<>(
            List.of(System.getenv("GREGOR_BIN"), "format", "-c", file.toString(), "-t", CLUSTER_ID));
        for (String feature : features) command.addAll(List.of("-f", feature));
        try {
            if (launch(command).waitFor() != 0) throw new IllegalStateException("the format failed: " + log());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        formatted = true;
    }

    private Process launch(List<String> command) throws IOException {
        Process started = new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("log").toFile()))
            .start();
        RUNNING.add(started);
        // Not when a process ends: on two cores that starts a thread, which a test may take for a leak.
        RUNNING.removeIf(process -> !process.isAlive());
        return started;
    }

    /** Waits until a Metadata request is answered with this broker. */
    private void awaitAnswer() {
        long deadline = System.currentTimeMillis() + START_MS_MAX;
        while (true) {
            if (!process.isAlive()) throw new IllegalStateException("the broker ended: " + log());
            try {
                MetadataResponse response =
                    IntegrationTestUtils.connectAndReceive(new MetadataRequest.Builder(List.of(), false).build((short) 12), port);
                if (!response.brokers().isEmpty()) return;
            } catch (IOException e) {
                // It does not listen yet.
            }
            if (System.currentTimeMillis() > deadline) throw new IllegalStateException("the broker does not answer: " + log());
            try {
                Thread.sleep(KAFKA ? 50 : 2);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /**
     * A free port outside the range of outgoing connections, so that no client is given it while the
     * broker is down.
     */
    private static int freePort() {
        while (true) {
            int port = ThreadLocalRandom.current().nextInt(20_000, 30_000);
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getByName("localhost"))) {
                return socket.getLocalPort();
            } catch (IOException e) {
                // It is taken.
            }
        }
    }

    private static void delete(Path folder) {
        try (var paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException | UncheckedIOException e) {
            System.err.println("cannot delete " + folder + ": " + e);
        }
    }
}

package golden.records;

import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse.RecordError;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogAppendInfo;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.RecordValidationException;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/**
 * Appends a producer's bytes to a new log of Kafka and writes the result.
 *
 * <p>The log of {@code topic-0} already holds {@link #FILLER} records. Its leader epoch is {@link
 * #EPOCH} and its clock is fixed at {@link #NOW}. Lines: {@code verdict NAME CONFIG INPUT REQUEST
 * OUTCOME...}. CONFIG is {@code name=value,...} or empty. REQUEST is the result of checking the
 * request before the log sees it ({@code ok} or an error). OUTCOME is {@code ok FIRST_OFFSET
 * LAST_OFFSET MAX_TIMESTAMP LOG_APPEND_TIME BYTES RECORDS}, where BYTES is the content of the log,
 * or {@code error CODE CLASS MESSAGE INDEX:MESSAGE|...}. CLASS is {@code validation} if the message
 * goes to the client, or {@code fault} if Kafka itself breaks.
 * {@code fault} where Kafka itself breaks.
 */
final class Log {
    static final long NOW = 1_700_000_000_000L;
    static final int EPOCH = 5;
    static final int FILLER = 4;

    private final Path scratch;
    private final PrintStream out;
    private final KafkaScheduler scheduler = new KafkaScheduler(1);
    private int logs;

    Log(Path scratch, PrintStream out) {
        this.scratch = scratch;
        this.out = out;
        scheduler.startup();
    }

    void verdict(String name, Map<String, String> config, byte[] input) throws Exception {
        File dir = Files.createDirectories(scratch.resolve(Integer.toString(logs++)).resolve("topic-0")).toFile();
        String shown = new TreeMap<>(config).entrySet().stream().map(Object::toString).collect(Collectors.joining(","));
        out.print(String.join("\t", "verdict", name, shown, Show.bytes(input), request(input), outcome(dir, config, input)) + "\n");
    }

    private static String request(byte[] input) {
        try {
            ProduceRequest.validateRecords((short) 12, MemoryRecords.readableRecords(ByteBuffer.wrap(input.clone())));
            return "ok";
        } catch (RuntimeException e) {
            return Errors.forException(e).name() + ":" + e.getMessage();
        }
    }

    private String outcome(File dir, Map<String, String> config, byte[] input) throws Exception {
        UnifiedLog log = open(dir, config);
        try {
            SimpleRecord[] filler = new SimpleRecord[FILLER];
            Arrays.fill(filler, new SimpleRecord(NOW, new byte[] {1}, null));
            log.appendAsLeader(MemoryRecords.withRecords(Compression.NONE, filler), EPOCH, AppendOrigin.COORDINATOR);
            long start = log.size();
            LogAppendInfo info = log.appendAsLeader(MemoryRecords.readableRecords(ByteBuffer.wrap(input.clone())), EPOCH, AppendOrigin.CLIENT);
            byte[] written = written(dir, (int) start);
            return String.join("\t", "ok", Long.toString(info.firstOffset()), Long.toString(info.lastOffset()),
                Long.toString(info.maxTimestamp()), Long.toString(info.logAppendTime()), Show.bytes(written), Show.records(written));
        } catch (RecordValidationException e) {
            return error("validation", e.invalidException(), e.recordErrors());
        } catch (Exception e) {
            return error(e.getClass().getSimpleName(), e, List.of());
        } catch (OutOfMemoryError e) {
            // Kafka believes a length of 2 GB. Another broker may answer differently here.
            return "fault";
        } finally {
            log.close();
        }
    }

    /** Returns the bytes after the filler. A batch may have rolled the log. */
    private static byte[] written(File dir, int start) throws IOException {
        String[] segments = dir.list((parent, name) -> name.endsWith(".log"));
        Arrays.sort(segments);
        byte[] last = Files.readAllBytes(dir.toPath().resolve(segments[segments.length - 1]));
        return segments.length > 1 ? last : Arrays.copyOfRange(last, start, last.length);
    }

    private static String error(String kind, Exception e, List<RecordError> records) {
        String each = records.stream().map(r -> r.batchIndex + ":" + (r.message == null ? "-" : r.message)).collect(Collectors.joining("|"));
        return String.join("\t", "error", Errors.forException(e).name(), kind, String.valueOf(e.getMessage()).replaceAll("\\s+", " "), each);
    }

    private UnifiedLog open(File dir, Map<String, String> config) throws Exception {
        return UnifiedLog.create(dir, new LogConfig(config), 0, 0, scheduler, new BrokerTopicStats(false), new Stopped(), 3_600_000,
            new ProducerStateManagerConfig(86_400_000, false), 600_000, new LogDirFailureChannel(1), true, Optional.empty());
    }

    /** A clock with a fixed time. */
    private static final class Stopped implements Time {
        @Override
        public long milliseconds() {
            return NOW;
        }

        @Override
        public long nanoseconds() {
            return NOW * 1_000_000;
        }

        @Override
        public void sleep(long ms) {}

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {}
    }
}

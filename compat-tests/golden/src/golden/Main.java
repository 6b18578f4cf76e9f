package golden;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.protocol.Message;

/**
 * Writes instances of every message in every version, as Apache Kafka's own generated classes
 * encode them and as their converters show them.
 *
 * <p>Each line has words separated by tabs, with binary data in base64. {@code golden NAME FILLING
 * VERSION BYTES JSON} is an instance. {@code cross NAME FIELD FROM BYTES TO RESULT} is an instance
 * that is read in one version and written in another. RESULT is the bytes in the other version,
 * {@code !version} for a field that may not be ignored, or {@code !null}.
 */
public final class Main {
    private static final int RANDOM_INSTANCES = 4;
    static int skipped;
    private static int written;

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Path target = Path.of(arguments[0]);
        List<Kind> kinds = Kind.all();
        for (String file : List.of("requests", "responses", "records")) {
            try (Writer writer = open(target.resolve(file + ".tsv.gz"))) {
                for (Kind kind : kinds) {
                    if (fileOf(kind).equals(file)) {
                        Consumer<String> out = line -> put(writer, line);
                        instances(kind, out);
                        new Crossings(kind, out).write();
                    }
                }
            }
        }
        System.out.println(kinds.size() + " messages, " + written + " lines, " + skipped + " instances that have no bytes");
    }

    private static String fileOf(Kind kind) {
        return kind.name.endsWith("Request") ? "requests" : kind.name.endsWith("Response") ? "responses" : "records";
    }

    private static Writer open(Path path) throws IOException {
        OutputStream packed = new GZIPOutputStream(Files.newOutputStream(path), 1 << 16) {
            {
                def.setLevel(Deflater.BEST_COMPRESSION);
            }
        };
        return new BufferedWriter(new OutputStreamWriter(packed, StandardCharsets.UTF_8));
    }

    private static void put(Writer writer, String line) {
        try {
            writer.write(line);
            writer.write('\n');
            written++;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void instances(Kind kind, Consumer<String> out) throws ReflectiveOperationException {
        for (short version = kind.lowest; version <= kind.highest; version++) {
            Set<String> seen = new HashSet<>();
            for (Filling filling : Filling.values()) {
                // One instance of 32 KB is enough.
                if (filling == Filling.LONGEST && version != kind.highest) {
                    continue;
                }
                boolean random = filling == Filling.RANDOM || filling == Filling.RANDOM_TAGGED;
                for (int i = 0; i < (random ? RANDOM_INSTANCES : 1); i++) {
                    long seed = kind.name.hashCode() * 31L + version * 7L + filling.ordinal() * 1000L + i;
                    instance(kind, version, filling, seed, seen, out);
                }
            }
        }
    }

    private static void instance(Kind kind, short version, Filling filling, long seed, Set<String> seen, Consumer<String> out)
            throws ReflectiveOperationException {
        Message message = new Builder(filling, seed).build(kind.type, kind.schema(version));
        byte[] bytes;
        try {
            bytes = Kind.bytes(message, version);
        } catch (NullPointerException e) {
            // The default is null in a version that does not allow null.
            skipped++;
            return;
        }
        String base64 = Base64.getEncoder().withoutPadding().encodeToString(bytes);
        if (!seen.add(base64)) {
            return;
        }
        // The JSON shows the message that was read back: it lacks the fields that the version
        // lacks.
        Message read = kind.read(bytes, version);
        if (!read.equals(message)) {
            System.err.println("differs when read: " + kind.name + " v" + version + " " + filling);
        }
        String json = kind.json(read, version).toString();
        out.accept(String.join("\t", "golden", kind.name, filling.name(), Short.toString(version), base64, json));
    }
}

package golden.records;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;

/**
 * Writes {@code batches.tsv.gz} and {@code verdicts.tsv.gz} into a folder. {@link Batches} and
 * {@link Verdicts} describe them.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Path target = Path.of(arguments[0]);
        try (PrintStream out = open(target.resolve("batches.tsv.gz"))) {
            new Batches(out).write();
        }
        Path scratch = Files.createTempDirectory("golden-records");
        try (PrintStream out = open(target.resolve("verdicts.tsv.gz"))) {
            Verdicts.write(new Log(scratch, out));
        }
        // The scheduler of the log has its own threads.
        System.exit(0);
    }

    private static PrintStream open(Path path) throws Exception {
        OutputStream file = Files.newOutputStream(path);
        return new PrintStream(new GZIPOutputStream(file), false, StandardCharsets.UTF_8);
    }
}

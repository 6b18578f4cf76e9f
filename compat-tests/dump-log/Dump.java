import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.DumpLogSegments;

/**
 * Runs Kafka's tool once for each line of a file, all in one process: `Dump CASES FOLDER`. A line
 * holds arguments separated by tabs. Run n writes n.out, n.err and n.code into the folder. If the
 * tool ends with a stack trace, this counts as code 1.
 */
public class Dump {
    static final class Ended extends RuntimeException {
        final int code;

        Ended(int code) {
            this.code = code;
        }
    }

    public static void main(String[] words) throws Exception {
        Exit.setExitProcedure((code, message) -> { throw new Ended(code); });
        int number = 0;
        for (var line : Files.readAllLines(Path.of(words[0]))) {
            number++;
            var stem = words[1] + "/" + number;
            int code = 0;
            try (var out = new PrintStream(new java.io.BufferedOutputStream(new FileOutputStream(stem + ".out"), 1 << 16), false, "UTF-8");
                    var err = new PrintStream(new FileOutputStream(stem + ".err"), true, "UTF-8")) {
                System.setOut(out);
                System.setErr(err);
                DumpLogSegments.main(line.split("\t"));
            } catch (Ended e) {
                code = e.code;
            } catch (Throwable e) {
                code = 1;
                Files.writeString(Path.of(stem + ".trace"), String.valueOf(e));
            }
            Files.writeString(Path.of(stem + ".code"), code + "\n");
        }
    }
}

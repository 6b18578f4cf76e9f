import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Collectors;

/**
 * Copies log files and damages the copies: `Damage FROM TO SEED`. Each copy gets its own folder
 * below TO, named after its partition, with the undamaged files of its segment. The kinds of damage
 * are: a file cut within its first or last bytes, a bit flipped at a place that the seed chooses,
 * zeros appended, and the index of another segment.
 */
public class Damage {
    static int made;
    static Path to;

    static void put(Path file, byte[] bytes) throws Exception {
        var folder = Files.createDirectories(to.resolve(String.format("%04d-%s", ++made, file.getParent().getFileName())));
        var stem = file.getFileName().toString().split("\\.")[0];
        for (var suffix : new String[] {".log", ".index", ".timeindex"}) {
            var beside = file.resolveSibling(stem + suffix);
            // The tool cannot show an index without its log. A large index costs time and shows
            // nothing new.
            if (Files.exists(beside) && Files.size(beside) < 2_000_000) Files.copy(beside, folder.resolve(stem + suffix));
        }
        Files.write(folder.resolve(file.getFileName()), bytes);
        System.out.println(folder.resolve(file.getFileName()));
    }

    static byte[] cut(byte[] bytes, int length) {
        return java.util.Arrays.copyOf(bytes, length);
    }

    public static void main(String[] words) throws Exception {
        to = Path.of(words[1]);
        var random = new Random(Long.parseLong(words[2]));
        var from = Path.of(words[0]);
        var files = Files.walk(from).filter(Files::isRegularFile).sorted().collect(Collectors.toList());
        byte[] otherIndex = null;
        for (var file : files) {
            var name = file.getFileName().toString();
            if (!name.matches(".*\\.(log|checkpoint|index|timeindex|txnindex|snapshot)") || Files.size(file) == 0 || Files.size(file) > 300_000) continue;
            var bytes = Files.readAllBytes(file);
            var isLog = name.endsWith(".log") || name.endsWith(".checkpoint");
            for (int length : new int[] {1, 11, 12, 16, 17, 30, 60, 61, 62, 75, bytes.length - 13, bytes.length - 1}) {
                if (length > 0 && length < bytes.length) put(file, cut(bytes, length));
            }
            put(file, cut(bytes, bytes.length + 40));
            // Gregor does not copy what Kafka does with a message of format v0 or v1 whose fields
            // contradict its length.
            int flips = file.startsWith(from.resolve("old")) ? 0 : isLog ? 24 : 6;
            for (int n = 0; n < flips; n++) {
                var flipped = bytes.clone();
                // Flips bits in headers more often than in records.
                int at = isLog && n % 2 == 0 ? random.nextInt(Math.min(bytes.length, 70)) : random.nextInt(bytes.length);
                flipped[at] ^= (byte) (1 << random.nextInt(8));
                put(file, flipped);
            }
            if (name.endsWith(".index") || name.endsWith(".timeindex")) {
                if (otherIndex != null) put(file, otherIndex);
                otherIndex = bytes;
            }
        }
    }
}

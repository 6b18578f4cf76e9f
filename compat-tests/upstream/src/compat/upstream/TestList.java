package compat.upstream;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;

/**
 * The file that says of each integration test of the jars whether it runs here, or why not:
 *
 *   run CLASS            all tests of a class
 *   out CLASS WHY        none
 *   out CLASS#TEST WHY   one that does not run, of a class that does
 *
 * Lines that begin with # are comments.
 */
public final class TestList {
    private final Map<String, String> reasons = new LinkedHashMap<>();
    private final List<String> faults = new ArrayList<>();
    private static final String RUNS = "";

    public TestList(Path file) throws IOException {
        int number = 0;
        for (String line : Files.readAllLines(file)) {
            number++;
            if (line.isBlank() || line.startsWith("#")) continue;
            String[] words = line.trim().split("\\s+", 3);
            boolean out = words[0].equals("out") && words.length == 3;
            boolean run = words[0].equals("run") && words.length == 2 && !words[1].contains("#");
            if (!out && !run) faults.add("line " + number + " is neither 'run CLASS' nor 'out CLASS[#TEST] WHY': " + line);
            else if (reasons.put(words[1], out ? words[2] : RUNS) != null) faults.add("line " + number + " repeats " + words[1]);
        }
    }

    public boolean runs(String className, String test) {
        return RUNS.equals(reasons.get(className)) && !reasons.containsKey(className + "#" + test);
    }

    public boolean runs(String className) {
        return RUNS.equals(reasons.get(className));
    }

    /** What is left out, with the reason. */
    public Map<String, String> leftOut() {
        Map<String, String> out = new LinkedHashMap<>(reasons);
        out.values().removeIf(RUNS::equals);
        return out;
    }

    /** What is wrong with the list, beside the tests that the jars have: class to names of tests. */
    public List<String> faults(Map<String, SortedSet<String>> tests) {
        List<String> all = new ArrayList<>(faults);
        for (String name : tests.keySet()) if (!reasons.containsKey(name)) all.add(name + " is a test of the jars and not in the list");
        for (String entry : reasons.keySet()) {
            String[] parts = entry.split("#", 2);
            SortedSet<String> ofClass = tests.get(parts[0]);
            if (ofClass == null) all.add(entry + " is in the list, and no test of the jars");
            else if (parts.length == 2 && !ofClass.contains(parts[1])) all.add(entry + " is in the list, and the class has no such test");
            else if (parts.length == 2 && !runs(parts[0])) all.add(entry + " is in the list, and its class does not run");
        }
        return all;
    }
}

package compat.upstream;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.annotation.Annotation;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.zip.ZipFile;

/** The integration tests in Apache Kafka's test jars, which are given a cluster or start brokers. */
public final class Catalog {
    /** What asks for a cluster, and the class below the tests that start brokers themselves. */
    private static final Set<String> CLUSTER_TESTS = Set.of("ClusterTest", "ClusterTests", "ClusterTemplate");
    private static final String HARNESS = "kafka.server.QuorumTestHarness";
    private static final Set<String> HARNESS_TESTS = Set.of("Test", "ParameterizedTest", "RepeatedTest", "TestFactory");

    private Catalog() {}

    /** Class to names of its tests, of all jars in a folder whose names end with "-test.jar". */
    public static SortedMap<String, SortedSet<String>> read(Path folder) throws IOException {
        SortedMap<String, SortedSet<String>> tests = new TreeMap<>();
        List<Path> jars;
        try (var paths = Files.list(folder)) {
            jars = paths.filter(path -> path.toString().endsWith("-test.jar")).sorted().toList();
        }
        for (Path jar : jars) {
            try (ZipFile zip = new ZipFile(jar.toFile())) {
                zip.stream().map(entry -> entry.getName())
                    .filter(name -> name.endsWith(".class"))
                    .forEach(name -> add(tests, name.substring(0, name.length() - ".class".length()).replace('/', '.')));
            } catch (UncheckedIOException e) {
                throw e.getCause();
            }
        }
        return tests;
    }

    private static void add(SortedMap<String, SortedSet<String>> tests, String name) {
        SortedSet<String> ofClass = new TreeSet<>();
        try {
            Class<?> type = Class.forName(name, false, Catalog.class.getClassLoader());
            if (Modifier.isAbstract(type.getModifiers())) return;
            boolean harness = false;
            for (Class<?> c = type; c != null; c = c.getSuperclass()) harness |= c.getName().equals(HARNESS);
            for (Class<?> c = type; c != null; c = c.getSuperclass()) {
                for (Method method : c.getDeclaredMethods()) {
                    if (isTest(method, harness)) ofClass.add(method.getName());
                }
            }
        } catch (NoClassDefFoundError e) {
            // A test class that cannot be loaded may be an integration test, so it has to be listed.
            if (name.endsWith("Test")) ofClass.add("needs " + e.getMessage());
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
        if (!ofClass.isEmpty()) tests.put(name, ofClass);
    }

    private static boolean isTest(Method method, boolean harness) {
        for (Annotation annotation : method.getAnnotations()) {
            String kind = annotation.annotationType().getSimpleName();
            if (CLUSTER_TESTS.contains(kind) || harness && HARNESS_TESTS.contains(kind)) return true;
        }
        return false;
    }
}

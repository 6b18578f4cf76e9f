package compat.upstream;

import java.util.ArrayList;
import java.util.List;

/** Apache Kafka as a process: formats its folder if it is new, and starts in the same JVM. */
public final class KafkaMain {
    private KafkaMain() {}

    /** Arguments: server.properties, the cluster's id, and features as name=level. */
    public static void main(String[] arguments) {
        List<String> format = new ArrayList<>(
            List.of("format", "--ignore-formatted", "-c", arguments[0], "-t", arguments[1]));
        for (int i = 2; i < arguments.length; i++) format.addAll(List.of("-f", arguments[i]));
        int status = kafka.tools.StorageTool.execute(format.toArray(new String[0]), System.out);
        if (status != 0) System.exit(status);
        kafka.Kafka.main(new String[] {arguments[0]});
    }
}

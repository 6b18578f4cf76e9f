package golden;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.Schema;

/** One Kafka message: its generated class, its schemas by version and its converter to JSON. */
final class Kind {
    final String name;
    final Class<?> type;
    final short lowest;
    final short highest;
    private final Schema[] schemas;
    private final Method toJson;

    private Kind(Class<?> type, Class<?> converter) throws ReflectiveOperationException {
        this.type = type;
        this.name = type.getSimpleName().replaceFirst("(Request|Response|Header)Data$", "$1");
        this.lowest = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        this.highest = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        this.schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        this.toJson = converter.getMethod("write", type, short.class, boolean.class);
    }

    /** Returns every kind on the class path that has a converter to JSON, by name. */
    static List<Kind> all() throws IOException, ReflectiveOperationException {
        Map<String, Kind> kinds = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!path.endsWith(".jar")) {
                continue;
            }
            try (JarFile jar = new JarFile(path)) {
                for (Enumeration<JarEntry> entries = jar.entries(); entries.hasMoreElements();) {
                    String entry = entries.nextElement().getName();
                    if (!entry.startsWith("org/apache/kafka/") || !entry.endsWith("JsonConverter.class") || entry.contains("$")) {
                        continue;
                    }
                    String converter = entry.replace('/', '.').replaceFirst("\\.class$", "");
                    String type = converter.replaceFirst("JsonConverter$", "");
                    Kind kind = new Kind(Class.forName(type), Class.forName(converter));
                    // A message without a version is a key that Kafka removed.
                    if (kind.lowest <= kind.highest && kinds.put(kind.name, kind) != null) {
                        throw new IllegalStateException("two messages named " + kind.name);
                    }
                }
            }
        }
        return new ArrayList<>(kinds.values());
    }

    Schema schema(short version) {
        return schemas[version];
    }

    /** Returns the bytes of the message. Throws what Kafka throws. */
    static byte[] bytes(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    /** Reads bytes as Kafka does. */
    Message read(byte[] bytes, short version) throws ReflectiveOperationException {
        Message message = (Message) type.getConstructor().newInstance();
        message.read(new org.apache.kafka.common.protocol.ByteBufferAccessor(ByteBuffer.wrap(bytes)), version);
        return message;
    }

    /**
     * Returns the message as JSON. For records, returns their size, because the converters leave
     * out their bytes.
     */
    JsonNode json(Message message, short version) throws ReflectiveOperationException {
        try {
            return (JsonNode) toJson.invoke(null, message, version, false);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw e;
        }
    }
}

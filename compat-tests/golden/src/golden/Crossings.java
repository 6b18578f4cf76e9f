package golden;

import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.Schema;

/**
 * Tests fields that one version has and another lacks. Each field is set alone, in the newest
 * version that has it, and then written in every version that lacks it. The result is bytes if
 * Kafka ignores the field, else an error. The same is done for nulls and for unknown tagged fields.
 */
final class Crossings {
    private final Kind kind;
    private final Consumer<String> out;

    Crossings(Kind kind, Consumer<String> out) {
        this.kind = kind;
        this.out = out;
    }

    void write() throws ReflectiveOperationException {
        Map<String, TreeSet<Short>> present = new TreeMap<>();
        Map<String, TreeSet<Short>> nullable = new TreeMap<>();
        TreeSet<Short> flexible = new TreeSet<>();
        for (short version = kind.lowest; version <= kind.highest; version++) {
            walk(new Shape(kind.type, kind.schema(version)), "", version, present, nullable);
            if (new Shape(kind.type, kind.schema(version)).flexible) {
                flexible.add(version);
            }
        }
        for (Map.Entry<String, TreeSet<Short>> entry : present.entrySet()) {
            cross(entry.getKey(), entry.getValue().last(), entry.getValue(), false);
            TreeSet<Short> nulls = nullable.get(entry.getKey());
            if (nulls != null) {
                cross(entry.getKey(), nulls.last(), nulls, true);
            }
        }
        if (!flexible.isEmpty()) {
            Message message = (Message) kind.type.getConstructor().newInstance();
            message.unknownTaggedFields().add(new org.apache.kafka.common.protocol.types.RawTaggedField(77, new byte[] {1}));
            lines("_unknownTaggedFields", message, flexible.last(), flexible);
        }
    }

    private void walk(Shape shape, String path, short version, Map<String, TreeSet<Short>> present, Map<String, TreeSet<Short>> nullable) {
        for (Shape.Member member : shape.members) {
            String name = path + member.name();
            present.computeIfAbsent(name, key -> new TreeSet<>()).add(version);
            if (member.nullable()) {
                nullable.computeIfAbsent(name, key -> new TreeSet<>()).add(version);
            }
            if (member.schema().isArray()) {
                if (Message.class.isAssignableFrom(member.elementClass())) {
                    walk(new Shape(member.elementClass(), (Schema) member.elementSchema()), name + ".", version, present, nullable);
                }
            } else if (Message.class.isAssignableFrom(member.javaClass())) {
                walk(new Shape(member.javaClass(), (Schema) member.schema()), name + ".", version, present, nullable);
            }
        }
    }

    private void cross(String path, short from, TreeSet<Short> has, boolean isNull) throws ReflectiveOperationException {
        if (has.size() == kind.highest - kind.lowest + 1) {
            return;
        }
        List<String> names = List.of(path.split("\\."));
        Message message = (Message) set(kind.type, kind.schema(from), names, isNull);
        lines(path + (isNull ? " = null" : ""), message, from, has);
    }

    /**
     * Returns a structure with the one field at the end of a path set, and all other fields at
     * their defaults.
     */
    private static Object set(Class<?> type, Schema schema, List<String> path, boolean isNull) throws ReflectiveOperationException {
        Object message = type.getConstructor().newInstance();
        for (Shape.Member member : new Shape(type, schema).members) {
            if (!member.name().equals(path.get(0))) {
                continue;
            }
            boolean last = path.size() == 1;
            List<String> rest = path.subList(1, path.size());
            Object value;
            if (last && isNull) {
                value = null;
            } else if (member.schema().isArray()) {
                Collection<Object> list = Builder.newList(member.javaClass());
                Class<?> element = member.elementClass();
                if (!Message.class.isAssignableFrom(element)) {
                    list.add(Filling.unlikely(element));
                } else {
                    list.add(last ? element.getConstructor().newInstance() : set(element, (Schema) member.elementSchema(), rest, isNull));
                }
                value = list;
            } else if (Message.class.isAssignableFrom(member.javaClass())) {
                Class<?> inner = member.javaClass();
                value = last ? changed(inner, (Schema) member.schema()) : set(inner, (Schema) member.schema(), rest, isNull);
            } else {
                value = Filling.unlikely(member.javaClass());
            }
            member.setter().invoke(message, value);
        }
        return message;
    }

    /** Returns a structure whose first field is not its default. */
    private static Object changed(Class<?> type, Schema schema) throws ReflectiveOperationException {
        List<String> first = new ArrayList<>();
        first.add(new Shape(type, schema).members.get(0).name());
        return set(type, schema, first, false);
    }

    private void lines(String label, Message message, short from, TreeSet<Short> has) throws ReflectiveOperationException {
        Base64.Encoder base64 = Base64.getEncoder().withoutPadding();
        byte[] bytes;
        try {
            bytes = Kind.bytes(message, from);
        } catch (UnsupportedVersionException | NullPointerException e) {
            Main.skipped++;
            return;
        }
        // The message is read back, so that a value that is not in the bytes has no effect.
        Message read = kind.read(bytes, from);
        for (short to = kind.lowest; to <= kind.highest; to++) {
            if (has.contains(to)) {
                continue;
            }
            String result;
            try {
                result = base64.encodeToString(Kind.bytes(read, to));
            } catch (UnsupportedVersionException e) {
                result = "!version";
            } catch (NullPointerException e) {
                result = "!null";
            }
            out.accept(String.join("\t", "cross", kind.name, label, Short.toString(from), base64.encodeToString(bytes), Short.toString(to), result));
        }
    }
}

package golden;

import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;

/**
 * The fields of a generated class in one version, with their setters, and whether it takes tagged
 * fields.
 */
final class Shape {
    /** One field: its name in the schema, the type of its setter, and its schema. */
    record Member(String name, Method setter, Method getter, Type javaType, org.apache.kafka.common.protocol.types.Type schema, boolean tagged) {
        Class<?> javaClass() {
            return setter.getParameterTypes()[0];
        }

        boolean nullable() {
            return schema.isNullable();
        }

        /** Returns the class of the elements of a list. */
        Class<?> elementClass() {
            Type list = javaType instanceof ParameterizedType ? javaType : javaClass().getGenericSuperclass();
            return (Class<?>) ((ParameterizedType) list).getActualTypeArguments()[0];
        }

        org.apache.kafka.common.protocol.types.Type elementSchema() {
            return schema.arrayElementType().orElseThrow();
        }
    }

    final Class<?> type;
    final List<Member> members = new ArrayList<>();
    boolean flexible;

    Shape(Class<?> type, Schema schema) {
        this.type = type;
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                flexible = true;
                for (Map.Entry<Integer, Field> entry : tagged.fields().entrySet()) {
                    members.add(member(entry.getValue(), true));
                }
            } else {
                members.add(member(bound.def, false));
            }
        }
    }

    private Member member(Field field, boolean tagged) {
        String wanted = "set" + plain(field.name);
        for (Method method : type.getMethods()) {
            if (method.getParameterCount() == 1 && plain(method.getName()).equals(wanted) && method.getReturnType() == type) {
                String getter = method.getName().substring(3);
                try {
                    Method get = type.getMethod(getter.substring(0, 1).toLowerCase(Locale.ROOT) + getter.substring(1));
                    return new Member(field.name, method, get, method.getGenericParameterTypes()[0], field.type, tagged);
                } catch (NoSuchMethodException e) {
                    throw new IllegalStateException(e);
                }
            }
        }
        throw new IllegalStateException(type + " has no setter for " + field.name);
    }

    private static String plain(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }
}

package golden;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;

/** Builds instances by reflection over the setters, guided by the schema of one version. */
final class Builder {
    private final Random random;
    private final Filling filling;

    Builder(Filling filling, long seed) {
        this.filling = filling;
        this.random = new Random(seed);
    }

    Message build(Class<?> type, Schema schema) throws ReflectiveOperationException {
        Message message = (Message) type.getConstructor().newInstance();
        if (filling == Filling.DEFAULTS) {
            return message;
        }
        Shape shape = new Shape(type, schema);
        for (Shape.Member member : shape.members) {
            // Most texts stay short in the instance with the longest one.
            member.setter().invoke(message, value(member));
        }
        if (shape.flexible && filling.unknownTags(random)) {
            // Tags above every known tag. The second one takes two bytes and has no content.
            message.unknownTaggedFields().add(new RawTaggedField(77, new byte[] {1, 2, 3}));
            message.unknownTaggedFields().add(new RawTaggedField(10_000, new byte[0]));
        }
        return message;
    }

    private Object value(Shape.Member member) throws ReflectiveOperationException {
        Class<?> type = member.javaClass();
        if (member.nullable() && filling.isNull(random)) {
            return null;
        }
        if (member.schema().isArray()) {
            return list(member);
        }
        if (Message.class.isAssignableFrom(type)) {
            return build(type, (Schema) member.schema());
        }
        return filling.plain(type, member.schema(), random);
    }

    private Object list(Shape.Member member) throws ReflectiveOperationException {
        Class<?> type = member.javaClass();
        Class<?> element = member.elementClass();
        Collection<Object> list = newList(type);
        int length = filling.listLength(random);
        for (int i = 0; i < length; i++) {
            if (Message.class.isAssignableFrom(element)) {
                list.add(build(element, (Schema) member.elementSchema()));
            } else {
                list.add(filling.plain(element, member.elementSchema(), random));
            }
        }
        return list;
    }

    @SuppressWarnings("unchecked")
    static Collection<Object> newList(Class<?> type) throws ReflectiveOperationException {
        return type == List.class ? new ArrayList<>() : (Collection<Object>) type.getConstructor().newInstance();
    }
}

package golden;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

/** Which values the fields of an instance take. */
enum Filling {
    /** The initial values of the class. */
    DEFAULTS,
    /** Null wherever it is allowed, and empty lists. */
    NULLS,
    /** Empty texts, bytes and lists; tagged fields that are not at their defaults. */
    EMPTY,
    /** The smallest numbers; one element in each list. */
    LOWEST,
    /**
     * The largest numbers, texts longer than a one-byte length, two elements; unknown tagged
     * fields.
     */
    HIGHEST,
    /** Random values. */
    RANDOM,
    /** Random values, with unknown tagged fields in every structure. */
    RANDOM_TAGGED,
    /** One text of the maximum length. */
    LONGEST;

    private static final String[] WORDS = {
        "", "a", "topic-1", "häuser.und_Gärten", "日本語のトピック", "\uD835\uDD38 surrogate pairs \uD83E\uDD80", "\u0000 and \u007f", "\"quoted\\\"\n\t",
        "x".repeat(126), "y".repeat(127), "z".repeat(128), "group-" + "0123456789".repeat(30),
    };

    int listLength(Random random) {
        return switch (this) {
            case DEFAULTS, NULLS, EMPTY -> 0;
            case LOWEST, LONGEST -> 1;
            case HIGHEST -> 2;
            case RANDOM, RANDOM_TAGGED -> random.nextInt(4);
        };
    }

    boolean isNull(Random random) {
        return this == NULLS || (this == RANDOM || this == RANDOM_TAGGED) && random.nextInt(4) == 0;
    }

    boolean unknownTags(Random random) {
        return this == HIGHEST || this == RANDOM_TAGGED || this == RANDOM && random.nextInt(4) == 0;
    }

    private boolean isRandom() {
        return this == RANDOM || this == RANDOM_TAGGED;
    }

    private String text(Random random) {
        return switch (this) {
            case DEFAULTS, NULLS, EMPTY -> "";
            case LOWEST -> WORDS[1];
            case HIGHEST -> WORDS[4] + WORDS[10];
            case LONGEST -> "l".repeat(32767);
            case RANDOM, RANDOM_TAGGED -> WORDS[random.nextInt(WORDS.length)];
        };
    }

    private byte[] bytes(Random random) {
        if (this == DEFAULTS || this == NULLS || this == EMPTY) {
            return new byte[0];
        }
        byte[] bytes = new byte[isRandom() ? random.nextInt(40) : this == HIGHEST ? 200 : 1];
        if (isRandom()) {
            random.nextBytes(bytes);
        } else {
            java.util.Arrays.fill(bytes, (byte) 0xa5);
        }
        return bytes;
    }

    /** Returns a whole number between two limits. Random fillings often return a limit. */
    private long number(Random random, long lowest, long highest) {
        return switch (this) {
            case DEFAULTS, NULLS, EMPTY -> 0;
            case LOWEST -> lowest;
            case HIGHEST, LONGEST -> highest;
            case RANDOM, RANDOM_TAGGED -> switch (random.nextInt(5)) {
                case 0 -> lowest;
                case 1 -> highest;
                case 2 -> Math.max(lowest, -1);
                case 3 -> random.nextInt(100);
                default -> Math.max(lowest, Math.min(highest, random.nextLong()));
            };
        };
    }

    private double real(Random random) {
        return switch (this) {
            case DEFAULTS, NULLS, EMPTY -> 0.0;
            case LOWEST -> -1024.5;
            case HIGHEST, LONGEST -> 1e300;
            // Few digits, so that every JSON reader finds the same bits.
            case RANDOM, RANDOM_TAGGED -> (random.nextInt(2000) - 1000) / 8.0;
        };
    }

    /** Returns the value of a field that is neither a structure nor a list. */
    Object plain(Class<?> type, Type schema, Random random) {
        if (type == boolean.class) {
            return isRandom() ? random.nextBoolean() : ordinal() >= HIGHEST.ordinal();
        } else if (type == byte.class || type == Byte.class) {
            return (byte) number(random, Byte.MIN_VALUE, Byte.MAX_VALUE);
        } else if (type == short.class || type == Short.class) {
            return (short) number(random, Short.MIN_VALUE, Short.MAX_VALUE);
        } else if (type == int.class || type == Integer.class) {
            return schema == Type.UINT16 ? (int) number(random, 0, 65535) : (int) number(random, Integer.MIN_VALUE, Integer.MAX_VALUE);
        } else if (type == long.class || type == Long.class) {
            return schema == Type.UNSIGNED_INT32 ? number(random, 0, 0xffffffffL) : number(random, Long.MIN_VALUE, Long.MAX_VALUE);
        } else if (type == double.class) {
            return real(random);
        } else if (type == String.class) {
            return text(random);
        } else if (type == Uuid.class) {
            return new Uuid(number(random, Long.MIN_VALUE, Long.MAX_VALUE), number(random, Long.MIN_VALUE, Long.MAX_VALUE));
        } else if (type == byte[].class) {
            return bytes(random);
        } else if (type == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes(random));
        } else if (type.getSimpleName().equals("BaseRecords")) {
            // Sometimes large enough to be sent as a separate part.
            byte[] records = isRandom() && random.nextInt(3) == 0 ? "0123456789abcdef".repeat(50).getBytes(StandardCharsets.UTF_8) : bytes(random);
            return MemoryRecords.readableRecords(ByteBuffer.wrap(records));
        }
        throw new IllegalStateException("no value for " + type);
    }

    /** Returns a value that is the default of no field. */
    static Object unlikely(Class<?> type) {
        if (type == boolean.class) {
            return true;
        } else if (type == byte.class || type == Byte.class) {
            return (byte) 42;
        } else if (type == short.class || type == Short.class) {
            return (short) 4242;
        } else if (type == int.class || type == Integer.class) {
            return 4242;
        } else if (type == long.class || type == Long.class) {
            return 424242L;
        } else if (type == double.class) {
            return 42.5;
        } else if (type == String.class) {
            return "unlikely";
        } else if (type == Uuid.class) {
            return new Uuid(42, 42);
        } else if (type == byte[].class) {
            return new byte[] {42};
        } else if (type == ByteBuffer.class) {
            return ByteBuffer.wrap(new byte[] {42});
        } else if (type.getSimpleName().equals("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(new byte[] {42}));
        }
        throw new IllegalStateException("no value for " + type);
    }
}

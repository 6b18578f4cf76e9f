package golden.records;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Utils;

/**
 * The batches that producers may send: good ones under every topic configuration, and every
 * possible fault of a batch.
 */
final class Verdicts {
    private static final Map<String, String> DEFAULT = Map.of();
    private static final Map<String, String> APPEND_TIME = Map.of("message.timestamp.type", "LogAppendTime");
    private static final Map<String, String> COMPACT = Map.of("cleanup.policy", "compact");
    private static final CompressionType[] CODECS = CompressionType.values();

    private final Log log;

    private Verdicts(Log log) {
        this.log = log;
    }

    static void write(Log log) throws Exception {
        Verdicts verdicts = new Verdicts(log);
        verdicts.codecs();
        verdicts.timestamps();
        verdicts.headers();
        verdicts.sizes();
        verdicts.keys();
        verdicts.records();
        verdicts.bodies();
        verdicts.frames();
        verdicts.oldFormats();
    }

    private void codecs() throws Exception {
        for (CompressionType codec : CODECS) {
            for (String target : List.of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")) {
                for (String times : List.of("CreateTime", "LogAppendTime")) {
                    log.verdict("codec-" + codec.name + "-to-" + target + "-" + times,
                        Map.of("compression.type", target, "message.timestamp.type", times), Raw.of(3, codec).build());
                }
            }
            log.verdict("one-" + codec.name, DEFAULT, Raw.of(1, codec).build());
            log.verdict("many-" + codec.name, DEFAULT, Raw.of(300, codec).build());
        }
        for (int number = 5; number <= 7; number++) {
            int attributes = number;
            each("codec-number-" + number, 2, raw -> raw.attributes = attributes);
            Raw raw = Raw.of(2);
            raw.attributes = number;
            log.verdict("codec-number-" + number + "-to-gzip", Map.of("compression.type", "gzip"), raw.build());
        }
    }

    private void timestamps() throws Exception {
        Map<String, String> limits = Map.of("message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "500");
        long[][] deltas = {{-1000, 0, 500}, {-1001, 0, 0}, {0, 501, 0}, {-2000, 900, -3000, 5000, 0}, {600}, {0, 1, 501}};
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.GZIP)) {
            for (int i = 0; i < deltas.length; i++) {
                Raw raw = new Raw();
                raw.codec = codec;
                for (int j = 0; j < deltas[i].length; j++) {
                    raw.add(0, deltas[i][j], j, new byte[] {1}, new byte[] {2});
                }
                raw.maxTimestamp = Log.NOW + Arrays.stream(deltas[i]).max().getAsLong();
                log.verdict("time-limits-" + codec.name + "-" + i, limits, raw.build());
                log.verdict("time-appended-" + codec.name + "-" + i, APPEND_TIME, raw.build());
            }
            each("time-claims-append-" + codec.name, codec, 2, raw -> raw.attributes = 8);
            Raw claims = Raw.of(2, codec);
            claims.attributes = 8;
            log.verdict("time-claims-append-where-it-is-" + codec.name, APPEND_TIME, claims.build());
            each("time-max-too-small-" + codec.name, codec, 2, raw -> raw.maxTimestamp = Log.NOW - 77);
            each("time-max-too-large-" + codec.name, codec, 2, raw -> raw.maxTimestamp = Log.NOW + 77);
            each("time-max-absent-" + codec.name, codec, 2, raw -> raw.maxTimestamp = -1);
            each("time-absent-" + codec.name, codec, 2, raw -> raw.baseTimestamp = raw.maxTimestamp = -1);
            each("time-negative-" + codec.name, codec, 2, raw -> raw.baseTimestamp = raw.maxTimestamp = -5);
            each("time-hour-ahead-" + codec.name, codec, 2, raw -> raw.baseTimestamp = raw.maxTimestamp = Log.NOW + 3_600_000);
            each("time-hour-and-a-bit-ahead-" + codec.name, codec, 2, raw -> raw.baseTimestamp = raw.maxTimestamp = Log.NOW + 3_600_001);
            each("time-of-the-end-" + codec.name, codec, 2, raw -> raw.baseTimestamp = raw.maxTimestamp = Long.MAX_VALUE);
            Raw wraps = new Raw().add(0, Long.MAX_VALUE, 0, null, null);
            wraps.codec = codec;
            log.verdict("time-delta-wraps-" + codec.name, DEFAULT, wraps.build());
            Raw mixed = new Raw().add(0, 5, 0, null, null).add(0, 9, 1, null, null).add(0, 9, 2, null, null).add(0, 1, 3, null, null);
            mixed.codec = codec;
            mixed.maxTimestamp = Log.NOW + 9;
            log.verdict("time-mixed-" + codec.name, DEFAULT, mixed.build());
        }
    }

    private void headers() throws Exception {
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.LZ4)) {
            String with = "-" + codec.name;
            each("base-offset-1" + with, codec, 3, raw -> raw.baseOffset = 1);
            each("base-offset-negative" + with, codec, 3, raw -> raw.baseOffset = -1);
            each("leader-epoch-set" + with, codec, 3, raw -> raw.leaderEpoch = 99);
            each("last-offset-delta-small" + with, codec, 3, raw -> raw.lastOffsetDelta = 1);
            each("last-offset-delta-large" + with, codec, 3, raw -> raw.lastOffsetDelta = 3);
            each("last-offset-delta-negative" + with, codec, 3, raw -> raw.lastOffsetDelta = -1);
            each("last-offset-delta-lowest" + with, codec, 3, raw -> raw.lastOffsetDelta = Integer.MIN_VALUE);
            each("count-0" + with, codec, 3, raw -> raw.count = 0);
            each("count-negative" + with, codec, 3, raw -> raw.count = -1);
            each("count-small" + with, codec, 3, raw -> raw.count = 2);
            each("count-large" + with, codec, 3, raw -> raw.count = 4);
            each("count-and-delta-small" + with, codec, 3, raw -> { raw.count = 2; raw.lastOffsetDelta = 1; });
            each("count-and-delta-large" + with, codec, 3, raw -> { raw.count = 4; raw.lastOffsetDelta = 3; });
            each("count-and-delta-huge" + with, codec, 3, raw -> { raw.count = Integer.MAX_VALUE; raw.lastOffsetDelta = Integer.MAX_VALUE - 1; });
            each("control" + with, codec, 1, raw -> raw.attributes = 0x20);
            each("control-transactional" + with, codec, 1, raw -> { raw.attributes = 0x30; producer(raw, 1, 0, -1); });
            each("transactional-without-producer" + with, codec, 2, raw -> raw.attributes = 0x10);
            each("idempotent" + with, codec, 2, raw -> producer(raw, 1, 0, 0));
            each("idempotent-sequence-negative" + with, codec, 2, raw -> producer(raw, 1, 0, -1));
            each("idempotent-sequence-lower" + with, codec, 2, raw -> producer(raw, 1, 0, -7));
            each("idempotent-epoch-negative" + with, codec, 2, raw -> producer(raw, 1, -1, 0));
            each("idempotent-sequence-wraps" + with, codec, 2, raw -> producer(raw, 1, 0, Integer.MAX_VALUE));
            each("idempotent-id-negative" + with, codec, 2, raw -> producer(raw, -2, 0, 0));
            each("delete-horizon" + with, codec, 2, raw -> raw.attributes = 0x40);
            each("attribute-7" + with, codec, 2, raw -> raw.attributes = 0x80);
            each("attribute-15" + with, codec, 2, raw -> raw.attributes = 0x8000);
            Raw unknown = Raw.of(2, codec);
            unknown.attributes = 0x8080;
            log.verdict("attributes-under-append-time" + with, APPEND_TIME, unknown.build());
            log.verdict("attributes-rebuilt" + with, Map.of("compression.type", "gzip"), unknown.build());
            Raw horizon = Raw.of(2, codec);
            horizon.attributes = 0x40;
            log.verdict("delete-horizon-under-append-time" + with, APPEND_TIME, horizon.build());
            log.verdict("delete-horizon-rebuilt" + with, Map.of("compression.type", "gzip"), horizon.build());
            each("crc-wrong" + with, codec, 2, raw -> raw.crcXor = 1);
            Raw idempotent = Raw.of(3, codec);
            producer(idempotent, 12, 3, 40);
            log.verdict("idempotent-rebuilt" + with, Map.of("compression.type", "zstd"), idempotent.build());
            for (int field : new int[] {1, 2, 4}) {
                Raw offsets = new Raw();
                offsets.codec = codec;
                int[] each = {field & 1, field & 2, field & 4};
                for (int delta : each) {
                    offsets.add(0, 0, delta, new byte[] {1}, null);
                }
                log.verdict("inner-offsets-" + field + with, DEFAULT, offsets.build());
                log.verdict("inner-offsets-" + field + "-rebuilt" + with, Map.of("compression.type", "zstd"), offsets.build());
            }
        }
    }

    private void sizes() throws Exception {
        byte[] batch = Raw.of(3).build();
        for (int off = -1; off <= 0; off++) {
            log.verdict("max-message-bytes-" + off, Map.of("max.message.bytes", Integer.toString(batch.length + off)), batch);
        }
        Raw squeezed = new Raw().add(0, 0, 0, null, new byte[20_000]);
        squeezed.codec = CompressionType.GZIP;
        log.verdict("max-message-bytes-after-rebuild", Map.of("max.message.bytes", "1000", "compression.type", "uncompressed"), squeezed.build());
        Raw large = new Raw().add(0, 0, 0, null, new byte[1_100_000]);
        log.verdict("larger-than-a-segment", Map.of("segment.bytes", "1048576", "max.message.bytes", "2000000"), large.build());
        Raw wrong = Raw.of(3);
        wrong.crcXor = 1;
        wrong.baseOffset = 1;
        log.verdict("order-offset-size-crc", Map.of("max.message.bytes", "10"), wrong.build());
        wrong.baseOffset = 0;
        log.verdict("order-size-crc", Map.of("max.message.bytes", "10"), wrong.build());
        wrong.attributes = 0x20;
        log.verdict("order-crc-control", DEFAULT, wrong.build());
    }

    private void keys() throws Exception {
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.SNAPPY, CompressionType.ZSTD)) {
            for (String pattern : List.of("kkk", "-kk", "k-k-", "-----", "kk-k")) {
                Raw raw = new Raw();
                raw.codec = codec;
                for (int i = 0; i < pattern.length(); i++) {
                    raw.add(0, 0, i, pattern.charAt(i) == 'k' ? new byte[] {7} : null, new byte[] {8});
                }
                log.verdict("compacted-" + codec.name + "-" + pattern, COMPACT, raw.build());
            }
            Raw empty = new Raw().add(0, 0, 0, new byte[0], new byte[] {8});
            empty.codec = codec;
            log.verdict("compacted-empty-key-" + codec.name, COMPACT, empty.build());
            Raw both = new Raw().add(0, 7_200_000, 0, null, null).add(0, 0, 1, null, null).add(0, 7_200_000, 2, new byte[] {1}, null);
            both.codec = codec;
            both.maxTimestamp = Log.NOW + 7_200_000;
            log.verdict("compacted-and-time-" + codec.name, COMPACT, both.build());
        }
        log.verdict("compact-and-delete", Map.of("cleanup.policy", "compact,delete"), new Raw().add(0, 0, 0, null, null).build());
    }

    /**
     * Every possible fault inside one record: plain, compressed, and rebuilt with another codec.
     */
    private void records() throws Exception {
        byte[] key = {1, 2};
        byte[] value = {3, 4, 5};
        byte[] good = Raw.record(0, 0, 0, key, value, new byte[] {0});
        record("attributes", raw -> raw.add(0x7f, 0, 0, key, value));
        record("headers", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, headers(2, "a", new byte[] {1}, "b", null))));
        record("header-key-empty", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, headers(1, "", new byte[] {1}))));
        record("header-key-null", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, new byte[] {2, 1, 0})));
        record("header-count-negative", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, Raw.varint(-1))));
        record("header-count-large", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, headers(3, "a", new byte[] {1}))));
        record("header-count-huge", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, Raw.varint(Integer.MAX_VALUE))));
        record("header-count-small", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, headers(1, "a", new byte[] {1}, "b", null))));
        record("header-value-beyond", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, new byte[] {2, 2, 'a', 100})));
        record("header-value-below-null", raw -> raw.addRaw(Raw.record(0, 0, 0, key, value, new byte[] {2, 2, 'a', 3})));
        record("size-small", raw -> raw.addSized(good.length - 1, good));
        record("size-large", raw -> raw.addSized(good.length + 1, good));
        record("size-large-with-byte", raw -> raw.addSized(good.length + 1, concat(good, new byte[] {0})));
        record("size-huge", raw -> raw.addSized(Integer.MAX_VALUE, good));
        record("size-negative", raw -> raw.addSized(-1, good));
        record("size-zero", raw -> raw.addSized(0, new byte[0]));
        record("size-one", raw -> raw.addSized(1, new byte[1]));
        record("key-beyond", raw -> raw.addRaw(new byte[] {0, 0, 0, 100, 1, 2, 6, 3, 4, 5, 0}));
        record("key-below-null", raw -> raw.addRaw(new byte[] {0, 0, 0, 3, 6, 3, 4, 5, 0}));
        record("key-huge", raw -> raw.addRaw(concat(new byte[] {0, 0, 0}, concat(Raw.varint(Integer.MAX_VALUE), new byte[] {1, 2, 3}))));
        record("value-beyond", raw -> raw.addRaw(new byte[] {0, 0, 0, 4, 1, 2, 100, 3, 4, 5, 0}));
        record("value-below-null", raw -> raw.addRaw(new byte[] {0, 0, 0, 4, 1, 2, 3, 0}));
        record("varint-too-long", raw -> raw.addBytes(new byte[] {-1, -1, -1, -1, -1, 1}));
        record("varint-cut", raw -> raw.addBytes(new byte[] {-1}));
        record("varlong-too-long", raw -> raw.addRaw(concat(new byte[] {0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1}, new byte[] {0, 1, 1, 0})));
        record("varint-with-zeros", raw -> raw.addBytes(new byte[] {(byte) 0x8c, (byte) 0x80, 0, 0, 0, 0, 1, 1, 0}));
        record("offset-delta-negative", raw -> raw.add(0, 0, -1, key, value));
        record("cut", raw -> raw.addBytes(Arrays.copyOf(concat(Raw.varint(good.length), good), 5)));
        record("trailing-byte", raw -> raw.addRaw(good).trail(new byte[] {0}));
        record("trailing-record", raw -> raw.addRaw(good).trail(concat(Raw.varint(good.length), good)));
        record("null-key-and-value", raw -> raw.add(0, 0, 0, null, null));
    }

    private void record(String name, Consumer<Raw> filling) throws Exception {
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.GZIP)) {
            Raw raw = new Raw();
            raw.codec = codec;
            filling.accept(raw);
            log.verdict("record-" + name + "-" + codec.name, DEFAULT, raw.build());
            log.verdict("record-" + name + "-" + codec.name + "-rebuilt", Map.of("compression.type", "lz4"), raw.build());
        }
    }

    /** Compressed bodies that are broken, or that other clients write. */
    private void bodies() throws Exception {
        byte[] content = Raw.of(3).uncompressed();
        for (CompressionType codec : CODECS) {
            if (codec == CompressionType.NONE) {
                continue;
            }
            byte[] whole = Raw.compress(codec, content);
            body(codec, "empty", new byte[0]);
            body(codec, "garbage", Batches.filling(60, 9));
            body(codec, "cut", Arrays.copyOf(whole, whole.length / 2));
            body(codec, "cut-by-1", Arrays.copyOf(whole, whole.length - 1));
            body(codec, "trailing-byte", concat(whole, new byte[1]));
            body(codec, "trailing-garbage", concat(whole, Batches.filling(40, 3)));
            body(codec, "nothing-inside", Raw.compress(codec, new byte[0]));
            byte[] flipped = whole.clone();
            flipped[whole.length / 2] ^= 0x55;
            body(codec, "flipped", flipped);
            int half = content.length / 2;
            body(codec, "two-streams", concat(Raw.compress(codec, Arrays.copyOf(content, half)),
                Raw.compress(codec, Arrays.copyOfRange(content, half, content.length))));
        }
        body(CompressionType.SNAPPY, "raw", org.xerial.snappy.Snappy.compress(content));
        byte[] newer = Raw.compress(CompressionType.SNAPPY, content);
        newer[11] = 9;
        newer[15] = 9;
        body(CompressionType.SNAPPY, "newer-version", newer);
        newer[11] = 0;
        body(CompressionType.SNAPPY, "version-0", newer);
        byte[] frame = Raw.compress(CompressionType.LZ4, content);
        for (int flags : new int[] {0x40, 0x20, 0xa0, 0x62}) {
            byte[] changed = frame.clone();
            changed[4] = (byte) flags;
            body(CompressionType.LZ4, "flags-" + flags, lz4Checksum(changed));
        }
        byte[] checksum = frame.clone();
        checksum[6] ^= 1;
        body(CompressionType.LZ4, "head-checksum-wrong", checksum);
        for (int size : new int[] {0x30, 0x80, 0x41, 0x70}) {
            byte[] changed = frame.clone();
            changed[5] = (byte) size;
            body(CompressionType.LZ4, "block-size-" + size, lz4Checksum(changed));
        }
        body(CompressionType.LZ4, "without-end-mark", Arrays.copyOf(frame, frame.length - 4));
    }

    private static byte[] lz4Checksum(byte[] frame) {
        frame[6] = (byte) (net.jpountz.xxhash.XXHashFactory.fastestInstance().hash32().hash(frame, 4, 2, 0) >> 8);
        return frame;
    }

    private void body(CompressionType codec, String name, byte[] body) throws Exception {
        Raw raw = Raw.of(3, codec);
        raw.body = body;
        log.verdict("body-" + codec.name + "-" + name, DEFAULT, raw.build());
        log.verdict("body-" + codec.name + "-" + name + "-rebuilt", Map.of("compression.type", "uncompressed"), raw.build());
    }

    /** Faults around the batch. */
    private void frames() throws Exception {
        byte[] batch = Raw.of(2).build();
        log.verdict("empty", DEFAULT, new byte[0]);
        log.verdict("two-batches", DEFAULT, concat(batch, batch));
        log.verdict("two-batches-compressed", DEFAULT, concat(Raw.of(2, CompressionType.ZSTD).build(), batch));
        for (int cut : new int[] {1, 11, 12, 16, 17, 60, 61, batch.length - 1}) {
            log.verdict("cut-at-" + cut, DEFAULT, Arrays.copyOf(batch, cut));
        }
        log.verdict("trailing-11", DEFAULT, concat(batch, new byte[11]));
        log.verdict("trailing-12", DEFAULT, concat(batch, new byte[12]));
        log.verdict("trailing-cut-batch", DEFAULT, concat(batch, Arrays.copyOf(batch, 40)));
        for (int magic : new int[] {-1, 3, 127}) {
            byte[] changed = batch.clone();
            changed[16] = (byte) magic;
            log.verdict("magic-" + magic, DEFAULT, changed);
        }
        for (int length : new int[] {Integer.MIN_VALUE, -1, 0, 13, 14, 30, 48, 49, batch.length - 13, batch.length - 11, Integer.MAX_VALUE}) {
            byte[] changed = batch.clone();
            ByteBuffer.wrap(changed).putInt(8, length);
            log.verdict("length-" + length, DEFAULT, changed);
        }
    }

    private void oldFormats() throws Exception {
        for (byte magic = 0; magic <= 1; magic++) {
            for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4)) {
                for (String target : List.of("producer", "uncompressed", "gzip")) {
                    ByteBuffer buffer = ByteBuffer.allocate(4096);
                    MemoryRecordsBuilder builder = MemoryRecords.builder(buffer, magic, Compression.of(codec).build(), TimestampType.CREATE_TIME, 0);
                    for (int i = 0; i < 3; i++) {
                        builder.append(new SimpleRecord(Log.NOW + i, Utils.utf8("k" + i), i == 1 ? null : Utils.utf8("v" + i)));
                    }
                    log.verdict("v" + magic + "-" + codec.name + "-to-" + target, Map.of("compression.type", target), Batches.bytes(builder.build()));
                }
            }
        }
        MemoryRecords old = MemoryRecords.withRecords((byte) 1, Compression.NONE, new SimpleRecord(Log.NOW, null, new byte[] {1}));
        log.verdict("v1-compacted-without-key", COMPACT, Batches.bytes(old));
        log.verdict("v1-appended", APPEND_TIME, Batches.bytes(old));
        byte[] broken = Batches.bytes(old);
        broken[12] ^= 1;
        log.verdict("v1-crc-wrong", DEFAULT, broken);
        log.verdict("v1-then-v2", DEFAULT, concat(Batches.bytes(old), Raw.of(1).build()));
    }

    private void each(String name, int size, Consumer<Raw> change) throws Exception {
        each(name, CompressionType.NONE, size, change);
    }

    private void each(String name, CompressionType codec, int size, Consumer<Raw> change) throws Exception {
        Raw raw = Raw.of(size, codec);
        change.accept(raw);
        log.verdict(name, DEFAULT, raw.build());
    }

    private static void producer(Raw raw, long id, int epoch, int sequence) {
        raw.producerId = id;
        raw.producerEpoch = epoch;
        raw.baseSequence = sequence;
    }

    private static byte[] headers(int count, Object... keysAndValues) {
        return Raw.bytes(out -> {
            out.write(Raw.varint(count));
            for (int i = 0; i < keysAndValues.length; i += 2) {
                Raw.field(out, Utils.utf8((String) keysAndValues[i]));
                Raw.field(out, (byte[]) keysAndValues[i + 1]);
            }
        });
    }

    private static byte[] concat(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}

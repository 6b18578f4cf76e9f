package golden.records;

import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.utils.Utils;

/**
 * Batches of every magic and codec. Lines: {@code batch NAME BYTES RECORDS}, in the form of {@link
 * Show}.
 */
final class Batches {
    private final PrintStream out;

    Batches(PrintStream out) {
        this.out = out;
    }

    void write() throws Exception {
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType type : CompressionType.values()) {
                if (magic == 2 || type != CompressionType.ZSTD) {
                    for (TimestampType times : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                        if (magic > 0 || times == TimestampType.CREATE_TIME) {
                            plain(magic, type, times);
                        }
                    }
                }
            }
        }
        producers();
        control();
        lz4HeaderChecksum();
    }

    private void plain(byte magic, CompressionType type, TimestampType times) {
        String name = "v" + magic + "-" + type.name + (times == TimestampType.LOG_APPEND_TIME ? "-appended" : "");
        for (int size : new int[] {1, 3, 120}) {
            emit(name + "-" + size, build(magic, Compression.of(type).build(), times, 1234567890123L, size));
        }
    }

    private static byte[] build(byte magic, Compression compression, TimestampType times, long baseOffset, int size) {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
        long appended = times == TimestampType.LOG_APPEND_TIME ? 1_700_000_000_777L : -1;
        MemoryRecordsBuilder builder = MemoryRecords.builder(buffer, magic, compression, times, baseOffset, appended, 42);
        for (int i = 0; i < size; i++) {
            byte[] key = i % 3 == 1 ? null : Utils.utf8("key-" + i % 7);
            byte[] value = i % 5 == 2 ? null : filling(i % 40 == 39 ? 5000 : 20 + i % 90, i);
            Header[] headers = magic < 2 || i % 2 == 0 ? new Header[0] : new Header[] {
                new RecordHeader("trace", filling(i % 30, i)), new RecordHeader("nothing", null), new RecordHeader("", new byte[0])};
            builder.append(1_700_000_000_000L + (i * 37L) % 100 - 50, key, value, headers);
        }
        return bytes(builder.build());
    }

    private void producers() {
        for (boolean transactional : new boolean[] {false, true}) {
            ByteBuffer buffer = ByteBuffer.allocate(4096);
            MemoryRecordsBuilder builder = MemoryRecords.builder(buffer, (byte) 2, Compression.NONE, TimestampType.CREATE_TIME,
                Integer.MAX_VALUE + 5L, -1, 4_000_000_000L, (short) 32767, Integer.MAX_VALUE - 1, transactional, 7);
            for (int i = 0; i < 4; i++) {
                builder.append(-1L, null, Utils.utf8("value-" + i));
            }
            emit(transactional ? "transactional" : "idempotent", bytes(builder.build()));
        }
        ByteBuffer gaps = ByteBuffer.allocate(4096);
        MemoryRecordsBuilder builder = MemoryRecords.builder(gaps, Compression.NONE, TimestampType.CREATE_TIME, 100);
        builder.appendWithOffset(103, 5L, Utils.utf8("a"), Utils.utf8("1"));
        builder.appendWithOffset(110, 3L, Utils.utf8("b"), null);
        builder.overrideLastOffset(120);
        emit("compacted-with-gaps", bytes(builder.build()));
    }

    private void control() {
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            emit("marker-" + type.name().toLowerCase(java.util.Locale.ROOT), bytes(MemoryRecords.withEndTransactionMarker(
                55, 1_700_000_000_000L, 3, 9000, (short) 5, new EndTransactionMarker(type, 17))));
        }
        emit("leader-change", bytes(MemoryRecords.withLeaderChangeMessage(0, 1_700_000_000_000L, 4, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setVersion((short) 0).setLeaderId(1))));
        emit("snapshot-header", bytes(MemoryRecords.withSnapshotHeaderRecord(0, 1_700_000_000_000L, 4, ByteBuffer.allocate(512),
            new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(99))));
        emit("kraft-version", bytes(MemoryRecords.withKRaftVersionRecord(1, 1_700_000_000_000L, 4, ByteBuffer.allocate(512),
            new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1))));
    }

    /**
     * The checksum of the lz4 frame of magic 0 covers too many bytes. A correct checksum must be read
     * too; in magic 1, only a correct one.
     */
    private void lz4HeaderChecksum() {
        byte[] wrong = build((byte) 0, Compression.lz4().build(), TimestampType.CREATE_TIME, 0, 3);
        emit("v0-lz4-checksum-of-old", wrong);
        byte[] right = build((byte) 1, Compression.lz4().build(), TimestampType.CREATE_TIME, 0, 3);
        emit("v1-lz4-checksum", right);
    }

    static byte[] filling(int size, int seed) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) (i % 11 * 7 + seed + (i * i) % 13);
        }
        return bytes;
    }

    static byte[] bytes(MemoryRecords records) {
        return Utils.toArray(records.buffer().duplicate());
    }

    private void emit(String name, byte[] batch) {
        List<String> words = new ArrayList<>(Arrays.asList("batch", name, Show.bytes(batch), Show.records(batch)));
        out.print(String.join("\t", words) + "\n");
    }
}

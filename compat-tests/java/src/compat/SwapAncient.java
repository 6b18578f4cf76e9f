package compat;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;

/**
 * Gives an empty partition the segments that releases before 0.11 would have written: {@code SwapAncient FOLDER}. No broker may have it open.
 *
 * Messages of format v0 and v1 follow each other in one segment, by every codec that they know (lz4 of v0 has the wrong checksum that Kafka once
 * wrote); a second segment goes on with v1, and the broker will append v2 to it.
 */
public final class SwapAncient {
    private static final long TIME = 1_400_000_000_000L;
    private static final List<Compression> CODECS =
        List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build());

    private SwapAncient() {}

    public static void main(String[] arguments) throws IOException {
        var folder = Path.of(arguments[0]);
        for (var file : folder.toFile().listFiles(File::isFile)) {
            if (file.getName().matches("[0-9]{20}\\..*")) {
                Files.delete(file.toPath());
            }
        }
        var next = 0L;
        var first = folder.resolve("00000000000000000000.log");
        for (var codec : CODECS) {
            next = append(first, RecordBatch.MAGIC_VALUE_V0, codec, TimestampType.NO_TIMESTAMP_TYPE, next, 5);
            next = append(first, RecordBatch.MAGIC_VALUE_V1, codec, TimestampType.CREATE_TIME, next, 7);
        }
        var second = folder.resolve(String.format("%020d.log", next));
        for (var codec : CODECS) {
            next = append(second, RecordBatch.MAGIC_VALUE_V1, codec, TimestampType.LOG_APPEND_TIME, next, 20);
        }
        System.out.println(next);
    }

    private static long append(Path file, byte magic, Compression codec, TimestampType type, long from, int count) throws IOException {
        var builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), magic, codec, type, from, TIME + from);
        for (var offset = from; offset < from + count; offset++) {
            var time = magic == RecordBatch.MAGIC_VALUE_V0 ? RecordBatch.NO_TIMESTAMP : TIME + offset;
            var value = offset % 5 == 2 ? null : ("ancient value " + offset).repeat(3).getBytes();
            builder.append(time, offset % 3 == 0 ? null : ("key-" + offset).getBytes(), value);
        }
        var bytes = builder.build().buffer();
        try (var channel = Files.newByteChannel(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }
        return from + count;
    }
}

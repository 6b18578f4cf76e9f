package golden.records;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.ByteUtils;
import org.apache.kafka.common.utils.Crc32C;
import org.apache.kafka.common.utils.Utils;

/** A version 2 batch that is built field by field, so that every field can be wrong. */
final class Raw {
    long baseOffset;
    int leaderEpoch = -1;
    int attributes;
    Integer lastOffsetDelta;
    long baseTimestamp = Log.NOW;
    long maxTimestamp = Log.NOW;
    long producerId = -1;
    int producerEpoch = -1;
    int baseSequence = -1;
    Integer count;
    int lengthOffBy;
    int crcXor;
    CompressionType codec = CompressionType.NONE;
    /** Replaces the output of the codec. */
    byte[] body;
    private final ByteArrayOutputStream records = new ByteArrayOutputStream();
    private int appended;

    static Raw of(int size) {
        return of(size, CompressionType.NONE);
    }

    static Raw of(int size, CompressionType codec) {
        Raw raw = new Raw();
        raw.codec = codec;
        for (int i = 0; i < size; i++) {
            raw.add(0, 0, i, Utils.utf8("key-" + i), Batches.filling(40, i));
        }
        return raw;
    }

    /** A record without headers. */
    Raw add(int attributes, long timestampDelta, int offsetDelta, byte[] key, byte[] value) {
        return addRaw(record(attributes, timestampDelta, offsetDelta, key, value, new byte[] {0}));
    }

    /** A record whose header count and headers are these bytes. */
    static byte[] record(int attributes, long timestampDelta, int offsetDelta, byte[] key, byte[] value, byte[] headers) {
        return bytes(out -> {
            out.writeByte(attributes);
            ByteUtils.writeVarlong(timestampDelta, out);
            ByteUtils.writeVarint(offsetDelta, out);
            field(out, key);
            field(out, value);
            out.write(headers);
        });
    }

    /** Adds the content of a record, after its correct size. */
    Raw addRaw(byte[] content) {
        return addSized(content.length, content);
    }

    /** Adds the content of a record, after any size. */
    Raw addSized(int size, byte[] content) {
        byte[] bytes = bytes(out -> {
            ByteUtils.writeVarint(size, out);
            out.write(content);
        });
        return addBytes(bytes);
    }

    Raw addBytes(byte[] bytes) {
        records.writeBytes(bytes);
        appended++;
        return this;
    }

    /** Adds bytes behind the last record. */
    Raw trail(byte[] bytes) {
        records.writeBytes(bytes);
        return this;
    }

    byte[] uncompressed() {
        return records.toByteArray();
    }

    byte[] build() {
        byte[] content = body != null ? body : compress(codec, uncompressed());
        ByteBuffer batch = ByteBuffer.allocate(61 + content.length);
        batch.putLong(baseOffset).putInt(49 + content.length + lengthOffBy).putInt(leaderEpoch).put((byte) 2).putInt(0);
        batch.putShort((short) (attributes | codec.id));
        batch.putInt(lastOffsetDelta != null ? lastOffsetDelta : appended - 1);
        batch.putLong(baseTimestamp).putLong(maxTimestamp).putLong(producerId).putShort((short) producerEpoch).putInt(baseSequence);
        batch.putInt(count != null ? count : appended).put(content);
        return crc(batch.array(), crcXor);
    }

    static byte[] crc(byte[] batch, int xor) {
        ByteBuffer.wrap(batch).putInt(17, (int) Crc32C.compute(batch, 21, batch.length - 21) ^ xor);
        return batch;
    }

    static byte[] compress(CompressionType codec, byte[] content) {
        ByteBufferOutputStream out = new ByteBufferOutputStream(content.length + 1024);
        try (OutputStream stream = Compression.of(codec).build().wrapForOutput(out, (byte) 2)) {
            stream.write(content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Arrays.copyOf(out.buffer().array(), out.buffer().position());
    }

    static byte[] bytes(Writing writing) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            writing.to(new DataOutputStream(bytes));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    static void field(DataOutputStream out, byte[] bytes) throws IOException {
        ByteUtils.writeVarint(bytes == null ? -1 : bytes.length, out);
        if (bytes != null) {
            out.write(bytes);
        }
    }

    static byte[] varint(int value) {
        return bytes(out -> ByteUtils.writeVarint(value, out));
    }

    /** Writes something. */
    interface Writing {
        void to(DataOutputStream out) throws IOException;
    }
}

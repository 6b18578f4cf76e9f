package golden.records;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.Utils;

/**
 * Shows bytes and records as words: base64, {@code -} for null.
 *
 * <p>Records are separated by {@code ;} and their parts by {@code ,}: offset, timestamp, key,
 * value, then {@code key:value} for each header.
 */
final class Show {
    private Show() {}

    static String bytes(byte[] bytes) {
        return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
    }

    static String bytes(ByteBuffer buffer) {
        return bytes(buffer == null ? null : Utils.toArray(buffer.duplicate()));
    }

    static String records(byte[] batches) {
        List<String> records = new ArrayList<>();
        for (Record record : MemoryRecords.readableRecords(ByteBuffer.wrap(batches)).records()) {
            List<String> parts = new ArrayList<>();
            parts.add(Long.toString(record.offset()));
            parts.add(Long.toString(record.timestamp()));
            parts.add(bytes(record.key()));
            parts.add(bytes(record.value()));
            for (Header header : record.headers()) {
                parts.add(bytes(Utils.utf8(header.key())) + ":" + bytes(header.value()));
            }
            records.add(String.join(",", parts));
        }
        return String.join(";", records);
    }
}

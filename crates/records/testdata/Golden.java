// Writes this folder's batches.tsv and validate.tsv with Apache Kafka's own classes; README.md says how to run it.
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.requests.*;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.storage.internals.log.*;

public class Golden {
  static final long NOW = 1_000_000;
  static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
  static final Random random = new Random(20);

  static String hex(byte[] b) { return HexFormat.of().formatHex(b); }
  static String hex(ByteBuffer b) { return b == null ? "null" : hex(Utils.toArray(b)); }
  static boolean chance(int percent) { return random.nextInt(100) < percent; }

  static byte[] batch(String codec, int count, boolean rich, boolean producer, TimestampType type) {
    MemoryRecordsBuilder b = new MemoryRecordsBuilder(ByteBuffer.allocate(256), (byte) 2, Compression.of(codec).build(), type, 0, NOW - 5,
      producer ? 4000 : -1, (short) (producer ? 3 : -1), producer ? 77 : -1, producer && chance(30), false, -1, 1 << 20);
    for (int i = 0; i < count; i++) {
      Header[] headers = rich && i % 2 == 0 ? new Header[] {new RecordHeader("h" + i, new byte[] {(byte) i}), new RecordHeader("", (byte[]) null)} : new Header[0];
      byte[] key = rich && i % 3 == 1 ? null : ("key" + i).getBytes(StandardCharsets.UTF_8);
      byte[] value = rich && i % 4 == 3 ? null : ("a value of some length, again and again " + i).repeat(1 + i % 3).getBytes(StandardCharsets.UTF_8);
      b.append(NOW - 50 + (i * 7 % 11), key, value, headers);
    }
    return Utils.toArray(b.build().buffer());
  }

  static String records(Iterable<org.apache.kafka.common.record.internal.Record> records) {
    StringBuilder s = new StringBuilder();
    for (var r : records) {
      s.append(r.offset()).append(':').append(r.timestamp()).append(':').append(hex(r.key())).append(':').append(hex(r.value()));
      for (Header h : r.headers()) s.append(':').append(hex(h.key().getBytes(StandardCharsets.UTF_8))).append('=').append(h.value() == null ? "null" : hex(h.value()));
      s.append(',');
    }
    return s.toString();
  }

  static byte[] mutate(byte[] bytes, String codec) throws IOException {
    ByteBuffer b = ByteBuffer.wrap(bytes.clone());
    switch (random.nextInt(14)) {
      case 0: b.putInt(57, random.nextInt(6) - 1); break;
      case 1: b.putInt(23, random.nextInt(6) - 1); break;
      case 2: int n = random.nextInt(6) - 1; b.putInt(57, n); b.putInt(23, n - 1); break;
      case 3: b.putShort(21, (short) (b.getShort(21) ^ 1 << random.nextInt(16))); break;
      case 4: b.putLong(27, NOW + random.nextInt(400) - 200); break;
      case 5: b.putLong(35, NOW + random.nextInt(400) - 200); break;
      case 6: b.putInt(53, -1 - random.nextInt(3)); break;
      case 7: b.putLong(43, random.nextInt(4) - 2); break;
      case 8: if (bytes.length > 62) b = ByteBuffer.wrap(Arrays.copyOf(b.array(), 62 + random.nextInt(bytes.length - 62))); break;
      case 9: b = ByteBuffer.wrap(Arrays.copyOf(b.array(), bytes.length + 1 + random.nextInt(3))); break;
      case 10: if (bytes.length > 61) b.put(61 + random.nextInt(bytes.length - 61), (byte) random.nextInt(256)); break;
      case 11: b.put(random.nextInt(61), (byte) random.nextInt(256)); break;
      default: // The content changes, and the codec stays right.
        ByteBuffer body = b.duplicate(); body.position(61);
        byte[] content = Compression.of(codec).build().wrapForInput(body, (byte) 2, BufferSupplier.create()).readAllBytes();
        if (chance(80)) content[random.nextInt(content.length)] = (byte) (chance(50) ? random.nextInt(256) : random.nextInt(16));
        else content = Arrays.copyOf(content, Math.max(1, content.length + random.nextInt(6) - 3));
        ByteBufferOutputStream out = new ByteBufferOutputStream(512);
        try (OutputStream o = Compression.of(codec).build().wrapForOutput(out, (byte) 2)) { o.write(content); }
        byte[] tail = Utils.toArray(out.buffer().flip());
        ByteBuffer whole = ByteBuffer.allocate(61 + tail.length);
        whole.put(b.array(), 0, 61).put(tail); b = whole;
    }
    if (chance(97)) b.putInt(8, b.capacity() - 12);
    if (chance(97)) b.putInt(17, (int) Crc32C.compute(b, 21 - b.position(), b.capacity() - 21));
    return b.array();
  }

  static String answer(String[] rules, byte[] bytes) {
    try {
      MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
      try { ProduceRequest.validateRecords((short) 9, records); } catch (org.apache.kafka.common.errors.ApiException e) { return "REQUEST " + Errors.forException(e); }
      MutableRecordBatch b = records.batches().iterator().next();
      // What the log checks before it asks the validator.
      if (b.baseOffset() != 0) return "FAIL INVALID_RECORD";
      if (!b.isValid()) return "FAIL CORRUPT_MESSAGE";
      CompressionType source = CompressionType.forId(b.compressionType().id);
      Compression target = rules[3].equals("producer") ? Compression.of(source).build() : Compression.of(rules[3]).build();
      LogValidator v = new LogValidator(records, new TopicPartition("t", 3), new Clock(), source, target, rules[4].equals("compact"), (byte) 2,
        rules[0].equals("create") ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME, Long.parseLong(rules[1]), Long.parseLong(rules[2]), 7, AppendOrigin.CLIENT);
      LogValidator.ValidationResult r = v.validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(1000), new Metrics(), BufferSupplier.create());
      MutableRecordBatch out = r.validatedRecords().batches().iterator().next();
      byte[] valid = new byte[out.sizeInBytes()];
      r.validatedRecords().buffer().duplicate().get(valid);
      if (!r.messageSizeMaybeChanged()) return "SAME " + hex(valid);
      Arrays.fill(valid, 8, 12, (byte) 0); // Another implementation compresses to another length.
      Arrays.fill(valid, 17, 21, (byte) 0);
      return "NEW " + hex(Arrays.copyOf(valid, 61)) + " " + records(out);
    } catch (RecordValidationException e) {
      StringBuilder s = new StringBuilder("RECORDS " + Errors.forException(e.invalidException()) + " " + e.invalidException().getMessage());
      for (ProduceResponse.RecordError x : e.recordErrors()) s.append("|").append(x.batchIndex).append(' ').append(x.message);
      return s.toString();
    } catch (Throwable e) {
      boolean own = e instanceof org.apache.kafka.common.InvalidRecordException;
      return "FAIL " + Errors.forException(e) + (own ? " " + e.getMessage() : "");
    }
  }

  public static void main(String[] args) throws Exception {
    int count = Integer.parseInt(args[1]);
    try (PrintWriter out = new PrintWriter(args[0] + "/batches.tsv", StandardCharsets.UTF_8)) {
      for (String codec : CODECS) for (int n : new int[] {1, 7}) {
        byte[] b = batch(codec, n, true, n > 1, TimestampType.CREATE_TIME);
        out.print(codec + "\t" + hex(b) + "\t" + records(MemoryRecords.readableRecords(ByteBuffer.wrap(b)).records()) + "\n");
      }
      byte[] marker = Utils.toArray(MemoryRecords.withEndTransactionMarker(40, NOW, 9, 4000, (short) 3, new EndTransactionMarker(ControlRecordType.COMMIT, 12)).buffer());
      out.print("marker\t" + hex(marker) + "\t" + records(MemoryRecords.readableRecords(ByteBuffer.wrap(marker)).records()) + "\n");
    }
    try (PrintWriter out = new PrintWriter(args[0] + "/validate.tsv", StandardCharsets.UTF_8)) {
      for (int i = 0; i < count; i++) {
        String codec = CODECS[random.nextInt(5)];
        String target = chance(60) ? "producer" : CODECS[random.nextInt(5)];
        String[] rules = {chance(75) ? "create" : "append", chance(80) ? "9223372036854775807" : "48", chance(80) ? "3600000" : "0", target, chance(75) ? "delete" : "compact"};
        byte[] b = batch(codec, 1 + random.nextInt(4), chance(40), chance(40), chance(95) ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME);
        if (chance(75)) b = mutate(b, codec);
        out.print(String.join(" ", rules) + "\t" + hex(b) + "\t" + answer(rules, b).replace("\n", " ").replace("\t", " ") + "\n");
      }
    }
  }

  static class Clock implements Time {
    public long milliseconds() { return NOW; }
    public long nanoseconds() { return 0; }
    public void sleep(long ms) { }
    public void waitObject(Object o, java.util.function.Supplier<Boolean> c, long deadline) { }
  }

  static class Metrics implements LogValidator.MetricsRecorder {
    public void recordInvalidMagic() { }
    public void recordInvalidOffset() { }
    public void recordInvalidSequence() { }
    public void recordInvalidChecksums() { }
    public void recordNoKeyCompactedTopic() { }
  }
}

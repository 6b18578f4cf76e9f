import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;
public class Golden {
  static KafkaProducer<String,String> p(String b, String tid, String codec) {
    Properties c = new Properties();
    c.put("bootstrap.servers", b); c.put("linger.ms", "1000"); c.put("batch.size","2000"); c.put("compression.type", codec);
    if (tid != null) c.put("transactional.id", tid); else c.put("enable.idempotence","true");
    return new KafkaProducer<>(c, new StringSerializer(), new StringSerializer());
  }
  public static void main(String[] a) throws Exception {
    String b = a[0];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", b))) {
      admin.createTopics(List.of(
        new NewTopic("plain.topic_x-y", 1, (short)1).configs(Map.of("internal.segment.bytes","30000","index.interval.bytes","1000")),
        new NewTopic("txn", 1, (short)1).configs(Map.of("internal.segment.bytes","20000")))).all().get();
    }
    long t = 1700000000000L;
    int n = 0;
    for (String codec : new String[]{"none","gzip","snappy","lz4","zstd"}) try (var p = p(b, null, codec)) {
      for (int i = 0; i < 300; i++, n++) p.send(new ProducerRecord<>("plain.topic_x-y", 0, t + (n * 7919L) % 100000, "k" + n % 37, "value-" + n + "-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
      p.flush();
    }
    var open = p(b, "t-open", "none"); open.initTransactions();
    try (var p = p(b, "t-1", "none")) {
      p.initTransactions();
      for (int r = 0; r < 12; r++) {
        p.beginTransaction();
        for (int i = 0; i < 40; i++) p.send(new ProducerRecord<>("txn", 0, t + r * 1000 + i, "k" + i, "txn-" + r + "-" + i + "-yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"));
        p.flush();
        if (r == 6) { open.beginTransaction(); open.send(new ProducerRecord<>("txn", 0, t, "open", "open")); open.flush(); }
        if (r % 3 == 1) p.abortTransaction(); else p.commitTransaction();
      }
    }
    System.out.println("done"); System.out.flush();
    Runtime.getRuntime().halt(0);
  }
}

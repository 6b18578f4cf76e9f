package compat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.metadata.BeginTransactionRecord;
import org.apache.kafka.common.metadata.EndTransactionRecord;
import org.apache.kafka.common.metadata.NoOpRecord;
import org.apache.kafka.common.metadata.PartitionRecord;
import org.apache.kafka.common.metadata.ProducerIdsRecord;
import org.apache.kafka.common.metadata.RegisterBrokerRecord;
import org.apache.kafka.common.metadata.RegisterControllerRecord;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.image.MetadataDelta;
import org.apache.kafka.image.MetadataImage;
import org.apache.kafka.image.MetadataProvenance;
import org.apache.kafka.image.writer.ImageWriterOptions;
import org.apache.kafka.image.writer.RecordListWriter;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/**
 * What is in a log dir that no broker has open, read with Apache Kafka's own classes: {@code SwapFolder DIR}.
 *
 * <pre>
 * metadata RECORD          the cluster's metadata as a snapshot would have it, without what every start changes
 * leadership ...           of every partition, as the last stop left it
 * version TYPE VERSION     the versions in which records of the metadata log are written
 * batch PARTITION ...      every batch of every partition
 * aborted PARTITION ...    every entry of the indexes of aborted transactions
 * file PATH CONTENT        small files that no run may change
 * </pre>
 */
public final class SwapFolder {
    private final Path dir;
    private final TreeSet<String> versions = new TreeSet<>();

    private SwapFolder(Path dir) {
        this.dir = dir;
    }

    public static void main(String[] arguments) throws Exception {
        var folder = new SwapFolder(Path.of(arguments[0]));
        var partitions = new ArrayList<File>();
        for (var file : folder.dir.toFile().listFiles(File::isDirectory)) {
            if (file.getName().equals("__cluster_metadata-0")) {
                folder.metadata(file);
            } else if (new File(file, "partition.metadata").exists() && !file.getName().endsWith("-delete")) {
                partitions.add(file);
            }
        }
        for (var file : partitions) {
            partition(file);
        }
        var meta = new java.util.Properties();
        try (var in = Files.newInputStream(folder.dir.resolve("meta.properties"))) {
            meta.load(in);
        }
        for (var name : new TreeSet<>(meta.stringPropertyNames())) {
            System.out.println("file meta.properties " + name + "=" + meta.getProperty(name));
        }
        folder.versions.forEach(System.out::println);
    }

    private static File[] sorted(File folder, String suffix) {
        var files = folder.listFiles((parent, name) -> name.endsWith(suffix));
        Arrays.sort(files);
        return files;
    }

    private void metadata(File folder) throws Exception {
        var snapshots = sorted(folder, ".checkpoint");
        var delta = new MetadataDelta.Builder().setImage(MetadataImage.EMPTY).build();
        var from = 0L;
        if (snapshots.length > 0) {
            var newest = snapshots[snapshots.length - 1];
            from = Long.parseLong(newest.getName().substring(0, 20));
            for (var one : read(newest, 0)) {
                replay(delta, one);
            }
        }
        for (var log : sorted(folder, ".log")) {
            for (var one : read(log, from)) {
                replay(delta, one);
            }
        }
        var image = delta.apply(new MetadataProvenance(1, 1, 1, true));
        var writer = new RecordListWriter();
        var lost = new ArrayList<String>();
        image.write(writer, new ImageWriterOptions.Builder(image).setLossHandler(loss -> lost.add(loss.getMessage())).build());
        var lines = new TreeSet<String>();
        for (var record : writer.records()) {
            if (record.message() instanceof PartitionRecord one) {
                lines.add("leadership " + one.topicId() + " " + one.partitionId() + " isr=" + one.isr() + " eligible=" + one.eligibleLeaderReplicas()
                    + " known=" + one.lastKnownElr() + " recovering=" + one.leaderRecoveryState());
            }
            lines.add("metadata " + steady(record.message()));
        }
        lost.forEach(loss -> lines.add("metadata lost " + loss));
        lines.forEach(System.out::println);
    }

    /** A record without what a start of the broker, and the election that it brings, may change. */
    private static ApiMessage steady(ApiMessage message) {
        if (message instanceof RegisterBrokerRecord record) {
            record.setBrokerEpoch(0).setIncarnationId(org.apache.kafka.common.Uuid.ZERO_UUID).setFenced(false).setInControlledShutdown(false);
            record.endPoints().clear();
            record.features().clear();
        } else if (message instanceof RegisterControllerRecord record) {
            record.setIncarnationId(org.apache.kafka.common.Uuid.ZERO_UUID);
            record.endPoints().clear();
            record.features().clear();
        } else if (message instanceof PartitionRecord record) {
            record.setLeader(0).setLeaderEpoch(0).setPartitionEpoch(0).setIsr(List.of()).setLeaderRecoveryState((byte) 0);
            record.setEligibleLeaderReplicas(null).setLastKnownElr(null);
        } else if (message instanceof ProducerIdsRecord record) {
            record.setBrokerEpoch(0);
        }
        return message;
    }

    private List<ApiMessageAndVersion> read(File file, long from) throws IOException {
        var found = new ArrayList<ApiMessageAndVersion>();
        try (var records = FileRecords.open(file, false)) {
            for (var batch : records.batches()) {
                if (batch.isControlBatch()) {
                    continue;
                }
                for (var record : batch) {
                    var message = MetadataRecordSerde.INSTANCE.read(new ByteBufferAccessor(record.value()), record.valueSize());
                    versions.add("version " + message.message().getClass().getSimpleName() + " " + message.version());
                    if (record.offset() >= from) {
                        found.add(message);
                    }
                }
            }
        }
        return found;
    }

    private static void replay(MetadataDelta delta, ApiMessageAndVersion one) {
        var skipped = Set.of(BeginTransactionRecord.class, EndTransactionRecord.class, NoOpRecord.class);
        if (!skipped.contains(one.message().getClass())) {
            delta.replay(one.message());
        }
    }

    private static void partition(File folder) throws IOException {
        var name = folder.getName();
        System.out.println("file " + name + "/partition.metadata " + Files.readString(folder.toPath().resolve("partition.metadata")).replace('\n', ' ').strip());
        for (var log : sorted(folder, ".log")) {
            try (var records = FileRecords.open(log, false)) {
                for (var batch : records.batches()) {
                    batch.ensureValid();
                    System.out.println("batch " + name + " " + log.getName() + " " + line(batch));
                }
            }
        }
        for (var index : sorted(folder, ".txnindex")) {
            var bytes = java.nio.ByteBuffer.wrap(Files.readAllBytes(index.toPath()));
            while (bytes.remaining() >= 34) {
                System.out.println("aborted " + name + " " + index.getName() + " version=" + bytes.getShort() + " producer=" + bytes.getLong()
                    + " first=" + bytes.getLong() + " last=" + bytes.getLong() + " stable=" + bytes.getLong());
            }
        }
    }

    private static String line(RecordBatch batch) {
        return batch.baseOffset() + "-" + batch.lastOffset() + " magic=" + batch.magic() + " epoch=" + batch.partitionLeaderEpoch() + " producer="
            + batch.producerId() + "/" + batch.producerEpoch() + "/" + batch.baseSequence() + " txn=" + batch.isTransactional() + " control="
            + batch.isControlBatch() + " codec=" + batch.compressionType() + " time=" + batch.maxTimestamp() + " crc=" + batch.checksum();
    }
}

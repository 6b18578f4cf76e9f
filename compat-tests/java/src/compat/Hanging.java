package compat;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.ResponseHeader;

/**
 * Leaves a hanging transaction, two hours old, in partition 0: {@code Hanging BOOTSTRAP TOPIC ID}.
 *
 * <p>It writes a record of a transaction of which the coordinator was never told, as a delayed Produce
 * request can. The broker must have transaction.partition.verification.enable=false.
 */
public final class Hanging {
    private static final short VERSION = 11;

    private Hanging() {}

    public static void main(String[] arguments) throws Exception {
        var bootstrap = arguments[0];
        var topic = arguments[1];
        var id = arguments[2];
        // The coordinator gives a producer id, and sees no more of this producer.
        try (var producer = new Messages(bootstrap, topic).producer(Map.of("transactional.id", id))) {
            producer.initTransactions();
        }
        long producerId;
        short epoch;
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var described = admin.describeTransactions(List.of(id)).all().get().get(id);
            producerId = described.producerId();
            epoch = (short) described.producerEpoch();
        }
        var record = new SimpleRecord(System.currentTimeMillis() - 7_200_000, null, "hangs".getBytes());
        var records = MemoryRecords.withTransactionalRecords(Compression.NONE, producerId, epoch, 0, record);
        var partition = new ProduceRequestData.PartitionProduceData().setIndex(0).setRecords(records);
        var topics = new ProduceRequestData.TopicProduceDataCollection();
        topics.add(new ProduceRequestData.TopicProduceData().setName(topic).setPartitionData(List.of(partition)));
        var data = new ProduceRequestData().setTransactionalId(id).setAcks((short) -1).setTimeoutMs(10_000).setTopicData(topics);
        var answer = exchange(bootstrap, data).responses().iterator().next().partitionResponses().get(0);
        if (answer.errorCode() != 0) {
            throw new IOException("the broker answered " + answer);
        }
    }

    private static ProduceResponseData exchange(String bootstrap, ProduceRequestData data) throws IOException {
        var request = ProduceRequest.builder(data, true).build(VERSION);
        var bytes = request.serializeWithHeader(new RequestHeader(ApiKeys.PRODUCE, VERSION, "hanging", 1));
        var at = bootstrap.lastIndexOf(':');
        try (var socket = new Socket(bootstrap.substring(0, at), Integer.parseInt(bootstrap.substring(at + 1)))) {
            var out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(bytes.remaining());
            out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
            out.flush();
            var in = new DataInputStream(socket.getInputStream());
            var found = new byte[in.readInt()];
            in.readFully(found);
            var buffer = ByteBuffer.wrap(found);
            ResponseHeader.parse(buffer, ApiKeys.PRODUCE.responseHeaderVersion(VERSION));
            return new ProduceResponseData(new ByteBufferAccessor(buffer), VERSION);
        }
    }
}

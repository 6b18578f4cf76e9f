//! A client with one connection: it sends requests, receives responses, and has the requests that
//! most tests need.

use bytes::Bytes;
use model::{ErrorCode, Offset, Timestamp};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Message, Reader, Records, Str, decode_from, write_request};
use records::{BatchBuilder, Batches, RecordReader};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The limit of time for anything that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer, or fails the test at the deadline.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "in vain waited for: {what}");
        tokio::task::yield_now().await;
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
    client_id: Str,
}

impl Client {
    /// Connects, again and again as a client does: a broker refuses until it is registered.
    pub async fn connect(address: SocketAddr) -> Self {
        let began = Instant::now();
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(error) => assert!(began.elapsed() < DEADLINE, "{address} cannot be connected: {error}"),
            }
            tokio::task::yield_now().await;
        };
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0, client_id: name("it") }
    }

    /// Takes another client id.
    pub fn named(self, client_id: &str) -> Self {
        Self { client_id: name(client_id), ..self }
    }

    pub async fn send<M: Message>(&mut self, request: &M, version: i16) -> io::Result<()> {
        self.correlation_id += 1;
        let header = RequestHeader {
            request_api_key: M::KEY,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(self.client_id.clone()),
            ..Default::default()
        };
        let frame = write_request(&header, request).unwrap().into_bytes().unwrap();
        self.stream.write_all(&frame).await
    }

    /// Fails if the broker closed the connection.
    pub async fn receive<M: Message>(&mut self, version: i16) -> io::Result<M> {
        let mut frame = vec![0; self.stream.read_u32().await? as usize];
        self.stream.read_exact(&mut frame).await?;
        let mut reader = Reader::new(frame.into());
        let key = ApiKey::from_code(M::KEY).unwrap();
        reader.i32().unwrap();
        if key.response_header_version(version) == 1 {
            assert_eq!(reader.unsigned_varint().unwrap(), 0);
        }
        let rest = reader.raw(reader.remaining()).unwrap();
        Ok(decode_from(rest, version).unwrap())
    }

    pub async fn try_call<A: Message, B: Message>(&mut self, request: &A, version: i16) -> io::Result<B> {
        self.send(request, version).await?;
        self.receive(version).await
    }

    pub async fn call<A: Message, B: Message>(&mut self, request: &A, version: i16) -> B {
        let answered = tokio::time::timeout(DEADLINE, self.try_call(request, version)).await;
        answered.unwrap_or_else(|_| panic!("{} was not answered", A::NAME)).unwrap()
    }

    /// Sends bytes as a frame of their own.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_u32(bytes.len() as u32).await.unwrap();
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Returns the bytes of the next frame.
    pub async fn receive_bytes(&mut self) -> Vec<u8> {
        let mut frame = vec![0; self.stream.read_u32().await.unwrap() as usize];
        self.stream.read_exact(&mut frame).await.unwrap();
        frame
    }

    /// Returns whether the broker closed the connection without sending another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.stream.read_u8().await.is_err()
    }

    pub async fn metadata(&mut self, topic: &str, allow_auto_topic_creation: bool) -> MetadataResponse {
        let topics = vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }];
        let request = MetadataRequest { topics: Some(topics), allow_auto_topic_creation, ..Default::default() };
        self.call(&request, 12).await
    }

    /// Creates a topic and waits until its partitions have a leader.
    pub async fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let response: CreateTopicsResponse = self.call(&request, 7).await;
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        self.await_leaders(name).await;
    }

    /// Waits until every partition of a topic has a leader.
    pub async fn await_leaders(&mut self, topic: &str) {
        until("leaders", async || {
            let known = self.metadata(topic, false).await;
            let partitions = &known.topics[0].partitions;
            let led = !partitions.is_empty() && partitions.iter().all(|it| it.error_code == 0 && it.leader_id >= 0);
            led.then_some(())
        })
        .await;
    }

    pub fn produce_request(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
        let data =
            PartitionProduceData { index: partition, records: Some(Records::Bytes(records)), ..Default::default() };
        let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
        ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() }
    }

    /// Writes records as one batch. Returns the answer, which may be an error.
    pub async fn produce(&mut self, topic: &str, partition: i32, values: &[&str]) -> PartitionProduceResponse {
        self.produce_batch(topic, partition, batch(values)).await
    }

    /// Writes one batch. Returns the answer, which may be an error.
    pub async fn produce_batch(&mut self, topic: &str, partition: i32, batch: Bytes) -> PartitionProduceResponse {
        let request = Self::produce_request(topic, partition, batch);
        until("a leader", async || {
            let mut response: ProduceResponse = self.call(&request, 9).await;
            let answer = response.responses.remove(0).partition_responses.remove(0);
            (answer.error_code != ErrorCode::NotLeaderOrFollower.code()).then_some(answer)
        })
        .await
    }

    pub fn fetch_request(topic: &str, partition: i32, offset: Offset, max_wait_ms: i32) -> FetchRequest {
        let partition =
            FetchPartition { partition, fetch_offset: offset.0, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
        FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        }
    }

    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: Offset) -> PartitionData {
        let mut response: FetchResponse = self.call(&Self::fetch_request(topic, partition, offset, 0), 12).await;
        assert_eq!(response.error_code, 0);
        response.responses.remove(0).partitions.remove(0)
    }

    /// Returns all records of a partition, with their offsets.
    pub async fn read(&mut self, topic: &str, partition: i32) -> Vec<(Offset, String)> {
        let first = self.offset(topic, partition, -2).await;
        self.read_from(topic, partition, first).await
    }

    /// Returns all records from an offset on.
    pub async fn read_from(&mut self, topic: &str, partition: i32, first: Offset) -> Vec<(Offset, String)> {
        let mut next = first;
        let mut all = Vec::new();
        loop {
            let data = until("a leader", async || {
                let data = self.fetch(topic, partition, next).await;
                assert!(is_fine(data.error_code), "error {} for {topic}-{partition} at {next}", data.error_code);
                (data.error_code == 0).then_some(data)
            })
            .await;
            let read = values(data.records.as_ref().and_then(Records::bytes));
            all.extend(read.into_iter().filter(|(offset, _)| *offset >= next));
            let end = all.last().map_or(next, |(offset, _)| offset.plus(1));
            if end == next {
                return all;
            }
            next = end;
        }
    }

    /// Deletes a topic. Returns the error code.
    pub async fn delete_topic(&mut self, name: &str) -> i16 {
        let topics = vec![DeleteTopicState { name: Some(name.into()), ..Default::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
        let deleted: DeleteTopicsResponse = self.call(&request, 6).await;
        deleted.responses[0].error_code
    }

    fn list_offsets_request(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
        let partition = ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: -1,
            timestamp,
            ..Default::default()
        };
        let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
        ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
    }

    /// Returns the error code of a ListOffsets request for a timestamp.
    pub async fn offset_error(&mut self, topic: &str, partition: i32, timestamp: i64) -> i16 {
        let request = Self::list_offsets_request(topic, partition, timestamp);
        let response: ListOffsetsResponse = self.call(&request, 7).await;
        response.topics[0].partitions[0].error_code
    }

    /// Returns the offset for a timestamp: -2 for the first offset, -1 for the next one.
    pub async fn offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> Offset {
        let request = Self::list_offsets_request(topic, partition, timestamp);
        until("a leader", async || {
            let response: ListOffsetsResponse = self.call(&request, 7).await;
            let partition = &response.topics[0].partitions[0];
            assert!(is_fine(partition.error_code), "error {}", partition.error_code);
            (partition.error_code == 0).then_some(Offset(partition.offset))
        })
        .await
    }
}

/// Returns whether an answer is a success or means that a leader is being elected. Clients retry
/// after the latter.
pub fn is_fine(error_code: i16) -> bool {
    error_code == 0 || error_code == ErrorCode::NotLeaderOrFollower.code()
}

/// Returns a batch of records without keys.
pub fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0));
    for value in values {
        builder.append(Timestamp(1_700_000_000_000), None, Some(value.as_bytes()));
    }
    builder.finish().unwrap()
}

/// Returns the records of whole batches, and checks each batch.
fn values(bytes: Option<&Bytes>) -> Vec<(Offset, String)> {
    let mut values = Vec::new();
    for batch in Batches::new(bytes.unwrap_or(&Bytes::new())) {
        let Ok(batch) = batch else { break };
        batch.verify_crc().unwrap();
        let mut reader = RecordReader::new(&batch).unwrap();
        while let Some(record) = reader.next_record() {
            let record = record.unwrap();
            values.push((record.offset, String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap()));
        }
    }
    values
}

/// Returns only the values.
pub fn texts(records: &[(Offset, String)]) -> Vec<&str> {
    records.iter().map(|(_, value)| value.as_str()).collect()
}

/// Returns a name in the type that messages use.
pub fn name(text: &str) -> Str {
    text.into()
}

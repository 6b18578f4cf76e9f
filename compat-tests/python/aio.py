"""aiokafka, the asyncio version of kafka-python. Its event loop runs in a separate thread."""

import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from scenarios import LIMIT_S, PARTITIONS, Lacks, Record


def from_record(r):
    return Record(r.partition, r.offset, r.key, r.value, tuple((name, value) for name, value in r.headers), r.timestamp)


def succeeded(code, message=None):
    if code:
        raise for_code(code)(message)


class Member(ConsumerRebalanceListener):
    """A group consumer that runs as a task."""

    def __init__(self, client, group, topic):
        self.client, self.seen, self.partitions, self.gone = client, [], set(), False
        self.task = asyncio.run_coroutine_threadsafe(self.consuming(group, topic), client.loop)

    async def on_partitions_assigned(self, assigned):
        self.partitions = {p.partition for p in assigned}

    async def on_partitions_revoked(self, revoked):
        self.partitions = set()

    async def consuming(self, group, topic):
        consumer = self.client.consumer(group_id=group, heartbeat_interval_ms=200, auto_commit_interval_ms=200)
        consumer.subscribe([topic], listener=self)
        await consumer.start()
        while not self.gone:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                self.seen += [from_record(r) for r in records]
        await consumer.stop()

    def owned(self):
        return set(self.partitions)

    def leave(self):
        self.gone = True
        self.task.result(LIMIT_S)


class GroupConsumer:
    """A member of a group that commits nothing itself."""

    def __init__(self, client, group, topic):
        self.client, self.group, self.topic = client, group, topic
        self.consumer = client.wait(self.started(topic))

    async def started(self, topic):
        consumer = self.client.consumer(group_id=self.group, enable_auto_commit=False, isolation_level="read_committed")
        consumer.subscribe([topic])
        await consumer.start()
        return consumer

    def take(self, count):
        return [from_record(r) for r in self.client.wait(self.client.take(self.consumer, count))]

    def seek(self, starts):
        for p, at in starts.items():
            self.consumer.seek(TopicPartition(self.topic, p), at)

    def close(self):
        self.client.wait(self.consumer.stop())


class Transactional:
    """A transactional producer."""

    def __init__(self, client, transactional_id):
        self.client = client
        self.producer = client.wait(self.started(transactional_id))
        self.begin = lambda: client.wait(self.producer.begin_transaction())
        self.commit = lambda: client.wait(self.producer.commit_transaction())
        self.abort = lambda: client.wait(self.producer.abort_transaction())
        self.close = lambda: client.wait(self.producer.stop())

    async def started(self, transactional_id):
        producer = AIOKafkaProducer(
            bootstrap_servers=self.client.bootstrap, transactional_id=transactional_id, compression_type="lz4"
        )
        await producer.start()
        return producer

    def send(self, topic, values):
        self.client.wait(self.sending(topic, values))

    async def sending(self, topic, values):
        sent = [await self.producer.send(topic, value, partition=n % PARTITIONS) for n, value in enumerate(values)]
        await asyncio.gather(*sent)

    def send_offsets(self, consumer, topic, following):
        offsets = {TopicPartition(topic, p): at for p, at in following.items()}
        self.client.wait(self.producer.send_offsets_to_transaction(offsets, consumer.group))


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.admin = self.wait(self.start_admin())

    async def start_admin(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        return admin

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LIMIT_S)

    def consumer(self, **settings):
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", metadata_max_age_ms=2000, **settings
        )

    def close(self):
        self.wait(self.admin.close())
        self.loop.call_soon_threadsafe(self.loop.stop)

    def create_topic(self, topic, partitions, configs):
        answer = self.wait(self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)]))
        succeeded(answer.topic_errors[0][1], answer.topic_errors[0][2])

    def grow_topic(self, topic, partitions):
        answer = self.wait(self.admin.create_partitions({topic: NewPartitions(partitions)}))
        succeeded(answer.topic_errors[0][1])

    def describe_topic(self, topic):
        (described,) = self.wait(self.admin.describe_topics([topic]))
        if described["error_code"] == 3:
            return None
        succeeded(described["error_code"])
        return len(described["partitions"])

    def delete_topic(self, topic):
        succeeded(self.wait(self.admin.delete_topics([topic])).topic_error_codes[0][1])

    def produce(self, topic, codec, records):
        self.wait(self.sending(topic, codec, records))

    async def sending(self, topic, codec, records):
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=codec != "none",
            acks="all",
            linger_ms=20,
        )
        await producer.start()
        try:
            sent = [
                await producer.send(
                    topic, r.value, r.key, r.partition, timestamp_ms=r.time_ms, headers=list(r.headers)
                )
                for r in records
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def take(self, consumer, count):
        found = []
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=500, max_records=count - len(found))).values():
                found += records
        return found

    def consume(self, topic, starts, count):
        return self.wait(self.consuming(topic, starts, count))

    async def consuming(self, topic, starts, count):
        consumer = self.consumer(group_id=None, check_crcs=True)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, p) for p in starts])
            for p, at in starts.items():
                consumer.seek(TopicPartition(topic, p), at)
            return [from_record(r) for r in await self.take(consumer, count)]
        finally:
            await consumer.stop()

    async def ask(self, question):
        consumer = self.consumer(group_id=None)
        await consumer.start()
        try:
            return await question(consumer)
        finally:
            await consumer.stop()

    def ends(self, topic):
        asked = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        first = self.wait(self.ask(lambda c: c.beginning_offsets(asked)))
        last = self.wait(self.ask(lambda c: c.end_offsets(asked)))
        return {p.partition: (first[p], last[p]) for p in asked}

    def offsets_at(self, topic, at):
        asked = {TopicPartition(topic, p): at for p in range(PARTITIONS)}
        found = self.wait(self.ask(lambda c: c.offsets_for_times(asked)))
        return {p.partition: o.offset if o else None for p, o in found.items()}

    def delete_records(self, topic, before):
        asked = {TopicPartition(topic, p): RecordsToDelete(before_offset=at) for p, at in before.items()}
        self.wait(self.admin.delete_records(asked))

    def join(self, group, topic):
        return Member(self, group, topic)

    def consume_and_commit(self, group, topic, count):
        return self.wait(self.committing(group, topic, count))

    async def committing(self, group, topic, count):
        consumer = self.consumer(group_id=group, enable_auto_commit=False)
        consumer.subscribe([topic])
        await consumer.start()
        try:
            found = await self.take(consumer, count)
            await consumer.commit({TopicPartition(topic, r.partition): r.offset + 1 for r in found})
            return [from_record(r) for r in found]
        finally:
            await consumer.stop()

    def committed(self, group, topic):
        asked = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        answer = self.wait(self.admin.list_consumer_group_offsets(group, partitions=asked))
        return {p.partition: max(answer[p].offset, 0) for p in asked}

    def config(self, kind, name, key):
        (answer,) = self.wait(self.admin.describe_configs([ConfigResource(kind, name, {key: None})]))
        code, message, _, _, entries = answer.resources[0][:5]
        succeeded(code, message)
        (entry,) = entries
        return entry

    def topic_config(self, topic, key):
        # name, value, read only, source (5 is the default), ...
        entry = self.config(ConfigResourceType.TOPIC, topic, key)
        return entry[1], entry[3] == 5

    def broker_config(self, key):
        broker = self.wait(self.admin.describe_cluster())["brokers"][0]["node_id"]
        return self.config(ConfigResourceType.BROKER, str(broker), key)[1]

    def set_config(self, topic, key, value):
        raise Lacks

    def replace_config(self, topic, key, value):
        answer = self.wait(self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})]))
        succeeded(answer[0].resources[0][0], answer[0].resources[0][1])

    def group_state(self, group):
        (answer,) = self.wait(self.admin.describe_consumer_groups([group]))
        described = answer.groups[0]
        succeeded(described[0])
        return described[2], len(described[5])

    def groups(self):
        return [g[0] for g in self.wait(self.admin.list_consumer_groups())]

    def delete_group(self, group):
        raise Lacks

    def transactional(self, transactional_id):
        return Transactional(self, transactional_id)

    def group_consumer(self, group, topic):
        return GroupConsumer(self, group, topic)

    def read_all(self, topic, isolation):
        return self.wait(self.reading_all(topic, isolation))

    async def reading_all(self, topic, isolation):
        consumer = self.consumer(group_id=None, isolation_level=isolation)
        await consumer.start()
        asked, found = [TopicPartition(topic, p) for p in range(PARTITIONS)], []
        try:
            consumer.assign(asked)
            for p in asked:
                consumer.seek(p, 0)
            # The end that an isolation has is the position after a seek to the end.
            await consumer.seek_to_end(*asked)
            ends = {p: await consumer.position(p) for p in asked}
            for p in asked:
                consumer.seek(p, 0)
            while any([await consumer.position(p) < ends[p] for p in asked]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [from_record(r) for r in records]
            return found
        finally:
            await consumer.stop()

"""kafka-python: a client in pure Python."""

import threading
import time

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from scenarios import LIMIT_S, PARTITIONS, Lacks, Record


def from_record(r):
    return Record(r.partition, r.offset, r.key, r.value, tuple((name, value) for name, value in r.headers), r.timestamp)


def succeeded(answer):
    if answer != "OK":
        raise RuntimeError(answer)


class Member(ConsumerRebalanceListener):
    """A group consumer that runs in a separate thread."""

    def __init__(self, client, group, topic):
        self.seen, self.partitions, self.stop = [], set(), threading.Event()
        self.consumer = client.consumer(group_id=group, heartbeat_interval_ms=200, auto_commit_interval_ms=200)
        # The consumer knows the topic before it joins the group. A leader that learns of partitions
        # later joins again. If a poll ends meanwhile, kafka-python 3.0.12 forgets the new
        # assignment. From then on it polls without pause and owns nothing.
        self.consumer.partitions_for_topic(topic)
        self.consumer.subscribe([topic], listener=self)
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def on_partitions_assigned(self, assigned):
        self.partitions |= {p.partition for p in assigned}

    def on_partitions_revoked(self, revoked):
        self.partitions -= {p.partition for p in revoked}

    def loop(self):
        while not self.stop.is_set():
            # The timeout is long enough to join a group within one poll. If a poll of the leader
            # ends between sending the assignment and its answer, kafka-python 3.0.12 believes that
            # it has joined. It never learns what it owns, and polls without pause from then on.
            for records in self.consumer.poll(timeout_ms=1000).values():
                self.seen += [from_record(r) for r in records]
        self.consumer.close()

    def owned(self):
        return set(self.partitions)

    def leave(self):
        self.stop.set()
        self.thread.join()


class GroupConsumer:
    """A member of a group that commits nothing itself."""

    def __init__(self, client, group, topic):
        self.client, self.topic = client, topic
        self.consumer = client.consumer(group_id=group, enable_auto_commit=False, isolation_level="read_committed")
        self.consumer.partitions_for_topic(topic)
        self.consumer.subscribe([topic])

    def take(self, count):
        return [from_record(r) for r in self.client.take(self.consumer, count)]

    def seek(self, starts):
        for p, at in starts.items():
            self.consumer.seek(TopicPartition(self.topic, p), at)

    def close(self):
        self.consumer.close()


class Transactional:
    """A transactional producer."""

    def __init__(self, client, transactional_id):
        self.producer = KafkaProducer(
            bootstrap_servers=client.bootstrap, transactional_id=transactional_id, compression_type="snappy"
        )
        self.producer.init_transactions()
        self.begin = self.producer.begin_transaction
        self.commit = self.producer.commit_transaction
        self.abort = self.producer.abort_transaction
        self.close = self.producer.close

    def send(self, topic, values):
        sent = [self.producer.send(topic, value, partition=n % PARTITIONS) for n, value in enumerate(values)]
        for future in sent:
            future.get(LIMIT_S)

    def send_offsets(self, consumer, topic, following):
        offsets = {TopicPartition(topic, p): OffsetAndMetadata(at, "", -1) for p, at in following.items()}
        self.producer.send_offsets_to_transaction(offsets, consumer.consumer.group_metadata())


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def consumer(self, **settings):
        return KafkaConsumer(
            bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", metadata_max_age_ms=2000, **settings
        )

    def close(self):
        self.admin.close()

    def create_topic(self, topic, partitions, configs):
        self.admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}})

    def grow_topic(self, topic, partitions):
        self.admin.create_partitions({topic: partitions})

    def describe_topic(self, topic):
        (described,) = self.admin.describe_topics([topic])
        if described["error_code"] == 3:
            return None
        assert described["error_code"] == 0, described
        return len(described["partitions"])

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def produce(self, topic, codec, records):
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=codec != "none",
            acks="all",
            linger_ms=20,
        )
        try:
            sent = [
                producer.send(topic, r.value, r.key, list(r.headers), partition=r.partition, timestamp_ms=r.time_ms)
                for r in records
            ]
            for future in sent:
                future.get(LIMIT_S)
        finally:
            producer.close()

    def take(self, consumer, count):
        found, deadline = [], time.monotonic() + LIMIT_S
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            for records in consumer.poll(timeout_ms=500, max_records=count - len(found)).values():
                found += records
        return found

    def consume(self, topic, starts, count):
        consumer = self.consumer(group_id=None, check_crcs=True)
        try:
            consumer.assign([TopicPartition(topic, p) for p in starts])
            for p, at in starts.items():
                consumer.seek(TopicPartition(topic, p), at)
            return [from_record(r) for r in self.take(consumer, count)]
        finally:
            consumer.close()

    def ask(self, question):
        consumer = self.consumer(group_id=None)
        try:
            return question(consumer)
        finally:
            consumer.close()

    def ends(self, topic):
        asked = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        first = self.ask(lambda c: c.beginning_offsets(asked))
        last = self.ask(lambda c: c.end_offsets(asked))
        return {p.partition: (first[p], last[p]) for p in asked}

    def offsets_at(self, topic, at):
        asked = {TopicPartition(topic, p): at for p in range(PARTITIONS)}
        found = self.ask(lambda c: c.offsets_for_times(asked))
        return {p.partition: o.offset if o else None for p, o in found.items()}

    def delete_records(self, topic, before):
        self.admin.delete_records({TopicPartition(topic, p): at for p, at in before.items()})

    def join(self, group, topic):
        return Member(self, group, topic)

    def consume_and_commit(self, group, topic, count):
        consumer = self.consumer(group_id=group, enable_auto_commit=False)
        try:
            consumer.subscribe([topic])
            found = self.take(consumer, count)
            reached = {r.partition: r.offset + 1 for r in found}
            consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(at, "", -1) for p, at in reached.items()})
            return [from_record(r) for r in found]
        finally:
            consumer.close()

    def committed(self, group, topic):
        asked = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        answer = self.admin.list_group_offsets({group: asked})[group]
        return {p.partition: max(answer[p].offset, 0) if p in answer else 0 for p in asked}

    def config(self, kind, name, key):
        answer = self.admin.describe_configs([ConfigResource(kind, name)], config_filter="all")
        return answer[kind.name.lower()][name][key]

    def topic_config(self, topic, key):
        entry = self.config(ConfigResourceType.TOPIC, topic, key)
        return entry["value"], "DEFAULT_CONFIG" in str(entry["config_source"]).upper()

    def broker_config(self, key):
        broker = self.admin.describe_cluster()["brokers"][0]["broker_id"]
        return self.config(ConfigResourceType.BROKER, str(broker), key)["value"]

    def set_config(self, topic, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        succeeded(self.admin.alter_configs([resource], incremental=True)["topic"][topic])

    def unset_config(self, topic, key):
        # Uses the older request, for which the client itself collects the other configs.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, [key])
        succeeded(self.admin.reset_configs([resource], incremental=False)["topic"][topic])

    def replace_config(self, topic, key, value):
        raise Lacks

    def group_state(self, group):
        described = self.admin.describe_groups([group])[group]
        return described["group_state"], len(described["members"])

    def groups(self):
        return [g["group_id"] for g in self.admin.list_groups()]

    def delete_group(self, group):
        succeeded(self.admin.delete_groups([group])[group])

    def transactional(self, transactional_id):
        return Transactional(self, transactional_id)

    def group_consumer(self, group, topic):
        return GroupConsumer(self, group, topic)

    def read_all(self, topic, isolation):
        consumer = self.consumer(group_id=None, isolation_level=isolation)
        asked, found, deadline = [TopicPartition(topic, p) for p in range(PARTITIONS)], [], time.monotonic() + LIMIT_S
        try:
            consumer.assign(asked)
            consumer.seek_to_beginning(*asked)
            ends = consumer.end_offsets(asked)
            while any(consumer.position(p) < ends[p] for p in asked):
                assert time.monotonic() < deadline, f"{len(found)} records came, and not up to {ends}"
                for records in consumer.poll(timeout_ms=200).values():
                    found += [from_record(r) for r in records]
            return found
        finally:
            consumer.close()

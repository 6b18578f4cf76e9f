"""confluent-kafka: the Python package of librdkafka."""

import threading
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from scenarios import LIMIT_S, PARTITIONS, Record


def only(futures):
    """Returns the result of the only future in a dict, or raises its error."""
    (future,) = futures.values()
    return future.result(LIMIT_S)


def from_message(m):
    headers = tuple((name, value) for name, value in m.headers() or [])
    return Record(m.partition(), m.offset(), m.key(), m.value(), headers, m.timestamp()[1])


class Member:
    """A group consumer that runs in a separate thread."""

    def __init__(self, client, group, topic):
        self.seen, self.partitions, self.stop = [], set(), threading.Event()
        self.consumer = client.consumer(**{"group.id": group, "heartbeat.interval.ms": 200})
        self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def assigned(self, _, partitions):
        self.partitions |= {p.partition for p in partitions}

    def revoked(self, _, partitions):
        self.partitions -= {p.partition for p in partitions}

    def loop(self):
        while not self.stop.is_set():
            m = self.consumer.poll(0.1)
            if m is not None and m.error() is None:
                self.seen.append(from_message(m))
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
        self.consumer = client.consumer(**{"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"})
        self.consumer.subscribe([topic])

    def take(self, count):
        return [from_message(m) for m in self.client.take(self.consumer, count)]

    def seek(self, starts):
        for p, at in starts.items():
            self.consumer.seek(TopicPartition(self.topic, p, at))

    def close(self):
        self.consumer.close()


class Transactional:
    """A transactional producer."""

    def __init__(self, client, transactional_id):
        self.producer = Producer(
            {"bootstrap.servers": client.bootstrap, "transactional.id": transactional_id, "compression.type": "zstd", "linger.ms": 0}
        )
        self.producer.init_transactions(LIMIT_S)
        self.begin = self.producer.begin_transaction

    def send(self, topic, values):
        errors = []
        for n, value in enumerate(values):
            self.producer.produce(
                topic, value, partition=n % PARTITIONS, on_delivery=lambda error, _: error and errors.append(error)
            )
        left = self.producer.flush(LIMIT_S)
        assert not left and not errors, f"{left} not sent, errors {errors[:3]}"

    def send_offsets(self, consumer, topic, following):
        offsets = [TopicPartition(topic, p, at) for p, at in following.items()]
        self.producer.send_offsets_to_transaction(offsets, consumer.consumer.consumer_group_metadata(), LIMIT_S)

    def commit(self):
        self.producer.commit_transaction(LIMIT_S)

    def abort(self):
        self.producer.abort_transaction(LIMIT_S)

    def close(self):
        pass


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def consumer(self, **settings):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "auto.offset.reset": "earliest",
                "check.crcs": True,
                "partition.assignment.strategy": "cooperative-sticky",
                **settings,
            }
        )

    def close(self):
        pass

    def create_topic(self, topic, partitions, configs):
        only(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def grow_topic(self, topic, partitions):
        only(self.admin.create_partitions([NewPartitions(topic, partitions)]))

    def describe_topic(self, topic):
        try:
            return len(only(self.admin.describe_topics(TopicCollection([topic]))).partitions)
        except KafkaException as e:
            if e.args[0].name() == "UNKNOWN_TOPIC_OR_PART":
                return None
            raise

    def delete_topic(self, topic):
        only(self.admin.delete_topics([topic]))

    def produce(self, topic, codec, records):
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "enable.idempotence": codec != "none",
                "linger.ms": 20,
            }
        )
        errors = []
        for r in records:
            producer.produce(
                topic,
                key=r.key,
                value=r.value,
                partition=r.partition,
                timestamp=r.time_ms,
                headers=list(r.headers),
                on_delivery=lambda error, _: error and errors.append(error),
            )
        left = producer.flush(LIMIT_S)
        assert not left and not errors, f"{left} not sent, errors {errors[:3]}"

    def take(self, consumer, count):
        found, deadline = [], time.monotonic() + LIMIT_S
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            for m in consumer.consume(count - len(found), 0.5):
                if m.error():
                    raise KafkaException(m.error())
                found.append(m)
        return found

    def consume(self, topic, starts, count):
        consumer = self.consumer()
        consumer.assign([TopicPartition(topic, p, at) for p, at in starts.items()])
        try:
            return [from_message(m) for m in self.take(consumer, count)]
        finally:
            consumer.close()

    def partitions(self, topic):
        return [TopicPartition(topic, p) for p in self.admin.list_topics(topic, LIMIT_S).topics[topic].partitions]

    def ends(self, topic):
        def listed(spec):
            futures = self.admin.list_offsets({p: spec for p in self.partitions(topic)})
            return {p.partition: f.result(LIMIT_S).offset for p, f in futures.items()}

        first, last = listed(OffsetSpec.earliest()), listed(OffsetSpec.latest())
        return {p: (first[p], last[p]) for p in first}

    def offsets_at(self, topic, at):
        consumer = self.consumer()
        asked = [TopicPartition(topic, p.partition, at) for p in self.partitions(topic)]
        found = consumer.offsets_for_times(asked, LIMIT_S)
        consumer.close()
        # librdkafka returns -1 (the end) if there is no such record.
        return {p.partition: None if p.offset < 0 else p.offset for p in found}

    def delete_records(self, topic, before):
        for future in self.admin.delete_records([TopicPartition(topic, p, at) for p, at in before.items()]).values():
            future.result(LIMIT_S)

    def join(self, group, topic):
        return Member(self, group, topic)

    def consume_and_commit(self, group, topic, count):
        consumer = self.consumer(**{"group.id": group, "enable.auto.commit": False})
        consumer.subscribe([topic])
        try:
            messages = self.take(consumer, count)
            reached = {m.partition(): m.offset() + 1 for m in messages}
            answer = consumer.commit(offsets=[TopicPartition(topic, p, at) for p, at in reached.items()], asynchronous=False)
            assert not any(p.error for p in answer), answer
            return [from_message(m) for m in messages]
        finally:
            consumer.close()

    def committed(self, group, topic):
        asked = [ConsumerGroupTopicPartitions(group, self.partitions(topic))]
        answer = only(self.admin.list_consumer_group_offsets(asked))
        return {p.partition: max(p.offset, 0) for p in answer.topic_partitions}

    def config(self, kind, name, key):
        return only(self.admin.describe_configs([ConfigResource(kind, name)]))[key]

    def topic_config(self, topic, key):
        entry = self.config(ResourceType.TOPIC, topic, key)
        return entry.value, ConfigSource(entry.source) is ConfigSource.DEFAULT_CONFIG

    def broker_config(self, key):
        broker = next(iter(self.admin.list_topics(timeout=LIMIT_S).brokers))
        return self.config(ResourceType.BROKER, str(broker), key).value

    def alter(self, topic, entry):
        only(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))

    def set_config(self, topic, key, value):
        self.alter(topic, ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET))

    def unset_config(self, topic, key):
        self.alter(topic, ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE))

    def replace_config(self, topic, key, value):
        only(self.admin.alter_configs([ConfigResource(ResourceType.TOPIC, topic, set_config={key: value})]))

    def group_state(self, group):
        described = only(self.admin.describe_consumer_groups([group]))
        return described.state.name.capitalize(), len(described.members)

    def groups(self):
        answer = self.admin.list_consumer_groups().result(LIMIT_S)
        assert not answer.errors, answer.errors
        return [g.group_id for g in answer.valid]

    def delete_group(self, group):
        only(self.admin.delete_consumer_groups([group]))

    def transactional(self, transactional_id):
        return Transactional(self, transactional_id)

    def group_consumer(self, group, topic):
        return GroupConsumer(self, group, topic)

    def read_all(self, topic, isolation):
        consumer = self.consumer(**{"isolation.level": isolation, "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        found, ended, deadline = [], set(), time.monotonic() + LIMIT_S
        try:
            while len(ended) < PARTITIONS:
                assert time.monotonic() < deadline, f"only {ended} ended after {len(found)} records"
                for m in consumer.consume(100, 0.2):
                    if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
                        ended.add(m.partition())
                    elif m.error():
                        raise KafkaException(m.error())
                    else:
                        found.append(from_message(m))
            return found
        finally:
            consumer.close()

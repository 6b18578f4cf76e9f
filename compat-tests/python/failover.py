"""Writes numbers until a file exists, while a member of a group reads them: failover.py CLIENT BOOTSTRAP TOPIC STOP-FILE

Everything that was written must be read, and be in the log once and in order, whatever happens to
the brokers meanwhile.
"""

import asyncio
import os
import sys
import threading
import time

PARTITIONS = 3
PAUSE_S = 0.004
READ_LIMIT_S = 90


class Ledger:
    """What was written, acknowledged, lost and read."""

    def __init__(self, topic, stop):
        self.topic, self.stop_file = topic, stop
        self.written, self.acknowledged, self.lost = 0, 0, []
        self.read = [{} for _ in range(PARTITIONS)]
        self.reading = True

    def numbers(self):
        while not os.path.exists(self.stop_file):
            yield self.written
            self.written += 1

    def settled(self, error):
        if error is not None:
            self.lost.append(error)
            return
        self.acknowledged += 1
        if self.acknowledged % 100 == 0:
            print("acknowledged", self.acknowledged, flush=True)

    def found(self, partition, offset, value):
        self.read[partition][offset] = value.decode()

    def is_read(self):
        return sum(len(found) for found in self.read) >= self.written

    def verdict(self):
        if self.lost:
            return f"{len(self.lost)} records were lost, the first with {self.lost[0]!r}"
        if not self.is_read():
            return f"{[len(found) for found in self.read]} of {self.written} records were read"
        for partition, found in enumerate(self.read):
            for offset in range(len(found)):
                wanted = str(offset * PARTITIONS + partition)
                if found.get(offset) != wanted:
                    return f"partition {partition} has {found.get(offset)!r} at offset {offset}, and not {wanted!r}"
        return None


def confluent(bootstrap, ledger):
    from confluent_kafka import Consumer, Producer

    def read():
        consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"of-{ledger.topic}", "auto.offset.reset": "earliest", "check.crcs": True}
        )
        consumer.subscribe([ledger.topic])
        while ledger.reading:
            m = consumer.poll(0.1)
            if m is not None and m.error() is None:
                ledger.found(m.partition(), m.offset(), m.value())
        consumer.close()

    def write():
        producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
        for n in ledger.numbers():
            producer.produce(
                ledger.topic, str(n), partition=n % PARTITIONS, on_delivery=lambda error, _: ledger.settled(error)
            )
            producer.poll(PAUSE_S)
        producer.flush()

    in_threads(ledger, write, read)


def kafka_python(bootstrap, ledger):
    from kafka import KafkaConsumer, KafkaProducer

    brokers = bootstrap.split(",")

    def read():
        consumer = KafkaConsumer(bootstrap_servers=brokers, group_id=f"of-{ledger.topic}", auto_offset_reset="earliest")
        # See kafka_python.py.
        consumer.partitions_for_topic(ledger.topic)
        consumer.subscribe([ledger.topic])
        while ledger.reading:
            for records in consumer.poll(timeout_ms=1000).values():
                for r in records:
                    ledger.found(r.partition, r.offset, r.value)
        consumer.close()

    def write():
        producer = KafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, acks="all", linger_ms=5)
        for n in ledger.numbers():
            sent = producer.send(ledger.topic, str(n).encode(), partition=n % PARTITIONS)
            sent.add_callback(lambda _: ledger.settled(None))
            sent.add_errback(ledger.settled)
            time.sleep(PAUSE_S)
        producer.flush()

    in_threads(ledger, write, read)


def aiokafka(bootstrap, ledger):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    async def read():
        consumer = AIOKafkaConsumer(
            ledger.topic, bootstrap_servers=bootstrap, group_id=f"of-{ledger.topic}", auto_offset_reset="earliest"
        )
        await consumer.start()
        while ledger.reading:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for r in records:
                    ledger.found(r.partition, r.offset, r.value)
        await consumer.stop()

    async def write():
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5)
        await producer.start()
        for n in ledger.numbers():
            sent = await producer.send(ledger.topic, str(n).encode(), partition=n % PARTITIONS)
            sent.add_done_callback(lambda done: ledger.settled(done.exception()))
            await asyncio.sleep(PAUSE_S)
        await producer.stop()

    async def both():
        reader = asyncio.create_task(read())
        await write()
        deadline = time.monotonic() + READ_LIMIT_S
        while not ledger.is_read() and not ledger.lost and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        ledger.reading = False
        await reader

    asyncio.run(both())


def in_threads(ledger, write, read):
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    write()
    deadline = time.monotonic() + READ_LIMIT_S
    while not ledger.is_read() and not ledger.lost and time.monotonic() < deadline:
        time.sleep(0.1)
    ledger.reading = False
    reader.join(30)


def main():
    client, bootstrap, topic, stop = sys.argv[1:]
    ledger = Ledger(topic, stop)
    {"confluent-kafka": confluent, "kafka-python": kafka_python, "aiokafka": aiokafka}[client](bootstrap, ledger)
    why = ledger.verdict()
    print(why or f"all is well with {ledger.written}", flush=True)
    # A thread of a client that does not end must not keep the process.
    os._exit(0 if why is None else 1)


main()

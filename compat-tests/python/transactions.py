"""The scenarios of clients that have a transactional producer, and their checks.

A client provides the calls: transactional(id) gives a producer with begin, send, send_offsets, commit
and abort, whose errors are exceptions; group_consumer(group, topic) gives a member with take and seek;
read_all gives all records that a reader of an isolation finds.
"""

import itertools

from scenarios import PARTITIONS, equal, within

INPUT = 240
PER_TRANSACTION = 40


def expect_fenced(call, *args):
    """Checks that the call fails because another producer has the transactional id."""
    try:
        call(*args)
    except Exception as e:
        plain = "".join(c for c in f"{type(e).__name__} {e}".lower() if c.isalpha())
        assert "fenced" in plain or "invalidproducerepoch" in plain, f"failed with {e!r}"
        return
    raise AssertionError("the fenced producer was not refused")


class Transactions:
    """All scenarios of transactions with one client."""

    def __init__(self, suite):
        self.suite, self.client = suite, suite.client
        self.prefix, self.topics = f"{suite.topic}-transactions", []

    def run(self):
        self.suite.scenario("transactions-loop", self.loop)
        self.suite.scenario("transactions-fencing", self.fencing)
        self.suite.scenario("transactions-delete", self.delete)
        return not self.suite.failed

    def topic(self, name):
        topic = f"{self.prefix}-{name}"
        self.client.create_topic(topic, PARTITIONS, {})
        within(lambda: equal("partitions", self.client.describe_topic(topic), PARTITIONS))
        self.topics.append(topic)
        return topic

    def readers_find(self, topic, committed, aborted):
        """Checks what readers of both isolations find, record by record."""

        def values(isolation):
            return sorted(r.value for r in self.client.read_all(topic, isolation))

        within(lambda: equal("read_committed", values("read_committed"), sorted(committed)))
        equal("read_uncommitted", values("read_uncommitted"), sorted(committed + aborted))

    def loop(self):
        """Consumes, transforms and produces. Every third transaction is aborted, and its records consumed again."""
        source, copy = self.topic("source"), self.topic("copy")
        values = [f"value {n}".encode() for n in range(INPUT)]
        feeding = self.client.transactional(f"{self.prefix}-feed")
        feeding.begin()
        feeding.send(source, values)
        feeding.commit()
        feeding.close()
        group, reached, written, aborted = f"{self.prefix}-loop", {}, [], []
        producer = self.client.transactional(f"{self.prefix}-loop")
        consumer = self.client.group_consumer(group, source)
        try:
            for n in itertools.count(1):
                records = consumer.take(min(PER_TRANSACTION, INPUT - len(written)))
                copies = [b"copy of " + r.value for r in records]
                following = {r.partition: r.offset + 1 for r in records}
                producer.begin()
                producer.send(copy, copies)
                producer.send_offsets(consumer, source, following)
                if n % 3 == 0:
                    producer.abort()
                    aborted += copies
                    consumer.seek({p: reached.get(p, 0) for p in following})
                else:
                    producer.commit()
                    written += copies
                    reached |= following
                # The answer to a commit may come before the offsets are committed.
                within(lambda: equal("committed offsets", self.committed(group, source), reached))
                if len(written) == INPUT:
                    break
        finally:
            consumer.close()
            producer.close()
        assert aborted, "nothing was aborted"
        equal("written", sorted(written), sorted(b"copy of " + v for v in values))
        self.readers_find(copy, written, aborted)

    def committed(self, group, topic):
        return {p: at for p, at in self.client.committed(group, topic).items() if at}

    def fencing(self):
        """The second producer of a transactional id aborts what the first has open, and fences it."""
        topic = self.topic("fencing")
        first = self.client.transactional(f"{self.prefix}-fencing")
        first.begin()
        first.send(topic, [b"a", b"b"])
        first.commit()
        first.begin()
        first.send(topic, [b"c", b"d", b"e"])
        second = self.client.transactional(f"{self.prefix}-fencing")
        self.readers_find(topic, [b"a", b"b"], [b"c", b"d", b"e"])
        second.begin()
        second.send(topic, [b"f"])
        expect_fenced(first.commit)
        second.commit()
        self.readers_find(topic, [b"a", b"b", b"f"], [b"c", b"d", b"e"])
        first.close()
        second.close()

    def delete(self):
        for topic in self.topics:
            self.client.delete_topic(topic)

"""The scenarios that every Python client runs, and their checks.

A client provides its calls (see confluent.py, kafka_python.py, aio.py). A client without a call
raises Lacks, and only the step that needs the call is skipped.
"""

import time
import traceback
from dataclasses import dataclass, replace

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 3
PER_CODEC = 300
LIMIT_S = 30


@dataclass(frozen=True)
class Record:
    """A record as every client sends and returns it. Headers are (name, bytes) pairs."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple
    time_ms: int


class Lacks(Exception):
    """The client has no such call."""


def records_of(codec, base, prefix=""):
    """Returns the records of one codec, one second apart. Record n is in partition n % 3."""
    first = CODECS.index(codec) * PER_CODEC
    return [
        Record(
            partition=n % PARTITIONS,
            offset=-1,
            key=f"{prefix}{codec}-{n}".encode(),
            value=f"value {n} {'abcdefgh' * 12}".encode(),
            headers=(("codec", codec.encode()), ("n", str(n).encode()), ("empty", b"")),
            time_ms=base + n * 1000,
        )
        for n in range(first, first + PER_CODEC)
    ]


def within(condition, limit_s=LIMIT_S):
    """Polls until the condition raises no AssertionError. At the deadline, raises it."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return condition()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def equal(what, found, wanted):
    assert found == wanted, f"{what}: found {found!r}, wanted {wanted!r}"


def compare(found, wanted, starts):
    """Checks that every wanted record is there once, complete, in order, and without offset gaps."""
    for partition, start in starts.items():
        mine = [r for r in found if r.partition == partition]
        expected = [r for r in wanted if r.partition == partition]
        for i, (f, w) in enumerate(zip(mine, expected)):
            equal("record", f, replace(w, offset=start + i))
        equal(f"records of partition {partition}", len(mine), len(expected))


def optional(call, *args):
    """Makes the call if the client has it. Returns whether it has."""
    try:
        call(*args)
        return True
    except Lacks:
        return False


class Suite:
    """All scenarios with one client."""

    def __init__(self, name, client):
        self.name, self.client = name, client
        self.topic = f"{name}-{int(time.time() * 1000)}"
        self.group = f"{self.topic}-group"
        self.base = int(time.time() - 7200) * 1000
        self.wanted = [r for codec in CODECS for r in records_of(codec, self.base)]
        self.failed = False

    def run(self):
        self.scenario("create", self.create)
        if self.failed:
            return False
        for codec in CODECS:
            self.scenario(f"produce-{codec}", lambda: self.client.produce(self.topic, codec, records_of(codec, self.base)))
        self.scenario("consume", self.consume)
        self.scenario("seek-by-time", self.seek_by_time)
        self.scenario("commit-and-resume", self.commit_and_resume)
        self.scenario("group-of-three", self.group_of_three)
        self.scenario("groups", self.groups)
        self.scenario("configs", self.configs)
        self.scenario("delete-records", self.delete_records)
        self.scenario("delete", self.delete)
        return not self.failed

    def scenario(self, name, steps):
        try:
            steps()
            print(f"PASS {self.name} {name}", flush=True)
        except Exception as e:
            self.failed = True
            traceback.print_exc()
            why = f"{type(e).__name__} {e}".replace("\n", " ")[:400]
            print(f"FAIL {self.name} {name}: {why}", flush=True)

    def starts(self, at):
        return {p: at for p in range(PARTITIONS)}

    def create(self):
        self.client.create_topic(self.topic, PARTITIONS - 1, {"retention.ms": "604800001"})
        self.refused("AlreadyExists", self.client.create_topic, self.topic, 1, {})
        self.refused("Invalid", self.client.create_topic, "not/a/name", 1, {})
        self.client.grow_topic(self.topic, PARTITIONS)
        within(lambda: equal("partitions", self.client.describe_topic(self.topic), PARTITIONS))

    def refused(self, what, call, *args):
        """Checks that the call fails with an error whose name or text contains `what`."""
        try:
            call(*args)
        except Exception as e:
            text = f"{type(e).__name__} {e}"
            plain = "".join(c for c in text.lower() if c.isalpha())
            assert what.lower() in plain, f"refused with {text}, wanted {what}"
            return
        raise AssertionError(f"{args} was not refused")

    def consume(self):
        compare(self.client.consume(self.topic, self.starts(0), len(self.wanted)), self.wanted, self.starts(0))

    def seek_by_time(self):
        each = len(self.wanted) // PARTITIONS
        equal("ends", self.client.ends(self.topic), {p: (0, each) for p in range(PARTITIONS)})
        # A time between two records finds the later one. A time after the last record finds none.
        for at, wanted in [
            (self.base, self.starts(0)),
            (self.base + 600_000, self.starts(200)),
            (self.base + 600_001, {0: 201, 1: 200, 2: 200}),
            (self.base + 9_000_000, self.starts(None)),
        ]:
            equal(f"offsets at {at}", self.client.offsets_at(self.topic, at), wanted)
        found = self.client.consume(self.topic, self.starts(200), len(self.wanted) - 600)
        compare(found, self.wanted[600:], self.starts(200))

    def commit_and_resume(self):
        group = f"{self.group}-resume"
        first = self.client.consume_and_commit(group, self.topic, 400)
        equal("records of the first", len(first), 400)
        reached = {}
        for r in first:
            reached[r.partition] = r.offset + 1
        committed = self.client.committed(group, self.topic)
        equal("committed", {p: at for p, at in committed.items() if at}, reached)
        rest = self.client.consume_and_commit(group, self.topic, len(self.wanted) - 400)
        compare(first + rest, self.wanted, self.starts(0))
        each = len(self.wanted) // PARTITIONS
        equal("committed at the end", self.client.committed(group, self.topic), self.starts(each))

    def group_of_three(self):
        members = [self.client.join(self.group, self.topic) for _ in range(3)]
        try:
            within(lambda: self.owners(members))
            self.group_is("Stable", 3)
            self.seen_all(members)
            members[0].leave()
            within(lambda: self.owners(members[1:]))
            self.group_is("Stable", 2)
            more = records_of("none", self.base + 5_000_000, "more-")
            self.wanted += more
            self.client.produce(self.topic, "none", more)
            self.seen_all(members)
        finally:
            for member in members:
                member.leave()

    @staticmethod
    def owners(members):
        """Checks that every member owns something, and together they own each partition once."""
        owned = [m.owned() for m in members]
        assert all(owned), f"a member owns nothing: {owned}"
        equal("owned", sorted(p for some in owned for p in some), [0, 1, 2])

    def seen_all(self, members):
        keys = {r.key for r in self.wanted}
        within(lambda: equal("keys not seen", len(keys - {r.key for m in members for r in list(m.seen)}), 0))

    def group_is(self, state, members):
        within(lambda: equal("group", self.client.group_state(self.group), (state, members)))

    def groups(self):
        self.group_is("Empty", 0)
        assert self.group in self.client.groups(), "the group is not listed"
        if optional(self.client.delete_group, self.group):
            self.refused("NotFound", self.client.delete_group, self.group)
            assert self.group not in self.client.groups(), "the deleted group is still listed"

    def configs(self):
        def is_(name, value, is_default):
            within(lambda: equal(name, self.client.topic_config(self.topic, name), (value, is_default)))

        is_("retention.ms", "604800001", False)
        is_("max.message.bytes", "1048588", True)
        if optional(self.client.set_config, self.topic, "max.message.bytes", "20000"):
            is_("max.message.bytes", "20000", False)
            is_("retention.ms", "604800001", False)
            self.client.unset_config(self.topic, "retention.ms")
            is_("retention.ms", "604800000", True)
            self.refused("invalid", self.client.set_config, self.topic, "retention.ms", "soon")
        # Uses the older call: a config that is not named goes back to its default.
        if optional(self.client.replace_config, self.topic, "min.insync.replicas", "1"):
            is_("max.message.bytes", "1048588", True)
            is_("retention.ms", "604800000", True)
            is_("min.insync.replicas", "1", False)
        equal("log.segment.bytes", self.client.broker_config("log.segment.bytes"), "1073741824")

    def delete_records(self):
        self.client.delete_records(self.topic, {0: 100, 1: 7})
        within(lambda: equal("earliest", {p: e[0] for p, e in self.client.ends(self.topic).items()}, {0: 100, 1: 7, 2: 0}))
        equal("first record", self.client.consume(self.topic, {0: 100}, 1)[0].offset, 100)

    def delete(self):
        self.client.delete_topic(self.topic)
        within(lambda: equal("partitions of the deleted topic", self.client.describe_topic(self.topic), None))

// Runs the scenarios with KafkaJS: node main.js BOOTSTRAP
'use strict';

const assert = require('node:assert/strict');
const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = require('kafkajs');
const lz4 = require('lz4-napi');
const snappy = require('snappy');
const zstd = require('@bokuweb/zstd-wasm');

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const TYPES = [CompressionTypes.None, CompressionTypes.GZIP, CompressionTypes.Snappy, CompressionTypes.LZ4, CompressionTypes.ZSTD];
const PARTITIONS = 3;
const PER_CODEC = 300;
const LIMIT_MS = 30_000;

// KafkaJS leaves three codecs to its user. Snappy is sent as one plain block, which brokers accept
// as well as the framed form.
const XERIAL = Buffer.from([130, 83, 78, 65, 80, 80, 89, 0]);

async function unsnappy(buffer) {
  if (!buffer.subarray(0, 8).equals(XERIAL)) return snappy.uncompress(buffer);
  const blocks = [];
  for (let at = 16; at < buffer.length; ) {
    const size = buffer.readInt32BE(at);
    blocks.push(await snappy.uncompress(buffer.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
  }
  return Buffer.concat(blocks);
}

CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: (e) => snappy.compress(e.buffer), decompress: unsnappy });
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (e) => lz4.compressFrame(e.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (e) => Buffer.from(zstd.compress(e.buffer, 3)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
});

const kafka = new Kafka({ clientId: 'compat', brokers: [process.argv[2]], logLevel: logLevel.NOTHING, requestTimeout: 10_000 });
const topic = `kafkajs-${Date.now()}`;
const group = `${topic}-group`;
const base = Math.floor(Date.now() / 1000) * 1000 - 7_200_000;
const admin = kafka.admin();

let failed = false;

async function scenario(name, steps) {
  try {
    await steps();
    console.log(`PASS kafkajs ${name}`);
  } catch (e) {
    failed = true;
    console.error(e);
    console.log(`FAIL kafkajs ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 400)}`);
  }
}

// Polls until the condition does not throw. At the deadline, throws the last error.
async function within(condition) {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    try {
      return await condition();
    } catch (e) {
      if (Date.now() > deadline) throw e;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Record n is n seconds after the base and in partition n % 3, so its offset is n / 3.
function row(n) {
  const codec = CODECS[Math.floor(n / PER_CODEC) % CODECS.length];
  return {
    partition: n % PARTITIONS,
    offset: String(Math.floor(n / PARTITIONS)),
    key: n % 50 === 7 ? null : `${codec}-${n}`,
    value: n % 50 === 8 ? null : `value ${n} ${'abcdefgh'.repeat(12)}`,
    headers: { codec, n: String(n), empty: '' },
    timestamp: String(base + n * 1000),
  };
}

const rows = (from, to) => Array.from({ length: to - from }, (_, i) => row(from + i));
let total = PER_CODEC * CODECS.length;

function fromMessage(partition, m) {
  return {
    partition,
    offset: m.offset,
    key: m.key && m.key.toString(),
    value: m.value && m.value.toString(),
    headers: Object.fromEntries(Object.entries(m.headers).map(([name, value]) => [name, value.toString()])),
    timestamp: m.timestamp,
  };
}

function compare(found, wanted) {
  for (let p = 0; p < PARTITIONS; p++) {
    const of = (list) => list.filter((r) => r.partition === p);
    assert.deepEqual(of(found).slice(0, of(wanted).length), of(wanted));
    assert.equal(of(found).length, of(wanted).length, `records of partition ${p}`);
  }
}

async function produce(records, codec) {
  // Idempotent for all codecs but one.
  const producer = kafka.producer({ idempotent: codec !== 'none', maxInFlightRequests: 1 });
  await producer.connect();
  try {
    await producer.send({ topic, acks: -1, compression: TYPES[CODECS.indexOf(codec)], messages: records });
  } finally {
    await producer.disconnect();
  }
}

// A consumer that collects records. With `taking`, it stops counting after that many.
class Member {
  constructor(groupId, taking = Infinity) {
    this.seen = [];
    this.owned = [];
    this.taking = taking;
    this.consumer = kafka.consumer({ groupId, heartbeatInterval: 200, sessionTimeout: 10_000, maxWaitTimeInMs: 200 });
    this.consumer.on('consumer.group_join', (e) => (this.owned = e.payload.memberAssignment[topic] ?? []));
    this.consumer.on('consumer.rebalancing', () => (this.owned = []));
  }

  async start(autoCommit = true, from) {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [topic], fromBeginning: true });
    await this.consumer.run({
      autoCommit,
      autoCommitInterval: 200,
      eachMessage: async ({ partition, message }) => {
        if (this.seen.length < this.taking) this.seen.push(fromMessage(partition, message));
      },
    });
    for (const [partition, offset] of Object.entries(from ?? {})) {
      this.consumer.seek({ topic, partition: Number(partition), offset });
    }
    return this;
  }

  came(count) {
    return within(() => assert.equal(this.seen.length, count, 'records seen'));
  }

  async leave() {
    await this.consumer.disconnect();
    this.owned = [];
  }
}

async function create() {
  const made = await admin.createTopics({
    topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [{ name: 'retention.ms', value: '604800001' }] }],
    waitForLeaders: false,
  });
  assert.equal(made, true);
  assert.equal(await admin.createTopics({ topics: [{ topic }], waitForLeaders: false }), false, 'a second creation');
  await assert.rejects(admin.createTopics({ topics: [{ topic: 'not/a/name' }] }));
  await admin.createPartitions({ topicPartitions: [{ topic, count: PARTITIONS }] });
  await within(async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    assert.equal(topics[0].partitions.length, PARTITIONS);
    assert.ok(topics[0].partitions.every((p) => p.leader >= 0 && p.isr.length === 1));
  });
}

async function consume() {
  const member = await new Member(`${group}-all`).start();
  try {
    await member.came(total);
  } finally {
    await member.leave();
  }
  compare(member.seen, rows(0, total));
}

async function seekByTime() {
  const at = async (time) =>
    Object.fromEntries((await admin.fetchTopicOffsetsByTimestamp(topic, time)).map((o) => [o.partition, o.offset]));
  assert.deepEqual(await at(base), { 0: '0', 1: '0', 2: '0' });
  assert.deepEqual(await at(base + 600_001), { 0: '201', 1: '200', 2: '200' });
  const ends = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition);
  assert.deepEqual(
    ends,
    [0, 1, 2].map((partition) => ({ partition, offset: '500', high: '500', low: '0' })),
  );
  const member = await new Member(`${group}-seek`).start(true, await at(base + 600_000));
  try {
    await member.came(total - 600);
  } finally {
    await member.leave();
  }
  compare(member.seen, rows(600, total));
}

async function committed(groupId) {
  const [answer] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return Object.fromEntries(answer.partitions.map((p) => [p.partition, p.offset]).filter(([, offset]) => offset !== '-1'));
}

// Takes this many records, commits them, and leaves.
async function takeAndCommit(groupId, count) {
  const member = await new Member(groupId, count).start(false);
  const reached = {};
  try {
    await member.came(count);
    for (const r of member.seen) reached[r.partition] = String(Number(r.offset) + 1);
    await member.consumer.commitOffsets(
      Object.entries(reached).map(([partition, offset]) => ({ topic, partition: Number(partition), offset })),
    );
  } finally {
    await member.leave();
  }
  return [member.seen, reached];
}

async function commitAndResume() {
  const groupId = `${group}-resume`;
  const [first, reached] = await takeAndCommit(groupId, 400);
  assert.deepEqual(await committed(groupId), reached);
  const [rest] = await takeAndCommit(groupId, total - 400);
  compare([...first, ...rest], rows(0, total));
  assert.deepEqual(await committed(groupId), { 0: '500', 1: '500', 2: '500' });
}

function owners(members) {
  assert.ok(members.every((m) => m.owned.length > 0), 'a member owns nothing');
  assert.deepEqual(members.flatMap((m) => m.owned).sort(), [0, 1, 2]);
}

function groupIs(state, members) {
  return within(async () => {
    const { groups } = await admin.describeGroups([group]);
    assert.deepEqual([groups[0].state, groups[0].members.length], [state, members]);
  });
}

function seenAll(members) {
  return within(() => {
    const seen = new Set(members.flatMap((m) => m.seen.map((r) => `${r.partition}-${r.offset}`)));
    assert.equal(seen.size, total, 'records seen');
  });
}

async function groupOfThree() {
  const members = [1, 2, 3].map(() => new Member(group));
  try {
    await Promise.all(members.map((m) => m.start()));
    await within(() => owners(members));
    await groupIs('Stable', 3);
    await seenAll(members);
    await members[0].leave();
    await within(() => owners(members.slice(1)));
    await groupIs('Stable', 2);
    await produce(rows(total, total + 60), 'lz4');
    total += 60;
    await seenAll(members);
  } finally {
    await Promise.all(members.map((m) => m.leave()));
  }
}

async function groups() {
  await groupIs('Empty', 0);
  const listed = async () => (await admin.listGroups()).groups.map((g) => g.groupId);
  assert.ok((await listed()).includes(group), 'the group is not listed');
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 1, offset: '17' }] });
  assert.equal((await committed(group))[1], '17');
  await admin.deleteGroups([group]);
  await assert.rejects(admin.deleteGroups([group]));
  assert.ok(!(await listed()).includes(group), 'the deleted group is still listed');
}

async function configs() {
  const is = (name, value, isDefault) =>
    within(async () => {
      const { resources } = await admin.describeConfigs({
        includeSynonyms: true,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }],
      });
      const [entry] = resources[0].configEntries;
      assert.deepEqual([entry.configName, entry.configValue, entry.configSource === 5], [name, value, isDefault]);
    });
  await is('retention.ms', '604800001', false);
  await is('max.message.bytes', '1048588', true);
  // KafkaJS has only the older call: a config that it does not name goes back to its default.
  const alter = (name, value) =>
    admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }] });
  await alter('max.message.bytes', '20000');
  await is('max.message.bytes', '20000', false);
  await is('retention.ms', '604800000', true);
  await assert.rejects(alter('retention.ms', 'soon'));
  const { brokers, clusterId } = await admin.describeCluster();
  assert.equal(clusterId.length, 22);
  const { resources } = await admin.describeConfigs({
    resources: [{ type: ConfigResourceTypes.BROKER, name: String(brokers[0].nodeId), configNames: ['log.segment.bytes'] }],
  });
  assert.equal(resources[0].configEntries[0].configValue, '1073741824');
}

// Consumes in an isolation until the records are enough.
async function readUntil(name, readUncommitted, enough) {
  const consumer = kafka.consumer({ groupId: `${name}-reader-${readers++}`, readUncommitted, maxWaitTimeInMs: 200 });
  const found = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [name], fromBeginning: true });
    await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => found.push(message.value.toString()) });
    await within(() => assert.ok(enough(found), `only ${found.length} records came`));
  } finally {
    await consumer.disconnect();
  }
  return found;
}
let readers = 0;

// Checks what readers of both isolations find, up to a plain record that is added to each partition.
async function readersFind(name, committed, aborted) {
  const end = `end ${readers}`;
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: name, messages: [0, 1, 2].map((partition) => ({ partition, value: end })) });
  await producer.disconnect();
  const ended = (found) => found.filter((value) => value === end).length === PARTITIONS;
  const values = async (uncommitted) => (await readUntil(name, uncommitted, ended)).filter((value) => !value.startsWith('end ')).sort();
  assert.deepEqual(await values(false), [...committed].sort(), 'of committed records');
  assert.deepEqual(await values(true), [...committed, ...aborted].sort(), 'of all records');
}

async function transactional(id) {
  const producer = kafka.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1, retry: { retries: 2 } });
  await producer.connect();
  return producer;
}

async function newTopic(name) {
  await admin.createTopics({ topics: [{ topic: name, numPartitions: PARTITIONS }] });
  return name;
}

const sending = (values) => values.map((value, i) => ({ partition: i % PARTITIONS, value }));

// Consumes, transforms and produces. Every third transaction is aborted, and its records are consumed again.
async function transactionsLoop() {
  const [from, to] = [await newTopic(`${topic}-source`), await newTopic(`${topic}-copy`)];
  const groupId = `${topic}-loop`;
  const count = 120;
  const values = Array.from({ length: count }, (_, i) => `value ${i}`);
  const producer = await transactional(`${topic}-loop`);
  const feed = await producer.transaction();
  await feed.send({ topic: from, messages: sending(values) });
  await feed.commit();
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200, maxBytesPerPartition: 1000 });
  const written = [];
  const aborted = [];
  let n = 0;
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [from], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
        // Ten records each.
        for (let at = 0; at < batch.messages.length; at += 10) {
          const messages = batch.messages.slice(at, at + 10);
          const copies = messages.map((m) => `copy of ${m.value}`);
          for (const isAborted of ++n % 3 === 0 ? [true, false] : [false]) {
            const transaction = await producer.transaction();
            await transaction.send({ topic: to, messages: sending(copies) });
            const next = String(Number(messages.at(-1).offset) + 1);
            await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic: from, partitions: [{ partition: batch.partition, offset: next }] }] });
            await (isAborted ? transaction.abort() : transaction.commit());
            (isAborted ? aborted : written).push(...copies);
          }
          resolveOffset(messages.at(-1).offset);
          await heartbeat();
        }
      },
    });
    await within(() => assert.equal(written.length, count, 'copied'));
  } finally {
    await consumer.disconnect();
    await producer.disconnect();
  }
  assert.ok(aborted.length > 0, 'nothing was aborted');
  await within(async () => {
    const [answer] = await admin.fetchOffsets({ groupId, topics: [from] });
    assert.deepEqual(answer.partitions.map((p) => p.offset), ['40', '40', '40']);
  });
  await readersFind(to, values.map((value) => `copy of ${value}`), aborted);
}

// The second producer of a transactional id aborts what the first has open, and fences it.
async function transactionsFencing() {
  const name = await newTopic(`${topic}-fencing`);
  const first = await transactional(`${topic}-fencing`);
  const before = await first.transaction();
  await before.send({ topic: name, messages: sending(['a', 'b']) });
  await before.commit();
  const open = await first.transaction();
  await open.send({ topic: name, messages: sending(['c', 'd', 'e']) });
  const second = await transactional(`${topic}-fencing`);
  const next = await second.transaction();
  await next.send({ topic: name, messages: sending(['f']) });
  await assert.rejects(open.commit(), /fenced|epoch|newer producer/i);
  await next.commit();
  await first.disconnect();
  await second.disconnect();
  await readersFind(name, ['a', 'b', 'f'], ['c', 'd', 'e']);
}

async function transactionsDelete() {
  await admin.deleteTopics({ topics: ['source', 'copy', 'fencing'].map((name) => `${topic}-${name}`) });
}

async function deleteRecords() {
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '100' }, { partition: 1, offset: '7' }] });
  await within(async () => {
    const low = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition).map((o) => o.low);
    assert.deepEqual(low, ['100', '7', '0']);
  });
}

async function remove() {
  await admin.deleteTopics({ topics: [topic] });
  await within(async () => assert.ok(!(await admin.listTopics()).includes(topic), 'the topic is still listed'));
}

async function main() {
  await zstd.init();
  await scenario('connect', () => admin.connect());
  if (!failed) await scenario('create', create);
  if (!failed) {
    for (const [i, codec] of CODECS.entries()) {
      await scenario(`produce-${codec}`, () => produce(rows(i * PER_CODEC, (i + 1) * PER_CODEC), codec));
    }
    await scenario('consume', consume);
    await scenario('seek-by-time', seekByTime);
    await scenario('commit-and-resume', commitAndResume);
    await scenario('group-of-three', groupOfThree);
    await scenario('groups', groups);
    await scenario('configs', configs);
    await scenario('transactions-loop', transactionsLoop);
    await scenario('transactions-fencing', transactionsFencing);
    await scenario('transactions-delete', transactionsDelete);
    await scenario('delete-records', deleteRecords);
    await scenario('delete', remove);
  }
  await admin.disconnect().catch(() => {});
  process.exit(failed ? 1 : 0);
}

main();

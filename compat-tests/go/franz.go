package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type franz struct {
	bootstrap string
	admin     *kadm.Client
}

func connectFranz(bootstrap string) (client, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, err
	}
	return &franz{bootstrap, kadm.NewClient(c)}, c.Ping(deadline())
}

// Returns a context that ends at the limit of one call. Its timer ends with the process.
func deadline() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	_ = cancel
	return ctx
}

func (f *franz) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(f.bootstrap), kgo.MetadataMinAge(100*time.Millisecond))...)
}

func (f *franz) close() { f.admin.Close() }

func (f *franz) createTopic(topic string, partitions int32, configs map[string]string) error {
	values := map[string]*string{}
	for name, value := range configs {
		values[name] = &value
	}
	answer, err := f.admin.CreateTopic(deadline(), partitions, 1, values, topic)
	return errors.Join(err, answer.Err)
}

func (f *franz) growTopic(topic string, partitions int32) error {
	answers, err := f.admin.UpdatePartitions(deadline(), int(partitions), topic)
	return errors.Join(err, answers.Error())
}

func (f *franz) describeTopic(topic string) (int, error) {
	topics, err := f.admin.ListTopics(deadline(), topic)
	if err != nil {
		return 0, err
	}
	return len(topics[topic].Partitions), topics[topic].Err
}

func (f *franz) deleteTopic(topic string) error {
	answer, err := f.admin.DeleteTopic(deadline(), topic)
	return errors.Join(err, answer.Err)
}

func (f *franz) produce(topic, codec string, records []record) error {
	compression := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[codec]
	c, err := f.client(kgo.ProducerBatchCompression(compression), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	var sent []*kgo.Record
	for _, r := range records {
		k := &kgo.Record{Topic: topic, Partition: r.partition, Key: []byte(r.key), Value: []byte(r.value), Timestamp: time.UnixMilli(r.timeMs)}
		for _, header := range strings.Split(r.headers, ",") {
			name, value, _ := strings.Cut(header, "=")
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		sent = append(sent, k)
	}
	return c.ProduceSync(deadline(), sent...).FirstErr()
}

func fromFranz(k *kgo.Record) record {
	var headers []string
	for _, h := range k.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	codec := codecs[k.Attrs.CompressionType()]
	return record{k.Partition, k.Offset, string(k.Key), string(k.Value), strings.Join(headers, ","), k.Timestamp.UnixMilli(), codec}
}

// Polls up to count records. An error of any partition ends the poll.
func poll(c *kgo.Client, count int) ([]record, []*kgo.Record, error) {
	var found []record
	var raw []*kgo.Record
	ctx := deadline()
	for len(found) < count {
		fetches := c.PollRecords(ctx, count-len(found))
		if err := fetches.Err(); err != nil {
			return found, raw, fmt.Errorf("after %d of %d records: %w", len(found), count, err)
		}
		for _, k := range fetches.Records() {
			found, raw = append(found, fromFranz(k)), append(raw, k)
		}
	}
	return found, raw, nil
}

func (f *franz) consume(topic string, starts map[int32]int64, count int) ([]record, error) {
	from := map[int32]kgo.Offset{}
	for p, at := range starts {
		from[p] = kgo.NewOffset().At(at)
	}
	c, err := f.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found, _, err := poll(c, count)
	return found, err
}

func (f *franz) offsets(topic string, at int64) (map[int32]int64, error) {
	list := func() (kadm.ListedOffsets, error) {
		switch at {
		case -2:
			return f.admin.ListStartOffsets(deadline(), topic)
		case -1:
			return f.admin.ListEndOffsets(deadline(), topic)
		}
		return f.admin.ListOffsetsAfterMilli(deadline(), at, topic)
	}
	listed, err := list()
	found := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found, errors.Join(err, listed.Error())
}

func (f *franz) deleteRecords(topic string, before map[int32]int64) error {
	offsets := kadm.Offsets{}
	for p, at := range before {
		offsets.AddOffset(topic, p, at, -1)
	}
	answers, err := f.admin.DeleteRecords(deadline(), offsets)
	return errors.Join(err, answers.Error())
}

type franzMember struct {
	c       *kgo.Client
	stopped chan struct{}
	lock    sync.Mutex
	mine    []int32
	found   []record
}

func (f *franz) join(group, topic string) (member, error) {
	m := &franzMember{stopped: make(chan struct{})}
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		m.lock.Lock()
		defer m.lock.Unlock()
		m.mine = slices.DeleteFunc(m.mine, func(p int32) bool { return slices.Contains(lost[topic], p) })
	}
	c, err := f.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			m.mine = append(m.mine, got[topic]...)
		}), kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone))
	if err != nil {
		return nil, err
	}
	m.c = c
	go func() {
		defer close(m.stopped)
		for {
			fetches := c.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			m.lock.Lock()
			for _, k := range fetches.Records() {
				m.found = append(m.found, fromFranz(k))
			}
			m.lock.Unlock()
		}
	}()
	return m, nil
}

func (m *franzMember) owned() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.mine)
}

func (m *franzMember) seen() []record {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.found)
}

func (m *franzMember) leave() error {
	m.c.Close()
	<-m.stopped
	return nil
}

func (f *franz) consumeAndCommit(group, topic string, count int) ([]record, error) {
	c, err := f.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found, raw, err := poll(c, count)
	if err != nil {
		return found, err
	}
	return found, c.CommitRecords(deadline(), raw...)
}

func (f *franz) committed(group, topic string) (map[int32]int64, error) {
	answers, err := f.admin.FetchOffsets(deadline(), group)
	found := map[int32]int64{}
	answers.Each(func(o kadm.OffsetResponse) { found[o.Partition] = o.At })
	return found, errors.Join(err, answers.Error())
}

func (f *franz) topicConfig(topic, name string) (string, bool, error) {
	described, err := f.admin.DescribeTopicConfigs(deadline(), topic)
	if err != nil {
		return "", false, err
	}
	on, err := described.On(topic, nil)
	if err != nil {
		return "", false, errors.Join(err, on.Err)
	}
	for _, c := range on.Configs {
		if c.Key == name {
			return c.MaybeValue(), c.Source == kmsg.ConfigSourceDefaultConfig, nil
		}
	}
	return "", false, fmt.Errorf("no config %s", name)
}

func (f *franz) brokerConfig(name string) (string, error) {
	brokers, err := f.admin.ListBrokers(deadline())
	if err != nil {
		return "", err
	}
	described, err := f.admin.DescribeBrokerConfigs(deadline(), brokers.NodeIDs()...)
	if err != nil {
		return "", err
	}
	for _, c := range described[0].Configs {
		if c.Key == name {
			return c.MaybeValue(), nil
		}
	}
	return "", fmt.Errorf("no config %s", name)
}

func (f *franz) alter(topic string, alter kadm.AlterConfig) error {
	answers, err := f.admin.AlterTopicConfigs(deadline(), []kadm.AlterConfig{alter}, topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (f *franz) setConfig(topic, name, value string) error {
	return f.alter(topic, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
}

func (f *franz) unsetConfig(topic, name string) error {
	return f.alter(topic, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
}

func (f *franz) replaceConfig(topic, name, value string) error {
	answers, err := f.admin.AlterTopicConfigsState(deadline(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (f *franz) groupState(group string) (string, int, error) {
	described, err := f.admin.DescribeGroups(deadline(), group)
	return described[group].State, len(described[group].Members), errors.Join(err, described.Error())
}

func (f *franz) groups() ([]string, error) {
	listed, err := f.admin.ListGroups(deadline())
	return listed.Groups(), err
}

func (f *franz) deleteGroup(group string) error {
	answer, err := f.admin.DeleteGroup(deadline(), group)
	return errors.Join(err, answer.Err)
}

func (f *franz) consumeUntil(topic string, committed bool, enough func([]record) bool) ([]record, error) {
	isolation := kgo.ReadUncommitted()
	if committed {
		isolation = kgo.ReadCommitted()
	}
	c, err := f.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(isolation))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var found []record
	for ctx := deadline(); !enough(found); {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return found, fmt.Errorf("after %d records: %w", len(found), err)
		}
		for _, k := range fetches.Records() {
			found = append(found, fromFranz(k))
		}
	}
	return found, nil
}

type franzTransactional struct{ c *kgo.Client }

func (f *franz) transactional(id string) (transactional, error) {
	c, err := f.client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	return &franzTransactional{c}, err
}

func (t *franzTransactional) begin() error { return t.c.BeginTransaction() }

func (t *franzTransactional) send(topic string, values []string) error {
	var sent []*kgo.Record
	for n, value := range values {
		sent = append(sent, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: []byte(value)})
	}
	return t.c.ProduceSync(deadline(), sent...).FirstErr()
}

func (t *franzTransactional) end(commit bool) error {
	return t.c.EndTransaction(deadline(), kgo.TransactionEndTry(commit))
}

func (t *franzTransactional) close() { t.c.Close() }

func (f *franz) copyAll(group, from, to string, count int) ([]string, error) {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(f.bootstrap), kgo.TransactionalID(group), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer session.Close()
	ctx := deadline()
	var aborted []string
	for written, n := 0, 1; written < count; n++ {
		fetches := session.PollRecords(ctx, 40)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("after %d of %d records: %w", written, count, err)
		}
		if err := session.Begin(); err != nil {
			return nil, err
		}
		var copies []*kgo.Record
		for _, r := range fetches.Records() {
			copies = append(copies, &kgo.Record{Topic: to, Value: append([]byte("copy of "), r.Value...)})
		}
		if err := session.ProduceSync(ctx, copies...).FirstErr(); err != nil {
			return nil, err
		}
		committed, err := session.End(ctx, kgo.TransactionEndTry(n%3 != 0))
		if err != nil {
			return nil, err
		}
		if committed {
			written += len(copies)
			continue
		}
		for _, r := range copies {
			aborted = append(aborted, string(r.Value))
		}
	}
	return aborted, nil
}

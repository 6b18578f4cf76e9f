package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type saramaClient struct {
	bootstrap []string
	config    *sarama.Config
	client    sarama.Client
	admin     sarama.ClusterAdmin
}

func connectSarama(bootstrap string) (client, error) {
	sarama.Logger = log.New(io.Discard, "", 0)
	s := &saramaClient{bootstrap: []string{bootstrap}, config: newSaramaConfig()}
	var err error
	if s.client, err = sarama.NewClient(s.bootstrap, s.config); err != nil {
		return nil, err
	}
	s.admin, err = sarama.NewClusterAdminFromClient(s.client)
	return s, err
}

func newSaramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	return config
}

func (s *saramaClient) close() { _ = s.admin.Close() }

func (s *saramaClient) createTopic(topic string, partitions int32, configs map[string]string) error {
	values := map[string]*string{}
	for name, value := range configs {
		values[name] = &value
	}
	return s.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: values}, false)
}

func (s *saramaClient) growTopic(topic string, partitions int32) error {
	return s.admin.CreatePartitions(topic, partitions, nil, false)
}

func (s *saramaClient) describeTopic(topic string) (int, error) {
	described, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return 0, err
	}
	if described[0].Err != sarama.ErrNoError {
		return 0, described[0].Err
	}
	return len(described[0].Partitions), nil
}

func (s *saramaClient) deleteTopic(topic string) error { return s.admin.DeleteTopic(topic) }

func (s *saramaClient) produce(topic, codec string, records []record) error {
	config := newSaramaConfig()
	config.Producer.Compression = sarama.CompressionCodec(slices.Index(codecs, codec))
	// An idempotent producer for all codecs but one, so that both kinds are tested.
	if config.Producer.Idempotent = codec != "none"; config.Producer.Idempotent {
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(s.bootstrap, config)
	if err != nil {
		return err
	}
	var sent []*sarama.ProducerMessage
	for _, r := range records {
		m := &sarama.ProducerMessage{Topic: topic, Partition: r.partition, Key: sarama.StringEncoder(r.key),
			Value: sarama.StringEncoder(r.value), Timestamp: time.UnixMilli(r.timeMs)}
		for _, header := range strings.Split(r.headers, ",") {
			name, value, _ := strings.Cut(header, "=")
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
		}
		sent = append(sent, m)
	}
	return errors.Join(producer.SendMessages(sent), producer.Close())
}

func fromSarama(m *sarama.ConsumerMessage) record {
	var headers []string
	for _, h := range m.Headers {
		headers = append(headers, string(h.Key)+"="+string(h.Value))
	}
	return record{m.Partition, m.Offset, string(m.Key), string(m.Value), strings.Join(headers, ","), m.Timestamp.UnixMilli(), ""}
}

func (s *saramaClient) consume(topic string, starts map[int32]int64, count int) ([]record, error) {
	return s.take(topic, starts, s.config, func(found []record) bool { return len(found) == count })
}

func (s *saramaClient) consumeUntil(topic string, committed bool, enough func([]record) bool) ([]record, error) {
	config := newSaramaConfig()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	return s.take(topic, map[int32]int64{0: 0, 1: 0, 2: 0}, config, enough)
}

func (s *saramaClient) take(topic string, starts map[int32]int64, config *sarama.Config, enough func([]record) bool) ([]record, error) {
	consumer, err := sarama.NewConsumer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = consumer.Close() }()
	messages := make(chan *sarama.ConsumerMessage, 100)
	done := make(chan struct{})
	var running sync.WaitGroup
	for p, at := range starts {
		partition, err := consumer.ConsumePartition(topic, p, at)
		if err != nil {
			return nil, err
		}
		running.Go(func() {
			defer func() { _ = partition.Close() }()
			for {
				select {
				case m := <-partition.Messages():
					select {
					case messages <- m:
					case <-done:
						return
					}
				case <-done:
					return
				}
			}
		})
	}
	defer running.Wait()
	defer close(done)
	var found []record
	ctx := deadline()
	for !enough(found) {
		select {
		case m := <-messages:
			found = append(found, fromSarama(m))
		case <-ctx.Done():
			return nil, fmt.Errorf("only %d records came", len(found))
		}
	}
	return found, nil
}

func (s *saramaClient) offsets(topic string, at int64) (map[int32]int64, error) {
	found := map[int32]int64{}
	list, err := s.client.Partitions(topic)
	for _, p := range list {
		if found[p], err = s.client.GetOffset(topic, p, at); err != nil {
			return nil, err
		}
	}
	return found, err
}

func (s *saramaClient) deleteRecords(topic string, before map[int32]int64) error {
	return s.admin.DeleteRecords(topic, before)
}

// A member of a group: sarama calls ConsumeClaim for every partition of every generation.
type saramaMember struct {
	group   sarama.ConsumerGroup
	cancel  context.CancelFunc
	stopped chan struct{}
	once    sync.Once
	topic   string
	limit   int // commits by hand and ends after this many records; 0 means no end
	lock    sync.Mutex
	mine    []int32
	found   []record
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.mine = slices.Clone(session.Claims()[m.topic])
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.mine = nil
	return nil
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open || !m.take(session, message) {
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *saramaMember) take(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.limit > 0 && len(m.found) == m.limit {
		return false
	}
	m.found = append(m.found, fromSarama(message))
	session.MarkMessage(message, "")
	if len(m.found) == m.limit {
		session.Commit()
		m.cancel()
		return false
	}
	return true
}

func (s *saramaClient) start(group, topic string, count int) (*saramaMember, error) {
	config := newSaramaConfig()
	config.Consumer.Offsets.AutoCommit.Enable = count == 0
	consumer, err := sarama.NewConsumerGroup(s.bootstrap, group, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &saramaMember{group: consumer, cancel: cancel, stopped: make(chan struct{}), topic: topic, limit: count}
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			if err := consumer.Consume(ctx, []string{topic}, m); err != nil && !errors.Is(err, context.Canceled) {
				return
			}
		}
	}()
	return m, nil
}

func (s *saramaClient) join(group, topic string) (member, error) { return s.start(group, topic, 0) }

func (m *saramaMember) owned() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.mine)
}

func (m *saramaMember) seen() []record {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.found)
}

func (m *saramaMember) leave() error {
	var err error
	m.once.Do(func() {
		m.cancel()
		<-m.stopped
		err = m.group.Close()
	})
	return err
}

func (s *saramaClient) consumeAndCommit(group, topic string, count int) ([]record, error) {
	m, err := s.start(group, topic, count)
	if err != nil {
		return nil, err
	}
	select {
	case <-m.stopped:
	case <-deadline().Done():
	}
	if err := m.leave(); err != nil {
		return nil, err
	}
	return m.seen(), expect("records", len(m.seen()), count)
}

func (s *saramaClient) committed(group, topic string) (map[int32]int64, error) {
	answer, err := s.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2}})
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for p, block := range answer.Blocks[topic] {
		if block.Err != sarama.ErrNoError {
			return nil, block.Err
		}
		found[p] = block.Offset
	}
	return found, nil
}

func (s *saramaClient) configOf(kind sarama.ConfigResourceType, resource, name string) (sarama.ConfigEntry, error) {
	entries, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: kind, Name: resource, ConfigNames: []string{name}})
	if err != nil {
		return sarama.ConfigEntry{}, err
	}
	return entries[0], expect("entries", len(entries), 1)
}

func (s *saramaClient) topicConfig(topic, name string) (string, bool, error) {
	entry, err := s.configOf(sarama.TopicResource, topic, name)
	return entry.Value, entry.Source == sarama.SourceDefault, err
}

func (s *saramaClient) brokerConfig(name string) (string, error) {
	entry, err := s.configOf(sarama.BrokerResource, fmt.Sprint(s.client.Brokers()[0].ID()), name)
	return entry.Value, err
}

func (s *saramaClient) alter(topic, name string, entry sarama.IncrementalAlterConfigsEntry) error {
	return s.admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{name: entry}, false)
}

func (s *saramaClient) setConfig(topic, name, value string) error {
	return s.alter(topic, name, sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value})
}

func (s *saramaClient) unsetConfig(topic, name string) error {
	return s.alter(topic, name, sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete})
}

func (s *saramaClient) replaceConfig(topic, name, value string) error {
	return s.admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{name: &value}, false)
}

func (s *saramaClient) groupState(group string) (string, int, error) {
	described, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", 0, err
	}
	if described[0].Err != sarama.ErrNoError {
		return "", 0, described[0].Err
	}
	return described[0].State, len(described[0].Members), nil
}

func (s *saramaClient) groups() ([]string, error) {
	listed, err := s.admin.ListConsumerGroups()
	var names []string
	for name := range listed {
		names = append(names, name)
	}
	return names, err
}

func (s *saramaClient) deleteGroup(group string) error { return s.admin.DeleteConsumerGroup(group) }

type saramaTransactional struct{ p sarama.SyncProducer }

func (s *saramaClient) transactional(id string) (transactional, error) {
	config := newSaramaConfig()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Net.MaxOpenRequests = 1
	p, err := sarama.NewSyncProducer(s.bootstrap, config)
	return &saramaTransactional{p}, err
}

func (t *saramaTransactional) begin() error { return t.p.BeginTxn() }

func (t *saramaTransactional) send(topic string, values []string) error {
	var sent []*sarama.ProducerMessage
	for n, value := range values {
		sent = append(sent, &sarama.ProducerMessage{Topic: topic, Partition: int32(n % partitions), Value: sarama.StringEncoder(value)})
	}
	return t.p.SendMessages(sent)
}

func (t *saramaTransactional) end(commit bool) error {
	if commit {
		return t.p.CommitTxn()
	}
	return t.p.AbortTxn()
}

func (t *saramaTransactional) close() { _ = t.p.Close() }

func (s *saramaClient) copyAll(group, from, to string, count int) ([]string, error) {
	opened, err := s.transactional(group)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	config := newSaramaConfig()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	reached := map[int32]int64{0: 0, 1: 0, 2: 0}
	var aborted []string
	for written, n := 0, 1; written < count; n++ {
		records, err := s.take(from, reached, config, func(found []record) bool { return len(found) == min(40, count-written) })
		if err != nil {
			return nil, err
		}
		next := maps.Clone(reached)
		var copies []string
		for _, r := range records {
			copies = append(copies, "copy of "+r.value)
			next[r.partition] = r.offset + 1
		}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{}
		for p, at := range next {
			offsets[from] = append(offsets[from], &sarama.PartitionOffsetMetadata{Partition: p, Offset: at, LeaderEpoch: -1})
		}
		producer := opened.(*saramaTransactional).p
		if err := all(opened.begin, func() error { return opened.send(to, copies) },
			func() error { return producer.AddOffsetsToTxn(offsets, group) }, func() error { return opened.end(n%3 != 0) }); err != nil {
			return nil, err
		}
		if n%3 == 0 {
			aborted = append(aborted, copies...)
			continue
		}
		written += len(copies)
		reached = next
	}
	return aborted, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A client that writes and reads while brokers fail. Both functions return when the context ends.
type lasting interface {
	// Sends number n to partition n % partitions. Calls done once, when it is acknowledged or lost.
	send(n int, done func(error))
	// Sends what is not sent yet.
	flush()
	// Reads as the only member of a group.
	read(ctx context.Context, each func(record)) error
}

const readLimit = 90 * time.Second

// Writes numbers until a file exists, while a member of a group reads them. Everything that was
// written must be read, and be in the log once and in order.
func failover(name, bootstrap, topic, stop string) error {
	brokers := strings.Split(bootstrap, ",")
	var c lasting
	var err error
	switch name {
	case "franz-go":
		c, err = newLastingFranz(brokers, topic)
	case "sarama":
		c, err = newLastingSarama(brokers, topic)
	default:
		return fmt.Errorf("there is no client %s", name)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var lock sync.Mutex
	acknowledged, lost := 0, []error{}
	found := [partitions]map[int64]string{{}, {}, {}}
	counted := func() int { return len(found[0]) + len(found[1]) + len(found[2]) }
	readErr := make(chan error, 1)
	go func() {
		readErr <- c.read(ctx, func(r record) {
			lock.Lock()
			defer lock.Unlock()
			found[r.partition][r.offset] = r.value
		})
	}()
	written := 0
	for ; !exists(stop); written++ {
		c.send(written, func(err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				lost = append(lost, err)
			} else {
				acknowledged++
			}
			if acknowledged%100 == 0 {
				fmt.Println("acknowledged", acknowledged)
			}
		})
		time.Sleep(4 * time.Millisecond)
	}
	c.flush()
	err = within(readLimit, func() error {
		lock.Lock()
		defer lock.Unlock()
		if len(lost) > 0 || counted() >= written {
			return nil
		}
		return fmt.Errorf("%d of %d records were read", counted(), written)
	})
	cancel()
	if err := errors.Join(err, <-readErr); err != nil {
		return err
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d records were lost, the first with %w", len(lost), lost[0])
	}
	for partition := range found {
		for offset := range int64(len(found[partition])) {
			wanted := strconv.Itoa(int(offset)*partitions + partition)
			if value := found[partition][offset]; value != wanted {
				return fmt.Errorf("partition %d has %q at offset %d, and not %q", partition, value, offset, wanted)
			}
		}
	}
	fmt.Println("all is well with", written)
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

type lastingFranz struct {
	brokers  []string
	topic    string
	producer *kgo.Client
}

func newLastingFranz(brokers []string, topic string) (lasting, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond))
	return &lastingFranz{brokers, topic, producer}, err
}

func (f *lastingFranz) send(n int, done func(error)) {
	r := &kgo.Record{Topic: f.topic, Partition: int32(n % partitions), Value: []byte(strconv.Itoa(n))}
	f.producer.Produce(context.Background(), r, func(_ *kgo.Record, err error) { done(err) })
}

func (f *lastingFranz) flush() { _ = f.producer.Flush(context.Background()) }

func (f *lastingFranz) read(ctx context.Context, each func(record)) error {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.ConsumerGroup("of-"+f.topic), kgo.ConsumeTopics(f.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer consumer.Close()
	for ctx.Err() == nil {
		consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			each(record{partition: r.Partition, offset: r.Offset, value: string(r.Value)})
		})
	}
	return nil
}

type lastingSarama struct {
	brokers  []string
	topic    string
	config   *sarama.Config
	producer sarama.AsyncProducer
	pending  sync.WaitGroup
}

func newLastingSarama(brokers []string, topic string) (lasting, error) {
	config := newSaramaConfig()
	config.Producer.Return.Errors = true
	config.Producer.Idempotent = true
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	// By default sarama gives up after three attempts in 0.3 s.
	config.Producer.Retry.Max = 600
	config.Metadata.Retry.Max = 600
	config.Net.MaxOpenRequests = 1
	s := &lastingSarama{brokers: brokers, topic: topic, config: config}
	var err error
	if s.producer, err = sarama.NewAsyncProducer(brokers, config); err != nil {
		return nil, err
	}
	go func() {
		for m := range s.producer.Successes() {
			m.Metadata.(func(error))(nil)
			s.pending.Done()
		}
	}()
	go func() {
		for lost := range s.producer.Errors() {
			lost.Msg.Metadata.(func(error))(lost.Err)
			s.pending.Done()
		}
	}()
	return s, nil
}

func (s *lastingSarama) send(n int, done func(error)) {
	s.pending.Add(1)
	s.producer.Input() <- &sarama.ProducerMessage{Topic: s.topic, Partition: int32(n % partitions),
		Value: sarama.StringEncoder(strconv.Itoa(n)), Metadata: done}
}

func (s *lastingSarama) flush() { s.pending.Wait() }

type lastingHandler struct{ each func(record) }

func (lastingHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (lastingHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (h lastingHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.each(fromSarama(m))
		session.MarkMessage(m, "")
	}
	return nil
}

func (s *lastingSarama) read(ctx context.Context, each func(record)) error {
	group, err := sarama.NewConsumerGroup(s.brokers, "of-"+s.topic, s.config)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// An error of a broker ends a session. The next one goes on.
		if err := group.Consume(ctx, []string{s.topic}, lastingHandler{each}); err != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	_ = group.Close()
	return nil
}

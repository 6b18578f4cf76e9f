package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The limit of partitions in one request. Kafka refuses more than 10,000.
const partitionsPerTopic = 2000

func seconds(since time.Time) float64 { return time.Since(since).Seconds() }

// The topics that together have the given number of partitions.
func (l *load) topics() map[string]int {
	topics := map[string]int{}
	for i, left := 0, l.partitions; left > 0; i, left = i+1, left-partitionsPerTopic {
		topics[fmt.Sprintf("%s-%d", l.topic, i)] = min(left, partitionsPerTopic)
	}
	return topics
}

// Creates many partitions and writes one record to each.
func (l *load) many(ctx context.Context) (map[string]float64, error) {
	client, err := l.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	begun := time.Now()
	for topic, partitions := range l.topics() {
		made, err := kadm.NewClient(client).CreateTopics(ctx, int32(partitions), int16(l.replication), nil, topic)
		if err != nil {
			return nil, err
		}
		if err := made[topic].Err; err != nil {
			return nil, err
		}
	}
	created := seconds(begun)
	var failed error
	var lock sync.Mutex
	for topic, partitions := range l.topics() {
		for partition := range partitions {
			record := &kgo.Record{Topic: topic, Partition: int32(partition), Value: make([]byte, l.size)}
			client.Produce(ctx, record, func(_ *kgo.Record, err error) {
				if err != nil {
					lock.Lock()
					failed = err
					lock.Unlock()
				}
			})
		}
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	return map[string]float64{"created s": created, "written s": seconds(begun)}, failed
}

// Fills every partition of a topic with `mb` MB.
func (l *load) fill(ctx context.Context) (map[string]float64, error) {
	client, err := l.on(ctx, byName())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	batches := [][]byte{encoded(l.size, l.batch, -1)}
	if each := max(1, l.batch/l.size); l.keys > 0 {
		batches = nil
		for key := 0; key < l.keys; key += each {
			batches = append(batches, encoded(l.size, l.batch, key))
		}
	}
	s, err := l.sender(ctx, client, 1, batches[0])
	if err != nil {
		return nil, err
	}
	if err := l.led(ctx, s); err != nil {
		return nil, err
	}
	begun := time.Now()
	for number := range l.mb * 1_000_000 / len(s.batch) {
		s.batch = batches[number%len(batches)]
		for partition := range l.partitions {
			if err := s.send(ctx, int32(partition)); err != nil {
				return nil, err
			}
		}
	}
	return map[string]float64{"filled s": seconds(begun)}, nil
}

// Waits for a starting broker until it acknowledges a record for the first partition of a topic,
// and until every partition has a leader.
func (l *load) served(ctx context.Context) (map[string]float64, error) {
	begun := time.Now()
	acknowledged, err := l.acknowledged(ctx)
	if err != nil {
		return nil, err
	}
	first := seconds(begun)
	defer acknowledged.Close()
	for {
		details, err := kadm.NewClient(acknowledged).ListTopics(ctx)
		if err == nil && details.Error() == nil && allLed(details) {
			return map[string]float64{"first acknowledged s": first, "all led s": seconds(begun)}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func allLed(details kadm.TopicDetails) bool {
	for _, topic := range details {
		for _, partition := range topic.Partitions {
			if partition.Leader < 0 || partition.Err != nil {
				return false
			}
		}
	}
	return len(details) > 0
}

// Retries on new connections until a record is acknowledged, and returns that client.
func (l *load) acknowledged(ctx context.Context) (*kgo.Client, error) {
	batch := encoded(l.size, l.size, -1)
	for ctx.Err() == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.broker), byName(), kgo.MetadataMinAge(100*time.Millisecond), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
		if err != nil {
			return nil, err
		}
		request := kmsg.NewPtrProduceRequest()
		request.Acks, request.TimeoutMillis = -1, 30_000
		request.Topics = []kmsg.ProduceRequestTopic{{Topic: l.topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 0, Records: batch}}}}
		answer, err := client.SeedBrokers()[0].Request(ctx, request)
		if err == nil && kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode) == nil {
			return client, nil
		}
		client.Close()
		time.Sleep(5 * time.Millisecond)
	}
	return nil, ctx.Err()
}

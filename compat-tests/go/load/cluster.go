package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How often a load asks again for what it waits for.
const askedAgain = 50 * time.Millisecond

// Sends records at a fixed rate to one partition. After a quarter of the time it sends a signal to
// the process of the partition's leader. Reports the longest time without an acknowledged record,
// and after what time another leader acknowledged one of a new client: a client that waits for a
// leader which hangs waits for its own timeouts, too.
func (l *load) failover(ctx context.Context) (map[string]float64, error) {
	l.topic, l.lingerMs = fmt.Sprintf("%s-%d", l.topic, time.Now().UnixNano()), 0
	client, err := l.on(ctx, kgo.RetryTimeout(4*time.Minute), kgo.ProduceRequestTimeout(10*time.Second))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, err := l.inSync(ctx); err != nil {
		return nil, err
	}
	leader, err := l.leader(ctx, client)
	if err != nil {
		return nil, err
	}
	process, err := l.process(leader.NodeID)
	if err != nil {
		return nil, err
	}
	led := make(chan time.Duration, 1)
	var (
		lock    sync.Mutex
		last    time.Time
		longest time.Duration
		failed  int
	)
	total := l.rate * l.seconds
	acknowledged := make(map[uint64]bool, total)
	answered := func(record *kgo.Record, err error) {
		lock.Lock()
		defer lock.Unlock()
		if err != nil {
			failed++
			return
		}
		now := time.Now()
		if len(acknowledged) > 0 {
			longest = max(longest, now.Sub(last))
		}
		last = now
		acknowledged[binary.BigEndian.Uint64(record.Value)] = true
	}
	begun := time.Now()
	for i := range total {
		if i == total/4 {
			if out, err := exec.CommandContext(ctx, "kill", "-"+l.signal, process).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%w: %s", err, out)
			}
			go func() { led <- l.ledBesides(ctx, leader) }()
		}
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(l.rate))))
		client.Produce(ctx, &kgo.Record{Value: binary.BigEndian.AppendUint64(nil, uint64(i))}, answered)
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	if err := l.forget(ctx, acknowledged); err != nil {
		return nil, err
	}
	figures := map[string]float64{"resumed s": longest.Seconds(), "lost": float64(len(acknowledged)), "failed": float64(failed)}
	select {
	case after := <-led:
		figures["another leader s"] = after.Seconds()
	case <-ctx.Done():
		return nil, errors.New("no other node has acknowledged a record")
	}
	return figures, nil
}

// Reads the first partition of the topic, and forgets each record that is in it.
func (l *load) forget(ctx context.Context, acknowledged map[uint64]bool) error {
	client, err := l.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, l.topic)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(l.topic, 0)
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			next = record.Offset + 1
			if len(record.Value) == 8 {
				delete(acknowledged, binary.BigEndian.Uint64(record.Value))
			}
		})
	}
	return nil
}

// The broker that leads the first partition of the topic. A broker may not know the topic yet.
func (l *load) leader(ctx context.Context, client *kgo.Client) (kadm.BrokerDetail, error) {
	for ctx.Err() == nil {
		metadata, err := kadm.NewClient(client).Metadata(ctx, l.topic)
		if err == nil {
			leader := metadata.Topics[l.topic].Partitions[0].Leader
			for _, broker := range metadata.Brokers {
				if broker.NodeID == leader && metadata.Topics.Has(l.topic) {
					return broker, nil
				}
			}
		}
		time.Sleep(askedAgain)
	}
	return kadm.BrokerDetail{}, ctx.Err()
}

// The process of a node.
func (l *load) process(id int32) (string, error) {
	for pair := range strings.SplitSeq(l.nodes, ",") {
		if node, process, _ := strings.Cut(pair, "="); node == fmt.Sprint(id) {
			return process, nil
		}
	}
	return "", fmt.Errorf("-nodes has no process of node %d, which leads", id)
}

// Asks the other brokers who leads, until another one does and acknowledges a record. Returns how
// long that took.
func (l *load) ledBesides(ctx context.Context, former kadm.BrokerDetail) time.Duration {
	begun, others := time.Now(), *l
	gone := fmt.Sprintf("%s:%d", former.Host, former.Port)
	others.broker = strings.Join(slices.DeleteFunc(strings.Split(l.broker, ","), func(broker string) bool { return broker == gone }), ",")
	for ctx.Err() == nil {
		client, err := others.client(kgo.DefaultProduceTopic(l.topic), kgo.RequestRetries(0), kgo.RetryTimeout(time.Second))
		if err == nil {
			within, cancel := context.WithTimeout(ctx, time.Second)
			metadata, failed := kadm.NewClient(client).Metadata(within, l.topic)
			partition := metadata.Topics[l.topic].Partitions[0]
			moved := failed == nil && metadata.Topics.Has(l.topic) && partition.Leader >= 0 && partition.Leader != former.NodeID
			if moved && client.ProduceSync(within, &kgo.Record{}).FirstErr() == nil {
				cancel()
				client.Close()
				return time.Since(begun)
			}
			cancel()
			client.Close()
		}
		time.Sleep(askedAgain)
	}
	return 0
}

// Reports the id of the active controller.
func (l *load) controller(ctx context.Context) (map[string]float64, error) {
	client, err := l.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	request := kmsg.NewDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	return map[string]float64{"id": float64(response.Topics[0].Partitions[0].LeaderID)}, nil
}

// Creates one topic after the other until a controller has taken one.
func (l *load) decided(ctx context.Context) (map[string]float64, error) {
	begun := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		client, err := l.client(kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.RetryTimeout(time.Second))
		if err != nil {
			return nil, err
		}
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		name := fmt.Sprintf("%s-%d-%d", l.topic, begun.UnixNano(), n)
		made, err := kadm.NewClient(client).CreateTopics(within, 1, 1, nil, name)
		cancel()
		client.Close()
		if err == nil && made[name].Err == nil {
			return map[string]float64{"decided s": seconds(begun)}, nil
		}
		time.Sleep(askedAgain)
	}
	return nil, ctx.Err()
}

// Waits until every replica of every partition is in sync.
func (l *load) inSync(ctx context.Context) (map[string]float64, error) {
	begun := time.Now()
	client, err := l.client(kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for ctx.Err() == nil {
		details, err := kadm.NewClient(client).ListTopics(ctx)
		if err == nil && details.Error() == nil && allInSync(details) {
			return map[string]float64{"in sync s": seconds(begun)}, nil
		}
		time.Sleep(askedAgain)
	}
	return nil, errors.Join(errors.New("a replica is not in sync"), ctx.Err())
}

func allInSync(details kadm.TopicDetails) bool {
	for _, topic := range details {
		for _, partition := range topic.Partitions {
			if partition.Leader < 0 || partition.Err != nil || len(partition.ISR) < len(partition.Replicas) {
				return false
			}
		}
	}
	return len(details) > 0
}

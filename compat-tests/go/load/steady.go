package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// The limit of requests in flight on a connection that sends at full speed.
const inFlight = 5

// Returns one batch of records of `size` bytes, `bytes` in total. It is encoded once, so that the
// client's work is not measured. The keys are numbers from `key` on. If `key` is negative, the
// records have no keys.
func encoded(size, bytes, key int) []byte {
	var records []byte
	count := max(1, bytes/size)
	value := make([]byte, size)
	for i := range count {
		body := []byte{0, 0} // attributes, timestamp delta
		body = binary.AppendVarint(body, int64(i))
		if key >= 0 {
			body = binary.BigEndian.AppendUint64(binary.AppendVarint(body, 8), uint64(key+i))
		} else {
			body = binary.AppendVarint(body, -1)
		}
		body = binary.AppendVarint(body, int64(size))
		body = append(append(body, value...), 0) // no headers
		records = append(binary.AppendVarint(records, int64(len(body))), body...)
	}
	now := time.Now().UnixMilli()
	checked := binary.BigEndian.AppendUint16(nil, 0) // attributes
	checked = binary.BigEndian.AppendUint32(checked, uint32(count-1))
	checked = binary.BigEndian.AppendUint64(checked, uint64(now))
	checked = binary.BigEndian.AppendUint64(checked, uint64(now))
	checked = binary.BigEndian.AppendUint64(checked, ^uint64(0)) // producer id
	checked = binary.BigEndian.AppendUint16(checked, ^uint16(0))
	checked = binary.BigEndian.AppendUint32(checked, ^uint32(0))
	checked = binary.BigEndian.AppendUint32(checked, uint32(count))
	checked = append(checked, records...)
	batch := binary.BigEndian.AppendUint64(nil, 0)
	batch = binary.BigEndian.AppendUint32(batch, uint32(9+len(checked)))
	batch = binary.BigEndian.AppendUint32(batch, ^uint32(0)) // leader epoch
	batch = append(batch, 2)
	batch = binary.BigEndian.AppendUint32(batch, crc32.Checksum(checked, crc32.MakeTable(crc32.Castagnoli)))
	return append(batch, checked...)
}

// Makes a client use topic names in Produce; later versions use only topic ids.
func byName() kgo.Opt {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	return kgo.MaxVersions(versions)
}

// A sender of batches, with its own connection, to one partition at a time.
type sender struct {
	broker *kgo.Broker
	topic  string
	acks   int
	batch  []byte
}

func (l *load) sender(ctx context.Context, client *kgo.Client, acks int, batch []byte) (*sender, error) {
	brokers, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	return &sender{client.Broker(int(brokers[0].NodeID)), l.topic, acks, batch}, nil
}

func (s *sender) send(ctx context.Context, partition int32) error {
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = int16(s.acks), 30_000
	request.Topics = []kmsg.ProduceRequestTopic{{Topic: s.topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: s.batch}}}}
	answer, err := s.broker.Request(ctx, request)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}

// Sends batches at full speed, or at a fixed rate with -mb. With a fixed rate, a time counts from
// the moment at which a batch was due, so a stall counts for every batch that it delayed. The topic
// is deleted at the end.
func (l *load) steady(ctx context.Context) (map[string]float64, error) {
	l.topic = fmt.Sprintf("%s-%d", l.topic, time.Now().UnixNano())
	first, err := l.on(ctx)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	defer kadm.NewClient(first).DeleteTopics(context.Background(), l.topic)
	batch := encoded(l.size, l.batch, -1)
	var senders []*sender
	for range l.connections {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.broker), byName())
		if err != nil {
			return nil, err
		}
		defer client.Close()
		s, err := l.sender(ctx, client, l.acks, batch)
		if err != nil {
			return nil, err
		}
		senders = append(senders, s)
	}
	if err := l.led(ctx, senders[0]); err != nil {
		return nil, err
	}
	begun := time.Now()
	end := begun.Add(time.Duration(l.seconds) * time.Second)
	var taken atomic.Int64
	var failed atomic.Pointer[error]
	var times []float64
	var lock sync.Mutex
	one := func(s *sender, number int, due time.Time) {
		if err := s.send(ctx, int32(number%l.partitions)); err != nil {
			failed.Store(&err)
			return
		}
		taken.Add(int64(len(batch)))
		took := float64(time.Since(due).Microseconds()) / 1000
		lock.Lock()
		times = append(times, took)
		lock.Unlock()
	}
	var all sync.WaitGroup
	for i, s := range senders {
		if l.mb == 0 {
			for j := range inFlight {
				all.Go(func() {
					for number := i + j; time.Now().Before(end) && failed.Load() == nil; number += l.connections {
						one(s, number, time.Now())
					}
				})
			}
			continue
		}
		all.Go(func() {
			every := time.Duration(float64(len(batch)*l.connections) / float64(l.mb) * 1000)
			for number, due := i, begun.Add(every*time.Duration(i)/time.Duration(l.connections)); due.Before(end) && failed.Load() == nil; number, due = number+l.connections, due.Add(every) {
				time.Sleep(time.Until(due))
				all.Go(func() { one(s, number, due) })
			}
		})
	}
	all.Wait()
	seconds := time.Since(begun).Seconds()
	if failed := failed.Load(); failed != nil {
		return nil, *failed
	}
	slices.Sort(times)
	at := func(part float64) float64 { return times[int(part*float64(len(times)-1))] }
	return map[string]float64{"MB/s": float64(taken.Load()) / 1e6 / seconds, "p50 ms": at(0.5), "p99 ms": at(0.99), "p99.9 ms": at(0.999), "max ms": at(1)}, nil
}

// Waits until every partition accepts a batch.
func (l *load) led(ctx context.Context, s *sender) error {
	for partition := range l.partitions {
		for {
			err := s.send(ctx, int32(partition))
			if err == nil {
				break
			}
			if !errors.Is(err, kerr.NotLeaderForPartition) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

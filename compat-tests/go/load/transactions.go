package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Producers that all commit one transaction after the other, each with the given number of records. The first
// second does not count. A time is that of the commit alone, without the records before it.
func (l *load) transactions(ctx context.Context) (map[string]float64, error) {
	clients := make([]*kgo.Client, l.producers)
	for i := range clients {
		client, err := l.on(ctx, kgo.TransactionalID(fmt.Sprintf("%s-%d", l.topic, i)))
		if err != nil {
			return nil, err
		}
		defer client.Close()
		clients[i] = client
	}
	var (
		all    sync.WaitGroup
		mutex  sync.Mutex
		times  []float64
		failed error
	)
	begun := time.Now().Add(time.Second)
	ended := begun.Add(time.Duration(l.seconds) * time.Second)
	for _, client := range clients {
		all.Go(func() {
			mine, err := l.commits(ctx, client, begun, ended)
			mutex.Lock()
			defer mutex.Unlock()
			times = append(times, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	if failed != nil {
		return nil, failed
	}
	if len(times) == 0 {
		return nil, fmt.Errorf("no transaction was committed in %d s", l.seconds)
	}
	slices.Sort(times)
	at := func(part float64) float64 { return times[int(part*float64(len(times)-1))] }
	return map[string]float64{"transactions/s": float64(len(times)) / float64(l.seconds), "p50 ms": at(0.5), "p99 ms": at(0.99)}, nil
}

// Commits until the end. Returns the milliseconds of each commit that ended after the beginning.
func (l *load) commits(ctx context.Context, client *kgo.Client, begun, ended time.Time) ([]float64, error) {
	value := make([]byte, l.size)
	var times []float64
	for time.Now().Before(ended) {
		if err := client.BeginTransaction(); err != nil {
			return nil, err
		}
		records := make([]*kgo.Record, l.records)
		for i := range records {
			records[i] = &kgo.Record{Value: value, Partition: int32(i % l.partitions)}
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return nil, err
		}
		from := time.Now()
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return nil, err
		}
		if now := time.Now(); now.After(begun) && now.Before(ended) {
			times = append(times, float64(now.Sub(from).Microseconds())/1000)
		}
	}
	return times, nil
}

// Gives each of many transactional ids a producer id.
func (l *load) ids(ctx context.Context) (map[string]float64, error) {
	client, err := l.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	const atOnce = 64
	failed := make(chan error, atOnce)
	begun := time.Now()
	for n := range atOnce {
		go func() {
			for id := n; id < l.records; id += atOnce {
				request := kmsg.NewInitProducerIDRequest()
				name := fmt.Sprintf("%s-%d", l.topic, id)
				request.TransactionalID, request.TransactionTimeoutMillis = &name, 60_000
				response, err := request.RequestWith(ctx, client)
				for err == nil && kerr.IsRetriable(kerr.ErrorForCode(response.ErrorCode)) {
					response, err = request.RequestWith(ctx, client)
				}
				if err == nil {
					err = kerr.ErrorForCode(response.ErrorCode)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range atOnce {
		if err := <-failed; err != nil {
			return nil, err
		}
	}
	return map[string]float64{"ids/s": float64(l.records) / seconds(begun)}, nil
}

// Puts one load on brokers and prints its figures as one line of JSON: `load LOAD -broker
// HOST:PORT[,...] [flags]`. Function main names the loads.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type load struct {
	broker, topic, codec, config  string
	nodes, signal                 string
	partitions, records, size     int
	acks, lingerMs, rate, seconds int
	mb, batch, connections, keys  int
	producers, replication        int
}

func main() {
	loads := map[string]func(*load, context.Context) (map[string]float64, error){
		"produce": (*load).produce, "consume": (*load).consume, "latency": (*load).latency, "steady": (*load).steady,
		"many": (*load).many, "fill": (*load).fill, "served": (*load).served, "alter": (*load).alter,
		"transactions": (*load).transactions, "ids": (*load).ids, "failover": (*load).failover, "controller": (*load).controller,
		"decided": (*load).decided, "insync": (*load).inSync,
	}
	if len(os.Args) < 2 || loads[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load", strings.Join(slices.Sorted(maps.Keys(loads)), "|"), "-broker HOST:PORT[,...] [flags]")
		os.Exit(2)
	}
	var l load
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&l.broker, "broker", "127.0.0.1:9092", "where the broker or the brokers listen")
	flags.StringVar(&l.topic, "topic", "load", "the topic, made where it is not there")
	flags.StringVar(&l.codec, "codec", "none", "none or lz4")
	flags.StringVar(&l.config, "config", "", "key=value,... of the topic, for fill and alter")
	flags.IntVar(&l.keys, "keys", 0, "how many keys the records have in turn, for fill; 0: none")
	flags.IntVar(&l.partitions, "partitions", 1, "the topic's partitions")
	flags.IntVar(&l.records, "records", 1, "how many records; of each transaction, for transactions")
	flags.IntVar(&l.size, "size", 1024, "bytes of a record's value")
	flags.IntVar(&l.acks, "acks", -1, "-1 or 1")
	flags.IntVar(&l.lingerMs, "linger-ms", 5, "how long the producer gathers records")
	flags.IntVar(&l.rate, "rate", 1000, "records a second, for latency")
	flags.IntVar(&l.seconds, "seconds", 8, "how long, for latency, steady and transactions")
	flags.IntVar(&l.mb, "mb", 0, "MB a second for steady, where 0 is as fast as it goes; MB a partition for fill")
	flags.IntVar(&l.batch, "batch", 65536, "bytes of a batch, for steady and fill")
	flags.IntVar(&l.connections, "connections", 4, "connections, for steady")
	flags.IntVar(&l.producers, "producers", 1, "producers that commit at the same time, for transactions")
	flags.IntVar(&l.replication, "replication", 1, "the replicas of each new partition")
	flags.StringVar(&l.nodes, "nodes", "", "ID=PID,... of the brokers, for failover")
	flags.StringVar(&l.signal, "signal", "KILL", "what the leader's process gets, for failover")
	_ = flags.Parse(os.Args[2:])
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	figures, err := loads[os.Args[1]](&l, ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(figures)
}

func (l *load) client(more ...kgo.Opt) (*kgo.Client, error) {
	codec := kgo.NoCompression()
	if l.codec == "lz4" {
		codec = kgo.Lz4Compression()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(l.broker, ",")...),
		kgo.ProducerLinger(time.Duration(l.lingerMs) * time.Millisecond),
		kgo.ProducerBatchCompression(codec),
		kgo.MaxBufferedRecords(100_000),
	}
	if l.acks == 1 {
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	return kgo.NewClient(append(options, more...)...)
}

// Returns a client of an existing topic.
func (l *load) on(ctx context.Context, more ...kgo.Opt) (*kgo.Client, error) {
	client, err := l.client(append(more, kgo.DefaultProduceTopic(l.topic))...)
	if err != nil {
		return nil, err
	}
	configs := map[string]*string{}
	for _, config := range l.configs() {
		configs[config.Name] = config.Value
	}
	made, err := kadm.NewClient(client).CreateTopics(ctx, int32(l.partitions), int16(l.replication), configs, l.topic)
	if err != nil {
		return nil, err
	}
	if failed := made[l.topic].Err; failed != nil && made[l.topic].ErrMessage != fmt.Sprintf("Topic '%s' already exists.", l.topic) {
		return nil, failed
	}
	return client, nil
}

// The configs that -config gives.
func (l *load) configs() []kadm.AlterConfig {
	var configs []kadm.AlterConfig
	for pair := range strings.SplitSeq(l.config, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			configs = append(configs, kadm.AlterConfig{Name: key, Value: &value})
		}
	}
	return configs
}

// Sets configs of the topic.
func (l *load) alter(ctx context.Context) (map[string]float64, error) {
	client, err := l.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	altered, err := kadm.NewClient(client).AlterTopicConfigs(ctx, l.configs(), l.topic)
	if err != nil {
		return nil, err
	}
	for _, topic := range altered {
		if topic.Err != nil {
			return nil, topic.Err
		}
	}
	return map[string]float64{}, nil
}

func rate(records, size int, since time.Time) map[string]float64 {
	seconds := time.Since(since).Seconds()
	return map[string]float64{"records/s": float64(records) / seconds, "MB/s": float64(records*size) / 1e6 / seconds}
}

func (l *load) produce(ctx context.Context) (map[string]float64, error) {
	client, err := l.on(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// Half of it is compressible.
	value := make([]byte, l.size)
	rand.New(rand.NewSource(7)).Read(value[:l.size/2])
	var lost atomic.Int64
	begun := time.Now()
	for range l.records {
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				lost.Add(1)
			}
		})
	}
	if err := client.Flush(ctx); err != nil || lost.Load() > 0 {
		return nil, fmt.Errorf("%d records were not acknowledged: %v", lost.Load(), err)
	}
	return rate(l.records, l.size, begun), nil
}

func (l *load) consume(ctx context.Context) (map[string]float64, error) {
	client, err := l.client(kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	begun := time.Now()
	for come := 0; come < l.records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		come += fetches.NumRecords()
	}
	return rate(l.records, l.size, begun), nil
}

// Sends records at a fixed rate, each with the time at which the producer got it. The first two
// seconds do not count.
func (l *load) latency(ctx context.Context) (map[string]float64, error) {
	l.topic = fmt.Sprintf("%s-%d", l.topic, time.Now().UnixNano())
	client, err := l.on(ctx, kgo.ConsumeTopics(l.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	total, begun := l.rate*(l.seconds+2), time.Now()
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for sent := 0; sent < total; <-tick.C {
			for due := min(total, int(time.Since(begun).Seconds()*float64(l.rate))); sent < due; sent++ {
				value := binary.BigEndian.AppendUint64(make([]byte, 0, 100), uint64(time.Now().UnixNano()))
				client.Produce(ctx, &kgo.Record{Value: value[:100]}, nil)
			}
		}
	}()
	times := make([]float64, 0, total)
	for come := 0; come < total; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		now := time.Now()
		fetches.EachRecord(func(record *kgo.Record) {
			come++
			given := time.Unix(0, int64(binary.BigEndian.Uint64(record.Value)))
			if given.Sub(begun) > 2*time.Second {
				times = append(times, float64(now.Sub(given).Microseconds())/1000)
			}
		})
	}
	slices.Sort(times)
	at := func(part float64) float64 { return times[int(part*float64(len(times)-1))] }
	return map[string]float64{"p50 ms": at(0.5), "p99 ms": at(0.99), "p99.9 ms": at(0.999)}, nil
}

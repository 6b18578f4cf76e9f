// Command go-clients runs the same scenarios with franz-go and with sarama against one broker.
//
// The scenarios and their checks are in scenarios.go. A client only provides its calls, through the
// interface here.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// A record as both clients send and return it.
type record struct {
	partition  int32
	offset     int64
	key, value string
	headers    string // name=value pairs separated by commas, in order
	timeMs     int64
	codec      string // of its batch, if the client reports it
}

// A group member that consumes until it must leave.
type member interface {
	owned() []int32
	seen() []record
	leave() error
}

// The calls of a client, in the words of the scenarios. Every call has its own deadline.
type client interface {
	createTopic(topic string, partitions int32, configs map[string]string) error
	growTopic(topic string, partitions int32) error
	describeTopic(topic string) (partitions int, err error) // an error if there is no such topic
	deleteTopic(topic string) error
	produce(topic, codec string, records []record) error
	consume(topic string, starts map[int32]int64, count int) ([]record, error)
	consumeUntil(topic string, committed bool, enough func([]record) bool) ([]record, error)
	offsets(topic string, at int64) (map[int32]int64, error) // earliest (-2), latest (-1), or the first offset at or after a time
	deleteRecords(topic string, before map[int32]int64) error
	join(group, topic string) (member, error)
	consumeAndCommit(group, topic string, count int) ([]record, error)
	committed(group, topic string) (map[int32]int64, error)
	topicConfig(topic, name string) (value string, isDefault bool, err error)
	brokerConfig(name string) (value string, err error)
	setConfig(topic, name, value string) error     // incremental
	unsetConfig(topic, name string) error          // incremental
	replaceConfig(topic, name, value string) error // all other configs go back to their defaults
	groupState(group string) (state string, members int, err error)
	groups() ([]string, error)
	deleteGroup(group string) error
	transactional(id string) (transactional, error)
	// Copies all records, with "copy of " before each value, in transactions of which every third is
	// aborted. Returns the values of these.
	copyAll(group, from, to string, count int) (aborted []string, err error)
	close()
}

var failed bool

func report(client, scenario string, err error) {
	if err != nil {
		failed = true
		text := strings.ReplaceAll(err.Error(), "\n", " ")
		fmt.Printf("FAIL %s %s: %.400s\n", client, scenario, text)
		return
	}
	fmt.Printf("PASS %s %s\n", client, scenario)
}

// Polls until the condition holds. At the deadline, returns why it does not hold.
func within(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	if len(os.Args) == 6 && os.Args[1] == "failover" {
		if err := failover(os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-clients BOOTSTRAP, or go-clients failover CLIENT BOOTSTRAP TOPIC STOP-FILE")
		os.Exit(2)
	}
	for _, each := range []struct {
		name    string
		connect func(string) (client, error)
	}{{"franz-go", connectFranz}, {"sarama", connectSarama}} {
		c, err := each.connect(os.Args[1])
		if err != nil {
			report(each.name, "connect", err)
			continue
		}
		scenarios(each.name, c)
		transactionScenarios(each.name, c)
		c.close()
	}
	if failed {
		os.Exit(1)
	}
}

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const inputs = 240

// A transactional producer. Its transactional id is taken over at the latest with the first send.
type transactional interface {
	begin() error
	send(topic string, values []string) error // waits until they are in the log
	end(commit bool) error
	close()
}

// A run of all scenarios of transactions with one client.
type transactions struct {
	c      client
	prefix string
	topics []string
	ends   int
}

func transactionScenarios(name string, c client) {
	t := &transactions{c: c, prefix: fmt.Sprintf("%s-transactions-%d", name, time.Now().UnixMilli())}
	report(name, "transactions-loop", t.loop())
	report(name, "transactions-fencing", t.fencing())
	report(name, "transactions-delete", t.delete())
}

func (t *transactions) topic(name string) (string, error) {
	topic := t.prefix + "-" + name
	if err := t.c.createTopic(topic, partitions, nil); err != nil {
		return topic, err
	}
	t.topics = append(t.topics, topic)
	return topic, within(limit, func() error {
		found, err := t.c.describeTopic(topic)
		if err != nil {
			return err
		}
		return expect("partitions", found, partitions)
	})
}

// Reads up to a plain record that it adds to each partition.
func (t *transactions) read(topic string, committed bool) ([]string, error) {
	t.ends++
	end := fmt.Sprintf("end %d", t.ends)
	var last []record
	for p := range partitions {
		last = append(last, record{partition: int32(p), key: end, value: end, headers: "h=", timeMs: time.Now().UnixMilli()})
	}
	if err := t.c.produce(topic, "none", last); err != nil {
		return nil, err
	}
	found, err := t.c.consumeUntil(topic, committed, func(found []record) bool {
		n := 0
		for _, r := range found {
			if r.value == end {
				n++
			}
		}
		return n == partitions
	})
	var values []string
	for _, r := range found {
		if !strings.HasPrefix(r.value, "end ") {
			values = append(values, r.value)
		}
	}
	slices.Sort(values)
	return values, err
}

// Checks what readers of both isolations find.
func (t *transactions) readersFind(topic string, committed, aborted []string) error {
	for _, isCommitted := range []bool{true, false} {
		wanted := slices.Clone(committed)
		if !isCommitted {
			wanted = append(wanted, aborted...)
		}
		slices.Sort(wanted)
		found, err := t.read(topic, isCommitted)
		if err != nil {
			return err
		}
		if !slices.Equal(found, wanted) {
			return fmt.Errorf("committed only %v: found %d %.150q, wanted %d %.150q", isCommitted, len(found), found, len(wanted), wanted)
		}
	}
	return nil
}

// Consumes, transforms and produces. Every third transaction is aborted, and its records are
// consumed again.
func (t *transactions) loop() error {
	from, err := t.topic("source")
	if err != nil {
		return err
	}
	to, err := t.topic("copy")
	if err != nil {
		return err
	}
	feed, err := t.c.transactional(t.prefix + "-feed")
	if err != nil {
		return err
	}
	defer feed.close()
	var values, wanted []string
	for n := range inputs {
		values = append(values, fmt.Sprintf("value %d", n))
		wanted = append(wanted, fmt.Sprintf("copy of value %d", n))
	}
	if err := all(feed.begin, func() error { return feed.send(from, values) }, func() error { return feed.end(true) }); err != nil {
		return err
	}
	group := t.prefix + "-loop"
	aborted, err := t.c.copyAll(group, from, to, inputs)
	if err != nil {
		return err
	}
	if len(aborted) == 0 {
		return fmt.Errorf("nothing was aborted")
	}
	if err := t.readersFind(to, wanted, aborted); err != nil {
		return err
	}
	return within(limit, func() error {
		committed, err := t.c.committed(group, from)
		if err != nil {
			return err
		}
		// A group's offset may be that of the last record or that of the marker after it.
		for p := range partitions {
			if at := committed[int32(p)]; at != inputs/partitions && at != inputs/partitions+1 {
				return fmt.Errorf("committed are %v", committed)
			}
		}
		return nil
	})
}

// The second producer of a transactional id aborts what the first has open, and fences it.
func (t *transactions) fencing() error {
	topic, err := t.topic("fencing")
	if err != nil {
		return err
	}
	first, err := t.c.transactional(t.prefix + "-fencing")
	if err != nil {
		return err
	}
	defer first.close()
	if err := all(first.begin, func() error { return first.send(topic, []string{"a", "b"}) }, func() error { return first.end(true) },
		first.begin, func() error { return first.send(topic, []string{"c", "d", "e"}) }); err != nil {
		return err
	}
	second, err := t.c.transactional(t.prefix + "-fencing")
	if err != nil {
		return err
	}
	defer second.close()
	if err := all(second.begin, func() error { return second.send(topic, []string{"f"}) }); err != nil {
		return err
	}
	err = first.end(true)
	// Sarama has no name for PRODUCER_FENCED.
	names := regexp.MustCompile(`(?i)fenced|epoch|error code = 90`)
	if err == nil || !names.MatchString(err.Error()) {
		return fmt.Errorf("the commit of the first gave %v", err)
	}
	if err := second.end(true); err != nil {
		return err
	}
	return t.readersFind(topic, []string{"a", "b", "f"}, []string{"c", "d", "e"})
}

func (t *transactions) delete() error {
	for _, topic := range t.topics {
		if err := t.c.deleteTopic(topic); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	partitions = 3
	perCodec   = 300
	limit      = 30 * time.Second
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// The records of one codec. Their timestamps are one second apart and at least an hour old.
func recordsOf(codec string, base int64) []record {
	made := make([]record, perCodec)
	for i := range made {
		n := slices.Index(codecs, codec)*perCodec + i
		made[i] = record{
			partition: int32(n % partitions),
			key:       fmt.Sprintf("%s-%d", codec, i),
			value:     fmt.Sprintf("value %d %s", i, strings.Repeat("abcdefgh", 12)),
			headers:   fmt.Sprintf("codec=%s,n=%d,empty=", codec, i),
			timeMs:    base + int64(n)*1000,
			codec:     codec,
		}
	}
	return made
}

// Checks that every wanted record is there once, in the order of its partition, with all its parts,
// and that offsets have no gap.
func compare(found, wanted []record, starts map[int32]int64) error {
	next := maps.Clone(starts)
	split := map[int32][]record{}
	for _, r := range found {
		split[r.partition] = append(split[r.partition], r)
	}
	for _, want := range wanted {
		p := want.partition
		if len(split[p]) == 0 {
			return fmt.Errorf("partition %d ends before %s", p, want.key)
		}
		got := split[p][0]
		split[p] = split[p][1:]
		want.offset = next[p]
		next[p]++
		if got.codec == "" {
			want.codec = ""
		}
		if got != want {
			return fmt.Errorf("found %+v, wanted %+v", got, want)
		}
	}
	for p, rest := range split {
		if len(rest) > 0 {
			return fmt.Errorf("%d records too many in partition %d, first %+v", len(rest), p, rest[0])
		}
	}
	return nil
}

func expect[T comparable](what string, found, wanted T) error {
	if found != wanted {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

func expectMap(what string, found, wanted map[int32]int64) error {
	if !maps.Equal(found, wanted) {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

// Runs steps until one fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// A run of all scenarios with one client.
type suite struct {
	c            client
	topic, group string
	base         int64
	wanted       []record
}

func scenarios(name string, c client) {
	now := time.Now()
	s := &suite{
		c:     c,
		topic: fmt.Sprintf("%s-%d", name, now.UnixMilli()),
		base:  now.Add(-2*time.Hour).UnixMilli() / 1000 * 1000,
	}
	s.group = s.topic + "-group"
	for _, codec := range codecs {
		s.wanted = append(s.wanted, recordsOf(codec, s.base)...)
	}
	err := s.create()
	report(name, "create", err)
	if err != nil {
		return
	}
	for _, codec := range codecs {
		report(name, "produce-"+codec, c.produce(s.topic, codec, recordsOf(codec, s.base)))
	}
	report(name, "consume", s.consume())
	report(name, "seek-by-time", s.seekByTime())
	report(name, "commit-and-resume", s.commitAndResume())
	report(name, "group-of-three", s.groupOfThree())
	report(name, "groups", s.groups())
	report(name, "configs", s.configs())
	report(name, "delete-records", s.deleteRecords())
	report(name, "delete", s.delete())
}

func (s *suite) create() error {
	if err := s.c.createTopic(s.topic, partitions-1, map[string]string{"retention.ms": "604800001"}); err != nil {
		return err
	}
	if err := s.c.createTopic(s.topic, 1, nil); err == nil || !strings.Contains(err.Error(), "already exists") {
		return fmt.Errorf("a second creation gave %v", err)
	}
	if err := s.c.createTopic("not/a/name", 1, nil); err == nil {
		return fmt.Errorf("a bad name was taken")
	}
	if err := s.c.growTopic(s.topic, partitions); err != nil {
		return err
	}
	return within(limit, func() error {
		found, err := s.c.describeTopic(s.topic)
		if err != nil {
			return err
		}
		return expect("partitions", found, partitions)
	})
}

func (s *suite) starts(at int64) map[int32]int64 {
	return map[int32]int64{0: at, 1: at, 2: at}
}

func (s *suite) consume() error {
	found, err := s.c.consume(s.topic, s.starts(0), len(s.wanted))
	if err != nil {
		return err
	}
	return compare(found, s.wanted, s.starts(0))
}

func (s *suite) seekByTime() error {
	each := int64(len(s.wanted) / partitions)
	// Record n is n seconds after the base, in partition n % 3. A time between two records finds the
	// later one.
	asked := []struct {
		at     int64
		wanted map[int32]int64
	}{
		{-2, s.starts(0)},
		{-1, s.starts(each)},
		{s.base, s.starts(0)},
		{s.base + 600_000, s.starts(200)},
		{s.base + 600_001, map[int32]int64{0: 201, 1: 200, 2: 200}},
	}
	for _, a := range asked {
		found, err := s.c.offsets(s.topic, a.at)
		if err != nil {
			return err
		}
		if err := expectMap(fmt.Sprintf("offsets at %d", a.at), found, a.wanted); err != nil {
			return err
		}
	}
	found, err := s.c.consume(s.topic, s.starts(200), len(s.wanted)-600)
	if err != nil {
		return err
	}
	return compare(found, s.wanted[600:], s.starts(200))
}

func (s *suite) commitAndResume() error {
	group := s.group + "-resume"
	first, err := s.c.consumeAndCommit(group, s.topic, 400)
	if err != nil {
		return fmt.Errorf("first: %w", err)
	}
	next := s.starts(0)
	for _, r := range first {
		next[r.partition] = r.offset + 1
	}
	if err := expect("records of the first", len(first), 400); err != nil {
		return err
	}
	committed, err := s.c.committed(group, s.topic)
	if err != nil {
		return err
	}
	for p := range next {
		if committed[p] > 0 || next[p] > 0 {
			if err := expect(fmt.Sprintf("committed of %d", p), committed[p], next[p]); err != nil {
				return err
			}
		}
	}
	rest, err := s.c.consumeAndCommit(group, s.topic, len(s.wanted)-400)
	if err != nil {
		return fmt.Errorf("second: %w", err)
	}
	if err := compare(append(first, rest...), s.wanted, s.starts(0)); err != nil {
		return err
	}
	committed, err = s.c.committed(group, s.topic)
	if err != nil {
		return err
	}
	return expectMap("committed at the end", committed, s.starts(int64(len(s.wanted)/partitions)))
}

// Checks that every member owns a partition, and that each partition has exactly one owner.
func owners(members []member) error {
	var owned []int32
	for _, m := range members {
		mine := m.owned()
		if len(mine) == 0 {
			return fmt.Errorf("a member owns nothing")
		}
		owned = append(owned, mine...)
	}
	slices.Sort(owned)
	if !slices.Equal(owned, []int32{0, 1, 2}) {
		return fmt.Errorf("%d members own %v", len(members), owned)
	}
	return nil
}

func (s *suite) seenAll(members []member, keys int) error {
	return within(limit, func() error {
		seen := map[string]bool{}
		for _, m := range members {
			for _, r := range m.seen() {
				seen[r.key] = true
			}
		}
		return expect("keys seen", len(seen), keys)
	})
}

func (s *suite) groupOfThree() error {
	var members []member
	defer func() {
		for _, m := range members {
			_ = m.leave()
		}
	}()
	for range 3 {
		m, err := s.c.join(s.group, s.topic)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	stays := func() []member { return members[1:] }
	return all(
		func() error { return within(limit, func() error { return owners(members) }) },
		func() error { return s.groupIs("Stable", 3) },
		func() error { return s.seenAll(members, len(s.wanted)) },
		func() error { return members[0].leave() },
		func() error { return within(limit, func() error { return owners(stays()) }) },
		func() error { return s.groupIs("Stable", 2) },
		func() error {
			more := recordsOf("none", s.base+5_000_000)
			for i := range more {
				more[i].key = "more-" + more[i].key
			}
			s.wanted = append(s.wanted, more...)
			return s.c.produce(s.topic, "none", more)
		},
		func() error { return s.seenAll(members, len(s.wanted)) },
	)
}

func (s *suite) groupIs(state string, members int) error {
	return within(limit, func() error {
		foundState, foundMembers, err := s.c.groupState(s.group)
		if err != nil {
			return err
		}
		return expect("group", fmt.Sprint(foundState, foundMembers), fmt.Sprint(state, members))
	})
}

func (s *suite) groups() error {
	if err := s.groupIs("Empty", 0); err != nil {
		return err
	}
	list, err := s.c.groups()
	if err != nil {
		return err
	}
	if !slices.Contains(list, s.group) {
		return fmt.Errorf("%s is not among the groups %v", s.group, list)
	}
	if err := s.c.deleteGroup(s.group); err != nil {
		return err
	}
	if err := s.c.deleteGroup(s.group); err == nil {
		return fmt.Errorf("the group was deleted twice")
	}
	list, err = s.c.groups()
	if err == nil && slices.Contains(list, s.group) {
		return fmt.Errorf("the deleted group is still listed")
	}
	return err
}

func (s *suite) configs() error {
	is := func(name, value string, isDefault bool) func() error {
		return func() error {
			return within(limit, func() error {
				found, foundDefault, err := s.c.topicConfig(s.topic, name)
				if err != nil {
					return err
				}
				return expect(name, fmt.Sprint(found, foundDefault), fmt.Sprint(value, isDefault))
			})
		}
	}
	return all(
		is("retention.ms", "604800001", false),
		is("max.message.bytes", "1048588", true),
		func() error { return s.c.setConfig(s.topic, "max.message.bytes", "20000") },
		is("max.message.bytes", "20000", false),
		is("retention.ms", "604800001", false),
		func() error { return s.c.unsetConfig(s.topic, "retention.ms") },
		is("retention.ms", "604800000", true),
		func() error { return s.c.replaceConfig(s.topic, "min.insync.replicas", "1") },
		is("max.message.bytes", "1048588", true),
		func() error {
			if err := s.c.setConfig(s.topic, "retention.ms", "soon"); err == nil {
				return fmt.Errorf("a bad value was taken")
			}
			return nil
		},
		func() error {
			value, err := s.c.brokerConfig("log.segment.bytes")
			if err != nil {
				return err
			}
			return expect("log.segment.bytes", value, "1073741824")
		},
	)
}

func (s *suite) deleteRecords() error {
	if err := s.c.deleteRecords(s.topic, map[int32]int64{0: 100, 1: 7}); err != nil {
		return err
	}
	if err := within(limit, func() error {
		found, err := s.c.offsets(s.topic, -2)
		if err != nil {
			return err
		}
		return expectMap("earliest", found, map[int32]int64{0: 100, 1: 7, 2: 0})
	}); err != nil {
		return err
	}
	found, err := s.c.consume(s.topic, map[int32]int64{0: 100}, 1)
	if err != nil {
		return err
	}
	return expect("first record", found[0].offset, 100)
}

func (s *suite) delete() error {
	if err := s.c.deleteTopic(s.topic); err != nil {
		return err
	}
	return within(limit, func() error {
		if _, err := s.c.describeTopic(s.topic); err == nil {
			return fmt.Errorf("the topic is still there")
		}
		return nil
	})
}

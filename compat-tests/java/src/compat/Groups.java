package compat;

import static compat.Main.equal;
import static compat.Main.holds;
import static compat.Main.refused;
import static compat.Main.within;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;

/** Consumers in classic groups, and what the admin client does with groups. */
final class Groups {
    private final Admin admin;
    private final Messages messages;
    private int total = Messages.total();

    Groups(Admin admin, Messages messages) {
        this.admin = admin;
        this.messages = messages;
    }

    private String group(String name) {
        return messages.topic + "-" + name;
    }

    /** A consumer of a group in a thread of its own. */
    private final class Member implements ConsumerRebalanceListener, AutoCloseable {
        final Set<Integer> owned = ConcurrentHashMap.newKeySet();
        final Set<String> seen = ConcurrentHashMap.newKeySet();
        private final Map<String, Object> settings = new HashMap<>();
        private final Thread thread = new Thread(this::consume);
        private volatile boolean gone;
        private volatile Exception failure;

        Member(String group, String assignor, String instance) {
            settings.put("group.id", group);
            settings.put("heartbeat.interval.ms", "200");
            settings.put("session.timeout.ms", "10000");
            settings.put("enable.auto.commit", "true");
            settings.put("auto.commit.interval.ms", "200");
            settings.put("partition.assignment.strategy",
                assignor.equals("range") ? RangeAssignor.class.getName() : CooperativeStickyAssignor.class.getName());
            if (instance != null) {
                settings.put("group.instance.id", instance);
            }
            thread.start();
        }

        private void consume() {
            try (var consumer = messages.consumer(settings)) {
                consumer.subscribe(List.of(messages.topic), this);
                while (!gone) {
                    consumer.poll(Duration.ofMillis(100)).forEach(r -> seen.add(r.partition() + "-" + r.offset()));
                }
            } catch (RuntimeException e) {
                failure = e;
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.add(p.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.remove(p.partition()));
        }

        @Override
        public void close() {
            gone = true;
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            if (failure != null) {
                throw new AssertionError("a member ended with " + failure, failure);
            }
        }
    }

    private static void owners(List<Member> members) {
        var all = new ArrayList<Integer>();
        for (var m : members) {
            holds("a member owns nothing", !m.owned.isEmpty());
            all.addAll(m.owned);
        }
        equal("owned", all.stream().sorted().toList(), List.of(0, 1, 2));
    }

    private void seenAll(List<Member> members) throws Exception {
        within(() -> {
            var seen = new HashSet<String>();
            members.forEach(m -> seen.addAll(m.seen));
            equal("records seen", seen.size(), total);
        });
    }

    private void groupIs(String group, GroupState state, int members) throws Exception {
        within(() -> {
            var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            equal("group", described.groupState() + " " + described.members().size(), state + " " + members);
        });
    }

    void three(String name, String assignor) throws Exception {
        var members = new ArrayList<Member>();
        try {
            for (int i = 0; i < 3; i++) {
                members.add(new Member(group(name), assignor, null));
            }
            within(() -> owners(members));
            groupIs(group(name), GroupState.STABLE, 3);
            seenAll(members);
            members.get(0).close();
            within(() -> owners(members.subList(1, 3)));
            groupIs(group(name), GroupState.STABLE, 2);
            messages.send(messages.rows(total, total + 60), "lz4");
            total += 60;
            seenAll(members);
        } finally {
            members.forEach(Member::close);
        }
        groupIs(group(name), GroupState.EMPTY, 0);
    }

    /** A static member that restarts keeps its partitions without a rebalance, and leaves only when the admin says so. */
    void staticMembers() throws Exception {
        var group = group("static");
        var stays = new Member(group, "range", "stays");
        var restarts = new Member(group, "range", "restarts");
        try {
            within(() -> owners(List.of(stays, restarts)));
            // How the two came in may leave a rebalance to go; the group is described until it is over.
            groupIs(group, GroupState.STABLE, 2);
            var owned = Set.copyOf(restarts.owned);
            restarts.close();
            groupIs(group, GroupState.STABLE, 2);
            try (var again = new Member(group, "range", "restarts")) {
                within(() -> equal("owned after the restart", Set.copyOf(again.owned), owned));
                owners(List.of(stays, again));
            }
            admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("restarts")))).all().get();
            within(() -> owners(List.of(stays)));
        } finally {
            stays.close();
        }
    }

    void commitAndResume() throws Exception {
        var group = group("resume");
        var settings = Map.of("group.id", group, "max.poll.records", "100");
        List<Messages.Row> found;
        try (var consumer = messages.consumer(settings)) {
            consumer.subscribe(List.of(messages.topic));
            found = Messages.take(consumer, 400);
            consumer.commitSync();
        }
        var reached = new HashMap<Integer, Long>();
        found.forEach(r -> reached.put(r.partition(), r.offset() + 1));
        var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        reached.forEach((p, at) -> equal("committed of " + p, committed.get(new TopicPartition(messages.topic, p)).offset(), at));
        try (var consumer = messages.consumer(settings)) {
            consumer.subscribe(List.of(messages.topic));
            found.addAll(Messages.take(consumer, total - found.size()));
            var ends = new HashMap<TopicPartition, OffsetAndMetadata>();
            messages.partitions().forEach(p -> ends.put(p, new OffsetAndMetadata(consumer.position(p), "said " + p.partition())));
            consumer.commitSync(ends);
            equal("committed", consumer.committed(Set.copyOf(messages.partitions())), ends);
        }
        Messages.compare(found, messages.rows(0, total));
    }

    void administer() throws Exception {
        var group = group("resume");
        var first = messages.partitions().get(0);
        var listed = admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get();
        holds("the group is not listed", listed.stream().anyMatch(g -> g.groupId().equals(group)));
        admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(17, "moved"))).all().get();
        equal("moved", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first), new OffsetAndMetadata(17, "moved"));
        admin.deleteConsumerGroupOffsets(group, Set.of(first)).all().get();
        equal("deleted", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first), (OffsetAndMetadata) null);
        try (var member = new Member(group, "range", null)) {
            within(() -> owners(List.of(member)));
            refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        }
        groupIs(group, GroupState.EMPTY, 0);
        admin.deleteConsumerGroups(List.of(group)).all().get();
        refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        refused(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get());
    }
}

# The quorum of the metadata: each kind of node leads the other and follows it.

# The most times that a leader is stopped before each kind must have led.
moves_max=8

all_agree() {
  local id
  for id in $(running); do
    [ "$(status --bootstrap-server "127.0.0.1:${client_port[$id]}" | leader_of)" = "$leader" ]
  done
}
listing() { tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:${client_port[$1]}" --describe | sort; } # ID
all_list_alike() {
  local id first=
  for id in $(running); do
    listing "$id" >"$home/listing.$id" 2>>"$home/listing.err"
    [ -s "$home/listing.$id" ]
    first=${first:-$id}
    cmp -s "$home/listing.$first" "$home/listing.$id" || { diff "$home/listing.$first" "$home/listing.$id" | head -n 5 >&2 && return 1; }
  done
}
topics_through_each_node() {
  local id
  for id in $(running); do
    tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:${client_port[$id]}" --create --topic "$1-through-$id" --partitions 3 \
      --replication-factor 1 >&2
  done
  # A broker learns of a topic a moment after its controller.
  within 20 all_list_alike || all_list_alike
}
caught_up() {
  tool org.apache.kafka.tools.MetadataQuorumCommand --bootstrap-controller "$(controllers)" describe --replication >"$home/replication" 2>&1
  # Every node is a voter that follows or leads, and none is far behind.
  [ "$(grep -cE '(Leader|Follower)[[:space:]]*$' "$home/replication")" = 3 ] && awk 'NR > 1 && $4 > 5 { exit 1 }' "$home/replication"
}
# The log begins where a snapshot of the leader ends.
has_a_snapshot() { # ID
  ls "$home/$1/__cluster_metadata-0" >&2
  ls "$home/$1/__cluster_metadata-0" | grep -vE '^0{20}' | grep -q '\.log$'
}
agree() { within 60 all_agree || all_agree; }
catches_up() { within 60 caught_up || { cat "$home/replication" >&2 && return 1; }; }

# Under one leader: who leads is known everywhere, and topics are created through every node.
under() { # STEP
  echo "$(kind "$leader")" >>"$home/kinds"
  scenario mixed "$split-$1-led-by-$(kind "$leader")-all-agree" agree
  scenario mixed "$split-$1-led-by-$(kind "$leader")-topics" topics_through_each_node "$1"
}
both_kinds_led() { [ "$(sort -u "$home/kinds" | paste -sd '')" = gk ]; }

one_split() {
  local id move signal old
  starts_cluster "$split"
  within 60 new_leader 0 || { fail mixed "$split-elects" "$(cat "$home/status.err")" && return; }
  under 0
  for move in $(seq 1 $moves_max); do
    ! both_kinds_led || break
    old=$leader
    signal=TERM
    [ $((move % 2)) = 1 ] || signal=KILL
    end_node "$old" $signal
    within 60 new_leader "$old" || { fail mixed "$split-$move-elects" "no leader after $signal of $old" && return; }
    under "$move"
    # The first one comes back with a new disk.
    if [ "$move" = 1 ]; then
      rm -rf "${home:?}/$old"
      format_node "$old"
    fi
    launch "$old"
    scenario mixed "$split-$move-the-old-leader-starts" is_up "$old"
    scenario mixed "$split-$move-the-old-leader-catches-up" catches_up
    [ "$move" != 1 ] || scenario mixed "$split-$move-from-a-snapshot" has_a_snapshot "$old"
  done
  scenario mixed "$split-both-kinds-led" both_kinds_led
  scenario mixed "$split-no-node-fails" no_node_fails
  scenario mixed "$split-all-list-alike" all_list_alike
}

quorum_tool() { tool org.apache.kafka.tools.MetadataQuorumCommand --bootstrap-controller "$(controllers)" "$@" >&2; }
# The voters and the observers, each as ids in their order.
members() { # VOTERS OBSERVERS
  tool org.apache.kafka.tools.MetadataQuorumCommand --bootstrap-controller "$(controllers)" describe --replication >"$home/replication" 2>&1
  [ "$(awk '$NF ~ /Leader|Follower/ { print $1 }' "$home/replication" | sort | paste -sd '')" = "$1" ]
  [ "$(awk '$NF == "Observer" { print $1 }' "$home/replication" | sort | paste -sd '')" = "$2" ]
}
has_members() { within 60 members "$@" || { cat "$home/replication" >&2 && return 1; }; }
adds_voter() { quorum_tool --command-config "$home/$1.properties" add-controller; } # ID
removes_voter() { # ID
  quorum_tool remove-controller --controller-id "$1" --controller-directory-id "$(sed -n 's/^directory.id=//p' "$home/$1/meta.properties")"
}
grow() {
  local id
  prepare ggk
  format_node 1 --standalone
  for id in 2 3; do format_node "$id" --no-initial-controllers; done
  for id in 1 2 3; do launch "$id"; done
  for id in 1 2 3; do scenario mixed "grow-$id-starts" is_up "$id"; done
  scenario mixed grow-observers has_members 1 23
  scenario mixed grow-adds-gregor adds_voter 2
  scenario mixed grow-adds-kafka adds_voter 3
  scenario mixed grow-three-voters has_members 123 ""
  end_node 1 KILL
  within 60 new_leader 1 || { fail mixed grow-elects "no leader after the first" && return; }
  scenario mixed grow-removes-the-first removes_voter 1
  scenario mixed grow-two-voters has_members 23 ""
  scenario mixed grow-topics topics_through_each_node grown
  launch 1
  scenario mixed grow-the-first-returns is_up 1
  scenario mixed grow-as-an-observer has_members 23 1
  scenario mixed grow-no-node-fails no_node_fails
}

# Replicas of both kinds: each follows the other as its leader, under either controller. The first partition of each topic is led by the first node, and so on.

# A node that does not answer leaves the ISRs, and the load goes on with the others. Then it comes back.
lacks() { [ "$(counted under-replicated)" != 0 ]; }
is_missed() {
  kill -STOP "${process[$1]}"
  within 60 lacks || { kill -CONT "${process[$1]}" && echo "no ISR shrinks while node $1 is stopped" >&2 && return 1; }
  load_goes_on
} # ID
comes_back() {
  kill -CONT "${process[$1]}"
  all_in_sync
} # ID
restarts() { # ID SIGNAL
  end_node "$1" "$2"
  launch "$1"
  is_up "$1"
  all_in_sync
}
replicates() {
  local id signal=TERM
  state_replicas=3 state_min_isr=2 more_dirs=yes load=
  starts_cluster "$split"
  trap 'end_load; end_all' EXIT
  start_load "$(addresses)"
  within 60 test -e "$home/load/progress" || { fail mixed "$name-load" "$(tail -n 5 "$home/load/log")" && return; }
  scenario mixed "$name-load-begins" load_goes_on
  for id in 1 2 3; do
    end_node $id $signal
    scenario mixed "$name-load-goes-on-without-$id" load_goes_on
    launch $id
    scenario mixed "$name-$id-starts-after-$signal" is_up $id
    scenario mixed "$name-$id-is-in-sync" all_in_sync
    scenario mixed "$name-$id-leads-again" elects_preferred_leaders
    scenario mixed "$name-$id-is-missed" is_missed $id
    scenario mixed "$name-$id-comes-back" comes_back $id
    scenario mixed "$name-$id-leads-again" elects_preferred_leaders
    [ $signal = TERM ] && signal=KILL || signal=TERM
  done
  scenario mixed "$name-load-goes-on" load_goes_on
  scenario mixed "$name-load-has-no-problem" load_ends
  load=
  scenario mixed "$name-clients-log-what-they-do-at-a-restart" clients_log_no_more_than_at_a_restart
  scenario mixed "$name-replicas-are-alike" same_logs 'load-.*|__consumer_offsets|__transaction_state|__cluster_metadata'
  scenario mixed "$name-no-node-fails" no_node_fails
}

# A leader has records that nobody else has, and dies. A replica that is not in sync leads in its place, twice, and the first leader comes back: it removes what
# the new one does not have.
writes() { # TOPIC PREFIX ID
  printf "$2-%s\n" 1 2 3 4 5 | tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "127.0.0.1:${client_port[$3]}" --topic "$1" \
    --command-property acks=1 --command-property batch.size=0 >&2
}
# The second node always runs. The tool also asks the node that this one names, which may be paused: it gives up soon, and is tried again.
topic_tool() {
  printf 'request.timeout.ms=5000\ndefault.api.timeout.ms=15000\n' >"$home/patience.properties"
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:${client_port[2]}" --command-config "$home/patience.properties" "$@"
}
creates_unclean() { # TOPIC LEADER FOLLOWER
  topic_tool --create --topic "$1" --replica-assignment "$2:$3" --config unclean.leader.election.enable=true --config min.insync.replicas=1 >&2
  writes "$1" common "$2"
}
isr_is() { topic_tool --describe --topic "$1" 2>&1 | tee "$home/described" | grep -q "Leader: $2.*Isr: $3[^,0-9]"; } # TOPIC LEADER ISR
gets_isr() { within 60 isr_is "$@" || { cat "$home/described" >&2 && return 1; }; }
has_extra_records() { # TOPIC LEADER FOLLOWER
  kill -STOP "${process[$3]}"
  # The first of them may still be on their way to the follower.
  writes "$1" lost "$2"
  writes "$1" lost "$2"
  gets_isr "$1" "$2" "$2"
}
leads_uncleanly() { # TOPIC LEADER
  gets_isr "$1" "$2" "$2"
  writes "$1" kept "$2"
}
has_only() { # TOPIC ID
  local log
  log=$(ls -d "$home/$2"*/"$1-0")/00000000000000000000.log
  [ "$(grep -ao 'common-[0-9]' "$log" | sort -u | wc -l)" = 5 ] && [ "$(grep -ao 'kept-[0-9]' "$log" | wc -l)" = 10 ]
}
truncated_alike() { # TOPIC ID ID
  within 60 isr_is "$1" '[0-9]*' "\($2,$3\|$3,$2\)" || { cat "$home/described" >&2 && return 1; }
  same_logs "$1"
  has_only "$1" "$2"
  has_only "$1" "$3"
}
truncates() { # LEADER FOLLOWER
  local topic=truncated-$1-$2 step
  step=$name-$(kind "$1")-truncates-as-$(kind "$2")-says
  scenario mixed "$step-topic" creates_unclean "$topic" "$1" "$2"
  scenario mixed "$step-extra-records" has_extra_records "$topic" "$1" "$2"
  end_node "$1" KILL
  kill -CONT "${process[$2]}"
  scenario mixed "$step-unclean-leader" leads_uncleanly "$topic" "$2"
  end_node "$2" KILL
  launch "$2"
  scenario mixed "$step-unclean-leader-again" leads_uncleanly "$topic" "$2"
  launch "$1"
  scenario mixed "$step-starts" is_up "$1"
  scenario mixed "$step" truncated_alike "$topic" "$1" "$2"
}

# What a follower lacks is deleted while it is away: it begins again where the leader does.
creates() { topic_tool --create --topic "$1" --replica-assignment "$2:$3" --config min.insync.replicas=1 >&2; } # TOPIC LEADER FOLLOWER
deletes_records() { # TOPIC ID
  writes "$1" deleted "$2"
  # The records up to the high watermark are deleted, which the follower that is away may still hold back.
  within 60 isr_is "$1" "$2" "$2" || { cat "$home/described" >&2 && return 1; }
  echo "{\"partitions\":[{\"topic\":\"$1\",\"partition\":0,\"offset\":-1}],\"version\":1}" >"$home/deleted.json"
  tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "127.0.0.1:${client_port[$2]}" --offset-json-file "$home/deleted.json" >&2
  writes "$1" kept "$2"
}
starts_alike() { # TOPIC LEADER FOLLOWER
  within 60 isr_is "$1" '[0-9]*' "\($2,$3\|$3,$2\)" || { cat "$home/described" >&2 && return 1; }
  same_logs "$1"
  local log
  log=$(ls "$home/$3"*/"$1-0"/*.log)
  [ "${log##*/}" = 00000000000000000010.log ] && [ "$(grep -ao 'kept-[0-9]' "$log" | wc -l)" = 5 ] || { ls -l "$log" >&2 && return 1; }
}
starts_again() { # LEADER FOLLOWER
  local topic=deleted-$1-$2 step
  step=$name-$(kind "$2")-starts-again-as-$(kind "$1")-says
  scenario mixed "$step-topic" creates "$topic" "$1" "$2"
  scenario mixed "$step-common" writes "$topic" common "$1"
  end_node "$2" KILL
  scenario mixed "$step-deletes" deletes_records "$topic" "$1"
  launch "$2"
  scenario mixed "$step-starts" is_up "$2"
  scenario mixed "$step" starts_alike "$topic" "$1" "$2"
}
truncations() {
  more_dirs=
  starts_cluster "$split"
  # The first node is Gregor and the last one Apache Kafka.
  truncates 1 3
  truncates 3 1
  starts_again 1 3
  starts_again 3 1
  scenario mixed "$name-no-node-fails" no_node_fails
}

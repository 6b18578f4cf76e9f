# Random faults under the load of the rolling move: nodes are stopped, killed, paused, and become another kind, one or two at a time. $MIXED_SEED repeats a run, as far
# as processes can.
rounds=${MIXED_ROUNDS:-12}

pauses() { sleep "$((RANDOM % 5)).$((RANDOM % 10))"; }
other_kind() { case $1 in g) echo "$2" ;; *) echo g ;; esac } # KIND APACHE_KAFKA
# What happens to one node: it is down, or does not answer, until `mends`.
harms() { # ID
  case $((RANDOM % 4)) in
    0) end_node "$1" TERM ;;
    1) end_node "$1" KILL ;;
    2)
      # A kill in the middle of a start.
      end_node "$1" KILL
      launch "$1"
      sleep "0.$((RANDOM % 10))"
      end_node "$1" KILL
      ;;
    3) kill -STOP "${process[$1]}" && paused+=" $1" ;;
  esac
  if [ -z "${process[$1]}" ] && [ $((RANDOM % 3)) = 0 ]; then node_kind[$1]=$(other_kind "$(kind "$1")" "$kafka_kind"); fi
}
mends() { # ID
  if [ -z "${process[$1]}" ]; then launch "$1"; else kill -CONT "${process[$1]}"; fi
}
chaos() {
  local round first second kafka_kind=k paused
  RANDOM=${MIXED_SEED:=$RANDOM}
  case $split in *o*) kafka_kind=o ;; ggg) kafka_kind=g ;; esac
  state_replicas=3 state_min_isr=2 more_dirs=yes load=
  starts_cluster "$split"
  trap 'end_load; end_all' EXIT
  start_load "$(addresses)" may-repeat
  within 60 test -e "$home/load/progress" || { fail mixed "$name-load" "$(tail -n 5 "$home/load/log")" && return; }
  scenario mixed "$name-seed-$MIXED_SEED-load-begins" load_goes_on
  for round in $(seq 1 "$rounds"); do
    paused=
    first=$((1 + RANDOM % 3)) second=
    [ $((RANDOM % 3)) != 0 ] || second=$((1 + first % 3))
    harms $first
    [ -z "$second" ] || { pauses && harms $second; }
    pauses
    mends $first
    [ -z "$second" ] || { pauses && mends $second; }
    echo "round $round: $first ${second:--} paused:$paused kinds $(kind 1) $(kind 2) $(kind 3)" >&2
    # Some faults come before the last one is healed.
    [ $((RANDOM % 3)) = 0 ] || scenario mixed "$name-$round-in-sync" all_in_sync
    if [ $((RANDOM % 2)) = 0 ]; then elects_preferred_leaders || true; fi
    scenario mixed "$name-$round-no-problem" load_has_no_problem
  done
  scenario mixed "$name-in-sync" all_in_sync
  scenario mixed "$name-load-goes-on" load_goes_on
  scenario mixed "$name-load-has-no-problem" load_ends
  load=
  scenario mixed "$name-replicas-are-alike" same_logs 'load-.*|__consumer_offsets|__transaction_state|__cluster_metadata'
  scenario mixed "$name-no-node-fails" no_node_fails
}

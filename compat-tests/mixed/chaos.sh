# Random faults under the load of the rolling move, one or two at a time: nodes are stopped, killed,
# paused, and become another kind, and links between nodes are cut in both ways or in one. $MIXED_SEED
# repeats a run, as far as processes can.
seconds=${MIXED_SECONDS:-}
rounds=${MIXED_ROUNDS:-${seconds:+100000}}
rounds=${rounds:-12}

pauses() { sleep "$((RANDOM % 5)).$((RANDOM % 10))"; }
other_kind() { # KIND APACHE_KAFKA
  case $split,$1 in
    kkk,*) echo k ;;
    *,g) echo "$2" ;;
    *) echo g ;;
  esac
}
# What happens to one node: it is down, or does not answer, or cannot be reached, until `mends`.
harms() { # ID
  local faults=4 a=$((1 + $1 % 3)) b=$((1 + ($1 + 1) % 3))
  ! has_links || faults=10
  case $((RANDOM % faults)) in
    0) harm=stopped && end_node "$1" TERM ;;
    1) harm=killed && end_node "$1" KILL ;;
    2)
      harm="killed while it starts" && end_node "$1" KILL
      launch "$1"
      sleep "0.$((RANDOM % 10))"
      end_node "$1" KILL
      ;;
    3) harm=paused && kill -STOP "${process[$1]}" ;;
    4) harm=unplugged && unplugs "$1" ;;
    5) harm="cut off from the others" && loses "$1" "$1" $a && loses "$1" "$1" $b && loses "$1" $a "$1" && loses "$1" $b "$1" ;;
    6) harm="heard by no other" && loses "$1" "$1" $a && loses "$1" "$1" $b ;;
    7) harm="hears no other" && loses "$1" $a "$1" && loses "$1" $b "$1" ;;
    8) harm="cut off from $a" && loses "$1" "$1" $a && loses "$1" $a "$1" ;;
    9) harm="not heard by $a" && loses "$1" "$1" $a ;;
  esac
  faulty+=" $1 ($(kind "$1")) $harm;"
  if [ -z "${process[$1]}" ] && [ $((RANDOM % 3)) = 0 ]; then node_kind[$1]=$(other_kind "$(kind "$1")" "$kafka_kind"); fi
}
mends() { # ID
  if [ -z "${process[$1]}" ]; then launch "$1"; else kill -CONT "${process[$1]}"; fi
  ! has_links || heals "$1"
}
# One or two faults, which overlap.
harms_and_mends() {
  local first=$((1 + RANDOM % 3)) second=
  [ $((RANDOM % 3)) != 0 ] || second=$((1 + first % 3))
  faulty=
  harms $first
  [ -z "$second" ] || { pauses && harms $second; }
  pauses
  # Sometimes longer than any session.
  [ $((RANDOM % 4)) != 0 ] || sleep 8
  mends $first
  [ -z "$second" ] || { pauses && mends $second; }
  echo "round $round at $((SECONDS - began)) s:$faulty" >&2
}
goes_on_for() { [ "$round" -lt "$rounds" ] && { [ -z "$seconds" ] || [ $((SECONDS - began)) -lt "$seconds" ]; }; }
chaos() {
  local round=0 kafka_kind=k faulty harm began=$SECONDS with_links=${MIXED_NETWORK:-} repeats=may-repeat
  RANDOM=${MIXED_SEED:=$RANDOM}
  case $split in *o*) kafka_kind=o ;; ggg) kafka_kind=g repeats= ;; esac
  state_replicas=3 state_min_isr=2 more_dirs=yes load=
  starts_cluster "$split"
  trap 'end_load; end_all' EXIT
  ! has_links || scenario mixed "$name-links-can-be-cut" links_can_be_cut
  start_load "$(addresses)" $repeats
  within 60 test -e "$home/load/progress" || { fail mixed "$name-load" "$(tail -n 5 "$home/load/log")" && return; }
  scenario mixed "$name-seed-$MIXED_SEED-load-begins" load_goes_on
  while goes_on_for; do
    round=$((round + 1))
    harms_and_mends
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

# The rolling move: the three nodes of a cluster become another kind one after the other, each on its own folder, and go back the same way, under a load whose
# every record is checked (compat.MixedLoad).

start_load() { # ADDRESSES [may-repeat]
  mkdir -p "$home/load"
  "${java[@]}" -Dlog4j2.configurationFile="$dir/log4j2.properties" compat.MixedLoad "$1" "$home/load" load ${2:-} >"$home/load/log" 2>&1 </dev/null &
  load=$!
}
counted() { sed -n "s/^$1 //p" "$home/load/progress" 2>/dev/null || true; } # NAME
# Every part of the load has done something since.
goes_on() {
  local part
  for part in plain idempotent lz4 zstd large transactions slow copier-a copier-b reader-a reader-b; do
    awk -v part=$part '$1 == part { print $2 }' "$home/load/progress.before" "$home/load/progress" | paste -sd' ' \
      | awk -v part=$part '!($2 > $1) { print part, "stays at", $1; exit 1 }' >&2
  done
}
load_goes_on() {
  # It is replaced meanwhile, which cp does not like.
  cat "$home/load/progress" > "$home/load/progress.before"
  within 90 goes_on 2>/dev/null || goes_on
}
has_looked() { [ "$(counted looks)" -ge "$1" ] && [ "$(counted under-replicated)" = 0 ]; } # LOOKS
all_in_sync() {
  local looks
  looks=$(counted looks)
  within 120 has_looked $((looks + 2)) || { echo "$(counted under-replicated) partitions lack a replica" >&2 && return 1; }
}
has_elected() { [ ! -e "$home/load/elect" ]; }
elects_preferred_leaders() {
  touch "$home/load/elect"
  within 60 has_elected
}
load_has_no_problem() { ! grep '^problem' "$home/load/progress" >&2; }
load_ends() {
  touch "$home/load/stop"
  within 300 test -e "$home/load/verdict" || { tail -n 3 "$home/load/log" >&2 && return 1; }
  cat "$home/load/verdict" >&2
  [ "$(cat "$home/load/verdict")" = "no problem" ]
}
# What clients log when a cluster of nothing but Apache Kafka is restarted (roll-baseline).
restart_errors='NOT_LEADER_OR_FOLLOWER|NOT_ENOUGH_REPLICAS|NOT_ENOUGH_REPLICAS_AFTER_APPEND|OUT_OF_ORDER_SEQUENCE_NUMBER|CONCURRENT_TRANSACTIONS'
restart_errors+='|NETWORK_EXCEPTION|REQUEST_TIMED_OUT|NOT_COORDINATOR|COORDINATOR_LOAD_IN_PROGRESS|COORDINATOR_NOT_AVAILABLE'
clients_log_no_more_than_at_a_restart() {
  grep -oE 'Error: [A-Z_]+' "$home/load/log" | sort -u >"$home/load/errors" || true
  ! grep -vxE "Error: ($restart_errors)" "$home/load/errors" >&2
}
end_load() { [ -z "${load:-}" ] || kill -KILL "$load" 2>/dev/null || true; }
compares() { "$compat/mixed/compare-logs" "$1" "$(log_dirs 1)" "$(log_dirs 2)" "$(log_dirs 3)" 2>"$home/differences"; } # TOPICS
# The last records of coordinators may be under way.
same_logs() { within 20 compares "$1" || { cat "$home/differences" >&2 && return 1; }; }

# One node is replaced.
becomes() { # ID KIND SIGNAL
  local step=$name-$1-becomes-$2
  end_node "$1" "$3"
  node_kind[$1]=$2
  launch "$1"
  scenario mixed "$step-starts" is_up "$1"
  scenario mixed "$step-in-sync" all_in_sync
  scenario mixed "$step-elects-leaders" elects_preferred_leaders
  scenario mixed "$step-load-goes-on" load_goes_on
  scenario mixed "$step-no-problem" load_has_no_problem
}
rolls() { # FROM TO SIGNAL
  local id
  state_replicas=3 state_min_isr=2 more_dirs=yes load=
  starts_cluster "$1$1$1"
  trap 'end_load; end_all' EXIT
  start_load "$(addresses)"
  within 60 test -e "$home/load/progress" || { fail mixed "$name-load" "$(tail -n 5 "$home/load/log")" && return; }
  scenario mixed "$name-load-begins" load_goes_on
  for id in 1 2 3; do becomes $id "$2" "$3"; done
  for id in 1 2 3; do becomes $id "$1" "$3"; done
  scenario mixed "$name-in-sync" all_in_sync
  scenario mixed "$name-load-has-no-problem" load_ends
  load=
  scenario mixed "$name-clients-log-what-they-do-at-a-restart" clients_log_no_more_than_at_a_restart
  scenario mixed "$name-replicas-are-alike" same_logs 'load-.*|__consumer_offsets|__transaction_state|__cluster_metadata'
  scenario mixed "$name-no-node-fails" no_node_fails
}

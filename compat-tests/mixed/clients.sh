# Clients of many kinds write and read while each node in turn, which leads a third of their
# partitions, is killed, stopped and paused. Each client checks that everything it wrote is there
# once and in order, and that a member of a group read it (go/failover.go, python/failover.py,
# compat.Failover). kcat is librdkafka as Debian packages it; it writes and reads one partition.
clients="java franz-go sarama confluent-kafka kafka-python aiokafka kcat"

starts_client() { # CLIENT COMMAND...
  local client=$1
  shift
  "$@" >"$home/client-$client" 2>"$home/client-$client.err" </dev/null &
  client_process[$client]=$!
}
starts_clients() {
  local client seeds=$1 topics=()
  for client in $clients; do topics+=("of-$client"); done
  starts_client java "${java[@]}" -Dlog4j2.configurationFile="$compat/java/log4j2.properties" compat.Failover "$seeds" "$home/stop" "${topics[@]}"
  within 60 grep -q 'the topics are there' "$home/client-java" || return 1
  for client in franz-go sarama; do
    starts_client $client "$cache/go-clients" failover $client "$seeds" "of-$client" "$home/stop"
  done
  for client in confluent-kafka kafka-python aiokafka; do
    starts_client $client "$cache/venv/bin/python" -B "$compat/python/failover.py" $client "$seeds" "of-$client" "$home/stop"
  done
  starts_client kcat kcat -b "$seeds" -C -t of-kcat -p 0 -o beginning -u -q
  numbers | kcat -b "$seeds" -P -t of-kcat -p 0 -X enable.idempotence=true -X acks=all -X linger.ms=5 >"$home/kcat-writer" 2>&1 &
  client_process[kcat-writer]=$!
}
numbers() {
  local number
  for ((number = 0; ; number++)); do
    [ ! -e "$home/stop" ] || return 0
    echo $number
    sleep 0.01
  done | tee "$home/kcat-numbers"
}
advanced() { # CLIENT
  case $1 in
    kcat) wc -l <"$home/client-kcat" ;;
    *) sed -n 's/^acknowledged //p' "$home/client-$1" | tail -n 1 ;;
  esac
}
all_advance() {
  for behind in $clients; do [ "$(advanced "$behind")" -gt "${before[$behind]:-0}" ] 2>/dev/null || return 1; done
}
clients_go_on() {
  local -A before
  local client behind
  for client in $clients; do before[$client]=$(advanced "$client"); done
  within 60 all_advance && return
  echo "$behind stays at ${before[$behind]:-nothing}: $(tail -n 2 "$home/client-$behind" "$home/client-$behind.err")" >&2
  return 1
}
# Every partition has as many replicas in sync as it has replicas.
are_in_sync() {
  kcat -b "$(addresses)" -L >"$home/listing" 2>&1
  grep -q 'topic "of-kcat"' "$home/listing" && awk '/ partition [0-9]/ { sub(",$", "", $6)
    if (split($6, replicas, ",") != split($8, isrs, ",")) exit 1 }' "$home/listing"
}
client_ends() { # CLIENT
  local status=0
  wait "${client_process[$1]}" 2>/dev/null || status=$?
  unset "client_process[$1]"
  echo "$status $(tail -n 1 "$home/client-$1") $(tail -n 3 "$home/client-$1.err")" >"$home/ended-$1"
}
is_well() { # CLIENT
  cat "$home/ended-$1" >&2
  grep -q '^0 all is well' "$home/ended-$1"
}
kcat_has_all() {
  kcat -b "$(addresses)" -C -t of-kcat -p 0 -o beginning -e -q >"$home/kcat-found" 2>/dev/null
  cmp "$home/kcat-numbers" "$home/kcat-found" >&2
  cmp <(head -n "$(wc -l <"$home/client-kcat")" "$home/kcat-numbers") "$home/client-kcat" >&2
}
end_clients() {
  touch "$home/stop"
  [ ${#client_process[@]} != 0 ] || return 0
  kill -KILL "${client_process[@]}" 2>/dev/null || true
  wait "${client_process[@]}" 2>/dev/null || true
}
through_failures() {
  local id client
  declare -gA client_process=()
  state_replicas=3 state_min_isr=2 more_dirs=
  starts_cluster "$split"
  trap 'end_clients; end_all' EXIT
  starts_clients "$(addresses)" || { fail mixed "$name-clients" "$(tail -n 5 "$home"/client-java*)" && return; }
  scenario mixed "$name-clients-begin" clients_go_on
  for id in 1 2 3; do
    case $id in
      1) end_node 1 KILL ;;
      2) end_node 2 TERM ;;
      3) kill -STOP "${process[3]}" ;;
    esac
    scenario mixed "$name-clients-go-on-without-$id" clients_go_on
    if [ -z "${process[$id]}" ]; then launch $id; else kill -CONT "${process[$id]}"; fi
    scenario mixed "$name-$id-is-back" within 60 are_in_sync
    scenario mixed "$name-clients-go-on-with-$id" clients_go_on
  done
  touch "$home/stop"
  wait "${client_process[kcat-writer]}" || true
  for client in ${clients/ kcat/}; do
    client_ends "$client"
    scenario "$client" "$name" is_well "$client"
  done
  scenario kcat "$name" kcat_has_all
  end_clients
  scenario mixed "$name-no-node-fails" no_node_fails
}

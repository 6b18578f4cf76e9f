# Shared by the suites of mixed clusters: three nodes, each of which is broker and controller, and each of which may be of another kind.
#
# Sourced after brokers.sh. A kind is a letter: g for Gregor, k for Apache Kafka 4.3.1, o for the older Apache Kafka 3.9.1. `prepare KINDS` chooses the kinds
# of a cluster that lives in $home; `node_kind` has them, and a node's kind may change while the node is down.
cluster=AAAAAAAAAAAAAAAAAAAAAQ
older_release=3.9.1

quorum() {
  if [ "$name" = grow ]; then
    echo "controller.quorum.bootstrap.servers=$(host 1):${controller_port[1]},$(host 2):${controller_port[2]},$(host 3):${controller_port[3]}"
  else
    echo "controller.quorum.voters=1@$(host 1):${controller_port[1]},2@$(host 2):${controller_port[2]},3@$(host 3):${controller_port[3]}"
  fi
}
node_properties() { # ID
  cat <<P
process.roles=broker,controller
node.id=$1
$(quorum)
listeners=PLAINTEXT://$(host "$1"):${client_port[$1]},CONTROLLER://$(host "$1"):${controller_port[$1]}
advertised.listeners=PLAINTEXT://$(host "$1"):${client_port[$1]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$(log_dirs "$1")
metadata.log.dir=$home/$1
offsets.topic.replication.factor=${state_replicas:-1}
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=${state_replicas:-1}
transaction.state.log.num.partitions=3
transaction.state.log.min.isr=${state_min_isr:-1}
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
auto.leader.rebalance.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
# Snapshots of the metadata all the time: a node with an empty folder gets one from its leader.
metadata.log.max.record.bytes.between.snapshots=2000
P
}
log_dirs() { echo "$home/$1${more_dirs:+,$home/$1-more}"; } # ID
# A node has an address of its own where links can be cut (links.sh).
host() { echo "${address[$1]:-127.0.0.1}"; } # ID
kind() { echo "${node_kind[$1]}"; }                          # ID
format_node() { # ID OPTIONS...
  local id=$1
  shift
  # What all can read.
  if [ "$(kind "$id")" != o ]; then case " ${node_kind[*]} " in *" o "*) set -- --release-version 3.9 "$@" ;; esac fi
  case $(kind "$id") in
    g) "$GREGOR_BIN" format -t $cluster -c "$home/$id.properties" "$@" >"$home/format.log" 2>&1 ;;
    k) tool kafka.tools.StorageTool format -t $cluster -c "$home/$id.properties" "$@" >"$home/format.log" 2>&1 ;;
    o) timeout 240 java "${java_options[@]}" -Xmx256m -cp "$cache/kafka-$older_release/*" kafka.tools.StorageTool format -t $cluster \
      -c "$home/$id.properties" "$@" >"$home/format.log" 2>&1 ;;
  esac
}
launch() { # ID
  local properties=$home/$1.properties log=$home/$1.log jars_of_kind=$cache/jars
  [ "$(kind "$1")" != o ] || jars_of_kind=$cache/kafka-$older_release
  echo "a node of kind $(kind "$1") starts" >>"$log"
  enters "$1"
  case $(kind "$1") in
    g) "${into[@]}" "$GREGOR_BIN" start "$properties" >>"$log" 2>&1 </dev/null & ;;
    *) "${into[@]}" java "${java_options[@]}" -Xmx256m -cp "$jars_of_kind/*" -Dlog4j2.configurationFile="$dir/log4j2.properties" kafka.Kafka "$properties" \
      >>"$log" 2>&1 </dev/null & ;;
  esac
  process[$1]=$!
}
is_up() { within 120 node_accepts "$1" || { echo "node $1 does not accept connections: $(tail -n 5 "$home/$1.log")" >&2 && return 1; }; } # ID
node_accepts() { (exec 3<>"/dev/tcp/$(host "$1")/${client_port[$1]}") 2>/dev/null; } # ID
end_node() { # ID SIGNAL
  kill -s "$2" "${process[$1]}" 2>/dev/null || true
  wait "${process[$1]}" 2>/dev/null || true
  process[$1]=
}
end_all() {
  local id
  for id in 1 2 3; do
    [ -z "${process[$id]:-}" ] || kill -KILL "${process[$id]}" 2>/dev/null || true
  done
}
running() { for id in 1 2 3; do [ -z "${process[$id]:-}" ] || echo "$id"; done; }
addresses() { for id in $(running); do echo "$(host "$id"):${client_port[$id]}"; done | paste -sd,; }
controllers() { for id in $(running); do echo "$(host "$id"):${controller_port[$id]}"; done | paste -sd,; }

status() { tool org.apache.kafka.tools.MetadataQuorumCommand "$@" describe --status 2>>"$home/status.err"; } # --bootstrap-... ADDRESSES
leader_of() { sed -n 's/^LeaderId: *//p'; }
# A leader that is not the one before.
new_leader() { # BEFORE
  local found
  found=$(status --bootstrap-controller "$(controllers)" | leader_of)
  [ -n "$found" ] && [ "$found" != "$1" ] && leader=$found
}
no_node_fails() { ! grep -hE '^FATAL | FATAL |panicked|this is a bug' "$home"/[123].log >&2; }

# A free port that no other node of any part gets.
claimed_port() {
  local port
  until port=$(free_port) && mkdir "$dir/port-$port" 2>/dev/null; do :; done
  echo "$port"
}
prepare() { # KINDS
  local id
  home=$dir/$name leader=
  declare -gA client_port controller_port process node_kind address holder
  mkdir -p "$home"
  trap end_all EXIT
  [ -z "${with_links:-}" ] || makes_links
  for id in 1 2 3; do
    client_port[$id]=$(claimed_port)
    controller_port[$id]=$(claimed_port)
    node_kind[$id]=${1:$((id - 1)):1}
  done
  for id in 1 2 3; do node_properties "$id" >"$home/$id.properties"; done
}
starts_cluster() { # KINDS
  local id
  prepare "$1"
  for id in 1 2 3; do format_node "$id"; done
  for id in 1 2 3; do launch "$id"; done
  for id in 1 2 3; do scenario mixed "$name-$id-starts" is_up "$id"; done
}

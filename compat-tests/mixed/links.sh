# Links that can be cut: each node lives in a network namespace of its own, and all its namespaces
# hang on a bridge in the namespace of the suite, where the clients are.
#
# Only `ip` of iproute2 and `unshare` and `nsenter` of util-linux are needed, and the right to make
# namespaces: root has it, and on many machines every user. `mixed/run` starts itself again in a
# namespace of its own. Nothing of the machine's network changes, and all of it goes away with the
# processes.

# How to begin a new namespace, if that is possible. Some kernels refuse some of its parts.
new_network() {
  local way
  for way in "unshare -n" "unshare -rn"; do
    $way bash -c 'ip link set lo up && ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2 && unshare -n true' 2>/dev/null \
      && echo "$way" && return
  done
}

# Gives each node of a part its namespace, and an address in a subnet of the part.
makes_links() {
  local id subnet=1
  until mkdir "$dir/subnet-$subnet" 2>/dev/null; do subnet=$((subnet + 1)); done
  declare -gA holder=() address=() cut=() plug=()
  ip link add "hub$subnet" type bridge
  ip address add "10.77.$subnet.254/24" dev "hub$subnet"
  ip link set "hub$subnet" up
  for id in 1 2 3; do
    # The namespace lives as long as this process, which ends with the part.
    unshare -n tail --pid="$BASHPID" -f /dev/null >/dev/null 2>&1 </dev/null &
    holder[$id]=$!
    within 10 is_apart "${holder[$id]}" || { echo "there is no namespace for node $id" >&2 && return 1; }
    address[$id]=10.77.$subnet.$id
    plug[$id]=plug$subnet-$id
    ip link add "${plug[$id]}" type veth peer name eth0 netns "${holder[$id]}"
    ip link set "${plug[$id]}" master "hub$subnet" up
    of_node "$id" ip link set lo up
    of_node "$id" ip address add "${address[$id]}/24" dev eth0
    of_node "$id" ip link set eth0 up
  done
}
is_apart() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; } # PROCESS
# Sets what comes before a command that runs where a node is. The process becomes the command.
enters() { into=() && [ -z "${holder[$1]:-}" ] || into=(nsenter --net="/proc/${holder[$1]}/ns/net" --); } # ID
of_node() { # ID COMMAND...
  enters "$1"
  shift
  "${into[@]}" "$@"
}
has_links() { [ -n "${holder[1]:-}" ]; }

# What one node sends to another goes to a hardware address that nobody has. Nobody is told. What
# comes the other way arrives. It is one of the cuts of node ID.
loses() { # ID FROM TO
  of_node "$2" ip neigh replace "${address[$3]}" lladdr 02:00:00:00:00:00 dev eth0 nud permanent
  cut[$1]+=" $2>$3"
}
# Nothing reaches a node, neither from nodes nor from clients, and nothing leaves it.
unplugs() { ip link set "${plug[$1]}" down; } # ID
# The cuts of a node are whole again.
heals() { # ID
  local link
  ip link set "${plug[$1]}" up
  for link in ${cut[$1]:-}; do
    # Another node's cut may have ended with it.
    of_node "${link%>*}" ip neigh del "${address[${link#*>}]}" dev eth0 2>/dev/null || true
  done
  cut[$1]=
}

# The cuts do what they say.
reaches() { of_node "$1" timeout 2 bash -c "exec 3<>/dev/tcp/${address[$2]}/${client_port[$2]}" 2>/dev/null; } # FROM TO
reaches_again() { within 20 reaches "$@" || { echo "node $1 does not reach node $2" >&2 && return 1; }; }
reaches_not() { if reaches "$@"; then echo "node $1 reaches node $2" >&2 && return 1; fi }
links_can_be_cut() {
  reaches_again 1 2
  loses 1 1 2
  reaches_not 1 2
  reaches_again 1 3
  heals 1
  reaches_again 1 2
  unplugs 3
  reaches_not 1 3
  reaches_not 3 2
  heals 3
  reaches_again 1 3
  reaches_again 3 2
}

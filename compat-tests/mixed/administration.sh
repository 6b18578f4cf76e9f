# Everything that can be administered, through a broker of one kind under a controller of the other: what the broker forwards in Envelopes the controller decides,
# and all nodes list the same.

fills() { tool compat.SwapFill "127.0.0.1:${client_port[$1]}" fill >&2; } # ID
lists_alike() {
  local id
  for id in 1 2 3; do
    tool compat.SwapListing "127.0.0.1:${client_port[$id]}" >"$home/listing.$id" 2>"$home/listing.err"
    [ -s "$home/listing.$id" ]
    cmp -s "$home/listing.1" "$home/listing.$id" || { diff "$home/listing.1" "$home/listing.$id" | head -n 6 >"$home/differences" && return 1; }
  done
}
gets_listed_alike() { within 60 lists_alike || { cat "$home/differences" "$home/listing.err" >&2 && return 1; }; }
administration() {
  local id
  starts_cluster "$split"
  within 60 new_leader 0 || { fail mixed "$name-elects" "$(cat "$home/status.err")" && return; }
  for id in 1 3; do
    [ "$(kind $id)" != "$(kind "$leader")" ] || continue
    scenario mixed "$name-through-$(kind $id)-led-by-$(kind "$leader")" fills $id
  done
  scenario mixed "$name-all-list-alike" gets_listed_alike
  scenario mixed "$name-no-node-fails" no_node_fails
}

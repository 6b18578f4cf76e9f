# Shared by the suites that start their own brokers: Apache Kafka 4.3.1 and Gregor, alternately, on
# one folder.
#
# Sourced after lib.sh. One broker runs at a time, as a child of the suite's shell. `$bootstrap` is
# the address on which it listens.
dir=$(mktemp -d)
broker=
signalled() { # SIGNAL
  [ -z "$broker" ] || kill -s "$1" "$broker" 2>/dev/null || true
  # Hides the shell's own message about a killed child.
  [ -z "$broker" ] || wait "$broker" 2>/dev/null || true
  broker=
}
stop() { signalled TERM; }
trap 'stop; rm -rf "$dir"' EXIT

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port && return; }
  done
}
new_port() {
  port=$(free_port)
  bootstrap=127.0.0.1:$port
}
new_port
accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
ended() { ! kill -0 "$broker" 2>/dev/null; }
accepts_or_ended() { accepts || ended; }

java_options=(-Xlog:disable -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
java=(java "${java_options[@]}" -Xmx384m -cp "$cache/classes:$cache/jars/*")
# The limit ends what hangs. A busy machine may take its time.
tool() { timeout 240 "${java[@]}" -Dlog4j2.configurationFile="$compat/java/log4j2.properties" "$@"; } # CLASS ARGUMENTS...
started() { # LOG
  within 180 accepts_or_ended || true
  accepts && return
  echo "it does not accept connections: $(tail -n 5 "$1")" >&2
  return 1
}
# Makes Apache Kafka log only warnings and errors.
logs_warnings() {
  cat >"$dir/log4j2.properties" <<P
status = error
rootLogger.level = warn
rootLogger.appenderRefs = console
rootLogger.appenderRef.console.ref = CONSOLE
appender.console.type = Console
appender.console.name = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %m (%c)%n
P
}
run_kafka() { # PROPERTIES LOG
  logs_warnings
  "${java[@]}" -Dlog4j2.configurationFile="$dir/log4j2.properties" kafka.Kafka "$1" >"$2" 2>&1 </dev/null &
  broker=$!
  started "$2"
}
run_gregor() { # LOG ARGUMENTS...
  local log=$1
  shift
  "$GREGOR_BIN" start "$@" >>"$log" 2>&1 </dev/null &
  broker=$!
  started "$log"
}
# Checks that the broker logs no warning. Apache Kafka logs two warnings at the start and the end of
# every run, also in its own folder.
silent() { # LOG [ALLOWED]
  ! grep -E '^(WARN|ERROR|FATAL) | (WARN|ERROR) ' "$1" \
    | grep -vE "Performing controller activation|Attempting to close NetworkClient that has already been closed${2:+|$2}" >&2
}

# Shared by the scripts of all suites: the lines that `run` counts, the cache, and waiting for a
# condition.
#
# A suite prints one line for each scenario on standard output, and everything else on standard
# error:
#   PASS <client> <scenario>
#   FAIL <client> <scenario>: <why>
#   SKIP <client> <scenario>: <why>
# It exits with 0 exactly if no line begins with FAIL.
set -euo pipefail

compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${COMPAT_CACHE:-$compat/.cache}
mkdir -p "$cache"
failures=0
# The release of Apache Kafka whose clients and tools `java` and `java-tools` run.
kafka_release=${KAFKA_RELEASE:-4.3.1}
jars=$cache/jars classes=$cache/classes
if [ "$kafka_release" != 4.3.1 ]; then jars=$jars-$kafka_release classes=$classes-$kafka_release; fi

pass() { echo "PASS $1 $2"; }
skip() { echo "SKIP $1 $2: $3"; }
fail() { # CLIENT SCENARIO WHY
  failures=$((failures + 1))
  echo "FAIL $1 $2: $(printf %s "$3" | tr '\n' ' ' | cut -c1-400)"
}

# Ends the suite with one FAIL line when a toolchain is missing.
need() { # CLIENT TOOL...
  local client=$1 tool
  shift
  for tool; do
    command -v "$tool" >/dev/null && continue
    fail "$client" toolchain "'$tool' is not installed"
    exit 1
  done
}

# Runs a set-up command unless it succeeded before with the same files. Two suites may share one
# command. Ends the suite if the command fails.
once() { # NAME FILES... -- COMMAND...
  local name=$1 files=() want
  shift
  while [ "$1" != -- ]; do files+=("$1") && shift; done
  shift
  want=$(cat "${files[@]}" | cksum)
  (
    flock 9
    [ "$(cat "$cache/$name.done" 2>/dev/null)" = "$want" ] && exit 0
    # This is not a condition of `if`, because bash would ignore errexit inside a condition.
    (set -e && "$@") >"$cache/$name.log" 2>&1 9>&-
    echo "$want" >"$cache/$name.done"
  ) 9>"$cache/$name.lock" &
  # Runs as a separate job, so that errexit holds inside it and its exit status can be checked.
  wait $! && return
  cat "$cache/$name.log" >&2
  fail "$name" set-up "$(tail -n 3 "$cache/$name.log")"
  exit 1
}

# Polls until the command succeeds. Fails after SECONDS.
within() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# Runs one scenario: a shell function in which every command must succeed. The function prints on
# standard error why it failed.
scenario() { # CLIENT SCENARIO FUNCTION...
  local client=$1 name=$2 why status
  shift 2
  why=$(mktemp)
  # This is not a condition of `if`, because bash would ignore errexit inside a condition.
  set +e
  (
    set -eE
    trap 'echo "failed: $BASH_COMMAND" >&2' ERR
    "$@"
  ) 2>"$why" >/dev/null
  status=$?
  set -e
  if [ $status = 0 ]; then pass "$client" "$name"; else fail "$client" "$name" "$(tail -n 12 "$why")"; fi
  rm -f "$why"
}

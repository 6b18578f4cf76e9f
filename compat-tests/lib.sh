# What every suite's scripts share: the lines that `run` counts, the cache, and waiting for a condition.
#
# A suite prints one line per scenario on standard output, and whatever else it has to say on standard error:
#   PASS <client> <scenario>
#   FAIL <client> <scenario>: <why>
#   SKIP <client> <scenario>: <why>
# It exits with 0 exactly when no line begins with FAIL.
set -euo pipefail

compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${COMPAT_CACHE:-$compat/.cache}
mkdir -p "$cache"
failures=0

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

# Runs a set-up command unless it succeeded before with the same files; two suites may share one. Ends the suite when it fails.
once() { # NAME FILES... -- COMMAND...
  local name=$1 files=() want
  shift
  while [ "$1" != -- ]; do files+=("$1") && shift; done
  shift
  want=$(cat "${files[@]}" | cksum)
  (
    flock 9
    [ "$(cat "$cache/$name.done" 2>/dev/null)" = "$want" ] && exit 0
    # Not as a condition: bash would ignore errexit in all of it.
    (set -e && "$@") >"$cache/$name.log" 2>&1 9>&-
    echo "$want" >"$cache/$name.done"
  ) 9>"$cache/$name.lock" &
  # Waited for as a job of its own, so that errexit holds in it and its end can still be looked at.
  wait $! && return
  cat "$cache/$name.log" >&2
  fail "$name" set-up "$(tail -n 3 "$cache/$name.log")"
  exit 1
}

# Polls until the command succeeds, or fails after so many seconds.
within() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# Runs one scenario: a shell function, in which every command must succeed, and which says on standard error why it failed.
scenario() { # CLIENT SCENARIO FUNCTION...
  local client=$1 name=$2 why status
  shift 2
  why=$(mktemp)
  # Not as a condition: bash would ignore errexit in all of it.
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

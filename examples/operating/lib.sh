# shellcheck shell=bash
# Two replicas and their balancer, as docker-compose.yml has them, without a container engine. To be sourced after
# scripts/lib.sh.
#
# The rule: every process that is started is in PIDS, and `end_all` ends it, however the test ends.

readonly WAIT_SECONDS=60
# By name: replica-1, replica-2, balancer, load, …
declare -A PIDS=()

# Prints N ports that are free now, below the range from which the kernel serves `bind(0)`.
free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.randrange(20000, 30000)))
    except OSError:
        continue
    held.append(candidate)
print(*(socket.getsockname()[1] for socket in held))
PYTHON
}

# await WHAT COMMAND…: until the command succeeds.
await() {
    local what="$1" deadline=$((SECONDS + WAIT_SECONDS))
    shift
    until "$@" 2>/dev/null; do
        ((SECONDS < deadline)) || die "waited $WAIT_SECONDS s in vain: $what; logs in $WORK"
        sleep 0.05
    done
}

# http_get PORT PATH: the whole answer.
http_get() (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
    cat <&3
)

# answers PORT PATH TEXT: whether the answer has the text in it.
answers() {
    local answer
    answer="$(http_get "$1" "$2")" && [[ "$answer" == *"$3"* ]]
}

# launch NAME COMMAND…
launch() {
    local name="$1"
    shift
    "$@" >>"$WORK/$name.log" 2>&1 </dev/null &
    PIDS[$name]=$!
}

# finish NAME SIGNAL: sends the signal, waits for the end, and gives its exit code.
finish() {
    local pid="${PIDS[$1]:-}"
    [ -n "$pid" ] || return 0
    unset "PIDS[$1]"
    kill -s "$2" "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null
}

end_all() {
    local name
    for name in "${!PIDS[@]}"; do
        finish "$name" KILL || true
    done
}

# start_replica NUMBER: with the addresses it had before, and until it is ready.
start_replica() {
    local api="API_PORT_$1" admin="ADMIN_PORT_$1"
    launch "replica-$1" env LEAD_INTAKE_DATABASE_URL="$LEAD_INTAKE_TEST_POSTGRES_URL" \
        "$LEAD_INTAKE" serve --data-dir "$WORK/data-$1" \
        --listen "127.0.0.1:${!api}" --admin-listen "127.0.0.1:${!admin}"
    await "replica $1 is ready" answers "${!admin}" /readyz ' 200 '
}

start_balancer() {
    launch balancer env "BALANCER_LISTEN=127.0.0.1:$BALANCER_PORT" "BALANCER_ADMIN_LISTEN=127.0.0.1:$BALANCER_ADMIN_PORT" \
        "REPLICA_1=127.0.0.1:$API_PORT_1" "REPLICA_1_ADMIN_PORT=$ADMIN_PORT_1" \
        "REPLICA_2=127.0.0.1:$API_PORT_2" "REPLICA_2_ADMIN_PORT=$ADMIN_PORT_2" \
        haproxy -W -db -f compose/haproxy.cfg
    await 'the balancer is ready' answers "$BALANCER_ADMIN_PORT" /readyz ' 200 '
}

# balancer_sees NUMBER STATE: whether the balancer takes the replica to be UP or DOWN.
balancer_sees() {
    answers "$BALANCER_ADMIN_PORT" /metrics "haproxy_server_status{proxy=\"replicas\",server=\"replica-$1\",state=\"$2\"} 1"
}

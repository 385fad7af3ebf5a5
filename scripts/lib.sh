# shellcheck shell=bash
# What the scripts share. To be sourced, under `set -euo pipefail`.
#
# The rule: a script that starts something ends it, however the script itself ends, and changes
# nothing on the machine but missing Debian packages.

# The oldest PostgreSQL that the service supports.
readonly POSTGRES_MAJOR_MIN=14
# Ports tried for the test server, below the range from which the kernel serves `bind(0)`, so that
# no test's own listener takes the one we are about to use.
readonly POSTGRES_PORT_MIN=20000 POSTGRES_PORT_COUNT=10000 POSTGRES_PORT_TRIES=20
readonly POSTGRES_START_SECONDS=60 POSTGRES_STOP_SECONDS=15

# State of the one test server, for stop_postgres.
POSTGRES_BIN='' POSTGRES_DIR='' POSTGRES_PID='' POSTGRES_AS=()
# What its caller may choose otherwise. As it stands for tests: the data is thrown away, and the log
# has everything that was sent.
POSTGRES_SETTINGS=(-c fsync=off -c full_page_writes=off -c log_statement=all)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as root: directly, or with sudo, which may ask for a password only if someone is
# there to type it. Fails if neither can be had.
as_root() {
    if is_root; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        return 1
    elif [ -t 0 ] && [ -t 2 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Installs Debian packages as root; fails where that cannot be done.
apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root true 2>/dev/null || return 1
    say "installing $* with apt-get"
    # The package lists of a fresh image are empty or old. What apt says goes to stderr: stdout
    # belongs to the test runner.
    as_root apt-get update -qq >&2 || say 'warning: apt-get update failed, trying with the lists at hand'
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Finds cargo and a C compiler, or says how to get them.
require_rust() {
    # rustup's directory is on PATH only in shells that were opened after its installation.
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH"
        export PATH
    fi
    command -v cargo >/dev/null || die 'cargo is not installed: install Rust with rustup, then run this again'
    local compiler
    for compiler in "${CC:-cc}" gcc clang; do
        command -v "$compiler" >/dev/null && return 0
    done
    die 'no C compiler found: on Debian and Ubuntu, install the packages gcc and libc6-dev'
}

# Prints the major version of the PostgreSQL server in a directory, if it is whole.
postgres_major() {
    local program
    for program in initdb postgres pg_isready; do
        [ -x "$1/$program" ] || return 1
    done
    "${POSTGRES_AS[@]}" "$1/postgres" --version 2>/dev/null | sed -nE 's/^[^0-9]*([0-9]+).*/\1/p'
}

# Sets POSTGRES_BIN to the programs of a server that is installed: on PATH, or else the newest of
# Debian's (or, under the root given, of the unpacked) packages.
find_postgres() {
    local root="${1:-}" dir major newest=0
    POSTGRES_BIN=''
    if [ -z "$root" ] && dir="$(command -v initdb)"; then
        dir="$(dirname "$(readlink -f "$dir")")"
        if major="$(postgres_major "$dir")" && [ "${major:-0}" -ge "$POSTGRES_MAJOR_MIN" ]; then
            POSTGRES_BIN="$dir"
            return 0
        fi
    fi
    for dir in "$root"/usr/lib/postgresql/*/bin; do
        if major="$(postgres_major "$dir")" && [ "${major:-0}" -ge "$POSTGRES_MAJOR_MIN" ] && [ "$major" -gt "$newest" ]; then
            newest="$major"
            POSTGRES_BIN="$dir"
        fi
    done
    [ -n "$POSTGRES_BIN" ]
}

# Installs Debian's PostgreSQL without the default server that comes with it: a drop-in, taken away
# again, tells the package not to make one.
install_postgres_package() {
    local drop_in=/etc/postgresql-common/createcluster.d/lead-intake-tests.conf status=0
    command -v apt-get >/dev/null || return 1
    as_root true 2>/dev/null || return 1
    as_root mkdir -p "${drop_in%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null
    apt_install postgresql || status=$?
    as_root rm -f "$drop_in"
    return "$status"
}

# Without root: unpacks the same Debian packages, and whatever they need that the machine lacks,
# under the directory given. PostgreSQL finds its files relative to its programs.
unpack_postgres_package() {
    local root="$1" package
    local apt=(-o "Dir::State=$root.apt/state" -o Dir::State::status=/var/lib/dpkg/status
        -o "Dir::Cache=$root.apt/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    say "no root and no sudo: unpacking Debian's PostgreSQL under $root"
    rm -rf "$root" "$root.new" "$root.apt"
    mkdir -p "$root.new" "$root.apt/state/lists/partial" "$root.apt/cache/archives/partial"
    apt-get "${apt[@]}" update -qq >&2 || return 1
    apt-get "${apt[@]}" install -y -qq --no-install-recommends --download-only postgresql >&2 || return 1
    for package in "$root.apt"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$root.new" || return 1
    done
    # Whole or not at all: an interrupted run must not leave half a server to be found.
    mv "$root.new" "$root"
    rm -rf "$root.apt"
}

# Sets POSTGRES_BIN to an unpacked server, with the libraries that were unpacked beside it.
find_unpacked_postgres() {
    local root="$1" libraries
    libraries="$(find "$root/usr/lib" "$root/lib" -maxdepth 2 -name '*.so.*' -printf '%h\n' 2>/dev/null | sort -u | paste -sd: -)"
    POSTGRES_AS=(env "LD_LIBRARY_PATH=$libraries")
    find_postgres "$root" && return 0
    POSTGRES_AS=()
    return 1
}

# Sets POSTGRES_BIN, installing PostgreSQL if there is none.
ensure_postgres() {
    local unpacked="$1/postgres"
    find_postgres && return 0
    # Unpacked by an earlier run: no need to ask for a password again.
    if ! is_root && find_unpacked_postgres "$unpacked"; then
        return 0
    fi
    say "no PostgreSQL $POSTGRES_MAJOR_MIN or newer found"
    if install_postgres_package && find_postgres; then
        return 0
    fi
    if ! is_root && unpack_postgres_package "$unpacked" && find_unpacked_postgres "$unpacked"; then
        return 0
    fi
    die "no PostgreSQL $POSTGRES_MAJOR_MIN or newer, and it could not be installed: on Debian and Ubuntu, install the package postgresql"
}

# Exports LEAD_INTAKE_TEST_STRACE: a strace, with which the tests kill the program at exact points. Installs it if there
# is none; without root it is unpacked under the directory given.
ensure_strace() {
    local unpacked="$1/strace"
    if ! command -v strace >/dev/null && ! [ -x "$unpacked/usr/bin/strace" ]; then
        apt_install strace || unpack_package strace "$unpacked" ||
            die 'no strace, and it could not be installed: on Debian and Ubuntu, install the package strace'
    fi
    LEAD_INTAKE_TEST_STRACE="$(command -v strace || printf '%s' "$unpacked/usr/bin/strace")"
    export LEAD_INTAKE_TEST_STRACE
}

# Without root: downloads one Debian package and unpacks it under the directory given.
unpack_package() {
    local package="$1" root="$2" download
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    download="$(mktemp -d)"
    (cd "$download" && apt-get download "$package" >&2 && dpkg-deb -x ./*.deb "$root")
    local status=$?
    rm -rf "$download"
    return "$status"
}

# A virtual environment that works, in the directory given: Debian has the module venv without what it needs.
make_venv() {
    [ -x "$1/bin/pip" ] && "$1/bin/pip" --version >/dev/null 2>&1 && return 0
    rm -rf "$1"
    python3 -m venv "$1" >/dev/null 2>&1 && return 0
    apt_install python3 python3-venv || return 1
    rm -rf "$1"
    python3 -m venv "$1"
}

ensure_venv() {
    make_venv "$1" || die 'no Python with venv, and it could not be installed: on Debian and Ubuntu, install the package python3-venv'
}

# install_wheels VENV REQUIREMENTS: what the file pins, by hash and without building anything. Does nothing
# when it is there already.
install_wheels() {
    local venv="$1" requirements="$2" stamp
    stamp="$venv/${requirements//\//-}"
    cmp -s "$requirements" "$stamp" && return 0
    say "installing what $requirements pins under ${venv#"$PWD/"}"
    # By the interpreter and not by the program `pip`, which names the place where the environment was made. Stdout is
    # kept for what the checks say.
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --require-hashes --requirement "$requirements" >&2 || return 1
    cp "$requirements" "$stamp"
}

# ensure_programs PACKAGE PROGRAM…: installs a Debian package if a program is missing.
ensure_programs() {
    local package="$1" program
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        apt_install "$package" || true
        command -v "$program" >/dev/null ||
            die "no $program, and it could not be installed: on Debian and Ubuntu, install the package $package"
    done
}

# Node.js with npm.
ensure_node() {
    ensure_programs nodejs node
    ensure_programs npm npm
}

# npm_install DIRECTORY: what its lock file pins, and no script of a package. Does nothing when it is there already.
npm_install() {
    local stamp="$1/node_modules/.installed"
    cmp -s "$1/package-lock.json" "$stamp" && return 0
    say "installing what $1/package-lock.json pins"
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || return 1
    cp "$1/package-lock.json" "$stamp"
}

# Exports LEAD_INTAKE, the program: what the caller's environment names, or what is built now.
ensure_program() {
    if [ -z "${LEAD_INTAKE:-}" ]; then
        require_rust
        cargo build --locked
        LEAD_INTAKE="$PWD/target/debug/lead-intake"
    fi
    export LEAD_INTAKE
}

# Sets EXAMPLES_PYTHON, an interpreter with what examples/requirements.txt pins.
ensure_examples_python() {
    local venv="$PWD/target/tools/venv-examples"
    ensure_venv "$venv"
    install_wheels "$venv" examples/requirements.txt || die 'the wheels of examples/requirements.txt could not be installed'
    # shellcheck disable=SC2034 # for the caller
    EXAMPLES_PYTHON="$venv/bin/python3"
}

# start_service DIRECTORY [OPTION…]: starts $LEAD_INTAKE on free ports with its data in the directory given, and sets
# SERVICE_URL, SERVICE_ADMIN_URL (metrics, probes), SERVICE_DATA and SERVICE_LOG. The caller has `stop_service` in
# its EXIT trap.
SERVICE_PID=''
start_service() {
    local dir="$1" deadline=$((SECONDS + 60)) listening
    shift
    SERVICE_LOG="$dir/service.log" SERVICE_DATA="$dir/data"
    : >"$SERVICE_LOG"
    "$LEAD_INTAKE" serve --data-dir "$SERVICE_DATA" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 "$@" \
        >"$SERVICE_LOG" 2>&1 </dev/null &
    SERVICE_PID=$!
    while ! listening="$(grep -m 1 '^listening on ' "$SERVICE_LOG")"; do
        if ! kill -0 "$SERVICE_PID" 2>/dev/null || ((SECONDS > deadline)); then
            cat "$SERVICE_LOG" >&2
            die 'the service did not start'
        fi
        sleep 0.05
    done
    read -r SERVICE_URL SERVICE_ADMIN_URL < <(sed -E 's/^listening on ([^ ]+) \(API\) and ([^ ]+) .*/http:\/\/\1 http:\/\/\2/' <<<"$listening")
    export SERVICE_URL SERVICE_ADMIN_URL SERVICE_DATA SERVICE_LOG
}

# Ends the service. Harmless when there is none.
stop_service() {
    [ -n "$SERVICE_PID" ] || return 0
    kill "$SERVICE_PID" 2>/dev/null || true
    wait "$SERVICE_PID" 2>/dev/null || true
    SERVICE_PID=''
}

# Runs a command as the server's user, in its directory: PostgreSQL refuses to run as root, and
# complains about a working directory that it cannot enter.
as_postgres() (
    cd "$POSTGRES_DIR" || exit
    "${POSTGRES_AS[@]}" "$@"
)

# Makes POSTGRES_DIR, owned by the server's user.
make_postgres_dir() {
    local base="${TMPDIR:-/tmp}" user
    if ! is_root; then
        POSTGRES_DIR="$(mktemp -d "$base/lead-intake-postgres.XXXXXXXX")"
        return 0
    fi
    for user in postgres nobody; do
        id -u "$user" >/dev/null 2>&1 && break
    done
    id -u "$user" >/dev/null 2>&1 || die 'root cannot run PostgreSQL, and there is no user postgres or nobody to run it as'
    command -v setpriv >/dev/null || die 'root cannot run PostgreSQL, and there is no setpriv (util-linux) to leave root with'
    POSTGRES_AS=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups --)
    # root's own TMPDIR may be closed to others.
    "${POSTGRES_AS[@]}" test -x "$base" || base=/tmp
    POSTGRES_DIR="$(mktemp -d "$base/lead-intake-postgres.XXXXXXXX")"
    chown "$(id -u "$user"):$(id -g "$user")" "$POSTGRES_DIR"
}

# Starts a throw-away server on a free port and exports
#   LEAD_INTAKE_TEST_POSTGRES_URL  its superuser's URL, with a password made for this run, since
#                                  a server that trusts everybody is open to every local user;
#   LEAD_INTAKE_TEST_POSTGRES_LOG  its log; unless POSTGRES_SETTINGS says otherwise with every
#                                  statement and every parameter, which the tests search for
#                                  personal data;
#   LEAD_INTAKE_TEST_POSTGRES_BIN  where its programs are, for tests that start servers of their own;
#   LEAD_INTAKE_TEST_POSTGRES_AS   the words before a command that run it as the server's user.
# The caller has `stop_postgres` in its EXIT trap before it calls this.
start_postgres() {
    local password port try log
    password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    make_postgres_dir
    log="$POSTGRES_DIR/server.log"
    : >"$log"
    # Written through a pipe by the server's user: the directory is closed to others.
    printf '%s\n' "$password" | as_postgres tee password >/dev/null
    as_postgres "$POSTGRES_BIN/initdb" --pgdata=data --username=lead_intake_test --pwfile=password \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >"$POSTGRES_DIR/initdb.log" 2>&1 ||
        { cat "$POSTGRES_DIR/initdb.log" >&2; die 'initdb failed'; }

    for ((try = 1; try <= POSTGRES_PORT_TRIES; try++)); do
        port=$((POSTGRES_PORT_MIN + (RANDOM * 32768 + RANDOM) % POSTGRES_PORT_COUNT))
        launch_postgres "$port" "$log"
        if await_postgres "$port"; then
            export LEAD_INTAKE_TEST_POSTGRES_URL="postgres://lead_intake_test:$password@127.0.0.1:$port/postgres"
            export LEAD_INTAKE_TEST_POSTGRES_LOG="$log"
            export LEAD_INTAKE_TEST_POSTGRES_BIN="$POSTGRES_BIN"
            export LEAD_INTAKE_TEST_POSTGRES_AS="${POSTGRES_AS[*]}"
            say "PostgreSQL $(postgres_version) on 127.0.0.1:$port, log $log"
            return 0
        fi
        # Somebody else has the port: the server says so and ends, and the next port is tried.
        if ! grep -q 'could not bind' "$log"; then
            cat "$log" >&2
            die 'PostgreSQL did not start'
        fi
        : >"$log"
    done
    die "no free port for PostgreSQL in $POSTGRES_PORT_TRIES tries"
}

postgres_version() { as_postgres "$POSTGRES_BIN/postgres" --version | sed -E 's/^[^0-9]*([0-9.]+).*/\1/'; }

# Starts the server as our own child, in a process group of its own: Ctrl-C must not reach it, or
# it would go before the tests that use it.
launch_postgres() {
    local port="$1" log="$2"
    local settings=(
        -c "port=$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
        -c max_connections=200
        -c logging_collector=off -c "log_line_prefix=%m [%p] %d "
        "${POSTGRES_SETTINGS[@]}"
    )
    set -m
    # `exec`, so that the id is the server's and not that of a shell around it.
    (
        cd "$POSTGRES_DIR" || exit
        exec "${POSTGRES_AS[@]}" "$POSTGRES_BIN/postgres" -D data "${settings[@]}"
    ) >>"$log" 2>&1 </dev/null &
    POSTGRES_PID=$!
    set +m
}

# Waits until the server answers; fails if it ended.
await_postgres() {
    local deadline=$((SECONDS + POSTGRES_START_SECONDS))
    while ((SECONDS < deadline)); do
        if ! kill -0 "$POSTGRES_PID" 2>/dev/null; then
            wait "$POSTGRES_PID" 2>/dev/null || true
            POSTGRES_PID=''
            return 1
        fi
        # Another server may answer on a port that ours could not have: ours must say it is ready.
        if grep -q 'ready to accept connections' "$POSTGRES_DIR/server.log" &&
            as_postgres "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$1"; then
            return 0
        fi
        sleep 0.1
    done
    return 1
}

# Ends the server and removes its directory. Harmless when there is none.
stop_postgres() {
    local pid="$POSTGRES_PID" dir="$POSTGRES_DIR" signal deadline
    POSTGRES_PID='' POSTGRES_DIR=''
    if [ -n "$pid" ]; then
        # INT disconnects the clients, QUIT asks nobody, KILL is for a server that hangs.
        for signal in INT QUIT KILL; do
            kill -s "$signal" "$pid" 2>/dev/null || break
            deadline=$((SECONDS + POSTGRES_STOP_SECONDS))
            while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do
                sleep 0.05
            done
        done
        wait "$pid" 2>/dev/null || true
    fi
    [ -z "$dir" ] || rm -rf "$dir"
}

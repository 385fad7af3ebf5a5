# shellcheck shell=bash
# A Debian machine of its own, with systemd as its process 1, for scripts that must install and run something as an operator
# would. To be sourced after lib.sh, under `set -euo pipefail`.
#
# It is a container: systemd-nspawn gives it its own processes, mounts, network (nothing but loopback) and control groups. The
# kernel is this machine's. What it mounts lies in a mount namespace that ends with the script, however that ends.

readonly MACHINE_BOOT_SECONDS=120 MACHINE_STOP_SECONDS=60 MACHINE_COMMAND_SECONDS=180

# State of the one machine, for stop_machine.
MACHINE_PID='' MACHINE_LEADER='' MACHINE_LOG='' MACHINE_CGROUP=''

# enter_machine_namespace SCRIPT [ARGUMENT…]: runs the script again, with mounts of its own. To be called first.
enter_machine_namespace() {
    # By process: what is mounted hereafter must not be mounted over this machine's own.
    if [ "${LEAD_INTAKE_MACHINE_NAMESPACE:-}" = $$ ]; then
        mount_cgroup
        return
    fi
    is_root || die 'needs root: it boots a machine of its own'
    ensure_programs debootstrap debootstrap
    ensure_programs systemd-container systemd-nspawn
    ensure_programs util-linux unshare nsenter
    ensure_programs procps pgrep
    unshare --mount --propagation private true || die 'this machine gives nobody mounts of their own (in a container: --privileged)'
    LEAD_INTAKE_MACHINE_NAMESPACE=$$ exec unshare --mount --propagation private -- "$@"
}

# Where this machine's apt has the release from; nothing where apt does not say, and debootstrap's own choice holds.
apt_mirror() {
    # A field is empty where the lists were never fetched.
    # shellcheck disable=SC2016 # for apt
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v release="$1" '$2 == release && $3 == "main" && !seen++ { print $1 }'
}

# machine_base PACKAGE…: prints the directory of a Debian of this machine's release, with these packages. Made once for
# each list of packages, and never started: machines are copies of it.
machine_base() {
    local packages release base mirror
    packages="$(IFS=,; printf '%s' "$*")"
    release="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null || true)"
    [ -n "$release" ] || die 'this is no Debian or Ubuntu'
    base="$PWD/target/tools/machine-$release"
    if [ "$packages" != "$(cat "$base.packages" 2>/dev/null)" ]; then
        say "making a Debian ($release) under ${base#"$PWD/"}"
        mirror="$(apt_mirror "$release")"
        rm -rf --one-file-system "$base" "$base.new" "$base.packages"
        # Nothing that is installed may start here: it would run on this machine, and not in one of its own.
        mkdir -p "$base.new/usr/sbin"
        install -m 0755 /dev/stdin "$base.new/usr/sbin/policy-rc.d" <<<$'#!/bin/sh\nexit 101'
        debootstrap --variant=minbase --include="$packages" "$release" "$base.new" ${mirror:+"$mirror"} >"$base.log" 2>&1 ||
            { tail -20 "$base.log" >&2; die 'no Debian could be made: debootstrap failed'; }
        rm -rf "$base.new"/var/cache/apt/archives/*.deb "$base.new"/var/lib/apt/lists/*
        # What debootstrap took from here, and what each machine makes of its own at its start.
        rm -f "$base.new/usr/sbin/policy-rc.d" "$base.new/etc/hostname" "$base.new/etc/resolv.conf"
        : >"$base.new/etc/machine-id"
        # Whole or not at all.
        mv "$base.new" "$base"
        printf '%s' "$packages" >"$base.packages"
    fi
    printf '%s' "$base"
}

# A hierarchy of control groups in which systemd finds itself at home, whatever this machine has.
mount_cgroup() {
    mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null ||
        die 'no cgroup2 can be mounted, without which no systemd starts (in a container: --privileged)'
    MACHINE_CGROUP="/sys/fs/cgroup/lead-intake-machine-$$"
    # What nspawn leaves there goes with the namespace.
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs tmpfs /run/systemd/nspawn
}

# start_machine ROOT LOG: boots the directory and waits until it is up. The caller has `stop_machine` in its EXIT trap.
# One that was stopped may be started again.
start_machine() {
    local root="$1" deadline=$((SECONDS + MACHINE_BOOT_SECONDS)) state=''
    MACHINE_LOG="$2"
    mkdir -p "$MACHINE_CGROUP"
    # In a process group of its own: a Ctrl-C must not reach it before the trap does.
    set -m
    (
        echo "$BASHPID" >"$MACHINE_CGROUP/cgroup.procs"
        exec systemd-nspawn --quiet --boot --directory="$root" --machine="lead-intake-$$" --hostname=machine --register=no \
            --keep-unit --private-network --resolv-conf=off --timezone=off --link-journal=no --console=read-only
    ) >"$MACHINE_LOG" 2>&1 </dev/null &
    MACHINE_PID=$!
    set +m
    until [ "$state" = running ] || [ "$state" = degraded ]; do
        if ! kill -0 "$MACHINE_PID" 2>/dev/null || ((SECONDS > deadline)); then
            tail -40 "$MACHINE_LOG" >&2
            die 'the machine did not boot'
        fi
        sleep 0.2
        MACHINE_LEADER="$(pgrep -P "$MACHINE_PID" -x systemd || true)"
        [ -z "$MACHINE_LEADER" ] || state="$(machine systemctl is-system-running 2>/dev/null || true)"
    done
    [ "$state" = running ] || say "warning: not all of the machine came up: $(machine systemctl --failed --no-legend --plain)"
}

# machine COMMAND…: runs it in the machine as its root, as one who has just logged in. What it says on standard error is
# beside the machine's log.
machine() {
    timeout --foreground "$MACHINE_COMMAND_SECONDS" nsenter --target "${MACHINE_LEADER:?no machine runs}" --all -- \
        env --ignore-environment --chdir=/root HOME=/root USER=root LANG=C.UTF-8 TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 2>>"$MACHINE_LOG.said"
}

# Ends the machine: asked, and then forced. Harmless when there is none.
stop_machine() {
    local pid="$MACHINE_PID" leader="$MACHINE_LEADER" deadline=$((SECONDS + MACHINE_STOP_SECONDS))
    MACHINE_PID='' MACHINE_LEADER=''
    if [ -n "$pid" ]; then
        kill -s TERM "$pid" 2>/dev/null || true
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do
            sleep 0.1
        done
        # With process 1 of the machine everything in it ends.
        ! kill -0 "$pid" 2>/dev/null || kill -s KILL ${leader:+"$leader"} "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    [ -z "$MACHINE_CGROUP" ] || find "$MACHINE_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
}

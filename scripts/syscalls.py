#!/usr/bin/env python3
"""Compares the system calls of a run, as `strace -f` wrote them, with what a unit's SystemCallFilter lets through.

    syscalls.py UNIT TRACE

The names and groups are those of the systemd on this machine.
"""

import re
import subprocess
import sys
from pathlib import Path

# A line of strace: the thread, then the call. What a signal or an end of a thread says has another form.
CALL = re.compile(r"^\d+ +([a-z_0-9]+)\(")
# So few calls are no run of a server: then it is the look that failed.
CALLS_MIN = 40


def groups() -> dict[str, set[str]]:
    """Every group of system calls that systemd knows, with the groups in it resolved."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listed: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in text.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = listed.setdefault(word, set())
        elif word and not word.startswith("#"):
            current.add(word)

    def resolve(name: str) -> set[str]:
        found: set[str] = set()
        for member in listed[name]:
            found |= resolve(member) if member.startswith("@") else {member}
        return found

    return {name: resolve(name) for name in listed if name != "@known"}


def allowed(unit: Path) -> set[str]:
    """What the unit lets through: its lines in order, `~` takes away."""
    known = groups()
    through: set[str] = set()
    for line in unit.read_text().splitlines():
        if not line.startswith("SystemCallFilter="):
            continue
        names = line.removeprefix("SystemCallFilter=")
        words = names.removeprefix("~").split()
        calls = set[str]().union(*(known.get(word, {word}) for word in words))
        through = through - calls if names.startswith("~") else through | calls
    # Without it nothing could be started, so systemd always lets it through.
    return through | {"execve"}


def main() -> int:
    unit, trace = map(Path, sys.argv[1:])
    lines = trace.read_text(errors="replace").splitlines()
    made = {match[1] for line in lines if (match := CALL.match(line))}
    if len(made) < CALLS_MIN:
        print(f"only {len(made)} system calls were seen: {sorted(made)}", file=sys.stderr)
        return 1
    refused = made - allowed(unit)
    if refused:
        print(f"{unit} would refuse what the program does: {sorted(refused)}", file=sys.stderr)
        return 1
    print(f"system calls: ok, {len(made)} different ones, all let through by {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

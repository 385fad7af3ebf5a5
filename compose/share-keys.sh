#!/bin/sh
# Gives a replica what it shares with the first one: `share-keys.sh FIRST OTHER`, two data directories.
#
# The key ring and the signing key are the first replica's; the other one gets copies, at its first start and after
# each step of a rotation (docs/operations.md, "Rotation"). The mirror is each replica's own: a new replica begins with
# a copy of the first one's, and one that has a mirror keeps it, since it may know what the first one does not.
set -eu
umask 077
first="$1" other="$2"

# Whole or not at all: the other replica may be running, and follows its key ring's file.
copy() {
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

for name in keys.toml checkpoint.key; do
    cmp -s "$first/$name" "$other/$name" || copy "$first/$name" "$other/$name"
done

if [ ! -e "$other/ledger/mirror.json" ]; then
    # A file that is being written may end in half a line, which is no harm. mirror.json comes last: with it the mirror
    # is one.
    mkdir -p "$other/ledger"
    for file in "$first"/ledger/entries-*.jsonl; do
        [ ! -e "$file" ] || copy "$file" "$other/ledger/${file##*/}"
    done
    copy "$first/ledger/mirror.json" "$other/ledger/mirror.json"
fi

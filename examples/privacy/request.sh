#!/usr/bin/env bash
# A data-subject request, from its arrival to the proof that it was met, with the command line only: find, copy, erase,
# receipt, the CRMs' acknowledgement, and the receipt verified without the service.
#
#   request.sh PERSON CASE PUBLIC_KEY
#
# PERSON is a JSON file with email, phone, name; CASE a directory, made if it is not there: it gets the copy for the person
# and the receipt. PUBLIC_KEY is the ledger's, as the operator published it. The same CASE again goes on with the same
# request: nothing is done twice. The environment says where the service is: LEAD_INTAKE_URL, and LEAD_INTAKE_TOKEN or
# LEAD_INTAKE_DATA_DIR.
#
#   CHECKED=email-reply     how you know who is asking; must be said
#   RECEIVED=TIME           when they asked, RFC 3339; now if not said
#   WAIT_SECONDS=600        how long to wait for the CRMs
#
# Exit codes: 0 done and proven; 3 not finished: a CRM has still to acknowledge, a lead stays, or somebody must look;
# 1 failed or refused; 2 wrong usage.
set -euo pipefail

if [ "$#" -ne 3 ] || [ -z "${CHECKED:-}" ]; then
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
fi
readonly PERSON="$1" CASE="$2" PUBLIC_KEY="$3" WAIT_SECONDS="${WAIT_SECONDS:-600}"
readonly PROGRAM="${LEAD_INTAKE:-lead-intake}"

say() { printf '%s\n' "$*" >&2; }

# What is known of the request is for its owner only.
umask 077
mkdir -p "$CASE"
# One id for the whole of it, kept: whoever runs this again repeats the request instead of making another.
[ -s "$CASE/request-id" ] || cat /proc/sys/kernel/random/uuid >"$CASE/request-id"
[ -s "$CASE/received-at" ] || printf '%s\n' "${RECEIVED:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}" >"$CASE/received-at"
request="$(cat "$CASE/request-id")"
# The person goes by a file: others on the machine see a program's arguments.
about=(--subject-file "$PERSON" --received-at "$(cat "$CASE/received-at")" --verification "$CHECKED")

say '1. What is held, and what may be theirs'
"$PROGRAM" find "${about[@]}"

# Art. 15. Before anything goes: afterwards there is nothing to copy.
if ! [ -e "$CASE/copy.html" ]; then
    say '2. The copy for the person'
    "$PROGRAM" export --kind access --format html --language en "${about[@]}" --output "$CASE/copy.html"
fi

# Art. 17. What would happen, then the same for good. A lead that stays is exit code 3, with what the person is told.
say '3. Erased: first what would be'
status=0
"$PROGRAM" erase --ground no-longer-necessary --language en "${about[@]}" --request-id "$request" --dry-run || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
status=0
"$PROGRAM" erase --ground no-longer-necessary --language en "${about[@]}" --request-id "$request" --yes || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"

# Art. 19. Who had the leads, and whether each has erased its copy.
say '4. The CRMs'
deadline=$((SECONDS + WAIT_SECONDS))
while true; do
    standing=0
    "$PROGRAM" receipt "$request" >"$CASE/receipt.txt" || standing=$?
    if [ "$standing" -ne 3 ] || ((SECONDS >= deadline)); then
        break
    fi
    sleep 1
done
cat "$CASE/receipt.txt"
[ "$standing" -eq 0 ] || [ "$standing" -eq 3 ] || exit "$standing"

# Art. 5(2). The receipt with its proof; the ledger signs what has just happened within seconds.
say '5. The proof, checked without the service'
deadline=$((SECONDS + 60))
until "$PROGRAM" receipt "$request" --output "$CASE/receipt.json" --force >/dev/null || [ "$?" -eq 3 ]; do
    ((SECONDS < deadline)) || exit 1
    sleep 1
done
env -i "PATH=$PATH" "$PROGRAM" receipt verify "$CASE/receipt.json" --public-key "$PUBLIC_KEY"

# Art. 12(6). Who may be somebody else was not touched: find out, and erase what is theirs with --lead-id, as a request
# with an id of its own.
unconfirmed=0
case "$("$PROGRAM" find --json "${about[@]}")" in
*'"unconfirmed": []'*) ;;
*) unconfirmed=3 ;;
esac
if [ "$status" -ne 0 ] || [ "$standing" -ne 0 ] || [ "$unconfirmed" -ne 0 ]; then
    say "not finished: run this again, or see above what a human must decide; the case is in $CASE"
    exit 3
fi
say "done: keep $CASE/receipt.json, send the person $CASE/copy.html, then remove it and $PERSON"

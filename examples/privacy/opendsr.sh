#!/usr/bin/env bash
# A request that another privacy tool wrote (OpenDSR 2.0), carried out until it is completed.
#
#   opendsr.sh REQUEST STATUS [OPTION…]
#
# REQUEST is the tool's file; STATUS gets the status document, or the error document, to be sent back to it. Options go to
# `lead-intake opendsr apply`: --out for a copy, --lead-id and --not-theirs for what somebody has found out. The same
# request again changes nothing and shows where it stands, so this may be run by cron until it ends with 0.
#
#   CHECKED=email-reply     how you know who is asking; must be said
#   WAIT_SECONDS=600        how long to wait for the CRMs
#
# Exit codes: 0 completed; 3 not completed, standard error says what is open; 1 refused or failed; 2 wrong usage.
set -euo pipefail

if [ "$#" -lt 2 ] || [ -z "${CHECKED:-}" ]; then
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
fi
readonly REQUEST="$1" STATUS="$2" WAIT_SECONDS="${WAIT_SECONDS:-600}"
readonly PROGRAM="${LEAD_INTAKE:-lead-intake}"
shift 2

umask 077
deadline=$((SECONDS + WAIT_SECONDS))
while true; do
    standing=0
    "$PROGRAM" opendsr apply "$REQUEST" --verification "$CHECKED" --yes "$@" >"$STATUS" 2>"$STATUS.log" || standing=$?
    # Only a CRM, or the disk, comes right by itself; what a human must decide does not.
    if [ "$standing" -ne 3 ] || ((SECONDS >= deadline)) || ! grep -q 'CRM_NOT_ACKNOWLEDGED\|CLEAN_UP_PENDING' "$STATUS"; then
        break
    fi
    sleep 1
done
cat "$STATUS.log" >&2
rm "$STATUS.log"
exit "$standing"

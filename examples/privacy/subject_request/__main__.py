"""``python -m subject_request``: ``handle`` carries a person's request out, ``verify`` checks a receipt offline.

Exit codes: 0 done, proven; 3 not finished, or not proven; 1 refused or failed; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from .proof import NotProven, PublicKey, verify


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="subject_request")
    commands = parser.add_subparsers(dest="command", required=True)
    handle = commands.add_parser("handle", help="copy, erase, wait for the CRMs, keep the receipt, verify it")
    handle.add_argument("--url", required=True, help="the service: https://…, or http://… on this machine")
    handle.add_argument("--ca-file", type=Path, help="PEM file with the roots to trust [default: the usual ones]")
    handle.add_argument("--token-file", required=True, type=Path, help="file with a token of role privacy")
    handle.add_argument("--person", required=True, type=Path, help="JSON file with email, phone, name, lead_ids")
    handle.add_argument("--case", required=True, type=Path, help="directory of this request; made if it is not there")
    handle.add_argument("--checked", required=True, metavar="HOW", help="how identity was checked, such as email-reply")
    handle.add_argument("--wait-seconds", type=float, default=600, help="how long to wait for the CRMs")
    check = commands.add_parser("verify", help="check a receipt, without a service")
    check.add_argument("receipt", type=Path)
    for command in (handle, check):
        command.add_argument("--public-key", required=True, type=Path, help="file with the ledger's published key")
    return parser.parse_args()


def _kept(case: Path, name: str, value: str) -> str:
    """What was noted the first time: who runs this again repeats the request instead of making another."""
    file = case / name
    if not file.exists():
        _write(file, value.encode())
    return file.read_text(encoding="utf-8").strip()


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, and for its owner only."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def _handle(arguments: argparse.Namespace) -> int:
    # Only here: verifying needs neither gRPC nor the contract's modules.
    from google.protobuf import json_format

    from leadintake.v1 import privacy_pb2

    from .client import Person, PrivacyDesk, Refused, open_channel

    case: Path = arguments.case
    case.mkdir(mode=0o700, exist_ok=True)
    request_id = _kept(case, "request-id", str(uuid.uuid4()))
    export_id = _kept(case, "export-id", str(uuid.uuid4()))
    find_id = _kept(case, "find-id", str(uuid.uuid4()))
    received_at = _kept(case, "received-at", datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    verification = privacy_pb2.Verification.Value(f"VERIFICATION_{arguments.checked.upper().replace('-', '_')}")
    person = Person.read(arguments.person)
    token = arguments.token_file.read_text(encoding="ascii").strip()
    with open_channel(arguments.url, arguments.ca_file) as channel:
        desk = PrivacyDesk(channel, token, person, received_at=received_at, verification=verification)
        try:
            found = desk.find(find_id)
            print(f"{len(found.leads)} lead(s) are the person's, {len(found.unconfirmed)} may be")
            copy = case / "copy.html"
            if not copy.exists():
                exported = desk.export(export_id)
                _write(copy, exported.content)
                print(f"the copy is in {copy}, sha256 {exported.sha256}")
            for lead in desk.erase(request_id, dry_run=True).leads:
                print(f"{lead.lead_id}: would be {privacy_pb2.ErasureOutcome.Name(lead.outcome)}")
            erased = desk.erase(request_id)
            receipt, is_settled = desk.settled_receipt(request_id, arguments.wait_seconds)
        except Refused as refused:
            print(f"subject_request: the service refused: {refused}", file=sys.stderr)
            return 1
    kept = [lead for lead in erased.leads if lead.outcome != privacy_pb2.ERASURE_OUTCOME_ERASED]
    for lead in kept:
        print(f"{lead.lead_id} stays. The person must be told: {lead.refusal.reason} {lead.refusal.complaint}")
    for had in receipt.recipients:
        print(f"{had.client} had {had.leads}, and has acknowledged {had.acknowledged}")
    text = json_format.MessageToJson(receipt, always_print_fields_with_no_presence=True)
    _write(case / "receipt.json", text.encode())
    if not receipt.HasField("proof"):
        print("not signed yet: run this again", file=sys.stderr)
        return 3
    status = _verify(case / "receipt.json", arguments.public_key)
    is_open = bool(kept or erased.unconfirmed or not is_settled)
    return status or (3 if is_open else 0)


def _verify(file: Path, public_key: Path) -> int:
    key = PublicKey.parse(public_key.read_text(encoding="ascii"))
    try:
        proven = verify(json.loads(file.read_text(encoding="utf-8")), key)
    except NotProven as problem:
        print(f"NOT PROVEN: {problem}")
        return 3
    count = f"{len(proven.erased)} lead(s) erased, {len(proven.kept)} kept"
    print(f"PROVEN: request {proven.request_id} of {proven.at.isoformat()}: {count}")
    return 0


def main() -> int:
    arguments = _arguments()
    try:
        if arguments.command == "verify":
            return _verify(arguments.receipt, arguments.public_key)
        return _handle(arguments)
    except (ValueError, OSError) as error:
        print(f"subject_request: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

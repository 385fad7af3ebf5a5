"""``python -m lead_sync``: keeps a local copy of the leads in step, until it is told to stop.

Exit codes: 0 done, or stopped by a signal; 1 refused, or failed; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import signal
import sys
from pathlib import Path
from typing import IO

import grpc

from .copy import LeadCopy
from .feed import Fault, LeadFeed, open_channel
from .sync import LeadSync, SyncRefused, make_customer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lead_sync", description="Keeps a local copy of the leads in step.")
    parser.add_argument("--url", required=True, help="the service: https://…, or http://… on this machine")
    parser.add_argument("--token-file", required=True, type=Path, help="file with the token of this CRM (role crm)")
    parser.add_argument("--db", required=True, type=Path, help="the SQLite file; made on the first run")
    parser.add_argument("--ca-file", type=Path, help="PEM file with the roots to trust [default: the usual ones]")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="bring the copy up to date and end")
    what.add_argument("--customer", metavar="LEAD_ID", help="the person became a customer: hand the lead over, and end")
    return parser.parse_args()


def _lock(db: Path) -> IO[str]:
    """Two followers of one copy would overtake each other: the second one is refused."""
    # Kept open, and so locked, until the process ends.
    lock = open(f"{db}.lock", "w", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    return lock


def _follow(copy: LeadCopy, feed: LeadFeed, arguments: argparse.Namespace) -> int:
    try:
        lock = _lock(arguments.db)
    except BlockingIOError:
        print("lead_sync: another process keeps this copy in step", file=sys.stderr)
        return 1
    sync = LeadSync(copy, feed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sync.stop())
    with lock:
        try:
            sync.run(follow=not arguments.once)
        except SyncRefused as refused:
            print(f"lead_sync: the service refused: {refused}{_advice(str(refused))}", file=sys.stderr)
            return 1
    return 0


def _hand_over(copy: LeadCopy, feed: LeadFeed, lead_id: str) -> int:
    try:
        if make_customer(copy, feed, lead_id):
            return 0
        print("lead_sync: nothing done: the lead is not in this copy, or may not be read", file=sys.stderr)
    except grpc.RpcError as error:
        print(f"lead_sync: {Fault.of(error)}; this may be repeated", file=sys.stderr)
    return 1


def _advice(refusal: str) -> str:
    if "TOKEN" in refusal or "ROLE" in refusal:
        return ": put a token of the role crm into the token file"
    if "CURSOR_NOT_DELIVERED" in refusal:
        return ": this copy belongs to another client; give a new client a new copy"
    return ""


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        channel = open_channel(arguments.url, arguments.ca_file)
    except (ValueError, OSError) as error:
        print(f"lead_sync: {error}", file=sys.stderr)
        return 2
    copy = LeadCopy(arguments.db)
    try:
        with channel:
            feed = LeadFeed(channel, arguments.token_file)
            if arguments.customer:
                return _hand_over(copy, feed, arguments.customer)
            return _follow(copy, feed, arguments)
    except OSError as error:
        # The token file is not there, or the disk is full.
        print(f"lead_sync: {error}", file=sys.stderr)
        return 1
    finally:
        copy.close()


if __name__ == "__main__":
    sys.exit(main())

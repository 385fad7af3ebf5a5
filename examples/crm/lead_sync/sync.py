"""Ties the copy to the feed: load, acknowledge, follow, and go on after whatever went wrong.

The rule: commit first, acknowledge then. A process that dies in between acknowledges at its next start.
"""

from __future__ import annotations

import logging
import random
import threading

import grpc

from leadintake.v1 import lead_pb2

from .copy import LeadCopy
from .feed import Fault, LeadFeed

_LOG = logging.getLogger("lead_sync")
# After the first failure, and at most. Random, so that a fleet of clients does not come back at one moment.
_WAIT_SECONDS, _WAIT_SECONDS_MAX = 0.2, 30.0


class SyncRefused(Exception):
    """The service refused for good: somebody must act. Its text is a code and a reason."""


class Backoff:
    """How long to wait after one more failure: a random part of a time that doubles."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def next_seconds(self, at_least: float | None) -> float:
        """The next wait, and no less than what the service asked for."""
        most = min(_WAIT_SECONDS_MAX, _WAIT_SECONDS * 2 ** min(self._failures, 16))
        self._failures += 1
        return (at_least or 0.0) + random.uniform(0.0, most)


class LeadSync:
    """Keeps a copy in step with a feed until ``stop`` is called."""

    def __init__(self, copy: LeadCopy, feed: LeadFeed) -> None:
        self._copy = copy
        self._feed = feed
        self._backoff = Backoff()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends ``run`` soon; may be called from a signal handler."""
        self._stopped.set()
        self._feed.cancel()

    def run(self, follow: bool = True) -> None:
        """Brings the copy up to date, and with ``follow`` keeps it so. Raises ``SyncRefused``."""
        while not self._stopped.is_set():
            try:
                self._round(follow)
                if not follow:
                    return
            except grpc.RpcError as error:
                if self._stopped.is_set():
                    return
                self._recover(Fault.of(error))

    def _round(self, follow: bool) -> None:
        """From wherever the copy is to the end of one stream."""
        if self._copy.is_loading:
            self._load()
            if self._stopped.is_set():
                return
        self._feed.acknowledge(self._copy.cursor)
        for batch in self._feed.stream(self._copy.cursor, follow):
            # A heartbeat without news has nothing to commit.
            if batch.changes or batch.next_cursor != self._copy.cursor:
                self._take(batch.changes, batch.next_cursor)
                self._feed.acknowledge(batch.next_cursor)
            self._backoff.reset()
            if self._stopped.is_set():
                return

    def _load(self) -> None:
        """Reads the feed to its end, then settles what it had no word of. Acknowledges nothing until that is done."""
        has_more = True
        while has_more and not self._stopped.is_set():
            page = self._feed.pull(self._copy.cursor)
            self._take(page.changes, page.next_cursor)
            has_more = page.has_more
        if self._stopped.is_set():
            # The rest is read at the next start; until then nothing is settled.
            return
        for lead_id in self._copy.unseen():
            self._copy.settle(lead_id, self._feed.get(lead_id))
        self._copy.end_loading()
        _LOG.info("the copy has what the feed has")

    def _take(self, changes: list[lead_pb2.LeadChange], next_cursor: str) -> None:
        self._copy.apply(changes, next_cursor)
        if changes:
            _LOG.info("applied %d change(s)", len(changes))

    def _recover(self, fault: Fault) -> None:
        if fault.reason == "CURSOR_EXPIRED":
            # The service came back from a backup: what this copy knows may not be what is true.
            _LOG.warning("the service was restored from a backup: reading the feed from its start")
            self._copy.start_again()
        elif not fault.is_temporary:
            raise SyncRefused(str(fault))
        seconds = self._backoff.next_seconds(fault.retry_seconds)
        _LOG.warning("%s: trying again in %.1f s", fault, seconds)
        self._stopped.wait(seconds)


def make_customer(copy: LeadCopy, feed: LeadFeed, lead_id: str) -> bool:
    """The person became a customer: takes over the newest revision, then lets the service erase the lead.

    In this order, because after it there is nobody left to ask. The lead moves to the customers when the feed says
    HANDED_OVER. ``False`` if the lead is not in the copy, or may not be read now: then nothing is done.
    """
    lead = feed.get(lead_id)
    if lead is None or not copy.refresh(lead):
        return False
    feed.close(lead_id, lead_pb2.CLOSE_OUTCOME_CONVERTED)
    return True

"""The local copy: an SQLite database with the leads, the customers, and the place in the feed.

Its rule: a lead that may not be read has no content here. The table says so (CHECK), and SQLite overwrites what is
deleted (``secure_delete``), in a journal that is gone with the commit: after an erasure no file has the person.

To keep one more thing about a lead, add a column to ``leads``, name it in ``_CONTENT``, and let it be NULL in a
restricted row.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from leadintake.v1 import lead_pb2

_LOG = logging.getLogger("lead_sync")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leads (
    lead_id TEXT PRIMARY KEY,
    -- Art. 18: it may only be stored, by the service; nothing of it is here.
    restricted INTEGER NOT NULL CHECK (restricted IN (0, 1)),
    -- Art. 21(2): never use it for marketing. Stays, whatever else happens to the lead.
    no_marketing INTEGER NOT NULL DEFAULT 0 CHECK (no_marketing IN (0, 1)),
    name TEXT, company TEXT, phone TEXT, email TEXT,
    lawful_basis TEXT, consent INTEGER, notice_version TEXT,
    submitted_at TEXT, erase_by TEXT, revision INTEGER,
    -- Which reading of the feed saw it last.
    generation INTEGER NOT NULL,
    CHECK (restricted = 0 OR COALESCE(name, company, phone, email, lawful_basis, consent, notice_version,
        submitted_at, erase_by, revision) IS NULL)
) STRICT;
-- Handed over: the service holds nothing of them any more, and your CRM alone answers for what is here.
CREATE TABLE IF NOT EXISTS customers (
    lead_id TEXT PRIMARY KEY,
    name TEXT NOT NULL, company TEXT NOT NULL, phone TEXT NOT NULL, email TEXT NOT NULL,
    no_marketing INTEGER NOT NULL,
    handed_over_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS feed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Everything up to here is in the tables above.
    cursor TEXT NOT NULL,
    -- Counts the readings from the feed's start.
    generation INTEGER NOT NULL,
    -- Whether such a reading is under way.
    loading INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO feed (id, cursor, generation, loading) VALUES (1, '', 1, 1);
"""

_CONTENT = (
    "name",
    "company",
    "phone",
    "email",
    "lawful_basis",
    "consent",
    "notice_version",
    "submitted_at",
    "erase_by",
    "revision",
)
_STORE = f"""
INSERT INTO leads (lead_id, restricted, generation, {", ".join(_CONTENT)})
SELECT ?, 0, generation, {", ".join("?" * len(_CONTENT))} FROM feed WHERE true
ON CONFLICT (lead_id) DO UPDATE SET restricted = 0, generation = excluded.generation,
    {", ".join(f"{column} = excluded.{column}" for column in _CONTENT)}
"""
_HIDE = f"""
INSERT INTO leads (lead_id, restricted, generation) SELECT ?, 1, generation FROM feed WHERE true
ON CONFLICT (lead_id) DO UPDATE SET restricted = 1, generation = excluded.generation,
    {", ".join(f"{column} = NULL" for column in _CONTENT)}
"""
_HAND_OVER = """
INSERT INTO customers (lead_id, name, company, phone, email, no_marketing, handed_over_at)
SELECT lead_id, name, company, phone, email, no_marketing, ? FROM leads WHERE lead_id = ? AND restricted = 0
ON CONFLICT (lead_id) DO NOTHING
"""
_FORGET = "DELETE FROM leads WHERE lead_id = ?"
# Another process may hold the database for a moment.
_BUSY_SECONDS = 30


class LeadCopy:
    """The local copy. One process at a time follows the feed into it; any number may read it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # For its owner only, before anything is in it. SQLite gives its journal the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        # A rollback journal, not a write-ahead log: that keeps erased pages until somebody empties it.
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA synchronous = EXTRA")
        self._db.execute("PRAGMA secure_delete = ON")
        # Temporary tables would lie in files that nobody overwrites.
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def cursor(self) -> str:
        """The place in the feed up to which everything is applied; empty at its start."""
        return str(self._db.execute("SELECT cursor FROM feed").fetchone()[0])

    @property
    def is_loading(self) -> bool:
        """Whether the feed is being read from its start, so that the copy may have what the feed has no more."""
        return bool(self._db.execute("SELECT loading FROM feed").fetchone()[0])

    def start_again(self) -> None:
        """Begins to read the feed from its start. What is here stays until ``unseen`` is settled."""
        with self._transaction():
            self._db.execute("UPDATE feed SET cursor = '', generation = generation + 1, loading = 1")

    def apply(self, changes: Iterable[lead_pb2.LeadChange], next_cursor: str) -> None:
        """Applies a batch of changes and moves the cursor behind it: both, or nothing."""
        with self._transaction():
            for change in changes:
                self._apply_one(change)
            self._db.execute("UPDATE feed SET cursor = ?", (next_cursor,))

    def _apply_one(self, change: lead_pb2.LeadChange) -> None:
        match change.kind:
            case lead_pb2.CHANGE_KIND_ERASED:
                self._db.execute(_FORGET, (change.lead_id,))
            case lead_pb2.CHANGE_KIND_HANDED_OVER:
                # A repeat finds no lead, and the customer as it is by now.
                self._hand_over(change)
                self._db.execute(_FORGET, (change.lead_id,))
            case _:
                # SUBMITTED, RECTIFIED, CONSENT_WITHDRAWN, RESTRICTED, RELEASED, OBJECTED, and whatever kind a
                # later version adds: the change shows the lead as it is now, or nothing if it may not be read.
                self._put(change.lead_id, change.lead if change.HasField("lead") else None)
                if change.kind == lead_pb2.CHANGE_KIND_OBJECTED:
                    self._db.execute("UPDATE leads SET no_marketing = 1 WHERE lead_id = ?", (change.lead_id,))

    def _hand_over(self, change: lead_pb2.LeadChange) -> None:
        query = "SELECT restricted FROM leads WHERE lead_id = ?"
        if self._db.execute(query, (change.lead_id,)).fetchone() == (1,):
            # It was restricted after it was closed, so its content had to go from here too.
            _LOG.warning("a lead was handed over that this copy may not show: ask the customer for their data")
        self._db.execute(_HAND_OVER, (change.changed_at.ToJsonString(), change.lead_id))

    def _put(self, lead_id: str, lead: lead_pb2.Lead | None) -> None:
        if lead is None:
            self._db.execute(_HIDE, (lead_id,))
        else:
            self._db.execute(_STORE, (lead_id, *_content(lead)))

    def unseen(self) -> list[str]:
        """Leads that the reading from the start has not met: the feed may have them no more."""
        query = "SELECT lead_id FROM leads, feed WHERE leads.generation <> feed.generation ORDER BY lead_id"
        return [row[0] for row in self._db.execute(query)]

    def settle(self, lead_id: str, lead: lead_pb2.Lead | None) -> None:
        """Keeps an unseen lead as the service has it, or removes it if the service does not show it."""
        with self._transaction():
            if lead is None:
                self._db.execute(_FORGET, (lead_id,))
            else:
                self._put(lead_id, lead)

    def end_loading(self) -> None:
        """The copy has what the feed has, and nothing else."""
        with self._transaction():
            self._db.execute("UPDATE feed SET loading = 0")

    def refresh(self, lead: lead_pb2.Lead) -> bool:
        """Takes over a newer revision of a lead beside the feed; gives whether the lead is here to be used.

        One that is not here is not added: its tombstone may have passed already, and would not come again.
        """
        columns = ", ".join(f"{column} = ?" for column in _CONTENT)
        newer = f"UPDATE leads SET {columns} WHERE lead_id = ? AND restricted = 0 AND revision < ?"
        usable = "SELECT 1 FROM leads WHERE lead_id = ? AND restricted = 0"
        with self._transaction():
            self._db.execute(newer, (*_content(lead), lead.lead_id, lead.revision))
            return self._db.execute(usable, (lead.lead_id,)).fetchone() is not None


def _content(lead: lead_pb2.Lead) -> tuple[str | int, ...]:
    """The values of ``_CONTENT``, in its order."""
    return (
        lead.name,
        lead.company,
        lead.phone,
        lead.email,
        lead_pb2.LawfulBasis.Name(lead.lawful_basis),
        int(lead.consent),
        lead.notice_version,
        lead.submitted_at.ToJsonString(),
        lead.erase_by.ToJsonString(),
        lead.revision,
    )

"""What the tests share: a service with two CRM clients, one whose copy is tested and one that says what is true, and
the sync as a process that may be killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import grpc

from leadintake.v1 import crm_pb2, lead_pb2
from service import PATIENCE_SECONDS, Callers, Service

ENDS = (lead_pb2.CHANGE_KIND_ERASED, lead_pb2.CHANGE_KIND_HANDED_OVER)
COLUMNS = "lead_id, name, company, phone, email, lawful_basis, consent, notice_version, submitted_at, revision"


class House(unittest.TestCase):
    """A service, and a directory for the copy."""

    def setUp(self) -> None:
        self.service = Service()
        self.addCleanup(self.service.close)
        self.callers = Callers(self.service)
        self.addCleanup(self.callers.close)
        self.db = self.service.dir / "crm.db"
        self.observers = 0
        self.running: subprocess.Popen[bytes] | None = None
        self.addCleanup(self.kill)
        # All that the sync writes, of every process: scanned for personal data at the end.
        self.said = self.service.dir / "sync.log"
        self.said.touch()

    # The sync.

    def sync_command(self, *more: str) -> list[str]:
        where = ["--url", self.service.url, "--token-file", str(self.service.token_file("crm")), "--db", str(self.db)]
        return [sys.executable, "-m", "lead_sync", *where, *more]

    def follow(self) -> None:
        """Starts a process that follows the feed."""
        with self.said.open("ab") as said:
            self.running = subprocess.Popen(self.sync_command(), stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        if self.running is not None:
            self.running.kill()
            self.running.wait(PATIENCE_SECONDS)
            self.running = None

    def sync(self, *more: str) -> int:
        """Runs a command of the sync to its end; gives its exit code."""
        with self.said.open("ab") as said:
            command = self.sync_command(*(more or ("--once",)))
            return subprocess.run(command, stdout=said, stderr=said, timeout=PATIENCE_SECONDS, check=False).returncode

    # The copy.

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        if not self.db.exists():
            return []
        db = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
        try:
            return db.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            # The process was killed before it had made the tables.
            if "no such table" in str(error):
                return []
            raise
        finally:
            db.close()

    def usable(self) -> dict[str, tuple[object, ...]]:
        return {str(row[0]): row[1:] for row in self.rows(f"SELECT {COLUMNS} FROM leads WHERE restricted = 0")}

    def hidden(self) -> set[str]:
        return {str(row[0]) for row in self.rows("SELECT lead_id FROM leads WHERE restricted = 1")}

    def unmarketable(self) -> set[str]:
        return {str(row[0]) for row in self.rows("SELECT lead_id FROM leads WHERE no_marketing = 1")}

    # What is true.

    def observe(self) -> tuple[dict[str, tuple[object, ...]], set[str]]:
        """What a CRM client that is new today may read, and which of it is not for marketing."""
        self.observers += 1
        added = self.service.command("client", "add", f"observer-{self.observers}", "--role", "crm")
        assert added.returncode == 0, added.stderr
        observer = Callers(self.service, added.stdout.strip())
        leads: dict[str, tuple[object, ...]] = {}
        objected: set[str] = set()
        cursor, has_more = "", True
        while has_more:
            page = observer.crm("PullLeads", crm_pb2.PullLeadsRequest(cursor=cursor, page_size=7))
            for change in page.changes:
                leads[change.lead_id] = ()
                if change.kind == lead_pb2.CHANGE_KIND_OBJECTED:
                    objected.add(change.lead_id)
                if change.kind in ENDS:
                    del leads[change.lead_id]
            cursor, has_more = page.next_cursor, page.has_more
        read = {lead_id: self.read(observer, lead_id) for lead_id in leads}
        observer.close()
        self.service.command("client", "revoke", f"observer-{self.observers}")
        return {lead_id: lead for lead_id, lead in read.items() if lead is not None}, objected

    def read(self, callers: Callers, lead_id: str) -> tuple[object, ...] | None:
        """A lead as GetLead shows it, in the columns of the copy."""
        try:
            lead = callers.crm("GetLead", crm_pb2.GetLeadRequest(lead_id=lead_id)).lead
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error.code()
            return None
        basis = lead_pb2.LawfulBasis.Name(lead.lawful_basis)
        content = (lead.name, lead.company, lead.phone, lead.email, basis, int(lead.consent), lead.notice_version)
        return (*content, lead.submitted_at.ToJsonString(), lead.revision)

    def eventually(self, what: str, check: Callable[[], bool]) -> None:
        deadline = monotonic() + PATIENCE_SECONDS
        while not check():
            # Poll: the process has to stay alive meanwhile.
            if self.running is not None and self.running.poll() is not None:
                self.fail(f"{what}: the sync ended:\n{self.said.read_text()}")
            self.assertLess(monotonic(), deadline, f"{what} never became true\n{self.said.read_text()}")
            pause()


def pause() -> None:
    """Between two looks."""
    subprocess.run(["sleep", "0.02"], check=True)


def environment(**more: str) -> dict[str, str]:
    return os.environ | more


def here(name: str) -> Path:
    return Path(__file__).with_name(name)

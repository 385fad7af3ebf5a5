"""The sync against the real service: whatever happens to either, the copy ends as the service shows it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid

from leadintake.v1 import crm_pb2, lead_pb2, privacy_pb2
from service import PATIENCE_SECONDS, subject

from .house import House, here
from .people import NAMES, People

SEEDS = [int(seed) for seed in os.environ.get("LEAD_SYNC_TEST_SEEDS", "1 2 3 4").split()]
STEPS, KILLS = 60, 8


class TestSync(House):
    def setUp(self) -> None:
        super().setUp()
        self.people = People(self.callers, 0)
        # What was in a lead when it was handed over.
        self.customers: dict[str, tuple[object, ...]] = {}

    def hand_over(self) -> None:
        """Makes a customer of a lead that the copy has."""
        usable = sorted(set(self.usable()) & set(self.people.here))
        if not usable:
            return
        person = self.people.here[self.people.random.choice(usable)]
        lead = self.read(self.callers, person.lead_id)
        # The copy may be behind the service, where the lead was restricted since; then nothing is done.
        done = self.sync("--customer", person.lead_id)
        self.assertEqual(done, 0 if lead else 1, self.said.read_text())
        if lead:
            self.customers[person.lead_id] = lead[:4]
            self.people.leave(person)

    def live(self, steps: int, kills: int) -> None:
        """So many random calls, with the sync killed so often at random moments."""
        at = sorted(self.people.random.sample(range(steps), kills))
        for step in range(steps):
            self.people.do()
            if self.people.random.random() < 0.06:
                self.hand_over()
            if step in at:
                self.kill()
                self.follow()
                self.let_run(self.people.random.uniform(0.0, 0.7))

    def let_run(self, seconds: float) -> None:
        """Lets the sync run for a while, in which it may not end by itself."""
        assert self.running is not None
        try:
            self.running.wait(seconds)
            self.fail(f"the sync ended:\n{self.said.read_text()}")
        except subprocess.TimeoutExpired:
            pass

    def assert_in_step(self) -> None:
        """The copy is what a new client may read, and has nothing of anybody else."""
        leads, objected = self.observe()
        self.assertEqual(self.usable(), leads)
        self.assertEqual(self.unmarketable() - self.hidden(), objected & set(leads))
        # What is hidden is held by the service, and shown to nobody.
        self.assertLessEqual(self.hidden(), set(self.people.here))
        for lead_id in self.hidden():
            self.assertIsNone(self.read(self.callers, lead_id))
        kept = {str(row[0]): row[1:] for row in self.rows("SELECT lead_id, name, company, phone, email FROM customers")}
        self.assertEqual(kept, self.customers)
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        """No byte of the file, and no line that the sync wrote, is of a person that may not be there."""
        shown = [str(value) for lead in (*self.usable().values(), *self.customers.values()) for value in lead]
        disk = b"".join(file.read_bytes() for file in self.db.parent.glob("crm.db*"))
        said = self.said.read_text()
        for email in self.people.emails:
            if email not in shown:
                self.assertNotIn(email.encode(), disk, "a file of the copy has somebody who is gone")
            self.assertNotIn(email, said)
        for value in (*NAMES[:5], "Kanarikompani", "40605619", self.service.token("crm")):
            self.assertNotIn(value, said)

    def test_killed_at_random_the_copy_is_in_step(self) -> None:
        """After any sequence of calls, with the sync killed at any moment and resumed, its copy is what the service
        shows: every correction, restriction, objection, erasure and hand-over has reached it."""
        for seed in SEEDS:
            with self.subTest(seed=seed):
                self.people.random.seed(seed)
                self.live(STEPS, KILLS)
                self.kill()
                self.assertEqual(self.sync(), 0, self.said.read_text())
                self.assert_in_step()

    def test_killed_before_each_statement_the_copy_is_in_step(self) -> None:
        """Killed before any one of its SQL statements, it goes on as if nothing had been."""
        self.live(12, 0)
        self.assertEqual(self.sync(), 0)
        base = self.db.read_bytes()
        self.live(12, 0)
        for _ in range(2):
            self.people.submit()
        for kind in ("restrict", "erase"):
            getattr(self.people, kind)(next(iter(self.people.here.values())))
        self.assertEqual(self.sync(), 0)
        self.assert_in_step()
        whole = self.db.read_bytes()
        statement, ended = 0, False
        while not ended:
            statement += 1
            self.db.unlink()
            self.db.write_bytes(base)
            command = self.sync_command("--once")
            command[1:3] = [str(here("dying.py")), str(statement)]
            died = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
            ended = died.returncode == 0
            self.assertIn(died.returncode, (0, -signal.SIGKILL), died.stderr.decode())
            self.assertEqual(self.sync_in_process(), self.contents(whole), f"killed before statement {statement}")
        self.assertGreater(statement, 20)

    def contents(self, database: bytes) -> list[tuple[object, ...]]:
        self.db.write_bytes(database)
        leads = self.rows("SELECT lead_id, restricted, no_marketing, name, email, revision FROM leads ORDER BY 1")
        return leads + self.rows("SELECT cursor, loading, 0, '', '', 0 FROM feed")

    def sync_in_process(self) -> list[tuple[object, ...]]:
        """Brings the copy up to date without the cost of a process; gives what is in it."""
        from lead_sync import LeadCopy, LeadFeed, LeadSync
        from lead_sync.feed import open_channel

        copy = LeadCopy(self.db)
        with open_channel(self.service.url) as channel:
            LeadSync(copy, LeadFeed(channel, self.service.token_file("crm"))).run(follow=False)
        copy.close()
        return self.contents(self.db.read_bytes())

    def test_a_restored_backup_is_followed(self) -> None:
        """After a backup came back to the service, under a sync that runs on and is killed now and then, the copy has
        nothing of what was lost or erased since, and what it should have."""
        self.people.random.seed(99)
        self.follow()
        self.live(25, 2)
        backup = self.service.dir / "backup.db"
        taken = self.service.command("backup", str(backup))
        self.assertEqual(taken.returncode, 0, taken.stderr)
        before = set(self.people.here)
        self.live(30, 3)
        lost = [lead_id for lead_id in self.people.here if lead_id not in before]
        self.assertTrue(lost, "the sequence submits something after the backup")
        self.eventually("a lead that will be lost is in the copy", lambda: any(i in self.usable() for i in lost))
        self.service.stop()
        self.service.restore(backup)
        self.service.start()
        self.assertTrue(any("behind its mirror" in line for line in self.service.log), self.service.log)
        self.forget(lost)
        self.live(20, 3)
        self.eventually("the copy is read from the start", lambda: self.rows("SELECT generation FROM feed") == [(2,)])
        self.kill()
        self.assertEqual(self.sync(), 0, self.said.read_text())
        self.assertIn("restored from a backup", self.said.read_text())
        self.assertFalse(set(lost) & (set(self.usable()) | self.hidden()))
        self.assert_in_step()

    def test_what_the_feed_does_not_mention_is_asked_for(self) -> None:
        """After a reading from the start, a lead without a word in the feed stays if the service shows it, and goes if
        the service knows nothing of it, as after a restore without the mirror."""
        from lead_sync import LeadCopy

        self.people.submit()
        self.assertEqual(self.sync(), 0)
        known = self.usable()
        copy = LeadCopy(self.db)
        stranger = lead_pb2.Lead(lead_id=str(uuid.uuid4()), name="Nobody Any More", revision=1)
        copy.apply([lead_pb2.LeadChange(lead_id=stranger.lead_id, lead=stranger)], copy.cursor)
        copy.start_again()
        copy.close()
        self.assertEqual(len(self.usable()), 2)
        self.assertEqual(self.sync(), 0, self.said.read_text())
        self.assertEqual(self.usable(), known)
        self.assertNotIn(b"Nobody Any More", self.db.read_bytes())

    def test_told_to_stop_while_it_reads_from_the_start_it_goes_on_there(self) -> None:
        """What was read by half is neither settled nor acknowledged: the next start reads the rest first."""
        from lead_sync import LeadCopy, LeadSync

        class Stopping:
            """A feed with more to come, whose reader is told to stop. It has no other calls."""

            def pull(self, _cursor: str) -> crm_pb2.PullLeadsResponse:
                sync.stop()
                return crm_pb2.PullLeadsResponse(next_cursor="half", has_more=True)

            def cancel(self) -> None:
                pass

        copy = LeadCopy(self.db)
        sync = LeadSync(copy, Stopping())  # type: ignore[arg-type]
        sync.run()
        self.assertEqual((copy.cursor, copy.is_loading), ("half", True))
        copy.close()

    def forget(self, lost: list[str]) -> None:
        """Notes what a restore did: what came after the backup is gone, and what was corrected since is contested."""
        for lead_id in lost:
            self.people.leave(self.people.here[lead_id])
        for person in self.people.here.values():
            found = self.callers.privacy("FindSubject", privacy_pb2.FindSubjectRequest(request=subject(person.email)))
            person.restricted = found.leads[0].state == lead_pb2.LEAD_STATE_RESTRICTED

    def test_a_follower_hears_at_once_and_acknowledges(self) -> None:
        """A follower outlives restarts and crashes of the service, and what it has applied is acknowledged: Art. 19
        is settled without anybody's doing."""
        self.follow()
        self.people.submit()
        self.eventually("the lead is here", lambda: len(self.usable()) == 1)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.service.stop(number)
            self.service.start()
            self.people.submit()
            known = len(self.people.here)
            self.eventually("the next lead is here", lambda: len(self.usable()) == known)
        request_id, person = str(uuid.uuid4()), next(iter(self.people.here.values()))
        erasure = privacy_pb2.EraseSubjectRequest(request=subject(person.email, request_id), ground=1)
        self.callers.privacy("EraseSubject", erasure)
        receipt = privacy_pb2.GetErasureReceiptRequest(request_id=request_id)

        def acknowledged() -> bool:
            recipients = self.callers.privacy("GetErasureReceipt", receipt).recipients
            return [(r.client, r.leads, r.acknowledged) for r in recipients] == [("crm", 1, 1)]

        self.eventually("the erasure is acknowledged", acknowledged)
        self.assertNotIn(person.lead_id, self.usable())
        assert self.running is not None
        self.running.terminate()
        self.assertEqual(self.running.wait(PATIENCE_SECONDS), 0, "told to stop, it ends well")
        self.running = None

    def test_nothing_is_acknowledged_before_it_is_committed(self) -> None:
        """A sync that dies with the changes in its hands has acknowledged none of them."""
        self.people.submit()
        self.assertEqual(self.sync(), 0)
        self.callers.erase(next(iter(self.people.here.values())).email)
        for statement in range(1, 200):
            command = self.sync_command("--once")
            command[1:3] = [str(here("dying.py")), str(statement)]
            subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
            open_tombstones = self.unacknowledged()
            if not self.usable():
                return
            self.assertEqual(open_tombstones, 1, f"acknowledged before statement {statement}, and still here")
        self.fail("the erasure never reached the copy")

    def unacknowledged(self) -> int:
        """Tombstones that the client was given, or is to be, and has not acknowledged."""
        stats = self.service.command("stats", "--json")
        self.assertEqual(stats.returncode, 0, stats.stderr)
        consumers = {client["client"]: client for client in json.loads(stats.stdout)["consumers"]}
        return int(consumers["crm"]["unacknowledgedErasures"])

    def test_what_cannot_pass_by_itself_is_said_and_ends(self) -> None:
        """A wrong token, a token of another role, another client's copy, plain HTTP to elsewhere, a second follower:
        exit code 1 or 2 with what to do, at once."""
        self.assertEqual(self.sync(), 0)
        wrong = self.service.dir / "wrong-token"
        wrong.write_text("li_crm_wrong")
        cases = [
            (["--token-file", str(wrong)], 1, "TOKEN_INVALID: put a token"),
            (["--token-file", str(self.service.token_file("intake"))], 1, "ROLE_NOT_ALLOWED: put a token"),
            (["--token-file", "/nowhere/token"], 1, "No such file"),
            (["--url", "http://example.no:50051"], 2, "must be https"),
        ]
        for more, code, said in cases:
            ran = subprocess.run(
                self.sync_command("--once", *more), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
            self.assertEqual(ran.returncode, code, ran.stderr)
            self.assertIn(said, ran.stderr)
            self.assertNotIn("Traceback", ran.stderr)
        self.people.submit()
        self.assertEqual(self.sync(), 0)
        other = self.service.command("client", "add", "other", "--role", "crm")
        wrong.write_text(other.stdout)
        ran = subprocess.run(
            self.sync_command("--once", "--token-file", str(wrong)),
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn("belongs to another client", ran.stderr)
        self.follow()
        self.people.submit()
        self.eventually("it follows", lambda: len(self.usable()) == 2)
        second = subprocess.run(
            self.sync_command(), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("another process", second.stderr)

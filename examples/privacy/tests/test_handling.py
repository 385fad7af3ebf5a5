"""A request from its arrival to its proof: by the shell script and by the Python package, with the same tests."""

from __future__ import annotations

import json
import subprocess
import unittest

from leadintake.v1 import ledger_pb2, ledger_pb2_grpc

from .house import EMAIL, NAME, House


class Handling:
    """The promises; each way of handling a request keeps them."""

    def act(self, wait: str = "60") -> subprocess.CompletedProcess[str]:
        """Handles the request, and waits for so many seconds for what is still open."""
        raise NotImplementedError

    def erasures(self) -> int:
        """How many erasures the ledger knows."""
        stub = ledger_pb2_grpc.LedgerServiceStub(self.callers._channel)
        token = self.service.token("auditor")
        listed = stub.ListEntries(
            ledger_pb2.ListEntriesRequest(page_size=1000), metadata=(("authorization", f"Bearer {token}"),), timeout=60
        )
        return sum(entry.kind == ledger_pb2.ENTRY_KIND_ERASURE_REQUESTED for entry in listed.entries)

    def test_from_the_request_to_the_proof(self) -> None:
        """The person gets a copy, is erased everywhere, and the receipt is proven without the service."""
        lead = self.callers.submit(name=NAME, email=EMAIL)
        other = self.callers.submit(name="Ola Nordmann", email="ola@example.no")
        self.acknowledge_when_erased()
        ran = self.done(self.act(), 0)
        self.assertIn("PROVEN", ran.stdout)
        self.assertIn(EMAIL, (self.case / "copy.html").read_text())
        self.assert_private()
        receipt = json.loads((self.case / "receipt.json").read_text())
        self.assertEqual([entry["leadId"] for entry in receipt["receipt"]["entries"]], ["", lead])
        self.assertNotIn(other, (self.case / "receipt.json").read_text())
        self.service.stop()
        self.assertIn("PROVEN", self.done(self.verify(), 0).stdout)
        check = ["receipt", "verify", str(self.case / "receipt.json"), "--public-key", str(self.public_key)]
        self.assertEqual(self.service.command(*check).returncode, 0)

    def test_it_is_not_done_before_every_crm_says_so(self) -> None:
        """Art. 19: until the CRM has acknowledged, it is not finished; run again it is the same request."""
        self.callers.submit(name=NAME, email=EMAIL)
        self.pull()
        self.done(self.act(wait="0"), 3)
        copy = (self.case / "copy.html").read_text()
        self.done(self.act(wait="0"), 3)
        self.assertEqual(self.erasures(), 1)
        self.acknowledge()
        self.done(self.act(), 0)
        self.assertEqual(self.erasures(), 1)
        self.assertEqual((self.case / "copy.html").read_text(), copy)

    def test_who_may_be_somebody_else_is_not_touched(self) -> None:
        """Art. 12(6): another address with the same number is somebody else until a human has looked."""
        self.ask(email=EMAIL, phone="40605600")
        self.callers.submit(name=NAME, email=EMAIL, phone="40605600")
        colleague = self.callers.submit(name="Ola Nordmann", email="ola@example.no", phone="40605600")
        self.done(self.act(), 3)
        found = self.service.command("find", "--email", "ola@example.no", "--ids")
        self.assertEqual(found.stdout.strip(), colleague)

    def test_nothing_held_is_an_answer(self) -> None:
        """Somebody unknown gets a copy that says so, and a receipt of nothing."""
        ran = self.done(self.act(), 0)
        self.assertIn("0 lead(s) erased", ran.stdout)

    def test_a_lead_that_stays_is_told(self) -> None:
        """Art. 12(4), 17(3)(e): a lead that is kept is not done, and what the person must be told is printed."""
        lead = self.callers.submit(name=NAME, email=EMAIL)
        self.service.command("restrict", lead, "--reason", "controller-legal-claim")
        ran = self.done(self.act(), 3)
        self.assertIn("Datatilsynet", ran.stdout)

    def test_a_receipt_under_another_key_is_not_believed(self) -> None:
        """The key is the one that was published, not the one that the service names."""
        self.callers.submit(name=NAME, email=EMAIL)
        published = self.public_key.read_text()
        name, key_id, key = published.strip().split("+", 2)
        self.public_key.write_text(f"{name}+{key_id}+{key[:-4]}AAA=\n")
        self.assertNotEqual(self.act().returncode, 0)
        self.public_key.write_text(published)
        self.done(self.act(), 0)

    def test_a_bad_request_names_nobody(self) -> None:
        """What is refused is told by its field."""
        self.ask(email="kanari")
        ran = self.done(self.act(), 1)
        self.assertIn("email", ran.stderr)
        self.assertEqual(self.erasures(), 0)


class TestShell(Handling, House):
    """request.sh."""

    def act(self, wait: str = "60") -> subprocess.CompletedProcess[str]:
        return self.shell(WAIT_SECONDS=wait)

    def test_how_identity_was_checked_must_be_said(self) -> None:
        """Nobody is erased for somebody who only says that it is them."""
        self.done(self.shell(CHECKED=""), 2)
        self.assertFalse(self.case.exists())


class TestPython(Handling, House):
    """subject_request."""

    def act(self, wait: str = "60") -> subprocess.CompletedProcess[str]:
        return self.handle("--wait-seconds", wait)


if __name__ == "__main__":
    unittest.main()

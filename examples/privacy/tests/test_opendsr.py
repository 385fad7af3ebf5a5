"""A request of another privacy tool, carried out by opendsr.sh until it is completed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import unittest
import uuid
from typing import Any

from .house import EMAIL, NAME, House


class TestOpenDsr(House):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.dir / "request.json"
        self.status = self.dir / "status.json"

    def write(self, kind: str, *identities: tuple[str, str, str]) -> None:
        """What the tool hands on."""
        names = ("identity_type", "identity_value", "identity_format")
        request = {
            "regulation": "gdpr",
            "subject_request_id": str(uuid.uuid4()),
            "subject_request_type": kind,
            "submitted_time": "2026-10-02T15:00:00Z",
            "api_version": "2.0",
            "subject_identities": [dict(zip(names, identity, strict=True)) for identity in identities],
        }
        self.file.write_text(json.dumps(request))

    def apply(self, *options: str, wait: str = "60") -> subprocess.CompletedProcess[str]:
        command = ["./opendsr.sh", str(self.file), str(self.status), *options]
        return self.run_command(*command, CHECKED="email-reply", WAIT_SECONDS=wait)

    def answer(self) -> Any:
        text = self.status.read_text()
        self.assertNotIn("kanari", text.lower())
        return json.loads(text)

    def test_an_erasure_is_completed_when_the_crm_says_so(self) -> None:
        """It waits for the CRM, and not for longer than it was told to."""
        self.write("erasure", ("email", EMAIL, "raw"), ("ios_advertising_id", "EA7583CD", "raw"))
        self.callers.submit(name=NAME, email=EMAIL)
        self.pull()
        self.done(self.apply(wait="0"), 3)
        self.assertEqual(self.answer()["request_status"], "in_progress")
        self.acknowledge()
        self.done(self.apply(), 0)
        self.assertEqual(self.answer()["request_status"], "completed")
        outcomes = [told["outcome"] for told in self.answer()["extensions"]["lead-intake"]["identities"]]
        self.assertEqual(outcomes, ["SEARCHED", "NOT_HELD"])

    def test_a_copy_is_what_its_checksum_says(self) -> None:
        """Art. 15: the copy is for its owner only, and the answer has its checksum and not what is in it."""
        self.write("access", ("email", EMAIL, "raw"))
        self.callers.submit(name=NAME, email=EMAIL)
        self.case.mkdir()
        self.done(self.apply("--out", str(self.case)), 0)
        (told,) = self.answer()["extensions"]["lead-intake"]["files"]
        content = (self.case / told["name"]).read_bytes()
        self.assertEqual(hashlib.sha256(content).hexdigest(), told["sha256"])
        self.assertIn(EMAIL.encode(), content)
        self.assert_private()

    def test_what_cannot_be_searched_is_told(self) -> None:
        """A hash of nobody knows whom is an error by itself, and keeps a request open beside an address."""
        unknown = hashlib.sha256(b"somebody").hexdigest()
        self.write("erasure", ("email", unknown, "sha256"))
        self.done(self.apply(), 1)
        reasons = [fault["reason"] for fault in self.answer()["error"]["errors"]]
        self.assertEqual(reasons, ["HASH_NOT_SEARCHABLE", "NOTHING_TO_SEARCH"])
        self.write("erasure", ("email", unknown, "sha256"), ("email", EMAIL, "raw"))
        # At once: no CRM had a lead, so there is nothing to wait for.
        self.assertIn("HASH_NOT_SEARCHABLE", self.done(self.apply(), 3).stderr)


if __name__ == "__main__":
    unittest.main()

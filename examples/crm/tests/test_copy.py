"""The copy alone: what each kind of change does to it, and what is left in its file."""

from __future__ import annotations

import sqlite3
import tempfile
import unittest
from pathlib import Path

from leadintake.v1 import lead_pb2
from lead_sync import LeadCopy

NAME, EMAIL = "Ærlig Kanarifugl", "kanari.fugl@kanari-eksempel.no"


def lead(lead_id: str, **fields: object) -> lead_pb2.Lead:
    values = {"name": NAME, "email": EMAIL, "lawful_basis": lead_pb2.LAWFUL_BASIS_CONSENT, "revision": 1} | fields
    return lead_pb2.Lead(lead_id=lead_id, **values)


def change(kind: str, shown: lead_pb2.Lead | None = None, lead_id: str = "a") -> lead_pb2.LeadChange:
    return lead_pb2.LeadChange(
        cursor="c", kind=lead_pb2.ChangeKind.Value(f"CHANGE_KIND_{kind}"), lead_id=lead_id, lead=shown
    )


class TestCopy(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "crm.db"
        self.copy = LeadCopy(self.path)
        self.addCleanup(self.copy.close)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.path) as db:
            return db.execute(query).fetchall()

    def bytes_on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.path.parent.iterdir())

    def test_art_17_an_erasure_leaves_nothing_in_the_file(self) -> None:
        """Art. 17: after an erasure the file has no trace of the person, and after a restriction neither (Art. 18)."""
        for end in ("ERASED", "RESTRICTED"):
            self.copy.apply([change("SUBMITTED", lead("a"))], "1")
            self.assertIn(EMAIL.encode(), self.bytes_on_disk())
            self.copy.apply([change(end)], "2")
            self.assertNotIn(EMAIL.encode(), self.bytes_on_disk())
            self.assertNotIn(NAME.encode(), self.bytes_on_disk())

    def test_art_18_a_restricted_lead_has_no_content(self) -> None:
        """Art. 18: a lead that a change shows nothing of is hidden, whatever the change is called, until it is shown."""
        hidden = "SELECT restricted, name, email, revision FROM leads"
        for kind in ("RESTRICTED", "RECTIFIED", "CONSENT_WITHDRAWN"):
            self.copy.apply([change("SUBMITTED", lead("a"))], "1")
            self.copy.apply([change(kind)], "2")
            self.assertEqual(self.rows(hidden), [(1, None, None, None)])
        self.copy.apply([change("RELEASED", lead("a", name="Kari", revision=4))], "3")
        self.assertEqual(self.rows(hidden), [(0, "Kari", EMAIL, 4)])
        with self.assertRaises(sqlite3.IntegrityError), sqlite3.connect(self.path) as db:
            db.execute("UPDATE leads SET restricted = 1")

    def test_art_21_an_objection_to_marketing_outlives_everything(self) -> None:
        """Art. 21(2): the objection stays through restriction, correction and hand-over."""
        self.copy.apply([change("SUBMITTED", lead("a")), change("OBJECTED", lead("a"))], "1")
        self.copy.apply([change("RESTRICTED"), change("RELEASED", lead("a"))], "2")
        self.assertEqual(self.rows("SELECT no_marketing FROM leads"), [(1,)])
        self.copy.apply([change("HANDED_OVER")], "3")
        self.assertEqual(self.rows("SELECT name, no_marketing FROM customers"), [(NAME, 1)])

    def test_a_hand_over_moves_the_lead_once(self) -> None:
        """A customer is made of the lead, and a repeated hand-over does not undo what the CRM did since."""
        self.copy.apply([change("SUBMITTED", lead("a")), change("HANDED_OVER")], "1")
        self.assertEqual(self.rows("SELECT count(*) FROM leads"), [(0,)])
        with sqlite3.connect(self.path) as db:
            db.execute("UPDATE customers SET name = 'Kari'")
        self.copy.apply([change("SUBMITTED", lead("a")), change("HANDED_OVER")], "2")
        self.assertEqual(self.rows("SELECT name FROM customers"), [("Kari",)])

    def test_a_batch_is_whole_or_not_there(self) -> None:
        """A batch that fails in the middle leaves neither a change nor a cursor."""
        self.copy.apply([change("SUBMITTED", lead("a"))], "1")

        def broken() -> object:
            yield change("ERASED")
            raise RuntimeError

        with self.assertRaises(RuntimeError):
            self.copy.apply(broken(), "2")
        self.assertEqual(self.rows("SELECT lead_id FROM leads"), [("a",)])
        self.assertEqual(self.copy.cursor, "1")

    def test_what_the_feed_has_no_more_is_removed(self) -> None:
        """After a reading from the start, a lead that it did not meet stays only if the service still shows it."""
        self.copy.apply([change("SUBMITTED", lead(name), name) for name in "abc"], "1")
        self.copy.end_loading()
        self.copy.start_again()
        self.assertTrue(self.copy.is_loading and self.copy.cursor == "")
        self.copy.apply([change("SUBMITTED", lead("a"), "a")], "2")
        self.assertEqual(self.copy.unseen(), ["b", "c"])
        self.copy.settle("b", None)
        self.copy.settle("c", lead("c", name="Kari", revision=2))
        self.copy.end_loading()
        self.assertEqual(self.rows("SELECT lead_id, name FROM leads"), [("a", NAME), ("c", "Kari")])
        self.assertEqual(self.copy.unseen(), [])

    def test_a_refresh_brings_nothing_back(self) -> None:
        """What was read beside the feed neither replaces something newer nor shows what is hidden."""
        self.copy.apply([change("SUBMITTED", lead("a", revision=3))], "1")
        self.copy.refresh(lead("a", name="old", revision=2))
        self.assertEqual(self.rows("SELECT name FROM leads"), [(NAME,)])
        self.copy.refresh(lead("a", name="new", revision=4))
        self.assertEqual(self.rows("SELECT name FROM leads"), [("new",)])
        self.copy.apply([change("RESTRICTED")], "2")
        self.copy.refresh(lead("a", revision=9))
        self.assertEqual(self.rows("SELECT restricted, name FROM leads"), [(1, None)])

    def test_the_file_is_for_its_owner_only(self) -> None:
        """Art. 32: others on the machine cannot read the copy."""
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()

"""Receipts without a service: what is changed in one is caught, and the checks agree with those of the program."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import subprocess
import unittest
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from subject_request.proof import Entry, NotProven, PublicKey, root_of, verify

from .house import EMAIL, NAME, House

# What a receipt says of others than the ledger, and so does not prove.
NOT_COVERED = {"recipients", "cleanUp", "proofAbsence"}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every text and number in a document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))
    else:
        yield path


def changed(document: Any, path: tuple[Any, ...]) -> Any:
    """The document with another value there."""
    document = copy.deepcopy(document)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    value = inner[path[-1]]
    if isinstance(value, str):
        # Another character of the same kind: a changed value, not a broken document.
        end = len(value) // 2
        swapped = {"0": "1", "a": "b", "A": "B", "2": "3"}.get(value[end : end + 1], "0")
        inner[path[-1]] = value[:end] + swapped + value[end + 1 :]
    else:
        inner[path[-1]] = 1
    return document


class TestProof(House):
    """One receipt of two leads in a ledger of some entries, and another receipt of the same ledger."""

    def setUp(self) -> None:
        super().setUp()
        for _ in range(5):
            self.callers.submit(name="Ola Nordmann", email="ola@example.no")
        self.callers.submit(name=NAME, email=EMAIL)
        self.callers.submit(name=NAME, email=EMAIL)
        self.done(self.handle(), 0)
        self.receipt = json.loads((self.case / "receipt.json").read_text())
        self.key = PublicKey.parse(self.public_key.read_text())

    def test_a_receipt_is_proven(self) -> None:
        """What the service wrote is proven, whatever it says of the CRMs."""
        proven = verify(self.receipt, self.key)
        self.assertEqual((len(proven.erased), proven.kept), (2, ()))
        self.assertEqual(proven.request_id, (self.case / "request-id").read_text().strip())

    def test_whatever_is_changed_is_caught(self) -> None:
        """Every value that the proof covers, changed by itself, is caught; and the program agrees about each."""
        tried = 0
        for path in places(self.receipt):
            if path[0] in NOT_COVERED or path[:2] in (("proof", "sinceSize"), ("proof", "consistency")):
                continue
            with self.subTest(path=path), self.assertRaises(NotProven):
                verify(changed(self.receipt, path), self.key)
            tried += 1
        self.assertGreater(tried, 25)

    def test_the_program_agrees(self) -> None:
        """Of each entry a changed record, and a changed note: the program does not prove what we do not prove."""
        paths = [("proof", "entries", number, "record") for number in range(3)]
        for path in [*paths, ("proof", "note"), ("receipt", "ground")]:
            file = self.dir / "changed.json"
            file.write_text(json.dumps(changed(self.receipt, path)))
            check = ["receipt", "verify", str(file), "--public-key", str(self.public_key)]
            self.assertNotEqual(self.service.command(*check).returncode, 0, path)

    def test_an_entry_left_out_or_moved_is_caught(self) -> None:
        """A receipt is the whole of an act: nothing is left out in the middle, exchanged or repeated."""
        for order in ([1, 2], [0, 2], [0, 2, 1], [0, 1, 1], []):
            receipt = copy.deepcopy(self.receipt)
            for part in ("receipt", "proof"):
                receipt[part]["entries"] = [receipt[part]["entries"][number] for number in order]
            with self.subTest(order=order), self.assertRaises(NotProven):
                verify(receipt, self.key)

    def test_a_forged_signature_is_caught(self) -> None:
        """A note with every word right, the key's own name and id, and a signature of somebody else: of another key, of
        another text, or of nothing."""
        note = self.receipt["proof"]["note"]
        text, _, signature = note.rpartition("\n\n")
        tagged = base64.b64decode(signature.split()[2])
        forger = Ed25519PrivateKey.generate()
        other_text = f"{text}\n".replace("\n", "\n\n", 1).encode()
        flipped = tagged[:-1] + bytes([tagged[-1] ^ 1])
        forgeries = [forger.sign(f"{text}\n".encode()), forger.sign(other_text), bytes(64), flipped[4:], b""]
        for forged in forgeries:
            receipt = copy.deepcopy(self.receipt)
            line = base64.b64encode(tagged[:4] + forged).decode()
            receipt["proof"]["note"] = f"{text}\n\n\N{EM DASH} {self.key.name} {line}\n"
            with self.subTest(length=len(forged)), self.assertRaises(NotProven):
                verify(receipt, self.key)
        receipt = copy.deepcopy(self.receipt)
        receipt["proof"]["note"] = f"{text}\n\n"
        with self.assertRaises(NotProven):
            verify(receipt, self.key)

    def test_a_note_of_another_key_is_not_believed(self) -> None:
        """The signature of anybody else, under the published name, is none."""
        other = self.dir / "other"
        listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", str(other)]
        server = subprocess.Popen(
            [self.service.program, "serve", *listen],
            stderr=subprocess.PIPE,
            env=self.service.environment(),
            text=True,
        )
        assert server.stderr is not None
        for line in server.stderr:
            if line.startswith("listening on"):
                break
        server.terminate()
        server.communicate()
        stranger = PublicKey.parse((other / "checkpoint.pub").read_text())
        receipt = copy.deepcopy(self.receipt)
        receipt["proof"]["verifierKey"] = stranger.text
        with self.assertRaises(NotProven):
            verify(receipt, stranger)


class TestParts(unittest.TestCase):
    """The arithmetic, without a service."""

    def test_an_inclusion_proof_leads_to_the_root_for_every_place(self) -> None:
        """RFC 6962: in trees of each small size, each leaf's proof leads to the root, and no other leaf's does."""
        for size in range(1, 18):
            leaves = [bytes([number]) * 32 for number in range(size)]
            for place in range(size):
                proof = path(leaves, place)
                self.assertEqual(root_of(entry(place, leaves[place]), size, proof), root(leaves))
                for wrong in range(size):
                    if wrong != place:
                        found = root_of(entry(wrong, leaves[place]), size, proof)
                        self.assertNotEqual(found, root(leaves), (size, place, wrong))
                self.assertIsNone(root_of(entry(size, leaves[place]), size, proof))
                self.assertNotEqual(root_of(entry(place, leaves[place]), size, [*proof, bytes(32)]), root(leaves))

    def test_a_key_must_have_its_own_id(self) -> None:
        """A key whose id does not follow from it is refused."""
        good = "lead-intake/x+00000000+" + "A" * 44
        for text in ("", "a", "a+b", good, good.replace("+0", "+g")):
            with self.subTest(text=text), self.assertRaises(ValueError):
                PublicKey.parse(text)


def entry(place: int, leaf: bytes) -> Entry:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Entry(b"", leaf, b"", place + 1, 7, at, 1, 1, "", "")


def split(count: int) -> int:
    """The largest power of two below."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = split(len(leaves))
    return hashlib.sha256(b"\x01" + root(leaves[:middle]) + root(leaves[middle:])).digest()


def path(leaves: list[bytes], place: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if place < middle:
        return [*path(leaves[:middle], place), root(leaves[middle:])]
    return [*path(leaves[middle:], place - middle), root(leaves[:middle])]


if __name__ == "__main__":
    unittest.main()

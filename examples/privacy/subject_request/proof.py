"""Whether a receipt is proven: with the receipt, the public key and no service.

Nothing here knows gRPC or the contract's modules: it reads the JSON that ``lead-intake receipt --output`` and
``python -m subject_request handle`` write. What it checks, in order: the checkpoint's signature (C2SP signed-note with an
Ed25519 key), that each record is the entry that the receipt names, that each entry is in the tree of the checkpoint (RFC
6962), that the entries follow each other, and that they say what the receipt says.

What a receipt does not prove: who had the leads and acknowledged, and that the request concerned no other leads.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# The kinds of entries that a receipt may hold, as numbered in the contract's EntryKind.
_ERASED, _REQUESTED, _REFUSED = 7, 13, 14
# The detail of an entry of kind ERASED: erased because somebody asked, not because its time ended.
_BY_REQUEST = 1
# The detail of an entry of kind ERASURE_REFUSED: the outcome.
_OUTCOMES = {2: "ERASURE_OUTCOME_RETAINED", 3: "ERASURE_OUTCOME_NEEDS_CONFIRMATION"}
_GROUNDS = (
    "UNSPECIFIED",
    "NO_LONGER_NECESSARY",
    "CONSENT_WITHDRAWN",
    "OBJECTION",
    "UNLAWFUL_PROCESSING",
    "LEGAL_OBLIGATION",
    "CHILD_DATA",
)
# Ed25519, as signed notes number it.
_ALGORITHM = b"\x01"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotProven(Exception):
    """The first thing that does not hold."""


@dataclass(frozen=True)
class PublicKey:
    """The key that the operator published: ``<name>+<id>+<base64>``."""

    text: str
    name: str
    key_id: bytes
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises ``ValueError`` for what is no such key."""
        text = text.strip()
        # A name may have no plus sign, base64 may.
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise ValueError("a public key is <name>+<id>+<base64>")
        name, key_id, encoded = parts
        tagged = base64.b64decode(encoded, validate=True)
        expected = hashlib.sha256(name.encode() + b"\n" + tagged).digest()[:4]
        if tagged[:1] != _ALGORITHM or len(tagged) != 33 or key_id != expected.hex():
            raise ValueError("a public key is that of Ed25519 with the id that follows from it")
        return cls(text, name, expected, tagged[1:])


@dataclass(frozen=True)
class Checkpoint:
    """What is signed: the first ``size`` entries of the ledger are those with this root."""

    size: int
    root: bytes

    @classmethod
    def open(cls, note: str, key: PublicKey) -> Checkpoint:
        """The checkpoint of a note, if the key's signature is on it."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator:
            raise NotProven("the checkpoint is no signed note")
        text += "\n"
        if not any(_is_signed(text, line, key) for line in signatures.splitlines()):
            raise NotProven("the checkpoint is not signed with this key")
        origin, size, root, *_ = text.splitlines() + ["", "", ""]
        if origin != key.name or not size.isdecimal() or str(int(size)) != size:
            raise NotProven("the checkpoint is that of another ledger")
        return cls(int(size), _base64(root, "the checkpoint's root"))


def _is_signed(text: str, line: str, key: PublicKey) -> bool:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if mark != "\N{EM DASH}" or name != key.name:
        return False
    tagged = _base64(encoded, "the checkpoint's signature")
    if tagged[:4] != key.key_id:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(tagged[4:], text.encode())
    except InvalidSignature:
        raise NotProven("the signature does not fit the checkpoint") from None
    return True


@dataclass(frozen=True)
class Entry:
    """A ledger entry, read from its record: the bytes that its hash and its leaf are of."""

    hash: bytes
    leaf: bytes
    previous: bytes
    sequence: int
    kind: int
    at: datetime
    client: int
    detail: int
    lead_id: str
    request_id: str

    @classmethod
    def parse(cls, record: bytes) -> Entry:
        try:
            version, previous, sequence, kind, micros, client, detail, _ = struct.unpack_from(">B32s6q", record)
            lead_id, rest = _uuid(record[struct.calcsize(">B32s6q") :])
            request_id, rest = _uuid(rest)
        except (struct.error, IndexError, ValueError):
            raise NotProven("a record is not that of an entry") from None
        if version != 1 or rest or sequence < 1:
            raise NotProven("a record is not that of an entry")
        return cls(
            hash=hashlib.sha256(record).digest(),
            # RFC 6962: a leaf's hash begins with a zero byte, that of a node with a one.
            leaf=hashlib.sha256(b"\x00" + record).digest(),
            previous=previous,
            sequence=sequence,
            kind=kind,
            at=_EPOCH + timedelta(microseconds=micros),
            client=client,
            detail=detail,
            lead_id=lead_id,
            request_id=request_id,
        )


def _uuid(data: bytes) -> tuple[str, bytes]:
    """A length byte, 0 or 16, and that many bytes."""
    length = data[0]
    if length == 0:
        return "", data[1:]
    if length != 16 or len(data) < 17:
        raise ValueError
    return str(uuid.UUID(bytes=data[1:17])), data[17:]


def root_of(entry: Entry, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); ``None`` if it is not one for this place."""
    place, last = entry.sequence - 1, size - 1
    if place > last:
        return None
    hashed = entry.leaf
    for sibling in proof:
        if last == 0:
            return None
        if place % 2 == 1 or place == last:
            hashed = hashlib.sha256(b"\x01" + sibling + hashed).digest()
            # A last node without a sibling on its right rises unchanged until it is a right one.
            while place % 2 == 0 and place != 0:
                place, last = place // 2, last // 2
        else:
            hashed = hashlib.sha256(b"\x01" + hashed + sibling).digest()
        place, last = place // 2, last // 2
    return hashed if last == 0 else None


@dataclass(frozen=True)
class Proven:
    """What a receipt proves."""

    request_id: str
    at: datetime
    ground: str
    erased: tuple[str, ...]
    kept: tuple[str, ...]
    checkpoint: Checkpoint


def verify(receipt: Mapping[str, Any], key: PublicKey) -> Proven:
    """What the receipt proves under this key. Raises ``NotProven``."""
    told, proof = receipt.get("receipt") or {}, receipt.get("proof") or {}
    if proof.get("verifierKey") != key.text:
        raise NotProven("the receipt has no proof, or names another public key")
    checkpoint = Checkpoint.open(proof.get("note", ""), key)
    named, proven = told.get("entries", []), proof.get("entries", [])
    if not named or len(named) != len(proven):
        raise NotProven("the entries are not those of the proof")
    entries = [_entry(name, proof, checkpoint) for name, proof in zip(named, proven, strict=True)]
    for before, entry in pairwise(entries):
        if (entry.sequence, entry.previous) != (before.sequence + 1, before.hash):
            raise NotProven(f"entry {entry.sequence} does not follow the one before it")
    request, *leads = entries
    _check_request(request, named[0], told)
    for entry, name in zip(leads, named[1:], strict=True):
        _check_lead(entry, name, request)
    return Proven(
        request_id=request.request_id,
        at=request.at,
        ground=_GROUNDS[request.detail],
        erased=tuple(entry.lead_id for entry in leads if entry.kind == _ERASED),
        kept=tuple(entry.lead_id for entry in leads if entry.kind != _ERASED),
        checkpoint=checkpoint,
    )


def _entry(named: Mapping[str, Any], proof: Mapping[str, Any], checkpoint: Checkpoint) -> Entry:
    entry = Entry.parse(_hex(proof.get("record"), "a record"))
    sequence = str(entry.sequence)
    if (str(named.get("sequence")), str(proof.get("sequence"))) != (sequence, sequence):
        raise NotProven(f"the record of entry {sequence} stands for another one")
    if named.get("hash") != entry.hash.hex():
        raise NotProven(f"the hash of entry {sequence} is not that of its record")
    inclusion = [_hex(text, "a proof") for text in proof.get("inclusion", [])]
    if root_of(entry, checkpoint.size, inclusion) != checkpoint.root:
        raise NotProven(f"entry {sequence} is not in the ledger that was signed")
    return entry


def _check_request(entry: Entry, named: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    is_request = entry.kind == _REQUESTED and not entry.lead_id and not named.get("leadId")
    if not is_request or named.get("outcome", _UNSPECIFIED) != _UNSPECIFIED:
        raise NotProven("the first entry is not a request for erasure")
    if not entry.request_id or entry.request_id != told.get("requestId"):
        raise NotProven("the request that was recorded has another id")
    if not 0 < entry.detail < len(_GROUNDS) or told.get("ground") != f"ERASURE_GROUND_{_GROUNDS[entry.detail]}":
        raise NotProven("the request was recorded with another ground")
    if _time(told.get("erasedAt")) != entry.at:
        raise NotProven("the request was recorded at another time")


_UNSPECIFIED = "ERASURE_OUTCOME_UNSPECIFIED"


def _check_lead(entry: Entry, named: Mapping[str, Any], request: Entry) -> None:
    if entry.kind == _ERASED and entry.detail == _BY_REQUEST:
        outcome = "ERASURE_OUTCOME_ERASED"
    elif entry.kind == _REFUSED and entry.detail in _OUTCOMES:
        outcome = _OUTCOMES[entry.detail]
    else:
        raise NotProven(f"entry {entry.sequence} does not tell what an erasure did")
    if (named.get("leadId"), named.get("outcome")) != (entry.lead_id, outcome):
        raise NotProven(f"entry {entry.sequence} says something else of the lead")
    if entry.request_id or (entry.at, entry.client) != (request.at, request.client):
        raise NotProven(f"entry {entry.sequence} belongs to another request")


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _hex(text: object, what: str) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) and text == text.lower() else _fail(what)
    except ValueError:
        return _fail(what)


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return _fail(what)


def _fail(what: str) -> bytes:
    raise NotProven(f"{what} is not written as it must be")

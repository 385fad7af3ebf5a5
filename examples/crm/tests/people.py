"""People who write, change their minds and leave: random calls of every kind, and what must have become of each lead.

To add a kind of call: a method of ``People`` that makes it and notes what it did, and its name in ``KINDS``.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

import grpc
from google.protobuf import field_mask_pb2, timestamp_pb2

from leadintake.v1 import crm_pb2, intake_pb2, lead_pb2, privacy_pb2
from service import Callers, subject

# Names as people have them, and some that nobody should be able to break a database with.
NAMES = (
    "Kari Nordmann",
    "Bjørn-Åge Ærlig-O'Neill",
    "李小龙",
    "נועה בן־דוד",
    "Nguyễn Thị Hương",
    'Robert"); DROP TABLE leads;--',
    "Null",
    "-1",
    "=HYPERLINK(A1)",
    "Ź" * 200,
)
KINDS = (*("submit",) * 4, "rectify", "rectify", "restrict", "lift", "object", "withdraw", "erase", "close")
_REASON = lead_pb2.RESTRICTION_REASON_ACCURACY_CONTESTED


@dataclass
class Person:
    lead_id: str
    email: str
    restricted: bool = False


class People:
    """Calls at random, by a seed. ``left`` has every lead that is gone, whatever way."""

    def __init__(self, callers: Callers, seed: int) -> None:
        self._callers = callers
        self.random = random.Random(seed)
        self.here: dict[str, Person] = {}
        self.left: set[str] = set()
        self.emails: list[str] = []

    def do(self) -> str:
        """One call of a random kind; gives the kind."""
        kind = self.random.choice(KINDS)
        if kind == "submit" or not self.here:
            self.submit()
            return "submit"
        person = self.random.choice(sorted(self.here.values(), key=lambda person: person.lead_id))
        getattr(self, kind)(person)
        return kind

    def submit(self) -> None:
        email = f"Kanari.{uuid.UUID(int=self.random.getrandbits(128)).hex}@eksempel.no"
        fields = {"name": self.random.choice(NAMES), "email": email}
        if self.random.random() < 0.3:
            fields |= {"company": "Kanarikompani Øst ANS", "phone": "406 05 619"}
        consent = self.random.random() < 0.4
        lead_id = self._callers.submit(consent=consent, **fields)
        self.emails.append(email)
        self.here[lead_id] = Person(lead_id, email)

    def rectify(self, person: Person) -> None:
        found = self._callers.privacy(
            "FindSubject", privacy_pb2.FindSubjectRequest(request=subject(person.email))
        )
        revision = next(lead.revision for lead in found.leads if lead.lead_id == person.lead_id)
        request = privacy_pb2.RectifyLeadRequest(
            request_id=str(uuid.uuid4()),
            lead_id=person.lead_id,
            field_mask=field_mask_pb2.FieldMask(paths=["name", "company"]),
            fields=privacy_pb2.LeadFields(name=self.random.choice(NAMES), company="Rettet AS"),
            expected_revision=revision,
        )
        self._callers.privacy("RectifyLead", request)

    def restrict(self, person: Person) -> None:
        request = privacy_pb2.RestrictLeadRequest(
            request_id=str(uuid.uuid4()), lead_id=person.lead_id, reason=_REASON
        )
        self._callers.privacy("RestrictLead", request)
        person.restricted = True

    def lift(self, person: Person) -> None:
        if not person.restricted:
            return
        request = privacy_pb2.LiftRestrictionRequest(
            request_id=str(uuid.uuid4()),
            lead_id=person.lead_id,
            reason=_REASON,
            subject_informed_at=timestamp_pb2.Timestamp(seconds=1_700_000_000),
        )
        if self._callers.privacy("LiftRestriction", request).erased:
            self.leave(person)
        person.restricted = False

    def object(self, person: Person) -> None:
        request = privacy_pb2.ObjectToProcessingRequest(
            request=subject(person.email), kind=privacy_pb2.OBJECTION_KIND_DIRECT_MARKETING
        )
        self._callers.privacy("ObjectToProcessing", request)

    def withdraw(self, person: Person) -> None:
        request = intake_pb2.WithdrawConsentRequest(lead_id=person.lead_id)
        outcome = self._callers.intake("WithdrawConsent", request).outcome
        if outcome == intake_pb2.WITHDRAWAL_OUTCOME_ERASED:
            self.leave(person)

    def erase(self, person: Person) -> None:
        self._callers.erase(person.email, confirm_supersedes_restriction=True)
        self.leave(person)

    def close(self, person: Person) -> None:
        request = crm_pb2.CloseLeadRequest(lead_id=person.lead_id, outcome=lead_pb2.CLOSE_OUTCOME_ANSWERED)
        try:
            self._callers.crm("CloseLead", request)
            self.leave(person)
        except grpc.RpcError as error:
            # A restricted lead cannot be closed.
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise

    def leave(self, person: Person) -> None:
        self.here.pop(person.lead_id, None)
        self.left.add(person.lead_id)

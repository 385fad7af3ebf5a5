"""The calls of ``PrivacyService`` that a request for access and erasure needs.

Each may be made again with the same ``request_id``: the library tries by itself for a while, and so may you, later.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from leadintake.v1 import privacy_pb2, privacy_pb2_grpc

# A call may concern thousands of leads.
_CALL_SECONDS = 60
_LOOK_SECONDS = 1.0
# An export of ten thousand leads fits.
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
# What callers of this service are told to try again, and for how long.
_RETRY = {
    "methodConfig": [
        {
            "name": [{"service": "leadintake.v1.PrivacyService"}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"],
            },
        }
    ]
}


class Refused(Exception):
    """A call that failed: its code, the reason in capitals, and for bad input the fields. Never a value."""

    def __init__(self, code: grpc.StatusCode, reason: str = "", fields: tuple[str, ...] = ()) -> None:
        self.code, self.reason, self.fields = code, reason, fields
        super().__init__(" ".join(part for part in (code.name, reason, ", ".join(fields)) if part))

    @classmethod
    def of(cls, error: grpc.RpcError) -> Refused:
        reason = ""
        fields: tuple[str, ...] = ()
        try:
            status = rpc_status.from_call(error)
        except (ValueError, NotImplementedError):
            # The details contradict the code, as after a proxy: the code alone is believed.
            status = None
        for detail in status.details if status else ():
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(bad):
                fields = tuple(f"{fault.field}: {fault.description}" for fault in bad.field_violations)
        return cls(error.code(), reason, fields)


@dataclass(frozen=True, repr=False)
class Person:
    """Who asks, known by e-mail or phone. It has no ``repr``: it would end in a log."""

    email: str = ""
    phone: str = ""
    name: str = ""
    # Candidates that somebody has checked.
    lead_ids: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Person:
        """From a JSON file. Raises ``ValueError``, without what is in it."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = {"email", "phone", "name", "lead_ids"}
            email, phone, name = (values.get(key, "") for key in ("email", "phone", "name"))
            lead_ids = values.get("lead_ids", [])
            if set(values) - known or not all(isinstance(text, str) for text in [email, phone, name, *lead_ids]):
                raise ValueError
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"{path} must be a JSON object with email, phone, name, lead_ids, and no more") from None
        return cls(email, phone, name, tuple(lead_ids))


def open_channel(url: str, ca_file: Path | None = None) -> grpc.Channel:
    """A channel to ``http://127.0.0.1:50051``, or to ``https://…`` with the roots in ``ca_file`` or the usual ones.

    Raises ``ValueError`` for anything else: a token and people's data do not travel unencrypted.
    """
    options = [
        ("grpc.service_config", json.dumps(_RETRY)),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ]
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if parts.scheme == "https" and host:
        roots = ca_file.read_bytes() if ca_file else None
        return grpc.secure_channel(f"{host}:{parts.port or 443}", grpc.ssl_channel_credentials(roots), options)
    if parts.scheme == "http" and host and _is_loopback(parts.hostname or ""):
        return grpc.insecure_channel(f"{host}:{parts.port or 80}", options)
    raise ValueError("the URL must be https://…, or http://… on this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PrivacyDesk:
    """One person's request. Each method raises ``Refused``."""

    def __init__(
        self,
        channel: grpc.Channel,
        token: str,
        person: Person,
        *,
        received_at: str,
        verification: privacy_pb2.Verification,
    ) -> None:
        """``received_at`` is RFC 3339: when the person asked, from which the month of Art. 12(3) counts."""
        self._stub = privacy_pb2_grpc.PrivacyServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._person = person
        self._received_at = received_at
        self._verification = verification

    def _call(self, method: str, request: object) -> Any:
        call = getattr(self._stub, method)
        try:
            return call(request, metadata=self._metadata, timeout=_CALL_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            raise Refused.of(error) from None

    def _request(self, request_id: str) -> privacy_pb2.SubjectRequest:
        request = privacy_pb2.SubjectRequest(
            request_id=request_id,
            verification=self._verification,
            subject=privacy_pb2.Subject(
                email=self._person.email,
                phone=self._person.phone,
                name=self._person.name,
                lead_ids=self._person.lead_ids,
            ),
        )
        request.received_at.FromJsonString(self._received_at)
        return request

    def find(self, request_id: str) -> privacy_pb2.FindSubjectResponse:
        """The person's leads, and those that may be."""
        return self._call("FindSubject", privacy_pb2.FindSubjectRequest(request=self._request(request_id)))

    def export(self, request_id: str) -> privacy_pb2.ExportSubjectResponse:
        """A copy to read (Art. 15)."""
        return self._call(
            "ExportSubject",
            privacy_pb2.ExportSubjectRequest(
                request=self._request(request_id),
                kind=privacy_pb2.EXPORT_KIND_ACCESS,
                format=privacy_pb2.EXPORT_FORMAT_HTML,
                language="en",
            ),
        )

    def erase(self, request_id: str, *, dry_run: bool = False) -> privacy_pb2.EraseSubjectResponse:
        """Erases for good (Art. 17); with ``dry_run`` tells what would become of each lead, and uses up no id."""
        return self._call(
            "EraseSubject",
            privacy_pb2.EraseSubjectRequest(
                request=self._request(request_id),
                ground=privacy_pb2.ERASURE_GROUND_NO_LONGER_NECESSARY,
                dry_run=dry_run,
                language="en",
            ),
        )

    def receipt(self, request_id: str) -> privacy_pb2.GetErasureReceiptResponse:
        """An erasure as it stands now."""
        return self._call("GetErasureReceipt", privacy_pb2.GetErasureReceiptRequest(request_id=request_id))

    def settled_receipt(
        self, request_id: str, wait_seconds: float
    ) -> tuple[privacy_pb2.GetErasureReceiptResponse, bool]:
        """The receipt when nothing is open any more, and it is proven, or when the time is over; and whether it is."""
        deadline = monotonic() + wait_seconds
        while True:
            receipt = self.receipt(request_id)
            is_settled = is_everywhere_gone(receipt) and receipt.HasField("proof")
            if is_settled or monotonic() >= deadline:
                return receipt, is_settled
            sleep(_LOOK_SECONDS)


def is_everywhere_gone(receipt: privacy_pb2.GetErasureReceiptResponse) -> bool:
    """Whether every CRM that had a lead has said that it erased its copy (Art. 19), and the disk is clean."""
    is_clean = receipt.clean_up != privacy_pb2.CLEAN_UP_PENDING
    return is_clean and all(had.acknowledged >= had.leads for had in receipt.recipients)

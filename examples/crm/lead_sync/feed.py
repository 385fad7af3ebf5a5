"""The calls of ``CrmService``, and what their errors mean.

The token is read from its file for each call: put a new one there, and it is used from the next call on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from leadintake.v1 import crm_pb2, crm_pb2_grpc, lead_pb2

# A call that asks for one answer.
_CALL_SECONDS = 30
# The service ends a stream after five minutes; one that is open for longer hangs.
_STREAM_SECONDS = 6 * 60
_PAGE_SIZE = 500
_MESSAGE_BYTES_MAX = 16 * 1024 * 1024
_OPTIONS = [
    # A peer that is gone without a word is noticed within half a minute, also on an open stream.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    # Retries are ours, so that each is logged; the library would only hide them.
    ("grpc.enable_retries", 0),
    # The same for reconnecting: the library would wait for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
# What may pass by itself. CANCELLED, UNKNOWN and INTERNAL are here since proxies and cut connections give them.
_TEMPORARY = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


@dataclass(frozen=True)
class Fault:
    """What an error of the service says, without its text: code, reason, and when to try again."""

    code: grpc.StatusCode
    reason: str = ""
    retry_seconds: float | None = None

    @classmethod
    def of(cls, error: grpc.RpcError) -> Fault:
        reason, retry_seconds = "", None
        try:
            status = rpc_status.from_call(error)
        except (ValueError, NotImplementedError):
            # The details contradict the code, as after a proxy: the code alone is believed.
            status = None
        for detail in status.details if status else ():
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(retry):
                retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
        return cls(error.code(), reason, retry_seconds)

    @property
    def is_temporary(self) -> bool:
        return self.code in _TEMPORARY

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason}".rstrip()


def open_channel(url: str, ca_file: Path | None = None) -> grpc.Channel:
    """A channel to ``http://127.0.0.1:50051``, or to ``https://…`` with the roots in ``ca_file`` or the usual ones.

    Raises ``ValueError`` for anything else: a token and people's data do not travel unencrypted.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        roots = ca_file.read_bytes() if ca_file else None
        address = f"{_bracketed(parts.hostname)}:{parts.port or 443}"
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), _OPTIONS)
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return grpc.insecure_channel(f"{_bracketed(parts.hostname)}:{parts.port or 80}", _OPTIONS)
    raise ValueError("the URL must be https://…, or http://… on this machine")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class LeadFeed:
    """The feed of one client. Each method raises ``grpc.RpcError``; ``Fault.of`` says what it means."""

    def __init__(self, channel: grpc.Channel, token_file: Path) -> None:
        self._crm = crm_pb2_grpc.CrmServiceStub(channel)
        self._token_file = token_file
        self._stream: grpc.Call | None = None

    def _metadata(self) -> tuple[tuple[str, str]]:
        return (("authorization", f"Bearer {self._token_file.read_text().strip()}"),)

    def pull(self, cursor: str) -> crm_pb2.PullLeadsResponse:
        """One page from here; from the client's acknowledged position if the cursor is empty."""
        request = crm_pb2.PullLeadsRequest(cursor=cursor, page_size=_PAGE_SIZE)
        return self._crm.PullLeads(request, timeout=_CALL_SECONDS, metadata=self._metadata())

    def stream(self, cursor: str, follow: bool) -> Iterator[crm_pb2.StreamLeadsResponse]:
        """What comes after the cursor; with ``follow`` also what happens from now on, until the service ends it."""
        request = crm_pb2.StreamLeadsRequest(cursor=cursor, follow=follow)
        call = self._crm.StreamLeads(request, timeout=_STREAM_SECONDS, metadata=self._metadata())
        self._stream = call
        try:
            yield from call
        finally:
            self._stream = None
            call.cancel()

    def cancel(self) -> None:
        """Ends an open stream, from a signal handler or another thread."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def acknowledge(self, cursor: str) -> None:
        """States that everything up to the cursor is dealt with, erasures included."""
        request = crm_pb2.AcknowledgeLeadsRequest(cursor=cursor)
        self._crm.AcknowledgeLeads(request, timeout=_CALL_SECONDS, metadata=self._metadata())

    def get(self, lead_id: str) -> lead_pb2.Lead | None:
        """One lead as it is now; ``None`` if it is restricted, erased or unknown."""
        request = crm_pb2.GetLeadRequest(lead_id=lead_id)
        try:
            return self._crm.GetLead(request, timeout=_CALL_SECONDS, metadata=self._metadata()).lead
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def close(self, lead_id: str, outcome: lead_pb2.CloseOutcome) -> None:
        """The enquiry is over: the service erases the lead, and the feed says how."""
        request = crm_pb2.CloseLeadRequest(lead_id=lead_id, outcome=outcome)
        self._crm.CloseLead(request, timeout=_CALL_SECONDS, metadata=self._metadata())

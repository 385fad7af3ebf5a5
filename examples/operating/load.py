"""Callers that a restart must not disturb: forms that are submitted all the time, and a CRM that follows the feed.

`load.py TARGET TOKENS STUBS POLICY STATE` submits through TARGET until SIGTERM, counts in the file STATE what was
acknowledged, and then checks three promises: no call failed, every acknowledged lead is in the feed exactly once, and
the follower missed none. The names and addresses are made up, one for each form, so that a lead that was stored twice
shows. Now and then one is mistyped, and must be refused.

The retry policy does the retrying, but for two things. A stream is meant to end now and then: the follower goes on from
its last cursor. And a replica that dies between the beginning and the end of an answer leaves half of one, which no
library tries again: the form is submitted once more, with the key it had.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from leadintake.v1.intake_pb2 import SubmitLeadRequest, SubmitLeadResponse

FORMS_AT_ONCE = 8
"""Forms that are submitted at the same time."""
PAUSE_SECONDS = 0.005
"""Between two forms of one caller: a load, not a benchmark."""
MISTYPED_EVERY = 20
"""One form in so many has an address that is none."""
ACKNOWLEDGE_SECONDS = 1.0
"""Between two acknowledgements of a CRM that stores first what it was given."""
CALL_SECONDS = 20.0
"""How long a caller is willing to wait for an answer, retries included."""
CATCH_UP_SECONDS = 60.0
"""How long the follower may take to hear of everything after the last form."""
CUT_OFF = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED})
"""What clients make of an answer that ends without a status: its replica died in the middle of it."""
STREAM_ENDS = CUT_OFF | {grpc.StatusCode.UNAVAILABLE}
"""How a stream may end other than by a refusal; UNAVAILABLE: its replica stops. Go on from the last cursor."""


@dataclass
class Seen:
    """What the callers were told."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Lead by the address of its form."""
    failed: list[str] = field(default_factory=list)
    """Calls that failed after all their retries: codes and constant texts."""
    refused: int = 0
    """Forms that were mistyped, and refused."""
    halves: int = 0
    """Answers that broke off in the middle."""
    followed: Counter[str] = field(default_factory=Counter)
    """Leads that the follower heard of, by the address of their form."""
    stream_ends: Counter[str] = field(default_factory=Counter)
    """How streams ended."""


class Callers:
    """The website and the CRM."""

    def __init__(self, target: str, tokens: Path, policy: str) -> None:
        import leadintake.v1.crm_pb2 as crm_pb2
        import leadintake.v1.crm_pb2_grpc as crm_grpc
        import leadintake.v1.intake_pb2 as intake_pb2
        import leadintake.v1.intake_pb2_grpc as intake_grpc
        import leadintake.v1.lead_pb2 as lead_pb2

        self.crm_pb2, self.intake_pb2, self.lead_pb2 = crm_pb2, intake_pb2, lead_pb2
        options = [
            ("grpc.service_config", policy),
            ("grpc.max_receive_message_length", 16 * 1024 * 1024),
            ("grpc.enable_http_proxy", 0),
        ]
        self.channel = grpc.aio.insecure_channel(target, options=options)
        self.intake = intake_grpc.IntakeServiceStub(self.channel)
        self.crm = crm_grpc.CrmServiceStub(self.channel)
        self.intake_token = bearer(tokens / "intake")
        self.crm_token = bearer(tokens / "crm")
        self.seen = Seen()
        self.cursor = ""
        """Up to where the follower has been given the feed."""
        self.stopping = asyncio.Event()

    async def notice_version(self) -> str:
        request = self.intake_pb2.GetPrivacyNoticeRequest(language="en")
        answer = await self.intake.GetPrivacyNotice(request, metadata=self.intake_token, timeout=CALL_SECONDS)
        return answer.version

    async def submit_forms(self, caller: int, notice_version: str) -> None:
        """Submits one form after the other, each with a key of its own, until it is time to stop."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            mistyped = number % MISTYPED_EVERY == 0
            address = f"form-{caller}-{number}" + ("" if mistyped else "@example.no")
            request = self.intake_pb2.SubmitLeadRequest(
                request_id=str(uuid.uuid4()),
                name="Kari Nordmann",
                email=address,
                lawful_basis=self.lead_pb2.LAWFUL_BASIS_PRE_CONTRACT,
                notice_version=notice_version,
            )
            try:
                answer = await self.submit(request)
                self.seen.acknowledged[address] = answer.lead_id
                if mistyped:
                    self.seen.failed.append("a mistyped form was taken")
            except grpc.aio.AioRpcError as error:
                if mistyped and error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                    self.seen.refused += 1
                else:
                    self.seen.failed.append(f"{error.code().name}: {error.details()}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def submit(self, request: SubmitLeadRequest) -> SubmitLeadResponse:
        """Submits a form; half an answer is no answer."""
        try:
            return await self.intake.SubmitLead(request, metadata=self.intake_token, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() not in CUT_OFF:
                raise
            self.seen.halves += 1
            return await self.intake.SubmitLead(request, metadata=self.intake_token, timeout=CALL_SECONDS)

    async def follow(self) -> None:
        """Follows the feed for ever; where a stream ends, the next one goes on."""
        while True:
            request = self.crm_pb2.StreamLeadsRequest(cursor=self.cursor, follow=True)
            try:
                async for page in self.crm.StreamLeads(request, metadata=self.crm_token):
                    self.seen.followed.update(change.lead.email for change in page.changes)
                    self.cursor = page.next_cursor
                self.seen.stream_ends["OK"] += 1
            except grpc.aio.AioRpcError as error:
                self.seen.stream_ends[f"{error.code().name}: {error.details()}"] += 1
                if error.code() not in STREAM_ENDS:
                    raise

    async def acknowledge(self) -> None:
        """Acknowledges what the follower has, for ever."""
        while True:
            await asyncio.sleep(ACKNOWLEDGE_SECONDS)
            request = self.crm_pb2.AcknowledgeLeadsRequest(cursor=self.cursor)
            try:
                await self.crm.AcknowledgeLeads(request, metadata=self.crm_token, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                # Half an answer: the next acknowledgement has this one in it.
                if error.code() not in CUT_OFF:
                    self.seen.failed.append(f"{error.code().name}: {error.details()}")

    async def position(self) -> str:
        """Where the feed begins, for a client that has acknowledged nothing yet."""
        request = self.crm_pb2.PullLeadsRequest()
        return (await self.crm.PullLeads(request, metadata=self.crm_token, timeout=CALL_SECONDS)).next_cursor

    async def pull_everything(self, cursor: str) -> Counter[str]:
        """The whole feed after a position, page by page: the leads by the address of their form."""
        pulled: Counter[str] = Counter()
        has_more = True
        while has_more:
            request = self.crm_pb2.PullLeadsRequest(cursor=cursor, page_size=1000)
            page = await self.crm.PullLeads(request, metadata=self.crm_token, timeout=CALL_SECONDS)
            pulled.update(change.lead.email for change in page.changes)
            cursor, has_more = page.next_cursor, page.has_more
        return pulled


def bearer(token: Path) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token.read_text().strip()}")]


async def count(callers: Callers, state: Path) -> None:
    """Tells how far the load is, for whoever decides what breaks next."""
    new = state.with_suffix(".new")
    while True:
        new.write_text(f"{len(callers.seen.acknowledged)}\n")
        new.replace(state)
        await asyncio.sleep(0.05)


def complaints(seen: Seen, pulled: Counter[str]) -> list[str]:
    """Every promise that was not kept."""
    found = [f"a call failed: {what} ({times} times)" for what, times in Counter(seen.failed).items()]
    if not seen.refused:
        found.append("no mistyped form was refused")
    for name, heard in (("the feed", pulled), ("the follower", seen.followed)):
        missing = len(seen.acknowledged.keys() - heard.keys())
        twice = sum(1 for times in heard.values() if times > 1)
        unknown = len(heard.keys() - seen.acknowledged.keys())
        if missing:
            found.append(f"{name} lacks {missing} acknowledged lead(s)")
        # At least once is what a stream promises; the feed itself has each lead once.
        if twice and heard is pulled:
            found.append(f"{name} has {twice} lead(s) more than once")
        if unknown and not seen.failed:
            found.append(f"{name} has {unknown} lead(s) that nobody was told of")
    return found


async def main(target: str, tokens: Path, policy: Path, state: Path) -> int:
    callers = Callers(target, tokens, policy.read_text())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, callers.stopping.set)
    notice_version = await callers.notice_version()
    callers.cursor = beginning = await callers.position()
    counting = asyncio.create_task(count(callers, state))
    following = asyncio.create_task(callers.follow())
    acknowledging = asyncio.create_task(callers.acknowledge())
    await asyncio.gather(*(callers.submit_forms(caller, notice_version) for caller in range(FORMS_AT_ONCE)))

    seen = callers.seen
    deadline = asyncio.get_running_loop().time() + CATCH_UP_SECONDS
    while seen.acknowledged.keys() - seen.followed.keys() and asyncio.get_running_loop().time() < deadline:
        if following.done():
            following.result()
        await asyncio.sleep(0.05)
    pulled = await callers.pull_everything(beginning)
    for task in (counting, following, acknowledging):
        task.cancel()
    await callers.channel.close()

    print(f"{len(seen.acknowledged)} leads acknowledged, {len(seen.failed)} calls failed, {len(pulled)} in the feed")
    print(f"{seen.refused} mistyped forms refused")
    print(f"{seen.halves} answers broke off in the middle and were asked for again")
    for what, times in seen.stream_ends.items():
        print(f"stream ended {times} time(s) with {what}")
    found = complaints(seen, pulled)
    for line in found:
        print(f"NOT KEPT: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[2:]]
    sys.path.insert(0, str(arguments[1]))
    sys.exit(asyncio.run(main(sys.argv[1], arguments[0], arguments[2], arguments[3])))

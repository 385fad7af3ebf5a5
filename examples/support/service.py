"""The service, as the tests of the examples start it: on free ports, in a directory of its own, gone with the test.

Needs LEAD_INTAKE, the program to run. Used by several examples; part of none.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

import grpc

from leadintake.v1 import crm_pb2_grpc, intake_pb2, intake_pb2_grpc, lead_pb2, privacy_pb2, privacy_pb2_grpc

PATIENCE_SECONDS = 60
_LISTENING = re.compile(r"listening on (\S+) \(API\)")


class Service:
    """A running service, and what its operator does with it."""

    def __init__(self) -> None:
        self.program = os.environ["LEAD_INTAKE"]
        self.dir = Path(tempfile.mkdtemp(prefix="lead-intake-example-"))
        self.data = self.dir / "data"
        self.address = "127.0.0.1:0"
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        """Starts it, at the address it had before, and waits until it listens."""
        command = [self.program, "serve", "--listen", self.address, "--admin-listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(self.data)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        listening = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(listening,), daemon=True)
        self._reader.start()
        if not listening.wait(PATIENCE_SECONDS) or self._process.poll() is not None:
            raise AssertionError("the service did not start:\n" + "\n".join(self.log))

    def _read(self, listening: threading.Event) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.rstrip())
            if found := _LISTENING.search(line):
                self.address = found[1]
                listening.set()
        # It ended: nobody is to wait for it.
        listening.set()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)
        assert self._reader is not None
        self._reader.join(PATIENCE_SECONDS)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.dir)

    def token_file(self, role: str) -> Path:
        return self.data / "tokens" / role

    def token(self, role: str) -> str:
        return self.token_file(role).read_text().strip()

    def environment(self) -> dict[str, str]:
        """For a command of the program, or a script that runs some."""
        return _environment() | {"LEAD_INTAKE_URL": self.url, "LEAD_INTAKE_DATA_DIR": str(self.data)}

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env=self.environment(),
            check=False,
        )

    def restore(self, backup: Path) -> None:
        """Puts a backup in the place of the database, as docs/operations.md says; the service is stopped."""
        for suffix in ("", "-wal", "-shm"):
            file = self.data / f"lead-intake.db{suffix}"
            if file.exists():
                file.rename(self.dir / f"{uuid.uuid4()}{suffix}")
        shutil.copyfile(backup, self.data / "lead-intake.db")
        (self.data / "lead-intake.db").chmod(0o600)


def _environment() -> dict[str, str]:
    """Nothing of the tests' own configuration reaches the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAD_INTAKE_")}


class Callers:
    """The stubs of each role, with its token."""

    def __init__(self, service: Service, crm_token: str = "") -> None:
        self._channel = grpc.insecure_channel(service.address)
        self._headers = {role: _bearer(service.token(role)) for role in ("intake", "crm", "privacy")}
        if crm_token:
            self._headers["crm"] = _bearer(crm_token)

    def close(self) -> None:
        self._channel.close()

    def _call(self, stub: object, method: str, role: str, request: object) -> object:
        # A service that restarts is waited for; every request has its idempotency key.
        metadata = self._headers[role]
        return getattr(stub, method)(request, metadata=metadata, timeout=PATIENCE_SECONDS, wait_for_ready=True)

    def intake(self, method: str, request: object) -> object:
        return self._call(intake_pb2_grpc.IntakeServiceStub(self._channel), method, "intake", request)

    def crm(self, method: str, request: object) -> object:
        return self._call(crm_pb2_grpc.CrmServiceStub(self._channel), method, "crm", request)

    def privacy(self, method: str, request: object) -> object:
        return self._call(privacy_pb2_grpc.PrivacyServiceStub(self._channel), method, "privacy", request)

    def submit(self, *, consent: bool = False, **fields: str) -> str:
        """Hands over a lead; gives its identifier."""
        basis = lead_pb2.LAWFUL_BASIS_CONSENT if consent else lead_pb2.LAWFUL_BASIS_PRE_CONTRACT
        request = intake_pb2.SubmitLeadRequest(
            request_id=str(uuid.uuid4()), lawful_basis=basis, consent=consent, notice_version="1.1", **fields
        )
        return self.intake("SubmitLead", request).lead_id

    def erase(self, email: str, **fields: object) -> privacy_pb2.EraseSubjectResponse:
        request = privacy_pb2.EraseSubjectRequest(
            request=subject(email), ground=privacy_pb2.ERASURE_GROUND_NO_LONGER_NECESSARY, **fields
        )
        return self.privacy("EraseSubject", request)


def subject(email: str, request_id: str = "") -> privacy_pb2.SubjectRequest:
    """A new request of the person behind an e-mail address."""
    return privacy_pb2.SubjectRequest(
        request_id=request_id or str(uuid.uuid4()), subject=privacy_pb2.Subject(email=email)
    )


def _bearer(token: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)

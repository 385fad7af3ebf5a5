"""What the tests share: a service, somebody who asks, and a CRM that acknowledges when it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from leadintake.v1 import crm_pb2, crm_pb2_grpc, lead_pb2
from service import PATIENCE_SECONDS, Callers, Service

# They stand in no log and in no answer but the ones that are asked for them.
NAME, EMAIL = "Ærlig Kanarifugl", "kanari.fugl@kanari-eksempel.no"
HERE = Path(__file__).parents[1]


class House(unittest.TestCase):
    """A service, and a directory for the case."""

    def setUp(self) -> None:
        self.service = Service()
        self.addCleanup(self.service.close)
        self.callers = Callers(self.service)
        self.addCleanup(self.callers.close)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.case = self.dir / "case"
        self.person = self.dir / "person.json"
        self.ask(email=EMAIL)
        self.public_key = self.dir / "published.pub"
        self.public_key.write_text((self.service.data / "checkpoint.pub").read_text())

    def ask(self, **person: str) -> None:
        self.person.write_text(json.dumps(person))

    def pull(self) -> str:
        """The CRM takes what there is; gives where it is."""
        return self.callers.crm("PullLeads", crm_pb2.PullLeadsRequest(page_size=1000)).next_cursor

    def acknowledge(self) -> None:
        """The CRM has erased what it was told to erase."""
        self.callers.crm("AcknowledgeLeads", crm_pb2.AcknowledgeLeadsRequest(cursor=self.pull()))

    def acknowledge_when_erased(self) -> None:
        """The same from another thread, as soon as there is a tombstone."""
        pulled = self.pull()

        def follow() -> None:
            request = crm_pb2.StreamLeadsRequest(cursor=pulled, follow=True)
            stub = crm_pb2_grpc.CrmServiceStub(self.callers._channel)
            metadata = self.callers._headers["crm"]
            for message in stub.StreamLeads(request, metadata=metadata, timeout=PATIENCE_SECONDS):
                if any(change.kind == lead_pb2.CHANGE_KIND_ERASED for change in message.changes):
                    return self.acknowledge()

        thread = threading.Thread(target=follow)
        thread.start()
        self.addCleanup(thread.join, PATIENCE_SECONDS)

    def run_command(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command, and sees to it that nobody is named in what it says."""
        ran = subprocess.run(
            command,
            cwd=HERE,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
            env=self.service.environment() | {"LEAD_INTAKE": self.service.program} | environment,
            check=False,
        )
        for text in (ran.stdout, ran.stderr, "\n".join(self.service.log)):
            self.assertNotIn("anarifugl", text)
            self.assertNotIn("kanari", text.lower().replace(str(self.dir).lower(), ""))
        return ran

    def shell(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """The request by the command line."""
        command = ["./request.sh", str(self.person), str(self.case), str(self.public_key)]
        return self.run_command(*command, **({"CHECKED": "email-reply"} | environment))

    def handle(self, *more: str) -> subprocess.CompletedProcess[str]:
        """The request by Python."""
        where = ["--url", self.service.url, "--token-file", str(self.service.token_file("privacy"))]
        what = ["--person", str(self.person), "--case", str(self.case), "--checked", "email-reply"]
        options = [*where, *what, "--public-key", str(self.public_key), *more]
        return self.run_command(sys.executable, "-m", "subject_request", "handle", *options)

    def verify(self) -> subprocess.CompletedProcess[str]:
        """The receipt by Python, where there is no service, no gRPC and no module of the contract."""
        lacking = "sys.modules.update(grpc=None, google=None, leadintake=None)"
        program = f"import runpy, sys; {lacking}; runpy.run_module('subject_request', run_name='__main__')"
        arguments = ["verify", str(self.case / "receipt.json"), "--public-key", str(self.public_key)]
        return self.run_command(sys.executable, "-c", program, *arguments)

    def done(self, ran: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran

    def assert_private(self) -> None:
        """What is in the case is for its owner only."""
        for file in self.case.iterdir():
            self.assertEqual(os.stat(file).st_mode & 0o077, 0, file.name)

"""Health and reflection, asked by the clients of gRPC's own authors."""

import os
import unittest
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICES = ["CrmService", "IntakeService", "LedgerService", "PrivacyService"]


class Probes(unittest.TestCase):
    """What a load balancer and a developer ask, both without a token."""

    def setUp(self) -> None:
        self.channel = grpc.insecure_channel(urlsplit(os.environ["SERVICE_URL"]).netloc)
        self.addCleanup(self.channel.close)

    def test_every_service_is_healthy(self) -> None:
        """Each service by its name, and the server as a whole."""
        health = health_pb2_grpc.HealthStub(self.channel)
        for name in ["", *(f"leadintake.v1.{service}" for service in SERVICES)]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING, name)

    def test_a_change_of_health_is_told(self) -> None:
        """A balancer that watches hears the state at once."""
        health = health_pb2_grpc.HealthStub(self.channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service=""), timeout=10)
        self.assertEqual(next(watching).status, health_pb2.HealthCheckResponse.SERVING)
        watching.cancel()

    def test_the_contract_is_told(self) -> None:
        """Every service, and the fields of its messages."""
        database = ProtoReflectionDescriptorDatabase(self.channel)
        for service in SERVICES:
            self.assertIn(f"leadintake.v1.{service}", database.get_services())
        found = database.FindFileContainingSymbol("leadintake.v1.SubmitLeadRequest")
        message = next(m for m in found.message_type if m.name == "SubmitLeadRequest")
        self.assertIn("notice_version", [field.name for field in message.field])


if __name__ == "__main__":
    unittest.main()

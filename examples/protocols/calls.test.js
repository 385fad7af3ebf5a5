// The same calls in every protocol, by clients that no one here wrote: connect-node speaks Connect (JSON and
// protobuf, over HTTP/1.1 and HTTP/2), grpc-web and gRPC. It knows the contract from its descriptors alone.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";

const { SERVICE_URL: baseUrl, SERVICE_DATA, CONTRACT, DETAILS } = process.env;
const registry = (file) => createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(file)));
const contract = registry(CONTRACT);
const details = registry(DETAILS);
const PRE_CONTRACT = contract.getEnum("leadintake.v1.LawfulBasis").value;
const basis = PRE_CONTRACT.lawfulBasisPreContract ?? 2;

const transports = {
  "Connect, JSON, HTTP/1.1": (more) => createConnectTransport({ httpVersion: "1.1", useBinaryFormat: false, ...more }),
  "Connect, JSON, HTTP/2": (more) => createConnectTransport({ httpVersion: "2", useBinaryFormat: false, ...more }),
  "Connect, protobuf, HTTP/1.1": (more) => createConnectTransport({ httpVersion: "1.1", ...more }),
  "Connect, protobuf, HTTP/2": (more) => createConnectTransport({ httpVersion: "2", ...more }),
  "grpc-web, HTTP/1.1": (more) => createGrpcWebTransport({ httpVersion: "1.1", ...more }),
  "grpc-web, HTTP/2": (more) => createGrpcWebTransport({ httpVersion: "2", ...more }),
  "gRPC": (more) => createGrpcTransport(more),
};

// A client of one of the services, with the token of a role.
function client(protocol, service, role) {
  const token = readFileSync(`${SERVICE_DATA}/tokens/${role}`, "utf8").trim();
  const authorize = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = transports[protocol]({ baseUrl, interceptors: [authorize] });
  return createClient(contract.getService(`leadintake.v1.${service}`), transport);
}

const form = () => ({
  requestId: randomUUID(),
  name: "Åse Ødegård",
  email: "ase@example.no",
  lawfulBasis: basis,
  noticeVersion: "1.1",
});

for (const protocol of Object.keys(transports)) {
  test(`${protocol}: a lead goes in, once, and comes out`, async () => {
    const intake = client(protocol, "IntakeService", "intake");
    const filledIn = form();
    const lead = await intake.submitLead(filledIn);
    assert.match(lead.leadId, /^[0-9a-f-]{36}$/);
    assert.equal((await intake.submitLead(filledIn)).leadId, lead.leadId);
    const crm = client(protocol, "CrmService", "crm");
    const { changes } = await crm.pullLeads({ pageSize: 1000 });
    const found = changes.filter((change) => change.leadId === lead.leadId);
    assert.deepEqual(found.map((change) => change.lead.name), ["Åse Ødegård"]);
  });

  test(`${protocol}: every violation is told, with its field and reason`, async () => {
    const intake = client(protocol, "IntakeService", "intake");
    const error = await intake.submitLead({ ...form(), email: "none", phone: "none" }).catch((it) => it);
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, Code.InvalidArgument);
    const [bad] = error.findDetails(details.getMessage("google.rpc.BadRequest"));
    const violations = bad.fieldViolations.map(({ field, reason }) => `${field} ${reason}`).sort();
    assert.deepEqual(violations, ["email EMAIL_INVALID", "phone PHONE_INVALID"]);
    const [info] = error.findDetails(details.getMessage("google.rpc.ErrorInfo"));
    assert.equal(info.domain, "lead-intake");
  });

  test(`${protocol}: a role gets what is its own, and nothing else`, async () => {
    const error = await client(protocol, "CrmService", "intake").pullLeads({}).catch((it) => it);
    assert.equal(error.code, Code.PermissionDenied, String(error));
  });
}

for (const protocol of ["grpc-web, HTTP/1.1", "grpc-web, HTTP/2", "gRPC"]) {
  test(`${protocol}: the feed is a stream`, async () => {
    const { leadId } = await client(protocol, "IntakeService", "intake").submitLead(form());
    const seen = [];
    for await (const { changes } of client(protocol, "CrmService", "crm").streamLeads({})) {
      seen.push(...changes.map((change) => change.leadId));
    }
    assert.ok(seen.includes(leadId));
  });
}

// The website's side of lead-intake: three calls. This file, grpc-errors.js and retry-policy.json are what to copy.
//
// The rule: a request_id is made with the form, never here. So whatever is sent again, by gRPC, by a reload or by a
// second click, is the same submission, and is stored once.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { toLeadIntakeError } from './grpc-errors.js';

const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));
const RETRY_POLICY = readFileSync(new URL('../../retry-policy.json', import.meta.url), 'utf8');
// How long a visitor waits for an answer, tries and all. The policy has the same limit; this one also holds while
// the service's name cannot be resolved.
const PATIENCE_MS = 10_000;
// What is known of a caller's answer is in memory for that call only, so its size has a limit.
const ANSWER_BYTES_MAX = 1024 * 1024;

export function makeLeadClient({ url, token, plaintext = false }) {
  const definition = loadSync('leadintake/v1/intake.proto', {
    includeDirs: [PROTO_DIR], keepCase: true, enums: String, longs: Number, defaults: true,
  });
  const { IntakeService } = grpc.loadPackageDefinition(definition).leadintake.v1;
  const { address, credentials } = target(new URL(url), plaintext);
  const service = new IntakeService(address, credentials, {
    'grpc.service_config': RETRY_POLICY,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
  });

  const once = (method, request, deadline) => new Promise((resolve, reject) => {
    // waitForReady: a service that is starting is waited for, within the deadline.
    const metadata = new grpc.Metadata({ waitForReady: true });
    metadata.set('authorization', `Bearer ${token}`);
    service[method](request, metadata, { deadline }, (error, answer) => {
      if (error) reject(toLeadIntakeError(error));
      else resolve(answer);
    });
  });

  // The policy tries again until an answer begins. A service that is killed then leaves half of one: once more.
  const call = async (method, request, patienceMs = PATIENCE_MS) => {
    const deadline = Date.now() + patienceMs;
    return once(method, request, deadline).catch((error) => {
      if (!error.isCutOff) throw error;
      return once(method, request, deadline);
    });
  };

  return {
    submitLead: (lead) => call('SubmitLead', lead),
    withdrawConsent: (leadId) => call('WithdrawConsent', { lead_id: leadId }),
    privacyNotice: (language, patienceMs) => call('GetPrivacyNotice', { language }, patienceMs),
    close: () => service.close(),
  };
}

// A token and people's details do not travel in the clear, unless the machine is this one or you say that the network is
// yours alone.
function target({ protocol, hostname, port }, plaintext) {
  if (protocol === 'https:') {
    return { address: `${hostname}:${port || 443}`, credentials: grpc.credentials.createSsl() };
  }
  const loopback = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  if (protocol !== 'http:' || !(loopback || plaintext)) {
    throw new Error('LEAD_INTAKE_URL must be https beyond this machine (LEAD_INTAKE_PLAINTEXT=true to go without)');
  }
  return { address: `${hostname}:${port || 80}`, credentials: grpc.credentials.createInsecure() };
}

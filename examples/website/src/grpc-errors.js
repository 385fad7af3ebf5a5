// From a gRPC error to what the pages need: its code, its reason, and what is wrong with which field.
//
// The rule: nothing in here can carry what somebody typed, so it may be logged.

import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const messages = loadSync(fileURLToPath(new URL('google-rpc.proto', import.meta.url)), { keepCase: true });

// Either it surely did not happen, or that is not known: the same message may be sent again later.
const TRY_AGAIN = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'ABORTED', 'CANCELLED']);

// What the library makes of an answer that ends in the middle. Each error of the service's own has a reason besides.
const CUT_OFF = new Set(['UNAVAILABLE', 'CANCELLED', 'UNKNOWN', 'INTERNAL']);

export class LeadIntakeError extends Error {
  constructor(code, reason, violations) {
    super([code, reason].filter(Boolean).join(' '));
    this.name = 'LeadIntakeError';
    this.code = code;
    this.reason = reason;
    /** What is wrong, by field: { email: 'EMAIL_INVALID' }. Empty unless the input was bad. */
    this.violations = violations;
    this.tryAgain = TRY_AGAIN.has(code);
    this.isCutOff = CUT_OFF.has(code) && !reason;
  }
}

export function toLeadIntakeError(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const details = bytes ? messages['google.rpc.Status'].deserialize(bytes).details ?? [] : [];
  const detail = (name) => {
    const found = details.find(({ type_url: url }) => url.endsWith(`/${name}`));
    return found ? messages[name].deserialize(found.value) : {};
  };
  const { reason = '' } = detail('google.rpc.ErrorInfo');
  const { field_violations: violations = [] } = detail('google.rpc.BadRequest');
  return new LeadIntakeError(
    grpc.status[error.code] ?? 'UNKNOWN',
    reason,
    Object.fromEntries(violations.map((violation) => [violation.field, violation.reason])),
  );
}

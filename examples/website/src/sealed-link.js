// Links that only this website can make and read: AES-256-GCM, with what the link is for bound to it.
//
// Sealed, not only signed: the address of a page ends up in the log of every proxy, and a lead's identifier is a fact
// about a person. So nothing has to be stored for a link to work, on any replica that has the key.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PAYLOAD_BYTES_MAX = 64 * 1024;

export function makeSealedLinks([primary, ...older]) {
  return {
    seal(purpose, payload) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', primary, nonce).setAAD(Buffer.from(purpose));
      const sealed = cipher.update(deflateRawSync(JSON.stringify(payload), { level: 9 }));
      return Buffer.concat([nonce, sealed, cipher.final(), cipher.getAuthTag()]).toString('base64url');
    },
    /** The payload; undefined for a link that is not ours, or was made for something else. */
    open(purpose, link) {
      for (const key of [primary, ...older]) {
        const payload = openWith(key, purpose, Buffer.from(link, 'base64url'));
        if (payload) return payload;
      }
      return undefined;
    },
  };
}

function openWith(key, purpose, bytes) {
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(purpose))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const opened = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    return JSON.parse(inflateRawSync(opened, { maxOutputLength: PAYLOAD_BYTES_MAX }));
  } catch {
    return undefined;
  }
}

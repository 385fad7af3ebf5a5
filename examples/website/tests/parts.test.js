// The parts that need no browser and no service.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import { test } from 'node:test';
import { makeLeadClient } from '../src/lead-client.js';
import { makeNotices } from '../src/notices.js';
import { makeRateLimit } from '../src/rate-limit.js';
import { makeSealedLinks } from '../src/sealed-link.js';
import { en } from '../src/texts/en.js';
import { nb } from '../src/texts/nb.js';

/** Whatever is said in one language is said in the other. */
test('both languages have the same texts', () => {
  const shape = (value) => (value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)])) : typeof value);
  assert.deepEqual(shape(en), shape(nb));
});

/** A service that dies with its answer half said is asked once more, with the same message; then it is away. */
test('half an answer', async (t) => {
  let asked = [];
  let halves = 1;
  const server = createServer();
  server.on('stream', async (stream) => {
    const chunks = await stream.toArray();
    asked.push(Buffer.concat(chunks).toString('hex'));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    if (asked.length > halves) return stream.end(Buffer.alloc(5)); // an empty message
    stream.write(Buffer.alloc(1));
    return setImmediate(() => stream.session.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = makeLeadClient({ url: `http://127.0.0.1:${server.address().port}`, token: 'a' });
  t.after(() => { client.close(); server.close(); });
  await client.submitLead({ request_id: 'the key of the form' });
  assert.equal(asked.length, 2);
  assert.equal(asked[0], asked[1]);
  [asked, halves] = [[], Infinity];
  await assert.rejects(client.submitLead({ request_id: 'the key of the form' }), { tryAgain: true });
  assert.equal(asked.length, 2);
});

/** A link of an older key works until the key is taken away; one for another purpose never does. */
test('sealed links', () => {
  const [old, young] = [randomBytes(32), randomBytes(32)];
  const link = makeSealedLinks([old]).seal('withdraw', { leadId: 'a' });
  assert.deepEqual(makeSealedLinks([young, old]).open('withdraw', link), { leadId: 'a' });
  assert.equal(makeSealedLinks([young]).open('withdraw', link), undefined);
  assert.equal(makeSealedLinks([old]).open('received', link), undefined);
  for (const nonsense of ['', 'x', '../../etc', link.slice(1), `${link}AAAA`]) assert.equal(makeSealedLinks([old]).open('withdraw', nonsense), undefined);
});

/** Each address has its own limit, a household of IPv6 addresses has one, and after ten minutes all is forgotten. */
test('the limit of forms', () => {
  let time = 0;
  const isTooMany = makeRateLimit(2, () => time);
  const counted = (address) => [1, 2, 3].map(() => isTooMany(address));
  assert.deepEqual(counted('192.0.2.1'), [false, false, true]);
  assert.deepEqual(counted('192.0.2.2'), [false, false, true]);
  assert.deepEqual(['2001:db8::1', '2001:db8:0:0:ffff::2', '2001:0db8::3'].map((address) => isTooMany(address)), [false, false, true]);
  assert.equal(isTooMany('2001:db8:0:1::1'), false);
  assert.equal(isTooMany('::ffff:192.0.2.1'), true);
  time += 10 * 60_000;
  assert.equal(isTooMany('192.0.2.1'), false);
});

/** The notice is asked for once a minute however many look at it, and outlives the service for an hour, not longer. */
test('the notice is kept for a while', async () => {
  let time = 0;
  let asked = 0;
  let isAway = false;
  const client = { privacyNotice: async () => { asked += 1; if (isAway) throw new Error('away'); return { version: String(asked) }; } };
  const notices = makeNotices(client, { now: () => time });
  const versions = await Promise.all([1, 2, 3].map(() => notices.inForce('nb')));
  assert.deepEqual(versions.map(({ version }) => version), ['1', '1', '1']);
  time += 60_000;
  assert.equal((await notices.inForce('nb')).version, '2');
  isAway = true;
  time += 60_000;
  assert.equal((await notices.inForce('nb')).version, '2');
  time += 60 * 60_000;
  await assert.rejects(notices.inForce('nb'));
  isAway = false;
  notices.forget();
  assert.equal((await notices.inForce('nb')).version, String(asked));
});

/** Neither token nor details travel in the clear beyond this machine. */
test('plain text stays on this machine', () => {
  assert.throws(() => makeLeadClient({ url: 'http://192.0.2.1:50051', token: 'x' }), /https/);
  for (const settings of [{ url: 'https://leads.example' }, { url: 'http://[::1]:1' }, { url: 'http://192.0.2.1', plaintext: true }]) {
    makeLeadClient({ token: 'x', ...settings }).close();
  }
});

/** What people copy may be used by anybody, is pinned by its hash, and names no registry. */
test('the packages', () => {
  const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
  for (const [name, { license, integrity, resolved }] of Object.entries(packages)) {
    if (name === '') continue;
    assert.match(license, /^(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD)$/, name);
    assert.match(integrity, /^sha512-/, name);
    assert.equal(resolved, undefined, name);
  }
});

// What a website must not let happen: forms from other sites, programs without end, and details where they do not belong.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fill, makeWorld, received, send } from './support/world.js';
import { nb } from '../src/texts/nb.js';

let world;
before(async () => { world = await makeWorld({ siteEnv: { WEBSITE_POSTS_PER_ADDRESS: '12' } }); });
after(() => world.end());

const post = (body, headers = {}) => fetch(`${world.url}/nb/send`, { method: 'POST', body: new URLSearchParams(body), headers });
const lead = (email) => ({ request_id: crypto.randomUUID(), notice_version: '1.1', basis: 'offer', name: 'Kari', email });

/** Another site's page cannot send our form in a visitor's name, not even from this machine. */
test('a form on another site', async () => {
  const evil = createServer((req, res) => {
    res.setHeader('content-type', 'text/html');
    res.end(`<form method="post" action="${world.url}/nb/send"><input name="name" value="Kari"><input name="email" value="evil@example.no"><input name="basis" value="offer"><input name="notice_version" value="1.1"><button type="submit">x</button></form>`);
  });
  await new Promise((resolve) => { evil.listen(0, '127.0.0.1', resolve); });
  const context = await world.browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${evil.address().port}/`);
  const [answer] = await Promise.all([page.waitForResponse((response) => response.url().endsWith('/send')), send(page)]);
  assert.equal(answer.status(), 403);
  await context.close();
  evil.close();
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]) {
    assert.equal((await post(lead('evil@example.no'), headers)).status, 403, JSON.stringify(headers));
  }
  assert.equal(world.leads('evil@example.no').length, 0);
});

/** Every answer carries the policy: no inline script, nobody else's anything, no frame, no cookie. */
test('headers', async () => {
  for (const [where, status] of [['/nb/', 200], ['/style.css', 200], ['/nowhere', 404], ['/nb/withdraw/x', 404]]) {
    const answer = await fetch(`${world.url}${where}`);
    assert.equal(answer.status, status);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/);
    assert.ok(!policy.includes('unsafe'));
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('referrer-policy'), 'strict-origin');
    assert.equal(answer.headers.get('set-cookie'), null);
    assert.equal(answer.headers.get('x-powered-by'), null);
  }
  const again = await post({ name: 'Kari' });
  assert.equal(again.headers.get('cache-control'), 'no-store', 'what was typed stays in no cache');
});

/** What is no form of ours gets a page, and nothing of it is stored or repeated in a log. */
test('too much, and nonsense', async () => {
  assert.equal((await post({ name: 'x'.repeat(40_000) })).status, 413);
  const longName = await post({ ...lead('long@example.no'), name: 'x'.repeat(201) });
  assert.equal(longName.status, 422);
  assert.ok((await longName.text()).includes(nb.errors.TOO_LONG));
  const twice = await fetch(`${world.url}/nb/send`, { method: 'POST', body: new URLSearchParams([['name', 'a'], ['name', 'b']]) });
  assert.equal(twice.status, 409);
  assert.equal((await fetch(`${world.url}/nb/withdraw/%E0%A4%A`)).status, 400);
});

/** A field that people do not see stays empty; filled in by mistake, the person is told and nothing is lost. */
test('the trap says so', async () => {
  const answer = await post({ ...lead('trap@example.no'), website: 'http://spam.example' });
  assert.equal(answer.status, 422);
  const text = await answer.text();
  assert.ok(text.includes(nb.alerts.trap.title) && text.includes('value="trap@example.no"'));
  assert.ok(!text.includes('spam.example'));
  assert.equal(world.leads('trap@example.no').length, 0);
});

/** The website keeps nothing of anybody: no file but its key. */
test('nothing is written down', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  await fill(world, page, { basis: 'other', consent: true, name: 'Ingen Steder', email: 'nowhere@example.no' });
  await send(page);
  await received(page);
  assert.deepEqual(readdirSync(world.dir).sort(), ['data', 'website.key']);
  assert.match(readFileSync(path.join(world.dir, 'website.key'), 'utf8'), /^[0-9a-f]{64}\n$/);
  const storage = await page.evaluate(() => JSON.stringify([sessionStorage, localStorage, document.cookie]));
  assert.ok(!/Ingen|nowhere/.test(storage), 'the browser is given nothing to keep either');
});

/** One address cannot send without end; who typed something does not lose it. The last test here: it uses up the limit. */
test('too many forms', async () => {
  let answer;
  for (let count = 0; count <= 12; count += 1) answer = await post({ ...lead('many@example.no'), name: '' });
  assert.equal(answer.status, 429);
  const text = await answer.text();
  assert.ok(text.includes(nb.alerts.tooMany.title) && text.includes('value="many@example.no"'));
});

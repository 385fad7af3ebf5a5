// The same site without scripts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fill, keyOf, makeWorld, received, reference, send } from './support/world.js';

let world;
let page;
before(async () => { world = await makeWorld(); });
after(() => world.end());

async function open(language = 'nb') {
  page = await world.page({ javaScriptEnabled: false });
  await page.goto(`${world.url}/${language}/`);
}

/** The form, its faults and its confirmation need no script. */
test('faults, then success', async () => {
  await open('en');
  const email = 'plain@example.no';
  await fill(world, page, { basis: 'other', name: 'Plain', email });
  await send(page);
  assert.equal(await page.locator('#errors li').count(), 1);
  assert.equal(await page.locator('#consent[autofocus]').count(), 1);
  await page.check('#consent');
  await send(page);
  await received(page);
  assert.equal(world.leads(email).length, 1);
});

/** Without the script that stops a second click the key does. */
test('a double-click sends once', async () => {
  await open();
  const email = 'plain-double@example.no';
  await fill(world, page, { basis: 'offer', name: 'To', email });
  await page.dblclick('form button[type=submit]');
  await received(page);
  assert.equal(world.leads(email).length, 1);
});

/** However often and however fast the same form arrives, it is one lead, and every answer names it. */
test('one form ten times at once', async () => {
  await open();
  const email = 'ten@example.no';
  world.typed.add(email);
  const body = new URLSearchParams({ request_id: await keyOf(page), notice_version: '1.1', basis: 'offer', name: 'Ti', email });
  const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(`${world.url}/nb/send`, { method: 'POST', body })));
  const pages = await Promise.all(answers.map((answer) => answer.text()));
  const [lead, ...others] = world.leads(email);
  assert.equal(others.length, 0);
  for (const text of pages) assert.ok(text.includes(lead.leadId));
});

/** Back, and the same form once more: the browser brings it back with its key, and it is still one lead. */
test('back and send again is the same enquiry', async () => {
  await open();
  const email = 'plain-back@example.no';
  await fill(world, page, { basis: 'offer', name: 'Igjen', email });
  await send(page);
  await received(page);
  const first = await reference(page);
  await page.goBack();
  assert.equal(await page.inputValue('#email'), email, 'what was typed is not lost');
  await send(page);
  await received(page);
  assert.equal(await reference(page), first);
  assert.equal(world.leads(email).length, 1);
});

/** An answer that was reloaded sends the form again, and changes nothing. */
test('the reload of a page of faults sends the same key', async () => {
  await open();
  await send(page);
  const key = await keyOf(page);
  await page.reload();
  assert.equal(await page.locator('#errors').count(), 1);
  assert.equal(await keyOf(page), key);
});

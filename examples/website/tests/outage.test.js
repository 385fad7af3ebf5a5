// The service is away: for a moment, which nobody notices, and for long, which costs nobody what was typed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fill, keyOf, makeWorld, received, send } from './support/world.js';
import { nb } from '../src/texts/nb.js';

let world;
before(async () => { world = await makeWorld(); });
after(() => world.end());

const comeBack = () => world.serve(world.api);

/** Killed, and started again while the form is on its way: the person sees the confirmation, and the lead is there once. */
test('away for a moment', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const email = 'moment@example.no';
  await fill(world, page, { basis: 'offer', name: 'Et Øyeblikk', email });
  await world.service.end('SIGKILL');
  const asked = page.waitForRequest((request) => request.method() === 'POST');
  const done = received(page);
  await page.click('form button[type=submit]', { noWaitAfter: true });
  await asked;
  await comeBack();
  await done;
  assert.equal(world.leads(email).length, 1);
});

/** Forms under way while the service is killed again and again: each is confirmed, and each is one lead. */
test('killed in the midst of many', async () => {
  const version = JSON.parse(world.command('notice')).version;
  const post = (place) => {
    const email = `many-${place}@example.no`;
    world.typed.add(email);
    return fetch(`${world.url}/nb/send`, {
      method: 'POST',
      body: new URLSearchParams({ request_id: crypto.randomUUID(), notice_version: version, basis: 'offer', name: 'Mange', email }),
    });
  };
  let answers = [];
  for (let round = 0; round < 3; round += 1) {
    answers = answers.concat(Array.from({ length: 20 }, (_, place) => post(round * 20 + place)));
    await Promise.race(answers.slice(-20)); // some are stored, others on their way
    await world.service.end('SIGKILL');
    await comeBack();
  }
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200);
  const emails = world.changes().map(({ lead }) => lead?.email).filter((email) => email?.startsWith('many-'));
  assert.equal(emails.length, 60);
  assert.equal(new Set(emails).size, 60);
});

/** Down for long: the person is told so, keeps what was typed, and sends it again with the same key. */
test('away for long', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const page = await world.page({ javaScriptEnabled });
    await page.goto(`${world.url}/nb/`);
    const key = await keyOf(page);
    const email = `long-${javaScriptEnabled}@example.no`;
    await fill(world, page, { basis: 'other', consent: true, name: 'Lenge Borte', email });
    await world.service.end('SIGKILL');
    const [answer] = await Promise.all([page.waitForResponse((response) => response.request().method() === 'POST'), send(page)]);
    assert.equal(answer.status(), 503);
    assert.equal(await page.innerText('.alert h2'), nb.alerts.away.title);
    assert.equal(await keyOf(page), key);
    assert.equal(await page.inputValue('#email'), email);
    assert.equal(await page.isChecked('#consent'), true, 'the same notice, the same consent');
    assert.ok((await page.innerText('form button')).includes(nb.alerts.away.button));
    await comeBack();
    await send(page);
    await received(page);
    assert.equal(world.leads(email).length, 1);
  }
});

/** A withdrawal that got no answer says that it is not known, and can be sent again. */
test('away during a withdrawal', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  await fill(world, page, { basis: 'other', consent: true, name: 'Bort', email: 'away@example.no' });
  await send(page);
  await received(page);
  await page.click('.withdraw');
  await world.service.end('SIGKILL');
  await send(page);
  await page.waitForSelector('.alert');
  assert.equal(await page.innerText('.alert h2'), nb.withdrawal.away.title);
  await comeBack();
  await send(page);
  await page.waitForSelector('[data-outcome=WITHDRAWAL_OUTCOME_ERASED]');
});

/** A website that starts without the service says so, and shows the form when it is back. */
test('no notice, no form', async () => {
  await world.service.end('SIGKILL');
  await world.site.end('SIGTERM');
  await world.startSite();
  const away = await fetch(`${world.url}/nb/`);
  assert.equal(away.status, 503);
  assert.ok((await away.text()).includes(nb.formAway.title));
  const form = await fetch(`${world.url}/nb/send`, { method: 'POST', body: new URLSearchParams({ notice_version: '1.1', name: 'Kari Kept' }) });
  assert.equal(form.status, 503);
  const text = await form.text();
  assert.ok(text.includes('value="Kari Kept"') && text.includes('value="1.1"'), 'what was typed is kept, and what it was typed under');
  await comeBack();
  assert.equal((await fetch(`${world.url}/nb/`)).status, 200);
});

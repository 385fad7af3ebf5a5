// Sending the form, with a browser as people have it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fill, keyOf, makeWorld, received, reference, send } from './support/world.js';

let world;
before(async () => { world = await makeWorld(); });
after(() => world.end());

/** Nothing is chosen and nothing is ticked for anybody, and the notice in force is on the page. */
test('the empty form makes no choice for anybody', async () => {
  for (const language of ['nb', 'en']) {
    const page = await world.page();
    await page.goto(`${world.url}/${language}/`);
    assert.equal(await page.locator('input:checked').count(), 0);
    const notice = JSON.parse(world.command('notice', '--language', language));
    await page.click('summary');
    const shown = await page.innerText('.notice-text');
    for (const line of notice.text.split('\n').filter(Boolean)) assert.ok(shown.includes(line.replace(/^(#+|-) /, '')), line);
    assert.equal(await page.inputValue('[name=notice_version]'), notice.version);
    assert.ok(!(await page.content()).includes(world.token), 'the token is in the page');
  }
});

/** What was typed arrives as it was typed, under the basis that was chosen, and the confirmation tells the lead's facts. */
test('an offer is handed over, and confirmed', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const email = 'åse.o’brien@example.no';
  await fill(world, page, { basis: 'offer', name: 'Åse-Marit <b>O’Brien</b> & 李', company: 'Bjørk "Ære" AS', phone: '406 05 600', email });
  await send(page);
  await received(page);
  const [lead] = world.leads(email);
  assert.equal(lead.name, 'Åse-Marit <b>O’Brien</b> & 李');
  assert.equal(lead.company, 'Bjørk "Ære" AS');
  assert.equal(lead.phone, '+4740605600');
  assert.equal(lead.lawfulBasis, 'LAWFUL_BASIS_PRE_CONTRACT');
  assert.equal(lead.consent, false);
  assert.equal(await reference(page), lead.leadId);
  const until = new Intl.DateTimeFormat('nb-NO', { dateStyle: 'long', timeZone: 'Europe/Oslo' }).format(new Date(lead.eraseBy));
  assert.ok((await page.innerText('.facts')).includes(until));
  assert.equal(await page.locator('.receipt').count(), 0, 'no consent, no receipt of it');
});

/** Whoever consents gets the receipt as the service made it, without a script. */
test('a consent is handed over, and its receipt can be kept', async () => {
  const page = await world.page({ acceptDownloads: true });
  await page.goto(`${world.url}/en/`);
  const email = 'consent@example.no';
  await fill(world, page, { basis: 'other', consent: true, name: 'Siv', email });
  await send(page);
  await received(page);
  const [lead] = world.leads(email);
  assert.equal(lead.lawfulBasis, 'LAWFUL_BASIS_CONSENT');
  assert.equal(lead.consent, true);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('.receipt a')]);
  const receipt = JSON.parse(readFileSync(await download.path(), 'utf8'));
  assert.equal(receipt['@type'], 'dpv:ConsentReceipt');
  assert.ok(receipt['@id'].includes(lead.leadId));
  assert.match(download.suggestedFilename(), /^consent-.*\.jsonld$/);
});

/** The box that was ticked before the person chose an offer is no consent. */
test('a box that went out of sight is no consent', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const email = 'hidden@example.no';
  await fill(world, page, { basis: 'other', consent: true, name: 'Tor', email });
  await page.check('#basis-offer');
  await send(page);
  await received(page);
  assert.equal(world.leads(email)[0].consent, false);
});

/** One form is one lead, however often it is clicked. */
test('a double-click sends once', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const email = 'double@example.no';
  await fill(world, page, { basis: 'offer', name: 'To Klikk', email });
  await page.dblclick('form button[type=submit]');
  await received(page);
  assert.equal(world.leads(email).length, 1);
});

/** A tab keeps its form's key until the form is sent: through a reload, and through the language. Another tab has its own. */
test('the key survives a reload, and is renewed after success', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const key = await keyOf(page);
  await page.reload();
  assert.equal(await keyOf(page), key);
  const other = await page.context().newPage();
  await other.goto(`${world.url}/nb/`);
  assert.notEqual(await keyOf(other), key);

  const email = 'reload@example.no';
  await fill(world, page, { basis: 'offer', name: 'Om Igjen', email });
  await send(page);
  await received(page);
  await page.reload();
  await page.waitForSelector('[data-received]');
  assert.equal(world.leads(email).length, 1);
  await page.goto(`${world.url}/nb/`);
  assert.notEqual(await keyOf(page), key);
});

/** After success the back button leads to an empty form with a new key. */
test('back after success is a new form', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const key = await keyOf(page);
  await fill(world, page, { basis: 'offer', name: 'Til Bake', email: 'back@example.no' });
  await send(page);
  await received(page);
  await page.goBack();
  await page.waitForFunction((old) => document.querySelector('[name=request_id]')?.value !== old, key);
  assert.equal(await page.inputValue('#name'), '');
});

/** Who sees no pointer gets there too: to the form, through it, and to what is wrong with it. */
test('the keyboard is enough', async () => {
  const page = await world.page();
  await page.goto(`${world.url}/nb/`);
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.focus('#basis-offer');
  await press('Space', 'Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'name');
  await page.keyboard.type('Tast Atur');
  await press('Tab', 'Tab', 'Tab');
  await page.keyboard.type('keys@example.no');
  await press('Enter');
  await received(page);
  assert.equal(world.leads('keys@example.no').length, 1);
});

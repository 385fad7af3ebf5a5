// What is said when something is wrong with the form, and that people can read it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { contrastFaults } from './support/contrast.js';
import { fill, keyOf, makeWorld, received, send } from './support/world.js';
import { en } from '../src/texts/en.js';
import { nb } from '../src/texts/nb.js';

let world;
before(async () => { world = await makeWorld(); });
after(() => world.end());

for (const texts of [nb, en]) {
  /** Every fault at once, beside its field, in the page's language; the first one has the focus, and what was typed is there. */
  test(`faults stand beside their fields (${texts.language})`, async () => {
    const page = await world.page();
    await page.goto(`${world.url}/${texts.language}/`);
    const key = await keyOf(page);
    const email = `wrong-${texts.language}@example..no`;
    await fill(world, page, { basis: 'other', phone: 'ring meg', email });
    await send(page);
    await page.waitForSelector('#errors');
    const wanted = { consent: 'CONSENT_REQUIRED', name: 'NAME_OR_COMPANY_REQUIRED', phone: 'PHONE_INVALID', email: 'EMAIL_INVALID' };
    assert.deepEqual(await page.locator('#errors li').allInnerTexts(), Object.values(wanted).map((reason) => texts.errors[reason]));
    for (const [field, reason] of Object.entries(wanted)) {
      assert.ok((await page.innerText(`#${field}-error`)).includes(texts.errors[reason]), field);
      assert.equal(await page.getAttribute(`#${field}`, 'aria-invalid'), 'true');
      assert.ok((await page.getAttribute(`#${field}`, 'aria-describedby')).split(' ').includes(`${field}-error`));
    }
    assert.equal(await page.getAttribute('#company', 'aria-invalid'), null);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'consent');
    assert.ok((await page.title()).startsWith(texts.contact.errorPrefix));
    assert.equal(await page.inputValue('#email'), email);
    assert.equal(await page.inputValue('#phone'), 'ring meg');
    assert.equal(await page.isChecked('#consent'), false, 'a fault ticks no box');
    assert.equal(await keyOf(page), key);

    await page.click('#errors li:nth-child(4) a');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'email');
    const right = `right-${texts.language}@example.no`;
    await fill(world, page, { consent: true, name: 'Rett Opp', phone: '+47 406 05 600', email: right });
    await send(page);
    await received(page);
    assert.equal(world.leads(right).length, 1);
  });

  /** A form that nobody filled in names all that is missing. */
  test(`an empty form is told what it lacks (${texts.language})`, async () => {
    const page = await world.page();
    await page.goto(`${world.url}/${texts.language}/`);
    await send(page);
    await page.waitForSelector('#errors');
    const wanted = ['REQUIRED', 'NAME_OR_COMPANY_REQUIRED', 'PHONE_OR_EMAIL_REQUIRED'];
    assert.deepEqual(await page.locator('#errors li').allInnerTexts(), wanted.map((reason) => texts.errors[reason]));
    assert.equal(await page.evaluate(() => document.activeElement.id), 'basis-offer');
  });
}

/** A form sent before with something else in it is never dropped: the person says whether it is another enquiry. */
test('another content under the same key is asked about', async () => {
  const page = await world.page({ javaScriptEnabled: false });
  await page.goto(`${world.url}/nb/`);
  await fill(world, page, { basis: 'offer', name: 'En Gang', email: 'first@example.no' });
  await send(page);
  await received(page);
  await page.goBack();
  await fill(world, page, { basis: 'offer', name: 'En Gang', email: 'second@example.no' });
  await send(page);
  assert.equal(await page.innerText('.alert h2'), nb.alerts.sentBefore.title);
  assert.equal(world.leads('second@example.no').length, 0);
  assert.equal(await page.inputValue('#email'), 'second@example.no');
  await send(page);
  await received(page);
  assert.equal(world.leads('second@example.no').length, 1);
});

/** Text is readable in light and in dark (WCAG 2.2 AA, 1.4.3), and nothing has to be scrolled sideways on a phone (1.4.10). */
test('contrast and small screens', async () => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await world.page({ colorScheme, viewport: { width: 320, height: 640 } });
    const look = async (name) => {
      assert.deepEqual(await contrastFaults(page), [], `${name}, ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 320, `${name} is ${wide} wide`);
    };
    await page.goto(`${world.url}/nb/`);
    await page.check('#basis-other');
    await page.click('summary');
    await look('the form');
    await page.click('form button[type=submit]');
    await page.waitForSelector('#errors');
    await look('the errors');
    await fill(world, page, { basis: 'other', consent: true, name: 'Li Ten', email: 'small@example.no' });
    await send(page);
    await received(page);
    await look('the confirmation');
  }
});

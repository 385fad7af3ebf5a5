// Withdrawing by the link of the confirmation.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fill, makeWorld, received, reference, send } from './support/world.js';
import { en } from '../src/texts/en.js';
import { nb } from '../src/texts/nb.js';

let world;
before(async () => { world = await makeWorld(); });
after(() => world.end());

async function submit({ texts = nb, javaScriptEnabled = true, ...fields }) {
  const page = await world.page({ javaScriptEnabled, acceptDownloads: true });
  await page.goto(`${world.url}/${texts.language}/`);
  await fill(world, page, { name: 'Ombestemt', ...fields });
  await send(page);
  await received(page);
  return { page, leadId: await reference(page), link: await page.getAttribute('.withdraw', 'href') };
}

const outcome = (page) => page.locator('[data-outcome]').getAttribute('data-outcome');
const kinds = (leadId) => world.changes().filter((change) => change.leadId === leadId).map(({ kind }) => kind);

for (const [texts, javaScriptEnabled] of [[nb, true], [en, false]]) {
  /** One click and no reason: the lead is erased, the CRM is told, and the person gets the proof. Again: nothing is held. */
  test(`consent (${texts.language}, scripts: ${javaScriptEnabled})`, async () => {
    const email = `withdraw-${texts.language}@example.no`;
    const { page, leadId, link } = await submit({ texts, javaScriptEnabled, basis: 'other', consent: true, email });
    world.changes(); // the CRM has it
    await page.click('.withdraw');
    assert.equal(world.leads(email).length, 1, 'to look at the link withdraws nothing');
    await send(page);
    assert.equal(await outcome(page), 'WITHDRAWAL_OUTCOME_ERASED');
    assert.equal(await page.innerText('h1'), texts.withdrawal.outcomes.WITHDRAWAL_OUTCOME_ERASED.title);
    assert.deepEqual(kinds(leadId).at(-1), 'CHANGE_KIND_ERASED');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('.receipt a')]);
    assert.ok(readFileSync(await download.path(), 'utf8').includes(leadId));

    await page.goto(link);
    await send(page);
    assert.equal(await outcome(page), 'WITHDRAWAL_OUTCOME_NOTHING_HELD');
  });
}

/** An offer does not rest on consent: it stays, and the page says which rights apply, in the notice's words. */
test('an offer', async () => {
  const { page, leadId } = await submit({ basis: 'offer', email: 'offer@example.no' });
  await page.click('.withdraw');
  await send(page);
  assert.equal(await outcome(page), 'WITHDRAWAL_OUTCOME_FLAG_WITHDRAWN');
  const notice = JSON.parse(world.command('notice', '--language', 'nb'));
  const rights = await page.locator('.rights li').allInnerTexts();
  assert.ok(rights.includes(notice.rights.find(({ iri }) => iri === 'eu-gdpr:A17').text));
  assert.equal(rights.at(-1), notice.complaint);
  assert.equal(rights.length, 6);
  assert.equal(JSON.parse(world.command('get', leadId)).lead?.leadId ?? JSON.parse(world.command('get', leadId)).leadId, leadId);
});

/** A lead that is on hold is hidden for good, and the page says so. */
test('a restricted lead', async () => {
  const { page, leadId } = await submit({ basis: 'other', consent: true, email: 'hold@example.no' });
  world.command('restrict', '--reason', 'accuracy-contested', leadId);
  await page.click('.withdraw');
  await send(page);
  assert.equal(await outcome(page), 'WITHDRAWAL_OUTCOME_ERASED_WHEN_LIFTED');
  assert.equal(await page.innerText('h1'), nb.withdrawal.outcomes.WITHDRAWAL_OUTCOME_ERASED_WHEN_LIFTED.title);
});

/** A form of an enquiry that was erased brings nobody back. */
test('the old form after the erasure', async () => {
  const email = 'erased@example.no';
  const { page } = await submit({ javaScriptEnabled: false, basis: 'other', consent: true, email });
  await page.click('.withdraw');
  await send(page);
  // The page is there before it is left: a step back from a page on its way would be one too many.
  assert.equal(await outcome(page), 'WITHDRAWAL_OUTCOME_ERASED');
  for (const path of [/\/withdraw\//, /\/received\//, /\/nb\/$/]) {
    await page.goBack();
    await page.waitForURL(path);
  }
  await send(page);
  await page.locator('h1', { hasText: nb.erasedSince.title }).waitFor();
  assert.equal(world.leads(email).length, 0);
});

/** Nobody guesses a link, nor makes one of a confirmation or of a lead's identifier; and none is told the identifier. */
test('a link that is not ours', async () => {
  const { leadId, link, page } = await submit({ basis: 'other', consent: true, email: 'guess@example.no' });
  const token = link.split('/').at(-1);
  assert.ok(!link.includes(leadId));
  const flipped = `${token.slice(0, 20)}${token[20] === 'A' ? 'B' : 'A'}${token.slice(21)}`;
  for (const wrong of [leadId, flipped, token.slice(0, -4), 'x', page.url().split('/').at(-1)]) {
    for (const method of ['GET', 'POST']) {
      const answer = await fetch(`${world.url}/nb/withdraw/${wrong}`, { method });
      assert.equal(answer.status, 404);
      assert.ok((await answer.text()).includes(nb.withdrawal.unknownLink.title));
    }
  }
  assert.equal(world.leads('guess@example.no').length, 1);
});

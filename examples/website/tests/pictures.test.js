// The pictures of the documentation: made by `examples/website/test --pictures`, looked at by a person, and committed.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { repack } from './support/png.js';
import { fill, makeWorld, send } from './support/world.js';

const { PICTURES } = process.env;
const BYTES_MAX = 150 * 1024;

let world;
before(async () => { world = PICTURES && await makeWorld(); });
after(() => world && world.end());

async function picture(page, name) {
  const file = path.join(PICTURES, name);
  const png = repack(await page.screenshot({ animations: 'disabled', caret: 'hide' }));
  assert.ok(png.length < BYTES_MAX, `${name} has ${png.length} bytes`);
  writeFileSync(file, png);
}

test('the pictures', { skip: !PICTURES && 'not asked for' }, async () => {
  const page = await world.page({ viewport: { width: 1080, height: 1320 }, colorScheme: 'light' });
  await page.goto(`${world.url}/nb/`);
  await fill(world, page, { basis: 'other', consent: true, name: 'Kari Nordmann', phone: '406 05 600', email: 'kari@example.no' });
  await page.evaluate(() => document.activeElement.blur());
  await picture(page, 'contact-form.png');
  await page.goto(`${world.url}/en/`);
  await fill(world, page, { basis: 'other', name: '', phone: '', email: 'kari@example' });
  await send(page);
  await page.waitForSelector('#errors');
  await page.setViewportSize({ width: 1080, height: 1000 });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await picture(page, 'contact-form-errors.png');
});

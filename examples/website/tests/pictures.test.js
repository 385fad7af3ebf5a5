// The pictures of the documentation: made by `examples/website/test --pictures`, looked at by a person, and committed.

import { after, before, test } from 'node:test';
import { picture } from './support/browser.js';
import { fill, makeWorld, send } from './support/world.js';

const { PICTURES } = process.env;

let world;
before(async () => { world = PICTURES && await makeWorld(); });
after(() => world && world.end());

test('the pictures', { skip: !PICTURES && 'not asked for' }, async () => {
  const page = await world.page({ viewport: { width: 1080, height: 1320 }, colorScheme: 'light' });
  await page.goto(`${world.url}/nb/`);
  await fill(world, page, { basis: 'other', consent: true, name: 'Kari Nordmann', phone: '406 05 600', email: 'kari@example.no' });
  await page.evaluate(() => document.activeElement.blur());
  await picture(page, PICTURES, 'contact-form.png');
  await page.goto(`${world.url}/en/`);
  await fill(world, page, { basis: 'other', name: '', phone: '', email: 'kari@example' });
  await send(page);
  await page.waitForSelector('#errors');
  await page.setViewportSize({ width: 1080, height: 1000 });
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await picture(page, PICTURES, 'contact-form-errors.png');
});

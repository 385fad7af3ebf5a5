// Every query of the dashboard is answered, and finds something, and the dashboard can be drawn: from Grafana's file
// and the data of a Prometheus that watched a load, without Grafana. examples/operating/test runs this, and says:
//
//   PROMETHEUS_URL, SCRAPE_SECONDS   whom to ask, and how often it looks at its targets
//   FROM                             when the load began, in seconds since 1970
//   PICTURES                         the directory for the picture
//   CHROMIUM                         the browser

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, picture } from '../../website/tests/support/browser.js';
import { COLUMNS, page } from './page.mjs';
import { ask } from './prometheus.mjs';

const FILE = 'compose/grafana/dashboards/lead-intake.json';
const { PROMETHEUS_URL, SCRAPE_SECONDS, FROM, PICTURES } = process.env;
const WIDTH = 1280;
// As many as can be told from each other.
const POINTS_MAX = 300;

// By panel and query: what finds nothing, and why that is as it should be.
const EMPTY = new Map([
  ['Since the last sweep; leads it erased, A', 'the first round of the sweep on a new database only notes the time, and the next comes ten minutes later'],
]);

const dashboard = JSON.parse(readFileSync(new URL(`../../../${FILE}`, import.meta.url), 'utf8'));
const targets = dashboard.panels.flatMap((panel) => panel.targets.map((target) => ({ panel, target, name: `${panel.title}, ${target.refId}` })));

let browser;
let range;
before(async () => {
  const [from, to, scrape] = [Number(FROM), Math.floor(Date.now() / 1000), Number(SCRAPE_SECONDS)];
  range = { from, to, scrape, step: Math.max(scrape, Math.ceil((to - from) / POINTS_MAX)) };
  for (const one of targets) {
    try {
      one.series = await ask(PROMETHEUS_URL, one.target, range);
    } catch (error) {
      one.error = error.message;
    }
  }
  browser = await launch();
});
after(() => browser?.close());

test('every query is answered', () => {
  assert.deepEqual(targets.filter(({ error }) => error).map(({ name, error }) => `${name}: ${error}`), []);
});

test('every query finds something, but for those of which that is known', () => {
  for (const name of EMPTY.keys()) assert.ok(targets.some((one) => one.name === name), `there is no such query: ${name}`);
  const nothing = targets.filter(({ series }) => series?.length === 0).map(({ name }) => name);
  assert.deepEqual(nothing.filter((name) => !EMPTY.has(name)), []);
});

test('no panel lies on another', () => {
  const taken = new Map();
  for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
    assert.ok(x + w <= COLUMNS, `${title} is too wide for its place`);
    for (let cell = 0; cell < w * h; cell += 1) {
      const place = `${x + (cell % w)}, ${y + Math.floor(cell / w)}`;
      assert.ok(!taken.has(place), `${title} lies on ${taken.get(place)}`);
      taken.set(place, title);
    }
  }
});

// A number goes red at 80 where the file says nothing, by Grafana's default.
test('every big number says when it is red', () => {
  const silent = dashboard.panels.filter(({ type, fieldConfig }) => type === 'stat' && !fieldConfig.defaults.thresholds);
  assert.deepEqual(silent.map(({ title }) => title), []);
});

test('the picture', async () => {
  const answers = dashboard.panels.map((panel) => targets.filter((one) => one.panel === panel).flatMap(({ series }) => series ?? []));
  const caption = `Drawn from ${FILE} with the data of a test of ${range.to - range.from} s, without Grafana`;
  const tab = await browser.newPage({ viewport: { width: WIDTH, height: 720 } });
  // The widest there can be: a time at either edge.
  const toTheMinute = { ...range, from: Math.floor(range.from / 60) * 60, to: Math.ceil(range.to / 60) * 60 };
  for (const shown of [toTheMinute, range]) {
    await tab.setContent(page(dashboard, answers, shown, caption));
    assert.deepEqual(await tab.evaluate(cut), [], 'what does not fit into its panel');
  }
  await tab.setViewportSize({ width: WIDTH, height: await tab.evaluate(() => document.body.scrollHeight) });
  await picture(tab, PICTURES, 'dashboard.png');
});

/** The texts that do not fit into their panels; the browser calls it. */
function cut() {
  return [...document.querySelectorAll('section :is(b, li, strong)')].filter((text) => {
    const [inner, outer] = [text.getBoundingClientRect(), text.closest('section').getBoundingClientRect()];
    return inner.left < outer.left || inner.right > outer.right || inner.bottom > outer.bottom;
  }).map((text) => `${text.innerText}, of ${text.closest('section').querySelector('h2').innerText}`);
}

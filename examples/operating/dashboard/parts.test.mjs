// The parts of the picture that no look at it would prove.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { line } from './chart.mjs';
import { filledIn } from './prometheus.mjs';
import { ticks, timeTicks, written } from './units.mjs';

const RANGE = { from: 1000, to: 1100, step: 1, scrape: 1 };
const texts = (marks) => marks.map(({ text }) => text);

test('numbers are written in their units', () => {
  const cases = [
    ['short', 0, '0'], ['short', 79, '79'], ['short', 5261, '5.26 K'], ['s', 0, '0 s'], ['s', 0.0123, '12.3 ms'], ['s', 5400, '1.5 h'],
    ['bytes', 64 * 2 ** 20, '64 MiB'], ['percentunit', 0.015625, '1.56%'], ['reqps', 290, '290 req/s'],
  ];
  for (const [unit, value, text] of cases) assert.equal(written(unit, value), text);
  assert.throws(() => written('parsecs', 1), /no such unit/);
});

test('an axis has round marks, and all of the data between them', () => {
  assert.deepEqual(texts(ticks('short', 0, 12)), ['0', '5', '10', '15']);
  assert.deepEqual(texts(ticks('short', 0, 0)), ['0', '0.2', '0.4', '0.6', '0.8', '1.0']);
  assert.deepEqual(texts(ticks('s', 0, 0.43)), ['0', '100 ms', '200 ms', '300 ms', '400 ms', '500 ms']);
  assert.deepEqual(texts(ticks('short', -3, 4)), ['-2', '0', '2', '4']);
  assert.deepEqual(texts(timeTicks(3590, 3625, 4)), ['00:59:50', '01:00:00', '01:00:10', '01:00:20']);
});

test('a line is interrupted where nothing was measured', () => {
  const points = [[1000, 0], [1001, 10], [1050, 5]];
  assert.equal(line(points, RANGE, 0, 10), 'M0.00 100.00h0L1.00 0.00M50.00 50.00h0');
});

test('variables are filled in as Grafana does, and none is left', () => {
  assert.equal(filledIn('rate(x[$__rate_interval])', RANGE), 'rate(x[4s])');
  assert.equal(filledIn('rate(x[${__rate_interval}])', { ...RANGE, step: 60, scrape: 15 }), 'rate(x[75s])');
  assert.throws(() => filledIn('x{instance="$instance"}', RANGE), /\$instance/);
});

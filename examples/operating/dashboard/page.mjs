// The dashboard as a page, from Grafana's file and the answers of Prometheus. One more type of panel is one more entry
// of TYPES.

import { readFileSync } from 'node:fs';
import { chart, line, svg } from './chart.mjs';
import { escape } from './html.mjs';
import { clock, written } from './units.mjs';

const STYLE = readFileSync(new URL('page.css', import.meta.url), 'utf8');
export const COLUMNS = 24;

/** A big number, the last one, on the colour that the panel's thresholds give it, and how it came to be. */
function stat({ fieldConfig: { defaults } }, series, range) {
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return '<p class="empty">No data</p>';
  const values = points.map(([, value]) => value);
  const last = values.at(-1);
  // From the lowest on; the first has no value and holds for all below the second.
  const { color } = defaults.thresholds.steps.findLast(({ value }) => last >= (value ?? -Infinity));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const course = high > low ? svg(`<path d="${line(points, range, low, high)}"/>`) : '';
  return `<div class="stat ${color}">${course}<strong>${written(defaults.unit, last)}</strong></div>`;
}

const TYPES = { stat, timeseries: chart };

/** A panel in its place. */
function panel(panel, series, range) {
  const draw = TYPES[panel.type];
  if (!draw) throw new Error(`${panel.title}: nothing here draws a panel of type ${panel.type}`);
  const { x, y, w, h } = panel.gridPos;
  return `<section style="grid-area:${y + 1} / ${x + 1} / span ${h} / span ${w}">
    <h2>${escape(panel.title)}${panel.description ? `<i title="${escape(panel.description)}">i</i>` : ''}</h2>
    ${draw(panel, series, range, w)}
  </section>`;
}

/** The page; `answers` has each panel's series, in the order of the panels. */
export function page(dashboard, answers, range, caption) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escape(dashboard.title)}</title><style>${STYLE}</style>
<header><h1>${escape(dashboard.title)}</h1><p>${escape(caption)}</p><p>${clock(range.from)} to ${clock(range.to)} UTC</p></header>
<main>${dashboard.panels.map((one, place) => panel(one, answers[place], range)).join('')}</main></html>`;
}

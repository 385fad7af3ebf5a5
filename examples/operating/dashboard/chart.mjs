// A panel's lines, as a piece of HTML. What stretches with the panel is in the SVG; what must not, the texts, stands
// beside it at percentages. So nothing has to be measured.

import { escape } from './html.mjs';
import { ticks, timeTicks } from './units.mjs';

const COLOURS = ['#73bf69', '#f2cc0c', '#5794f2', '#ff780a', '#f2495c', '#b877d9', '#8ab8ff', '#ffa6b0', '#96d98d', '#ffee52', '#ca95e5'];
const TIMES_MAX = 5;

const percent = (part) => `${(100 * part).toFixed(2)}%`;

/** A line through points, in a square of 100 by 100. Where a point is missing it is interrupted. */
export function line(points, { from, to, step }, low, high) {
  let before = -Infinity;
  return points.map(([at, value]) => {
    const begins = at - before > 1.5 * step;
    before = at;
    const x = (100 * (at - from)) / (to - from);
    const y = 100 - (100 * (value - low)) / (high - low);
    // A point alone is a line to itself, which round ends make visible.
    return begins ? `M${x.toFixed(2)} ${y.toFixed(2)}h0` : `L${x.toFixed(2)} ${y.toFixed(2)}`;
  }).join('');
}

export const svg = (content) => `<svg viewBox="0 0 100 100" preserveAspectRatio="none">${content}</svg>`;

/** The lines of a panel of type `timeseries`, its axes and its legend. */
export function chart({ fieldConfig: { defaults } }, series, range, columns) {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  if (values.length === 0) return '<p class="empty">No data</p>';
  const low = Math.min(...values, defaults.custom?.axisSoftMin ?? Infinity);
  const marks = ticks(defaults.unit, low, Math.max(...values));
  const high = marks.at(-1).value;
  const times = timeTicks(range.from, range.to, Math.ceil((TIMES_MAX * columns) / 12));
  const up = ({ value }) => (value - low) / (high - low);
  const along = ({ value }) => (value - range.from) / (range.to - range.from);
  const grid = [
    ...marks.map((mark) => `M0 ${100 * (1 - up(mark))}H100`), ...times.map((mark) => `M${100 * along(mark)} 0V100`),
  ].join('');
  const lines = series.map(({ points }, place) => `<path stroke="${colour(place)}" d="${line(points, range, low, high)}"/>`);
  const widest = marks.map(({ text }) => text).reduce((a, b) => (b.length > a.length ? b : a));
  return `<div class="chart">
    <div class="values"><i>${widest}</i>${marks.map((mark) => `<b style="bottom:${percent(up(mark))}">${mark.text}</b>`).join('')}</div>
    <div class="plot">${svg(`<path class="grid" d="${grid}"/>${lines.join('')}`)}</div>
    <div class="times">${times.map((mark) => `<b style="left:${percent(along(mark))}">${mark.text}</b>`).join('')}</div>
  </div>
  <ul>${series.map(({ name }, place) => `<li><i style="background:${colour(place)}"></i>${escape(name)}</li>`).join('')}</ul>`;
}

const colour = (place) => COLOURS[place % COLOURS.length];

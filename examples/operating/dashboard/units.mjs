// Numbers in the units that the dashboard's panels name, as people read them: 1.5 K, 12 ms, 64 MiB. One more unit is
// one more line of UNITS.

// A row: from which size on, in which of its own units, and what stands behind the number.
const thousands = (word) => [[1e9, 1e9, ` G${word}`], [1e6, 1e6, ` M${word}`], [1e3, 1e3, ` K${word}`], [0, 1, ` ${word}`]];
const UNITS = {
  short: [[1e9, 1e9, ' Bil'], [1e6, 1e6, ' Mil'], [1e3, 1e3, ' K'], [0, 1, '']],
  reqps: thousands('req/s'),
  cps: thousands('c/s'),
  s: [[86400, 86400, ' d'], [3600, 3600, ' h'], [60, 60, ' min'], [1, 1, ' s'], [1e-3, 1e-3, ' ms'], [0, 1e-6, ' µs']],
  bytes: [[2 ** 30, 2 ** 30, ' GiB'], [2 ** 20, 2 ** 20, ' MiB'], [2 ** 10, 2 ** 10, ' KiB'], [0, 1, ' B']],
  percentunit: [[0, 0.01, '%']],
};
const STEPS_MAX = 5;

/** How a number of this size is written: what it is divided by, and the word behind it. */
function scaleOf(unit, value) {
  const rows = UNITS[unit];
  if (!rows) throw new Error(`no such unit here: ${unit}`);
  // Nothing at all is not a number of microseconds.
  const [, by, word] = rows.find(([from]) => (value === 0 ? from <= 1 : Math.abs(value) >= from));
  return { by, word };
}

/** A number with three digits that count. */
export function written(unit, value) {
  const { by, word } = scaleOf(unit, value);
  return `${Number((value / by).toPrecision(Math.abs(value / by) >= 1000 ? 4 : 3))}${word}`;
}

/** The smallest of 1, 2, 5, 10, 20, … (and of 0.5, 0.2, …) that is not below a number. */
function roundAbove(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return power * [1, 2, 5, 10].find((digit) => digit * power >= number * (1 - 1e-9));
}

/** The marks of an axis that has everything from `low` to `high` on it: round numbers, of which the last one is its end. */
export function ticks(unit, low, high) {
  // A line that lies on the lower edge is seen if there is room above it.
  const top = high > low ? high : low + (Math.abs(low) || 1);
  const { by, word } = scaleOf(unit, Math.max(Math.abs(low), Math.abs(top)));
  const step = roundAbove((top - low) / by / STEPS_MAX);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const marks = [];
  for (let at = Math.ceil(low / by / step - 1e-9); ; at += 1) {
    marks.push({ value: at * step * by, text: at === 0 ? '0' : `${(at * step).toFixed(digits)}${word}` });
    if (at * step * by >= top * (1 - 1e-9)) return marks;
  }
}

const TIME_STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];

/** The marks of an axis of time, in seconds since 1970: at most so many, at round times, in UTC. */
export function timeTicks(from, to, most) {
  const step = TIME_STEPS.find((seconds) => (to - from) / seconds <= most) ?? to - from;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) marks.push({ value: at, text: clock(at) });
  return marks;
}

export const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

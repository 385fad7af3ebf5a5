// What Grafana would ask Prometheus for a panel, and the answers.
//
// A time is in seconds since 1970. A range has `from`, `to` and `step` (between two points), and `scrape`, the seconds
// between two looks of Prometheus at its targets.

/** A query with Grafana's variables filled in, by Grafana's own rules. */
export function filledIn(expr, { from, to, step, scrape }) {
  const variables = {
    __interval: `${step}s`,
    // Four looks, so that one that failed leaves no gap.
    __rate_interval: `${Math.max(step + scrape, 4 * scrape)}s`,
    __range: `${Math.round(to - from)}s`,
  };
  return expr.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, bare) => {
    const value = variables[braced ?? bare];
    if (!value) throw new Error(`the dashboard has a variable that nobody fills in: ${whole}`);
    return value;
  });
}

/** A series' name by the target's template, such as `{{instance}}, {{listener}}`. */
const named = (template, labels) => template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');

/** Asks for one target of a panel: its series, each with a name and its points; throws what Prometheus has against it. */
export async function ask(url, target, range) {
  const query = filledIn(target.expr, range);
  const parameters = new URLSearchParams({ query, start: range.from, end: range.to, step: range.step });
  const answer = await (await fetch(`${url}/api/v1/query_range?${parameters}`)).json();
  if (answer.status !== 'success') throw new Error(`${answer.error}: ${query}`);
  return answer.data.result.map(({ metric, values }) => ({
    name: named(target.legendFormat, metric),
    // Not a number means that there is none, as for a client without a token.
    points: values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)),
  })).filter(({ points }) => points.length > 0);
}

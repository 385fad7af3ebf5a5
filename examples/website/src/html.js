// HTML as a template: html`<p>${text}</p>`. What is put in is escaped, unless it is html itself.

class Html {
  constructor(text) { this.text = text; }

  toString() { return this.text; }
}

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function html(strings, ...values) {
  return new Html(strings.reduce((text, string, place) => text + render(values[place - 1]) + string));
}

/** An attribute that is there or not: <input${flag('required', isRequired)}>. */
export const flag = (name, isSet) => isSet && new Html(` ${name}`);

function render(value) {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(render).join('');
  if (value === undefined || value === null || value === false) return '';
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]);
}

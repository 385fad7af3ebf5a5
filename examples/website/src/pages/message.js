// A page that says one thing, and how else to reach the company.

import { html } from '../html.js';
import { layout } from './layout.js';

/** @param message { title, text, action }: `action` is the label of a link to the form, where one helps. */
export function messagePage(texts, { title, text, action }) {
  return layout(texts, {
    title,
    main: html`<div class="card message">
<h1>${title}</h1>
<p>${text}</p>
${action && html`<p><a class="button" href="/${texts.language}/">${action}</a></p>`}
${otherWays(texts)}
</div>`,
  });
}

export const otherWays = (texts) => html`<p class="quiet">${texts.layout.otherWays}</p>`;

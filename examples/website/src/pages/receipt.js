// A receipt to download. It travels in the page itself: the website keeps none.

import { html } from '../html.js';

export function receiptLink(receipt, { id, label, hint }) {
  const address = `data:application/ld+json;base64,${Buffer.from(receipt).toString('base64')}`;
  return html`<p class="receipt"><a class="button secondary" href="${address}" download="${label.file}-${id.slice(0, 8)}.jsonld">${label.text}</a> <span class="hint">${hint}</span></p>`;
}

// Asking before a withdrawal, and saying what it did.

import { html } from '../html.js';
import { layout } from './layout.js';
import { otherWays } from './message.js';
import { receiptLink } from './receipt.js';

export function askPage(texts, { here, alert }) {
  const words = texts.withdrawal;
  return layout(texts, {
    title: words.title,
    here,
    script: '/form.js',
    main: html`<form class="card message" method="post">
${alert && html`<div class="alert" role="alert" tabindex="-1" autofocus><h2>${alert.title}</h2><p>${alert.text}</p></div>`}
<h1>${words.title}</h1>
<p>${words.ask}</p>
<ul>${words.consequences.map((line) => html`<li>${line}</li>`)}</ul>
<p>${words.noReason}</p>
<button type="submit" data-sending="${words.sending}">${alert?.button ?? words.button}</button>
${otherWays(texts)}
</form>`,
  });
}

/** @param page { outcome, receipt, rights }: what WithdrawConsent answered, the rights in words. */
export function withdrawnPage(texts, { here, outcome, receipt, rights }) {
  const words = texts.withdrawal;
  const { title, text } = words.outcomes[outcome] ?? words.outcomes.WITHDRAWAL_OUTCOME_UNSPECIFIED;
  return layout(texts, {
    title,
    here,
    main: html`<div class="card message" data-outcome="${outcome}">
<h1>${title}</h1>
<p class="intro">${text}</p>
${receipt && receiptLink(receipt, { id: receiptId(receipt), label: words.receipt, hint: words.receiptHint })}
${rights.length > 0 && html`<h2>${words.rightsTitle}</h2><ul class="rights">${rights.map((right) => html`<li>${right}</li>`)}</ul>`}
${otherWays(texts)}
</div>`,
  });
}

// Names the file only; a receipt of another shape gets a name without it.
const receiptId = (receipt) => receipt.match(/[0-9a-f]{8}(?=-[0-9a-f]{4}-7)/)?.[0] ?? '';

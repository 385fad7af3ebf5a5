// The confirmation: what was stored, until when, the receipt of consent, and the way back.

import { html } from '../html.js';
import { layout } from './layout.js';
import { otherWays } from './message.js';
import { receiptLink } from './receipt.js';

/** @param page { lead, withdrawUrl }: what the sealed link of the page holds, and the link for withdrawing. */
export function receivedPage(texts, { lead, withdrawUrl, here }) {
  const words = texts.received;
  const basis = lead.isConsent ? words.consent : words.offer;
  return layout(texts, {
    title: words.title,
    here,
    script: '/form.js',
    main: html`<div class="card message" data-received>
<p class="tick" aria-hidden="true">✓</p>
<h1>${words.title}</h1>
<p class="intro">${words.text}</p>
<dl class="facts">
<dt>${words.submitted}</dt><dd>${texts.dateTime(lead.submittedAt)}</dd>
<dt>${words.basis}</dt><dd>${basis.why}</dd>
<dt>${words.kept}</dt><dd>${words.keptText(texts.date(lead.eraseBy))}</dd>
<dt>${words.reference}</dt><dd class="code">${lead.leadId}</dd>
</dl>
${lead.receipt && receiptLink(lead.receipt, { id: lead.leadId, label: words.receipt, hint: words.receiptHint })}
<h2>${words.mindTitle}</h2>
<p>${basis.mind}</p>
<p class="quiet">${words.saveLink}</p>
<p><a class="withdraw" href="${withdrawUrl}">${basis.link}</a></p>
${otherWays(texts)}
</div>`,
  });
}

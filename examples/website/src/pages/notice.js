// The privacy notice beside the form: its first facts in sight, the whole of it one click away (Art. 13), all in the
// notice's own words.

import { html } from '../html.js';

export function noticeBox(texts, notice) {
  const words = texts.notice;
  if (!notice) return html`<div class="notice"><h2>${words.title}</h2><p>${words.away}</p></div>`;
  return html`<div class="notice">
<h2>${words.title}</h2>
<p>${words.controller(notice.controller.name)}</p>
<dl>
<dt>${words.purpose}</dt>${notice.purposes.map((purpose) => html`<dd>${purpose}</dd>`)}
<dt>${words.retention}</dt><dd>${firstSentence(notice.retention)}</dd>
<dt>${words.rights}</dt><dd>${words.rightsText}</dd>
</dl>
<details>
<summary>${words.whole(notice.version)}</summary>
<div class="notice-text" tabindex="0" role="region" aria-label="${words.title}">${asHtml(notice.text)}</div>
</details>
</div>`;
}

// In sight stands how long; the exceptions are in the whole notice, below.
const firstSentence = (text) => text.match(/^.*?\.(?=\s|$)/s)?.[0] ?? text;

// The notice is plain text with headings ("## ") and lists ("- "): shown as such, changed in nothing.
function asHtml(text) {
  return text.split(/\n{2,}/).map((block) => {
    const lines = block.trim().split('\n');
    if (block.startsWith('# ')) return html`<h3>${block.slice(2)}</h3>`;
    if (block.startsWith('## ')) return html`<h4>${block.slice(3)}</h4>`;
    if (lines.every((line) => line.startsWith('- '))) return html`<ul>${lines.map((line) => html`<li>${line.slice(2)}</li>`)}</ul>`;
    return html`<p>${block}</p>`;
  });
}

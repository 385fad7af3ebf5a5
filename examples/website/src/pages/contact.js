// The contact form. It works without scripts: public/form.js only adds to it.

import { company } from '../company.js';
import { flag, html } from '../html.js';
import { choices } from './choices.js';
import { field, summary } from './fields.js';
import { layout } from './layout.js';
import { noticeBox } from './notice.js';

/**
 * @param page { form, notice, errors, alert, isNew }: `errors` has a reason by field, `alert` is said above the form, `isNew`
 *   tells the script that this form's key was never sent.
 */
export function contactPage(texts, { form, notice, errors = {}, alert, isNew = false }) {
  const words = texts.contact;
  const reasons = Object.entries(errors);
  const first = reasons.length > 0 ? firstOf(errors) : undefined;
  const shared = { form, errors, first, texts };
  return layout(texts, {
    title: reasons.length > 0 ? `${words.errorPrefix} ${words.title}` : words.title,
    script: '/form.js',
    main: html`<div class="two">
<section class="pitch">
<h1>${words.title}</h1>
<p class="intro">${words.intro}</p>
<p>${words.noMessage}</p>
<dl class="ways">
<dt>${words.phone}</dt><dd><a href="tel:${company.phone.replaceAll(' ', '')}">${company.phone}</a></dd>
<dt>${words.email}</dt><dd><a href="mailto:${company.email}">${company.email}</a></dd>
<dt>${words.visit}</dt><dd>${company.address}</dd>
</dl>
</section>
<form class="card" method="post" action="/${texts.language}/send" novalidate data-key="${isNew ? 'new' : 'kept'}">
${alert && html`<div class="alert" role="alert" tabindex="-1"${flag('autofocus', !first)}><h2>${alert.title}</h2><p>${alert.text}</p></div>`}
${summary(shared)}
<input type="hidden" name="request_id" value="${form.key}" autocomplete="off">
<input type="hidden" name="notice_version" value="${form.noticeVersion}" autocomplete="off">
${choices(shared)}
<fieldset>
<legend>${words.who}</legend>
<p class="hint" id="who-hint">${words.whoHint}</p>
<div class="pair">
${field('name', { ...shared, type: 'text', autocomplete: 'name', hint: 'who-hint' })}
${field('company', { ...shared, type: 'text', autocomplete: 'organization', hint: 'who-hint' })}
</div>
</fieldset>
<fieldset>
<legend>${words.how}</legend>
<p class="hint" id="how-hint">${words.howHint}</p>
<div class="pair">
${field('phone', { ...shared, type: 'tel', autocomplete: 'tel', hint: 'how-hint' })}
${field('email', { ...shared, type: 'email', autocomplete: 'email', hint: 'how-hint' })}
</div>
</fieldset>
<div class="trap" aria-hidden="true"><label>${words.trap}<input name="website" value="" tabindex="-1" autocomplete="off"></label></div>
${noticeBox(texts, notice)}
<button type="submit" data-sending="${words.sending}">${alert?.button ?? words.send}</button>
</form>
</div>`,
  });
}

// In the order of the page, which is the order in which they are read.
const firstOf = (errors) => ['lawful_basis', 'consent', 'name', 'company', 'phone', 'email'].find((name) => errors[name]);

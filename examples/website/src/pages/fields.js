// A field with its label, its hint and what is wrong with it; and the list of everything that is wrong.

import { flag, html } from '../html.js';

const LENGTH_MAX = 200;

/** The message for a field, if it has an error: below the label, and named by the field's aria-describedby. */
export function errorOf(name, { errors, texts }) {
  const text = errors[name] && errorText(name, errors, texts);
  return text && html`<p class="error" id="${name}-error"><span class="visually-hidden">${texts.contact.errorPrefix} </span>${text}</p>`;
}

const errorText = (name, errors, texts) => texts.errors[errors[name]] ?? texts.errors.other;

export function field(name, shared) {
  const { form, errors, first, texts, type, autocomplete, hint } = shared;
  const wrong = Boolean(errors[name]);
  return html`<div class="field">
<label for="${name}">${texts.contact.fields[name]}</label>
${errorOf(name, shared)}
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" maxlength="${LENGTH_MAX}" value="${form[name]}" aria-describedby="${hint}${wrong && ` ${name}-error`}"${wrong && html` aria-invalid="true"`}${flag('autofocus', first === name)}>
</div>`;
}

/** The list above the form: each line leads to its field. */
export function summary({ errors, texts }) {
  const names = ['lawful_basis', 'consent', 'name', 'company', 'phone', 'email'].filter((name) => errors[name]);
  const target = { lawful_basis: 'basis-offer' };
  return names.length > 0 && html`<div class="alert" id="errors" aria-labelledby="errors-title">
<h2 id="errors-title">${texts.contact.errorsTitle}</h2>
<ul>${names.map((name) => html`<li><a href="#${target[name] ?? name}">${errorText(name, errors, texts)}</a></li>`)}</ul>
</div>`;
}

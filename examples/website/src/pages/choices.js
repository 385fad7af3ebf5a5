// Why the enquiry may be processed: two choices, neither made for the person, and consent with a box of its own that
// belongs to the second one (Art. 4(11), Art. 7(2): clearly told apart, and given by a clear act).

import { company } from '../company.js';
import { flag, html } from '../html.js';
import { errorOf } from './fields.js';

export function choices(shared) {
  const { form, errors, first, texts } = shared;
  const words = texts.choices;
  const wrong = Boolean(errors.lawful_basis);
  const choice = (value, { label, hint }) => html`<div class="choice">
<input type="radio" id="basis-${value}" name="basis" value="${value}" aria-describedby="basis-${value}-hint"${flag('checked', form.basis === value)}${flag('autofocus', first === 'lawful_basis' && value === 'offer')}>
<label for="basis-${value}">${label}</label>
<p class="hint" id="basis-${value}-hint">${hint}</p>
</div>`;
  return html`<fieldset class="choices"${wrong && html` aria-describedby="lawful_basis-error"`}>
<legend>${words.legend}</legend>
${errorOf('lawful_basis', shared)}
${choice('offer', words.offer)}
${choice('other', words.other)}
<div class="consent">
${errorOf('consent', shared)}
<div class="choice">
<input type="checkbox" id="consent" name="consent" value="yes" aria-describedby="consent-hint${errors.consent && ' consent-error'}"${errors.consent && html` aria-invalid="true"`}${flag('checked', form.consent)}${flag('autofocus', first === 'consent')}>
<label for="consent">${words.consent(company.name)}</label>
<p class="hint" id="consent-hint">${words.consentHint}</p>
</div>
</div>
</fieldset>`;
}

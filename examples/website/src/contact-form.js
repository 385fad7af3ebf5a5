// The contact form as data: from what a browser sent to what SubmitLead takes.

import { randomUUID } from 'node:crypto';

export const FIELDS = ['name', 'company', 'phone', 'email'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A form that nobody has filled in: nothing is chosen, nothing is ticked. */
export function emptyForm() {
  return { key: randomUUID(), name: '', company: '', phone: '', email: '', basis: '', consent: false, noticeVersion: '', trap: '' };
}

export function readForm(body = {}) {
  // A field that came twice is a list, which no form of ours sends.
  const text = (name) => (typeof body[name] === 'string' ? body[name] : '');
  const form = emptyForm();
  for (const name of FIELDS) form[name] = text(name);
  if (UUID.test(text('request_id'))) form.key = text('request_id');
  if (['offer', 'other'].includes(text('basis'))) form.basis = text('basis');
  form.consent = text('consent') === 'yes';
  form.noticeVersion = text('notice_version');
  form.trap = text('website');
  return form;
}

const LAWFUL_BASIS = { offer: 'LAWFUL_BASIS_PRE_CONTRACT', other: 'LAWFUL_BASIS_CONSENT' };

export function toLead(form) {
  return {
    request_id: form.key,
    name: form.name,
    company: form.company,
    phone: form.phone,
    email: form.email,
    lawful_basis: LAWFUL_BASIS[form.basis] ?? 'LAWFUL_BASIS_UNSPECIFIED',
    // The box belongs to the second choice. Ticked and then hidden by the first one, it is no consent.
    consent: form.basis === 'other' && form.consent,
    notice_version: form.noticeVersion,
  };
}

/** With another notice on the page than the one that was agreed to, the consent has to be given again. */
export function withNotice(form, notice) {
  if (!notice || form.noticeVersion === notice.version) return form;
  return { ...form, noticeVersion: notice.version, consent: false };
}

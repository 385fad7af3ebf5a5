// The form, its submission, and the confirmation.
//
// A submission ends in one of four ways: a redirect to the confirmation; the form again with what is wrong; the form again
// as it was, with the same key, because the service is away; or the word that the enquiry was erased since.

import { randomUUID } from 'node:crypto';
import { Router } from 'express';
import { emptyForm, readForm, toLead, withNotice } from '../contact-form.js';
import { contactPage } from '../pages/contact.js';
import { messagePage } from '../pages/message.js';
import { receivedPage } from '../pages/received.js';

const RETRY_AFTER_SECONDS = '30';

export function contactRoutes({ client, notices, links, isTooMany, origin }, texts) {
  const router = Router();

  router.get('/', async (req, res) => {
    const notice = await noticeOrNone(notices, texts);
    if (!notice) {
      return res.status(503).set('Retry-After', RETRY_AFTER_SECONDS).send(messagePage(texts, texts.formAway));
    }
    // Kept by this browser for its back button only: there the form comes back as it was, with its key and what was typed.
    res.set('Cache-Control', 'private, no-cache');
    return res.send(contactPage(texts, { form: withNotice(emptyForm(), notice), notice, isNew: true }));
  });

  // An address of its own: after a POST to the form's address browsers forget the page that they kept of it, and with it the
  // key that the back button is to bring back.
  router.get('/send', (req, res) => res.redirect(`/${texts.language}/`));

  router.post('/send', async (req, res) => {
    const form = readForm(req.body);
    const again = async (status, page) => {
      const notice = await noticeOrNone(notices, texts);
      const shown = withNotice({ ...form, ...page.form }, notice);
      res.status(status).send(contactPage(texts, { ...page, form: shown, notice }));
    };
    if (isTooMany(req.ip)) return again(429, { alert: texts.alerts.tooMany });
    // A person's password manager may fill in what only programs see: so it is said, not dropped in silence.
    if (form.trap) return again(422, { alert: texts.alerts.trap });
    try {
      const lead = await client.submitLead(toLead(form));
      return res.redirect(303, `/${texts.language}/received/${links.seal('received', facts(lead))}`);
    } catch (error) {
      return refused(error, { form, again, res });
    }
  });

  async function refused(error, { form, again, res }) {
    const { code, reason, violations } = error;
    if (reason === 'LEAD_ERASED') return res.status(410).send(messagePage(texts, texts.erasedSince));
    // Sent before with something else in it: the second version is another enquiry, if the person says so.
    if (reason === 'REQUEST_ID_REUSED') return again(409, { alert: texts.alerts.sentBefore, form: { key: randomUUID() } });
    if (reason === 'NOTICE_SUPERSEDED' || reason === 'NOTICE_UNKNOWN' || violations?.notice_version) {
      notices.forget();
      return again(409, { alert: texts.alerts.newNotice, errors: violations, form: { noticeVersion: '' } });
    }
    if (code === 'INVALID_ARGUMENT' && Object.keys(violations).length > 0) return again(422, { errors: violations });
    console.error(`a submission was not taken: ${code ?? error.name} ${reason ?? ''}`);
    // Also where the fault is ours: what was typed is not lost, and the same key can be sent when it is mended.
    res.set('Retry-After', RETRY_AFTER_SECONDS);
    return again(error.tryAgain ? 503 : 500, { alert: error.tryAgain ? texts.alerts.away : texts.alerts.broken });
  }

  router.get('/received/:link', (req, res, next) => {
    const lead = links.open('received', req.params.link);
    if (!lead) return next();
    const path = `/${texts.language}/withdraw/${links.seal('withdraw', { leadId: lead.leadId })}`;
    const site = origin ?? `${req.protocol}://${req.get('host')}`;
    return res.send(receivedPage(texts, { lead, withdrawUrl: `${site}${path}`, here: `received/${req.params.link}` }));
  });

  return router;
}

// Without a notice the form can still be shown again to whoever has filled it in: it knows which one it showed.
function noticeOrNone(notices, texts) {
  return notices.inForce(texts.language).catch((error) => {
    console.error(`no privacy notice: ${error.code ?? error.name} ${error.reason ?? ''}`);
    return undefined;
  });
}

const toMs = ({ seconds, nanos }) => seconds * 1_000 + Math.floor(nanos / 1_000_000);

function facts(lead) {
  return {
    leadId: lead.lead_id,
    submittedAt: toMs(lead.submitted_at),
    eraseBy: toMs(lead.erase_by),
    isConsent: lead.lawful_basis === 'LAWFUL_BASIS_CONSENT',
    receipt: lead.consent_receipt,
  };
}

// Withdrawing, by the link of the confirmation. GET only asks: mail scanners and browsers follow links on their own.
// POST withdraws.

import { Router } from 'express';
import { messagePage } from '../pages/message.js';
import { askPage, withdrawnPage } from '../pages/withdrawal.js';

export function withdrawalRoutes({ client, notices, links }, texts) {
  const router = Router();

  router.param('link', (req, res, next, link) => {
    req.leadId = links.open('withdraw', link)?.leadId;
    req.here = `withdraw/${link}`;
    next();
  });

  router.get('/withdraw/:link', (req, res) => {
    if (!req.leadId) return unknownLink(res);
    return res.send(askPage(texts, { here: req.here }));
  });

  router.post('/withdraw/:link', async (req, res) => {
    if (!req.leadId) return unknownLink(res);
    try {
      const { outcome, applicable_rights: rights, receipt } = await client.withdrawConsent(req.leadId);
      const notice = rights.length > 0 ? await notices.inForce(texts.language).catch(() => undefined) : undefined;
      return res.send(withdrawnPage(texts, { here: req.here, outcome, receipt, rights: rightsInWords(rights, notice) }));
    } catch (error) {
      console.error(`a withdrawal was not taken: ${error.code ?? error.name} ${error.reason ?? ''}`);
      return res.status(error.tryAgain ? 503 : 500).send(askPage(texts, { here: req.here, alert: texts.withdrawal.away }));
    }
  });

  // The right to withdraw does not hang on a link: the page says where else to turn.
  function unknownLink(res) {
    return res.status(404).send(messagePage(texts, texts.withdrawal.unknownLink));
  }

  return router;
}

const COMPLAINT = 'eu-gdpr:A77';

/** The rights that an answer names, as the notice puts them. */
function rightsInWords(iris, notice) {
  if (!notice) return [];
  const words = new Map(notice.rights.map(({ iri, text }) => [iri, text]));
  words.set(COMPLAINT, notice.complaint);
  return iris.map((iri) => words.get(iri)).filter(Boolean);
}

// The website: its parts put together, and every page's way.

import { fileURLToPath } from 'node:url';
import express from 'express';
import { makeLeadClient } from './lead-client.js';
import { makeNotices } from './notices.js';
import { makeRateLimit } from './rate-limit.js';
import { makeSealedLinks } from './sealed-link.js';
import { refuseOtherSites, securityHeaders } from './security.js';
import { company } from './company.js';
import { messagePage } from './pages/message.js';
import { contactRoutes } from './routes/contact.js';
import { withdrawalRoutes } from './routes/withdrawal.js';
import { en } from './texts/en.js';
import { nb } from './texts/nb.js';

const PUBLIC = fileURLToPath(new URL('../public', import.meta.url));
// Room for four fields of far more than 200 characters, so that too long a value gets its message beside the field.
const BODY_BYTES_MAX = 32 * 1024;

export function makeApp(config) {
  const client = makeLeadClient(config.leadIntake);
  const parts = {
    client,
    notices: makeNotices(client, { onNotice: checkController }),
    links: makeSealedLinks(config.linkKeys),
    isTooMany: makeRateLimit(config.postsPerAddress),
    origin: config.origin,
  };

  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', config.proxies);
  app.get('/healthz', (req, res) => res.type('text').send('ok\n'));
  app.use(securityHeaders);
  app.use(express.static(PUBLIC, { maxAge: '10m', index: false, setHeaders: (res) => res.set('Cache-Control', 'public, max-age=600') }));
  app.use(refuseOtherSites(config.origin));
  app.use(express.urlencoded({ extended: false, limit: BODY_BYTES_MAX, parameterLimit: 20 }));

  app.get('/', (req, res) => res.vary('Accept-Language').redirect(req.acceptsLanguages('nb', 'no', 'nn', 'da', 'sv', 'en') === 'en' ? '/en/' : '/nb/'));
  for (const texts of [nb, en]) {
    app.use(`/${texts.language}`, contactRoutes(parts, texts), withdrawalRoutes(parts, texts));
  }
  app.use(notFound, failed);
  return { app, close: () => client.close() };
}

const textsOf = (req) => (req.path.startsWith('/en/') ? en : nb);

function notFound(req, res) {
  const texts = textsOf(req);
  res.status(404).send(messagePage(texts, texts.notFound));
}

// Express tells an error handler by its four parameters.
// eslint-disable-next-line no-unused-vars
function failed(error, req, res, next) {
  const status = error.status >= 400 && error.status < 500 ? error.status : 500;
  // The name and the code only: what a library says may repeat what was sent.
  if (status === 500) console.error(`a page failed: ${error.name} ${error.code ?? ''}`);
  const texts = textsOf(req);
  const message = { 403: texts.otherSite, 413: texts.tooLarge, 500: texts.broken }[status] ?? texts.badRequest;
  res.status(status).send(messagePage(texts, message));
}

let isChecked = false;

// The notice speaks in the name of the service's [controller]; the pages in the name of company.js.
function checkController(notice) {
  if (!isChecked && notice.controller.name !== company.name) {
    console.error('the notice names another company than src/company.js: see [controller] in lead-intake.toml');
  }
  isChecked = true;
}

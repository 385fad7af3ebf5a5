// Headers for every answer, and where a form may come from.

// Scripts, styles and pictures of this site and nobody else's; nothing inline; in nobody's frame.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "form-action 'self'",
  "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
].join('; ');

const HEADERS = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  // The path of a page may be a sealed link: no other site, and no log of another page, is told it. Not "no-referrer":
  // that would make browsers hide the origin of our own forms too.
  'Referrer-Policy': 'strict-origin',
  'Strict-Transport-Security': 'max-age=31536000',
  'X-Content-Type-Options': 'nosniff',
};

export function securityHeaders(req, res, next) {
  res.set(HEADERS);
  // Pages differ for each visitor, and some repeat what was typed. The empty form asks for less: see routes/contact.js.
  res.set('Cache-Control', 'no-store');
  next();
}

/**
 * Refuses a form that another site's page sent: no cookie and no token in the page is needed, browsers say where a request
 * comes from. Whoever sends neither header is no browser, and has nobody's session to misuse.
 */
export function refuseOtherSites(ownOrigin) {
  return (req, res, next) => {
    if (req.method === 'GET' || req.method === 'HEAD' || isOwn(req, ownOrigin)) return next();
    const error = new Error('a form from another site');
    error.status = 403;
    return next(error);
  };
}

function isOwn(req, ownOrigin) {
  const site = req.get('sec-fetch-site');
  // "none" is the visitor: a reload, a restored tab.
  if (site) return site === 'same-origin' || site === 'none';
  const origin = req.get('origin');
  return !origin || origin === (ownOrigin ?? `${req.protocol}://${req.get('host')}`);
}

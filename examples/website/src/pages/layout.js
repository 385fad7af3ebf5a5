// What every page has around it.

import { company } from '../company.js';
import { html } from '../html.js';

const OTHER = { nb: { language: 'en', name: 'English' }, en: { language: 'nb', name: 'Norsk' } };

/** @param page { title, here, main, script }: `here` is the page's path within its language. */
export function layout(texts, { title, here = '', main, script }) {
  const other = OTHER[texts.language];
  return html`<!doctype html>
<html lang="${texts.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · ${company.shortName}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
${script && html`<script type="module" src="${script}"></script>`}
</head>
<body>
<a class="skip" href="#main">${texts.layout.skip}</a>
<header class="top">
<div class="wide">
<a class="brand" href="/${texts.language}/"><img src="/icon.svg" alt="" width="32" height="32"><span>${company.name}</span></a>
<a class="language" href="/${other.language}/${here}" lang="${other.language}" hreflang="${other.language}">${other.name}</a>
</div>
</header>
<main id="main" class="wide">
${main}
</main>
<footer class="bottom">
<div class="wide">
<p>${company.name} · ${texts.layout.organisationNumber} ${company.organisationNumber}</p>
<p>${company.address} · <a href="tel:${company.phone.replaceAll(' ', '')}">${company.phone}</a> · <a href="mailto:${company.email}">${company.email}</a></p>
</div>
</footer>
</body>
</html>
`.toString();
}

// The browser, and the pictures it takes. The picture of the dashboard (examples/operating) is taken with it too.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { repack } from './png.js';

const BYTES_MAX = 150 * 1024;
const QUIET = [
  '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic',
  '--disable-gpu', '--disable-lcd-text', ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
];

/** A browser with a fresh profile each time; names of other hosts lead nowhere. */
export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM, args: [...QUIET, '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});

/** Writes a page's picture into a directory, small enough for a repository. */
export async function picture(page, directory, name) {
  const png = repack(await page.screenshot({ animations: 'disabled', caret: 'hide' }));
  assert.ok(png.length < BYTES_MAX, `${name} has ${png.length} bytes`);
  writeFileSync(path.join(directory, name), png);
}

// The real service, the website before it, and a browser, for the tests of one file.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.js';
import { peersElsewhere } from './network.js';
import { start } from './processes.js';

const EXAMPLE = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = process.env.LEAD_INTAKE;

export async function makeWorld({ siteEnv = {} } = {}) {
  const dir = mkdtempSync(path.join(tmpdir(), 'lead-intake-website.'));
  const data = path.join(dir, 'data');
  const world = { dir, typed: new Set(), asked: new Set(), stray: new Set() };

  world.serve = async (listen = '127.0.0.1:0') => {
    const args = ['serve', '--config', path.join(EXAMPLE, 'lead-intake.toml'), '--data-dir', data, '--listen', listen, '--admin-listen', '127.0.0.1:0'];
    world.service = await start(PROGRAM, args, { says: /listening on (127\.0\.0\.1:\d+) \(API\)/ });
    [, world.api] = world.service.found;
  };
  /** A command of the program, as a CRM or privacy tooling would give it. */
  world.command = (...args) => execFileSync(PROGRAM, [...args, '--json', '--url', `http://${world.api}`, '--data-dir', data], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  /** Every change of the feed. */
  world.changes = () => world.command('pull', '--all').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  /** The leads that are held now, with this e-mail address. */
  world.leads = (email) => world.changes().filter(({ kind, lead }) => kind === 'CHANGE_KIND_SUBMITTED' && lead?.email === email).map(({ lead }) => lead);

  world.startSite = async (env = {}) => {
    const token = path.join(data, 'tokens/intake');
    world.token = readFileSync(token, 'utf8').trim();
    world.site = await start(process.execPath, [path.join(EXAMPLE, 'server.js')], {
      says: /listening on (http:\S+)/,
      env: {
        WEBSITE_LISTEN: '127.0.0.1:0', WEBSITE_KEY_FILE: path.join(dir, 'website.key'), WEBSITE_POSTS_PER_ADDRESS: '1000',
        LEAD_INTAKE_URL: `http://${world.api}`, LEAD_INTAKE_TOKEN_FILE: token, ...siteEnv, ...env,
      },
    });
    [, world.url] = world.site.found;
  };

  await world.serve();
  await world.startSite();
  world.browser = await launch();

  world.page = async (options = {}) => {
    const context = await world.browser.newContext({ viewport: { width: 1120, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('request', (request) => {
      world.asked.add(request.url());
      if (!request.url().startsWith(`${world.url}/`) && !request.url().startsWith('data:') && !request.url().startsWith('blob:')) world.stray.add(request.url());
    });
    page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) world.stray.add(message.text()); });
    page.on('pageerror', (error) => world.stray.add(error.message));
    return page;
  };

  /** Ends everything, and holds what is promised of every test: nothing goes elsewhere, nothing personal is logged. */
  world.end = async () => {
    const elsewhere = [world.site.pid, process.pid].flatMap(peersElsewhere);
    const log = world.site.log();
    await world.browser.close();
    assert.equal(await world.site.end('SIGTERM'), 0, 'the website ends when asked to');
    await world.service.end();
    rmSync(dir, { recursive: true, force: true });
    assert.deepEqual(elsewhere, [], 'connections to other machines');
    assert.deepEqual([...world.stray], [], 'requests to other sites, and what the page\'s policy blocked');
    for (const value of [...world.typed, world.token]) assert.ok(!log.includes(value), 'the log has what somebody typed, or the token');
    assert.doesNotMatch(log, /[0-9a-f]{8}-[0-9a-f]{4}-7/, 'the log names a lead');
  };
  return world;
}

/** Fills in a form, and remembers what was typed. */
export async function fill(world, page, { basis, consent, ...fields }) {
  for (const [name, value] of Object.entries(fields)) {
    if (value) world.typed.add(value);
    await page.fill(`#${name}`, value);
  }
  if (basis) await page.check(`#basis-${basis}`);
  if (consent) await page.check('#consent');
}

export const send = (page) => page.click('form button[type=submit]');
export const received = (page) => page.waitForURL(/\/received\//);
export const reference = (page) => page.textContent('.code');
export const keyOf = (page) => page.inputValue('[name=request_id]');

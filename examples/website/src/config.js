// What comes from the environment. The rule: a secret comes from a file, and what is wrong stops the start.

import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const beside = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export function readConfig(env) {
  const listen = new URL(`http://${env.WEBSITE_LISTEN ?? '127.0.0.1:8080'}`);
  return {
    host: listen.hostname.replace(/^\[|\]$/g, ''),
    port: Number(listen.port || 80),
    // Where people reach the site, such as https://www.example.no. Without it: what the browser's request says.
    origin: env.WEBSITE_ORIGIN ? new URL(env.WEBSITE_ORIGIN).origin : undefined,
    // How many proxies of your own stand in front; needed to tell one visitor's address from another's.
    proxies: wholeNumber(env, 'WEBSITE_PROXIES', 0),
    postsPerAddress: wholeNumber(env, 'WEBSITE_POSTS_PER_ADDRESS', 20),
    linkKeys: linkKeys(env.WEBSITE_KEY_FILE ?? beside('website.key')),
    leadIntake: {
      url: env.LEAD_INTAKE_URL ?? 'http://127.0.0.1:50051',
      plaintext: env.LEAD_INTAKE_PLAINTEXT === 'true',
      token: env.LEAD_INTAKE_TOKEN ?? readSecret(env.LEAD_INTAKE_TOKEN_FILE ?? beside('../../data/tokens/intake')),
    },
  };
}

function wholeNumber(env, name, otherwise) {
  const value = Number(env[name] ?? otherwise);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name} is not a whole number`);
  return value;
}

function readSecret(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new Error(`cannot read ${path} (${error.code}): start lead-intake first, or set LEAD_INTAKE_TOKEN_FILE`);
  }
}

// The keys that seal links, one on each line, 32 bytes in hexadecimal. The first one seals, all of them open: to
// change keys, put a new one on top, and take the old one away when the last lead from its time is erased.
// Every replica of the website needs the same file.
function linkKeys(path) {
  try {
    writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
    console.log(`made ${path}, which seals the links in confirmations: keep it, or those links stop working`);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (statSync(path).mode & 0o077) throw new Error(`others can read ${path}: chmod 600 it`);
  const lines = readSecret(path).split('\n').map((line) => line.trim()).filter(Boolean);
  if (lines.length === 0 || !lines.every((line) => /^[0-9a-f]{64}$/.test(line))) {
    throw new Error(`${path} must have a key on each line: 64 hexadecimal digits`);
  }
  return lines.map((line) => Buffer.from(line, 'hex'));
}

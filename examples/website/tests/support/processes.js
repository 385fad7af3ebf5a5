// Processes of a test, none of which outlives it.

import { spawn } from 'node:child_process';

const PATIENCE_MS = 60_000;
const living = new Set();

process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** Starts a program and waits for the line by which it says that it listens. */
export async function start(program, args, { says, env = {} }) {
  // Nothing of our own environment but what a program cannot be without.
  const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  living.add(child);
  ended.then(() => living.delete(child));
  let log = '';
  const found = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`did not start:\n${log}`)), PATIENCE_MS);
    const read = (text) => {
      log += text;
      const match = log.match(says);
      if (match) { clearTimeout(timer); resolve(match); }
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    ended.then((code) => { clearTimeout(timer); reject(new Error(`ended with ${code}:\n${log}`)); });
  });
  return {
    pid: child.pid,
    found,
    log: () => log,
    async end(signal = 'SIGKILL') {
      child.kill(signal);
      return ended;
    },
  };
}

/** Asks until the answer is yes. */
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

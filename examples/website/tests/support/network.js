// Where a process talks to, as Linux has it.

import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

function tree(pid) {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean));
    return [pid, ...children.flatMap(tree)];
  } catch {
    return []; // it has just ended
  }
}

function sockets(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try { return readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1]; } catch { return undefined; }
    });
  } catch {
    return [];
  }
}

const LOOPBACK = [/^0*$/, /^[0-9A-F]{6}7F$/, /^0{24}01000000$/, /^0{16}FFFF0000[0-9A-F]{6}7F$/];

/** The peers of a process and its children that are not this machine: none is what a test wants. */
export function peersElsewhere(pid) {
  const own = new Set(tree(pid).flatMap(sockets).filter(Boolean));
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((kind) => readFileSync(`/proc/net/${kind}`, 'utf8').trim().split('\n').slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => own.has(columns[9]))
    .map((columns) => columns[2].split(':')[0])
    .filter((address) => !LOOPBACK.some((shape) => shape.test(address))));
}

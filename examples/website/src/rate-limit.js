// Not more than so many forms from one address in ten minutes.
//
// The rule: no address is kept. It is counted under a keyed hash; the key lives in memory, and goes with the counts when the
// ten minutes end. Whole offices share an address, so the limit is there for programs, not for people.

import { createHmac, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';

const WINDOW_MS = 10 * 60_000;
// A flood from everywhere must not fill the memory. Beyond it nobody new is counted.
const ADDRESSES_MAX = 100_000;

export function makeRateLimit(postsMax, now = Date.now) {
  let key;
  let endsAt = 0;
  const counts = new Map();

  /** Counts a form from this address, and tells whether it is one too many. */
  return function isTooMany(address) {
    if (now() >= endsAt) {
      key = randomBytes(32);
      endsAt = now() + WINDOW_MS;
      counts.clear();
    }
    const hash = createHmac('sha256', key).update(network(address)).digest('base64');
    const count = (counts.get(hash) ?? 0) + 1;
    if (count === 1 && counts.size >= ADDRESSES_MAX) return false;
    counts.set(hash, count);
    return count > postsMax;
  };
}

// A household has a whole network of IPv6 addresses: its first 64 bits.
function network(address = '') {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address.replace(/^::ffff:/, '');
  const [head, tail = ''] = address.split('::');
  const groups = [head, tail].map((part) => part.split(':').filter(Boolean));
  const zeros = address.includes('::') ? 8 - groups[0].length - groups[1].length : 0;
  return [...groups[0], ...Array(zeros).fill('0'), ...groups[1]].slice(0, 4).map((group) => parseInt(group, 16)).join(':');
}

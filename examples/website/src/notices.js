// The privacy notice in force, as the service has it, kept for a minute.
//
// The rule: the form shows a notice of which it knows the version. Within the hour after the service was last heard, the
// last notice is shown without it; if it was superseded meanwhile, the submission says so and the new one is shown.

const FRESH_MS = 60_000;
const USABLE_MS = 60 * 60_000;
// With a notice at hand nobody waits long for a newer one.
const REFRESH_PATIENCE_MS = 1_000;

export function makeNotices(client, { now = Date.now, onNotice = () => {} } = {}) {
  const kept = new Map();
  const asking = new Map();

  async function ask(language, patienceMs) {
    const notice = await client.privacyNotice(language, patienceMs);
    kept.set(language, { notice, at: now() });
    onNotice(notice);
    return notice;
  }

  // However many visitors come at once, the service is asked once.
  function askOnce(language, patienceMs) {
    if (!asking.has(language)) {
      asking.set(language, ask(language, patienceMs).finally(() => asking.delete(language)));
    }
    return asking.get(language);
  }

  return {
    async inForce(language) {
      const last = kept.get(language);
      const age = last ? now() - last.at : Infinity;
      if (age < FRESH_MS) return last.notice;
      if (age >= USABLE_MS) return askOnce(language);
      return askOnce(language, REFRESH_PATIENCE_MS).catch(() => last.notice);
    },
    /** For when the service says that there is a newer one. */
    forget: () => kept.clear(),
  };
}

// What a stretch of answers comes to. It keeps counts, not answers: an hour of them takes no more room than a minute.

import { LIMIT_MS } from "./api.js";

// A revision is served while it is among so many right answers. In a rollout two take turns, and a connection that is kept
// may meet the same pod for seconds: fewer would count one rollout as several changes.
const RECENT = 30;
const KEPT_CHANGES = 20;

export class Figures {
  sent = 0;
  failed = 0;
  /** Where the served revision changed, newest last: at what time, from and to what. */
  changes = [];
  #durations = new Uint32Array(LIMIT_MS + 1); // how many right answers took so many milliseconds
  #recent = []; // the revisions of the newest right answers
  #served = new Map(); // by revision: its version, and since when
  #longest = 0;
  #lastRight;

  constructor(started) {
    this.started = started;
  }

  /** The time until the next answer counts from now on; call it whenever asking begins again. */
  resume(now) {
    this.#lastRight = now;
  }

  /** The time from now on does not count: nobody asks. */
  pause(now) {
    this.#longest = this.longestGap(now);
    this.#lastRight = undefined;
  }

  /** Adds an outcome; returns the change of revision that it brought, if it did. */
  add(outcome, now) {
    this.sent += 1;
    if (outcome.fault) {
      this.failed += 1;
      return undefined;
    }
    this.#longest = this.longestGap(now);
    this.#lastRight = now;
    this.#durations[Math.min(Math.round(outcome.duration), LIMIT_MS)] += 1;
    return this.#serve(outcome.body, now);
  }

  #serve({ version, revision }, at) {
    const from = this.#recent.at(-1);
    const isNew = !this.#served.has(revision);
    if (isNew) this.#served.set(revision, { version, revision, since: at });
    this.#recent.push(revision);
    if (this.#recent.length > RECENT) this.#forget(this.#recent.shift());
    if (!isNew || from === undefined) return undefined;
    const change = { at, from, to: revision };
    this.changes = [...this.changes, change].slice(-KEPT_CHANGES);
    return change;
  }

  #forget(revision) {
    if (!this.#recent.includes(revision)) this.#served.delete(revision);
  }

  /** What is served now, newest first: two while a rollout replaces one by the other. */
  get served() {
    return [...this.#served.values()].reverse();
  }

  /** The longest time, in milliseconds, in which no right answer came; one that lasts counts. */
  longestGap(now) {
    return Math.max(this.#longest, this.#lastRight === undefined ? 0 : now - this.#lastRight);
  }

  /** The duration, in milliseconds, that a share of the right answers did not exceed; undefined before the first. */
  quantile(share) {
    const wanted = Math.ceil((this.sent - this.failed) * share);
    if (wanted === 0) return undefined;
    let seen = 0;
    return this.#durations.findIndex((count) => (seen += count) >= wanted);
  }
}

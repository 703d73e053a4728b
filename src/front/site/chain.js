// The way of a request, and how far the newest one got.

import { element } from "./page.js";

const PASSED = new Map([["browser", "a envoyé"], ["front", "a transmis"], ["api", "a répondu"]]);
const BEYOND = "non atteinte";

function mark(hop, state, words) {
  const item = element(`hop-${hop}`);
  item.dataset.state = state;
  item.querySelector("span").textContent = words;
}

/** Shows an outcome: the hops before the one that failed have passed, none after it was reached. */
export function showChain({ fault }) {
  let state = "passed";
  for (const [hop, passed] of PASSED) {
    if (state === "failed") state = "beyond";
    if (hop === fault?.hop) state = "failed";
    mark(hop, state, { passed, failed: fault?.word, beyond: BEYOND }[state]);
  }
}

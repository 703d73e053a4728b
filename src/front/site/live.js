// `En continu`: asks the API for its version again and again, and shows what comes.

import { ask, isVersion } from "./api.js";
import { showChain } from "./chain.js";
import { Figures } from "./figures.js";
import { copies, dayOf, element, inMilliseconds, inNumbers, inSeconds, plural, setText, short, timeOf } from "./page.js";
import { addBar, clearBars } from "./strip.js";

const REMEMBERED = "en-continu";
const EVERY = ["1", "2", "5"]; // seconds from one request to the next; the first is the default, and none is faster
const SUMMARY_MS = 30_000;

let on = false;
let every = EVERY[0];
let timer;
let underWay; // the request that is on its way, if one is: there is never a second one
let asked = -Infinity; // when the newest was sent
let figures;
let faultBefore;
let summarised = 0;

// ---- Asking.

async function beat() {
  asked = performance.now();
  const mine = new AbortController();
  underWay = mine;
  const outcome = await ask("/api/version", isVersion, mine.signal);
  if (mine.signal.aborted) return;
  underWay = undefined;
  record(outcome, Date.now());
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!on || underWay || document.hidden) return;
  timer = setTimeout(beat, Math.max(0, asked + every * 1000 - performance.now()));
}

function start() {
  if (!document.hidden) figures.resume(Date.now());
  schedule();
}

function stop() {
  clearTimeout(timer);
  underWay?.abort();
  underWay = undefined;
  figures.pause(Date.now());
}

// ---- Showing.

const revisionsOf = (served) => served.map(({ revision }) => short(revision)).join(" et ");

export function showServed(served) {
  if (served.length > 0) setText("running", `API servie\u202f: ${served[0].version}, révision ${revisionsOf(served)}`);
}

function show(now) {
  const [newest] = figures.served;
  setText("sent", inNumbers(figures.sent));
  setText("failed", inNumbers(figures.failed));
  element("failed").dataset.some = String(figures.failed > 0);
  setText("median", inMilliseconds(figures.quantile(0.5)));
  setText("p99", inMilliseconds(figures.quantile(0.99)));
  setText("gap", inSeconds(figures.longestGap(now)));
  setText("revisions", revisionsOf(figures.served) || "–");
  setText("since", newest ? timeOf(newest.since) : "–");
  showServed(figures.served);
}

/** Tells an event to everyone; it stays until the next one. */
function tell(event, now) {
  setText("event", event);
  element("event").dataset.failed = String(Boolean(faultBefore));
  summarise(event, now);
}

/** Tells those who hear the page: at events and now and then, not at each answer. */
function summarise(event, now) {
  summarised = now;
  const told = `${event} ${plural(figures.sent, "demande")}, ${plural(figures.failed, "échec")}.`;
  setText("summary", told);
  element("strip").setAttribute("aria-label", `Les dernières réponses. ${told}`);
}

function eventOf({ fault }, change, now) {
  if (change) return `Révision ${short(change.from)} → ${short(change.to)} à ${timeOf(now)}.`;
  if (fault && fault.message !== faultBefore?.message) return `${fault.message} Depuis ${timeOf(now)}.`;
  return faultBefore && !fault ? `L’API répond de nouveau depuis ${timeOf(now)}.` : "";
}

function record(outcome, now) {
  const change = figures.add(outcome, now);
  const event = eventOf(outcome, change, now);
  faultBefore = outcome.fault;
  addBar(outcome, now, change);
  showChain(outcome);
  show(now);
  if (event) tell(event, now);
  else if (now - summarised >= SUMMARY_MS) summarise("", now);
}

/** The figures as text, for a report. */
function report() {
  const now = Date.now();
  return [
    `${document.title}, ${element("environment").textContent}, ${location.origin}`,
    `Du ${dayOf(figures.started)} au ${dayOf(now)} (${Intl.DateTimeFormat().resolvedOptions().timeZone})`,
    `Envoyées\u202f: ${inNumbers(figures.sent)}`,
    `Échecs\u202f: ${inNumbers(figures.failed)}`,
    `Médiane\u202f: ${inMilliseconds(figures.quantile(0.5))}`,
    `p99\u202f: ${inMilliseconds(figures.quantile(0.99))}`,
    `Plus long temps sans réponse\u202f: ${inSeconds(figures.longestGap(now))}`,
    ...figures.served.map(({ version, revision, since }) => `Servie\u202f: version ${version}, révision ${revision}, depuis ${timeOf(since)}`),
    ...figures.changes.map(({ at, from, to }) => `Changement à ${timeOf(at)}\u202f: ${from} → ${to}`),
  ].join("\n");
}

// ---- What the user does.

function reset(now) {
  figures = new Figures(now);
  faultBefore = undefined;
  clearBars();
  show(now);
  if (on && !document.hidden) figures.resume(now);
}

function startOver() {
  const now = Date.now();
  reset(now);
  tell(`Remis à zéro à ${timeOf(now)}.`, now);
}

/** Keeps for this tab what was chosen, if the browser lets it. */
function remember() {
  try {
    sessionStorage.setItem(REMEMBERED, JSON.stringify({ on, every }));
  } catch { /* nothing depends on it */ }
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(REMEMBERED)) ?? {};
  } catch {
    return {};
  }
}

function turn(wanted) {
  on = wanted;
  element("switch").setAttribute("aria-checked", String(on));
  if (!on) {
    stop();
    tell(`Arrêté à ${timeOf(Date.now())}.`, Date.now());
    return;
  }
  element("watched").hidden = false;
  element("purpose").hidden = true;
  tell(`Une demande toutes les ${every}\u202fs, depuis ${timeOf(Date.now())}.`, Date.now());
  start();
}

function choose(wanted) {
  if (EVERY.includes(wanted)) every = wanted;
  element("every").value = every;
  schedule();
}

function look() {
  if (on) (document.hidden ? stop : start)();
}

export function startLive() {
  reset(Date.now());
  const { on: wasOn, every: was } = remembered();
  choose(was);
  element("switch").disabled = false;
  element("every").disabled = false;
  element("switch").addEventListener("click", () => { turn(!on); remember(); });
  element("every").addEventListener("change", ({ target }) => { choose(target.value); remember(); });
  element("reset").addEventListener("click", startOver);
  copies(element("copy"), report);
  document.addEventListener("visibilitychange", look);
  if (wasOn === true) turn(true);
}

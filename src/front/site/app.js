// The page: it shows the environment's values, and asks the API when the button is pressed.

import { LIMIT_MS, ask, isAnswer, isVersion, readConfiguration } from "./api.js";
import { showChain } from "./chain.js";
import { showServed, startLive } from "./live.js";
import { copies, element, inMilliseconds, isText, setText, timeOf, utcOf } from "./page.js";

const FIRST_RETRY_MS = 3000;
const LONGEST_RETRY_MS = 30000; // a page left open during a long outage stays a light load
const EXCERPT_LENGTH = 500;
const AGAIN = "La page réessaie d’elle-même\u202f; vous pouvez aussi relancer le test.";

// ---- What is configured, and what runs.

const DEFAULT_MARK = "■";
const COLOUR = /^#(?:[0-9a-f]{2}){3}$/i;

/** The relative luminance of a colour, from 0 to 1, as WCAG 2.2 defines it. */
function luminance(colour) {
  const [red, green, blue] = colour.match(/[0-9a-f]{2}/gi).map((pair) => {
    const part = Number.parseInt(pair, 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Gives the environment its colour. On any colour, black or white has a contrast of 4.5 to 1 at least. */
function paint(colour) {
  if (!COLOUR.test(colour)) return;
  const { style } = document.documentElement;
  style.setProperty("--band", colour);
  style.setProperty("--on-band", luminance(colour) > 0.179 ? "#000" : "#fff");
}

async function showConfiguration() {
  try {
    const { version, environment, banner, colour, mark } = await readConfiguration();
    paint(colour);
    setText("version", version);
    setText("mark", isText(mark) ? mark : DEFAULT_MARK);
    setText("environment", environment);
    setText("banner", banner);
  } catch (error) {
    setText("version", "Version inconnue");
    setText("banner", `La configuration de cette page (/config.json) est inutilisable\u202f: ${error.message}. `
      + "Le test de l’API reste possible. Rechargez la page\u202f; si ce message revient, prévenez l’exploitant.");
  }
}

async function showRunning() {
  const { fault, body } = await ask("/api/version", isVersion);
  if (fault) setText("running", "API servie\u202f: inconnue");
  else showServed([body]);
}

// ---- The test of the API.

let state = "idle"; // idle, waiting, ok or failed: what is on display; app.css knows these names
let latest = 0; // the number of the newest attempt; what an older one brings is dropped
let tries; // since the button was pressed
let retryTimer;
let retryAt;
let retryDelay;

function setState(name) {
  state = name;
  document.body.dataset.state = name;
  // Not `disabled`, which would take the focus away from whoever has just pressed the button.
  element("test").setAttribute("aria-disabled", String(name === "waiting"));
  // On the details, not around the message: what is in a busy region is not read out.
  element("details").setAttribute("aria-busy", String(name === "waiting"));
}

function messageFor(fault) {
  if (fault) return `${fault.message} ${AGAIN}`;
  return state === "failed" ? "L’API répond de nouveau." : "L’API répond.";
}

/** What came, to be shown as it is; where the front answered in the API's place, the message says it all. */
function answerFor({ replaced, text, body }) {
  if (replaced) return "";
  return body === undefined ? text.slice(0, EXCERPT_LENGTH) : JSON.stringify(body, null, 2);
}

/** The API's time as users have it, and as logs have it. */
function timeFor({ body }) {
  if (!isAnswer(body)) return "";
  const moment = Date.parse(body.ts);
  return `${timeOf(moment)}, soit ${utcOf(moment)}`;
}

function show(outcome) {
  const message = messageFor(outcome.fault);
  setState(outcome.fault ? "failed" : "ok");
  setText("message", message);
  setText("status", String(outcome.status ?? ""));
  setText("duration", inMilliseconds(outcome.duration));
  setText("time", timeFor(outcome));
  setText("request-id", outcome.requestId);
  setText("answer", answerFor(outcome));
  showChain(outcome);
}

async function attempt() {
  clearTimeout(retryTimer);
  latest += 1;
  tries += 1;
  const mine = latest;
  setText("retry", tries > 1 ? `Essai ${tries} en cours…` : "");
  const outcome = await ask("/api/", isAnswer);
  if (mine !== latest) return;
  show(outcome);
  if (outcome.fault) scheduleRetry();
  else succeed();
}

function succeed() {
  setText("retry", "");
  showRunning(); // what answers may be another version than when the page was opened
}

function scheduleRetry() {
  retryAt = performance.now() + retryDelay;
  retryDelay = Math.min(retryDelay * 1.5, LONGEST_RETRY_MS);
  countDown();
}

/** Says how long it is until the next try, and then tries. */
function countDown() {
  const left = retryAt - performance.now();
  if (left <= 0) return retry();
  setText("retry", `Essai ${tries + 1} dans ${Math.ceil(left / 1000)}\u202fs`);
  retryTimer = setTimeout(countDown, left % 1000 || 1000);
}

/** Tries again, quietly: what is on display stays until there is something new to tell. */
function retry() {
  if (state === "failed" && !document.hidden) attempt();
}

function press() {
  if (state === "waiting") return;
  retryDelay = FIRST_RETRY_MS;
  tries = 0;
  setState("waiting");
  setText("message", `Test en cours\u202f: la page attend la réponse, ${LIMIT_MS / 1000}\u202fs au plus.`);
  attempt();
}

setState("idle");
element("test").disabled = false;
element("test").addEventListener("click", press);
copies(element("copy-id"), () => element("request-id").textContent);
document.addEventListener("visibilitychange", retry); // a hidden page stops trying; it starts again when looked at
showConfiguration();
showRunning();
startLive();

// The page's behaviour: it fills in the environment's values, and asks the API when the button is pressed.
// Texts are French; \u202f is the narrow no-break space that French puts before high punctuation.

const LIMIT_MS = 5000;
const FIRST_RETRY_MS = 3000;
const LONGEST_RETRY_MS = 30000; // a page left open during a long outage stays a light load
const EXCERPT_LENGTH = 500;

const UNAVAILABLE = "L'API est indisponible pour le moment.";
const SLOW = "L'API n'a pas répondu en 5\u202fsecondes.";
const MESSAGES = new Map([[502, UNAVAILABLE], [503, UNAVAILABLE], [504, SLOW]]);
const UNREACHABLE = "Le serveur est injoignable. Vérifiez votre connexion au réseau.";
const UNEXPECTED = "L'API a répondu, mais pas ce qui était attendu. Signalez-le à l'exploitant avec l'identifiant ci-dessous.";
const AGAIN = "La page réessaie d'elle-même\u202f; vous pouvez aussi relancer le test.";

const element = (id) => document.getElementById(id);
const isText = (value) => typeof value === "string";
const milliseconds = new Intl.NumberFormat("fr-FR", { style: "unit", unit: "millisecond", maximumFractionDigits: 0 });

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Fetches a text of this server, which forbids the browser to keep it; rejects after LIMIT_MS. */
async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(LIMIT_MS) });
  return { response, text: await response.text() };
}

// ---- The environment's values.

const FIELDS = ["version", "environment", "banner"];

/** Returns the values of /config.json; throws an Error whose message says what is wrong with it. */
async function readConfiguration() {
  const { response, text } = await get("/config.json").catch(() => {
    throw new Error("elle n'a pas pu être lue");
  });
  if (!response.ok) throw new Error(`le serveur ne la donne pas (statut ${response.status})`);
  const values = parsed(text);
  if (values === undefined) throw new Error("ce n'est pas du JSON");
  const wrong = FIELDS.filter((name) => !isText(values?.[name]));
  if (wrong.length > 0) throw new Error(`il y manque un texte pour «\u202f${wrong.join(", ")}\u202f»`);
  return values;
}

async function showConfiguration() {
  try {
    const values = await readConfiguration();
    element("version").textContent = values.version;
    element("environment").textContent = values.environment;
    element("banner").textContent = values.banner;
  } catch (error) {
    element("version").textContent = "Version inconnue";
    element("banner").textContent = `La configuration de cette page (/config.json) est inutilisable\u202f: ${error.message}. `
      + "Le test de l'API reste possible. Rechargez la page\u202f; si ce message revient, prévenez l'exploitant.";
  }
}

// ---- The test of the API.

/** Is this what the API promises for `GET /`? */
function isAnswer(body) {
  return isText(body?.service) && isText(body?.ts) && !Number.isNaN(Date.parse(body.ts));
}

function messageFor(response, body) {
  if (response.ok) return isAnswer(body) ? "L'API répond." : UNEXPECTED;
  return MESSAGES.get(response.status) ?? `L'API signale une erreur (statut ${response.status}).`;
}

/** What came, to be shown as it is; where the front answered in the API's place, the message says it all. */
function answerFor(response, text, body) {
  if (MESSAGES.has(response.status)) return "";
  return body === undefined ? text.slice(0, EXCERPT_LENGTH) : JSON.stringify(body, null, 2);
}

/** Asks the API once; never rejects. */
async function ask() {
  const start = performance.now();
  try {
    const { response, text } = await get("/api/");
    const body = parsed(text);
    return {
      ok: response.ok && isAnswer(body),
      message: messageFor(response, body),
      status: String(response.status),
      duration: performance.now() - start,
      requestId: response.headers.get("X-Request-ID") ?? "",
      answer: answerFor(response, text, body),
    };
  } catch (error) {
    const message = error.name === "TimeoutError" ? SLOW : UNREACHABLE;
    return { ok: false, message, status: "", duration: performance.now() - start, requestId: "", answer: "" };
  }
}

let state = "idle"; // idle, waiting, ok or failed: what is on display; app.css knows these names
let latest = 0; // the number of the newest attempt; what an older one brings is dropped
let retryTimer;
let retryDelay = FIRST_RETRY_MS;

function setState(name) {
  state = name;
  document.body.dataset.state = name;
  // Not `disabled`, which would take the focus away from whoever has just pressed the button.
  element("test").setAttribute("aria-disabled", String(name === "waiting"));
  // On the details, not around the message: what is in a busy region is not read out.
  element("details").setAttribute("aria-busy", String(name === "waiting"));
}

function say(message) {
  // An unchanged text is left alone, or screen readers would read it out at each retry.
  if (element("message").textContent !== message) element("message").textContent = message;
}

function show(outcome) {
  const recovered = outcome.ok && state === "failed";
  setState(outcome.ok ? "ok" : "failed");
  say(recovered ? "L'API répond de nouveau." : outcome.ok ? outcome.message : `${outcome.message} ${AGAIN}`);
  element("status").textContent = outcome.status;
  element("duration").textContent = milliseconds.format(outcome.duration);
  element("request-id").textContent = outcome.requestId;
  element("answer").textContent = outcome.answer;
}

async function attempt() {
  clearTimeout(retryTimer);
  latest += 1;
  const mine = latest;
  const outcome = await ask();
  if (mine !== latest) return;
  show(outcome);
  if (!outcome.ok) scheduleRetry();
}

function scheduleRetry() {
  retryTimer = setTimeout(retry, retryDelay);
  retryDelay = Math.min(retryDelay * 1.5, LONGEST_RETRY_MS);
}

/** Tries again, quietly: what is on display stays until there is something new to tell. */
function retry() {
  if (state === "failed" && !document.hidden) attempt();
}

function press() {
  if (state === "waiting") return;
  retryDelay = FIRST_RETRY_MS;
  setState("waiting");
  say("Test en cours\u202f: la page attend la réponse de l'API, 5\u202fsecondes au plus.");
  attempt();
}

setState("idle");
element("test").addEventListener("click", press);
document.addEventListener("visibilitychange", retry); // a hidden page stops trying; it starts again when looked at
showConfiguration();

// What the page asks of its server, and what an answer tells of the way to the API.
// Texts are French; \u202f is the narrow no-break space that French puts before high punctuation.

import { isText } from "./page.js";

export const LIMIT_MS = 5000;

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Is this what the API promises for `GET /`? */
export const isAnswer = (body) => isText(body?.service) && isText(body?.ts) && !Number.isNaN(Date.parse(body.ts));
/** And for `GET /version`? */
export const isVersion = (body) => isText(body?.version) && isText(body?.revision);

// ---- Faults: the hop that failed, a word for it, and a sentence.

const fault = (hop, word, message) => ({ hop, word, message });
const DOWN = fault("api", "indisponible", "L’API est indisponible pour le moment.");
const LATE = fault("api", "hors délai", "L’API n’a pas répondu à temps.");
const CUT = fault("api", "interrompue", "La réponse de l’API s’est interrompue.");
const FAULTS = new Map([[502, DOWN], [503, DOWN], [504, LATE]]);
const WRONG = fault("api", "inattendue", "L’API a répondu, mais pas ce qui était attendu. Signalez-le à l’exploitant avec l’identifiant ci-dessous.");
const FRONT_LATE = fault("front", "hors délai", "Le front n’a pas répondu à temps.");
const UNREACHABLE = fault("front", "injoignable", "Le front est injoignable. Vérifiez votre connexion au réseau.");

/** Returns what is wrong when no whole answer came; if a head did, the front has spoken. */
function lost(error, response) {
  if (response) return CUT;
  return error.name === "TimeoutError" ? FRONT_LATE : UNREACHABLE;
}

/** Returns what is wrong with an answer that is not the right one. */
function wrong(response) {
  const { status, headers } = response;
  // The front gives every answer an id: one without was made by something before it, a gateway that found no front.
  if (!headers.has("X-Request-ID")) {
    return fault("front", "injoignable", `Le front est injoignable\u202f: un serveur placé devant lui a répondu à sa place (statut ${status}).`);
  }
  if (response.ok) return WRONG;
  return FAULTS.get(status) ?? fault("api", "en erreur", `L’API signale une erreur (statut ${status}).`);
}

/** Asks once; never rejects. Without a `fault` the answer is right; `replaced` says that it is not the API's own. */
export async function ask(path, isRight, signal) {
  const start = performance.now();
  const timeout = AbortSignal.timeout(LIMIT_MS);
  let response;
  try {
    response = await fetch(path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
    const text = await response.text();
    const duration = performance.now() - start;
    const body = parsed(text);
    return {
      fault: response.ok && isRight(body) ? undefined : wrong(response),
      status: response.status,
      duration,
      requestId: response.headers.get("X-Request-ID") ?? "",
      replaced: FAULTS.has(response.status),
      text,
      body,
    };
  } catch (error) {
    return { fault: lost(error, response), duration: performance.now() - start, requestId: "", replaced: true, text: "" };
  }
}

// ---- The environment's values.

const FIELDS = ["version", "environment", "banner"];

/** Returns the values of /config.json; throws an Error whose message says what is wrong with it. */
export async function readConfiguration() {
  const options = { signal: AbortSignal.timeout(LIMIT_MS) };
  const response = await fetch("/config.json", options).catch(() => {
    throw new Error("elle n’a pas pu être lue");
  });
  if (!response.ok) throw new Error(`le serveur ne la donne pas (statut ${response.status})`);
  const values = parsed(await response.text());
  if (values === undefined) throw new Error("ce n’est pas du JSON");
  const missing = FIELDS.filter((name) => !isText(values?.[name]));
  if (missing.length > 0) throw new Error(`il y manque un texte pour «\u202f${missing.join(", ")}\u202f»`);
  return values;
}

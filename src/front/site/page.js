// What several parts of the page need: its elements, French numbers and times, the clipboard.

const milliseconds = new Intl.NumberFormat("fr-FR", { style: "unit", unit: "millisecond", maximumFractionDigits: 0 });
const seconds = new Intl.NumberFormat("fr-FR", { style: "unit", unit: "second", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("fr-FR");
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const local = new Intl.DateTimeFormat("fr-FR", TIME);
const universal = new Intl.DateTimeFormat("fr-FR", { ...TIME, timeZone: "UTC" });
const day = new Intl.DateTimeFormat("fr-FR", { dateStyle: "long", timeStyle: "medium" });
const COPIED_MS = 2000;

export const element = (id) => document.getElementById(id);
export const isText = (value) => typeof value === "string";
export const inMilliseconds = (value) => (value === undefined ? "–" : milliseconds.format(value));
export const inSeconds = (value) => seconds.format(value / 1000);
export const inNumbers = (value) => whole.format(value);
export const timeOf = (moment) => local.format(moment);
export const utcOf = (moment) => `${universal.format(moment)}\u202fUTC`;
export const dayOf = (moment) => day.format(moment);
export const plural = (count, word) => `${inNumbers(count)}\u00a0${word}${count > 1 ? "s" : ""}`;
/** A revision as it is shown: as Git abbreviates a commit. */
export const short = (revision) => (/^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 7) : revision);

export function setText(id, text) {
  // An unchanged text is left alone, or screen readers would read it out again.
  if (element(id).textContent !== text) element(id).textContent = text;
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP, as on a node's port, browsers give no clipboard; the older way still copies what is selected.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("refused");
}

/** Copies a text when a button is pressed, and says on the button how that went. */
export function copies(button, text) {
  const name = [...button.childNodes];
  let timer;
  button.addEventListener("click", async () => {
    clearTimeout(timer);
    const told = await toClipboard(text()).then(() => "Copié", () => "Copie refusée");
    button.replaceChildren(told);
    setText("summary", told);
    button.focus();
    timer = setTimeout(() => { button.replaceChildren(...name); }, COPIED_MS);
  });
}

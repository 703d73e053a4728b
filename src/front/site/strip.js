// The strip of the newest answers: a bar each, a mark where the served revision changes. app.css draws it.

import { element, inMilliseconds, short, timeOf } from "./page.js";

const LENGTH = 120;
const SCALES_MS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

let durations = []; // of the bars that are there; a failure has none, its bar is as high as the strip

function rescale() {
  const highest = Math.max(...durations);
  const scale = SCALES_MS.find((one) => one >= highest) ?? SCALES_MS.at(-1);
  element("bars").style.setProperty("--scale", scale);
  element("scale").textContent = inMilliseconds(scale);
}

function changeMark({ from, to }) {
  const label = document.createElement("b");
  label.textContent = `${short(from)} → ${short(to)}`;
  return label;
}

/** Adds an outcome, with the change of revision that it brought, if it did. */
export function addBar({ fault, duration, body }, now, change) {
  const bar = document.createElement("i");
  bar.dataset.outcome = fault ? "failed" : "right";
  bar.title = `${timeOf(now)}, ${inMilliseconds(duration)}, ${fault ? fault.message : short(body.revision)}`;
  bar.style.setProperty("--ms", Math.round(duration));
  if (change) bar.append(changeMark(change));
  element("bars").append(bar);
  durations.push(fault ? 0 : duration);
  if (durations.length > LENGTH) {
    durations.shift();
    element("bars").firstChild.remove();
  }
  rescale();
}

export function clearBars() {
  durations = [];
  element("bars").replaceChildren();
  rescale();
}

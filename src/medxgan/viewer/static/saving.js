/** Verdicts on their way to the server: one at a time, the newest of each, until it has them. */

import { ApiError, postJson } from "./api.js";

const AGAIN_MILLISECONDS = 3000;

/** Waiting, by explanation and reader, so that a newer one takes the place of one before it. */
const waiting = new Map();
let underWay = false;
let timer = null;

/**
 * Save a verdict; it is tried again for as long as the server does not answer.
 * @param {import("./verdict.js").Verdict} verdict
 * @param {(outcome: {error: Error|null, again: boolean}) => void} told whether it was saved, and if
 *   not, why not, and whether it is tried again; never where a newer one took its place
 */
export function saveVerdict(verdict, told) {
  waiting.set(JSON.stringify([verdict.explanation, verdict.reader]), { verdict, told });
  next();
}

/** Did the server not answer, so that a verdict would be lost with the page? */
export function isUnanswered() {
  return timer !== null;
}

/** Send all that waits at once, for the page may be gone soon. */
export function sendAll() {
  for (const { verdict } of waiting.values()) send(verdict).catch(() => undefined);
}

async function next() {
  clearTimeout(timer);
  timer = null;
  if (underWay || waiting.size === 0) return;
  const [key, { verdict, told }] = waiting.entries().next().value;
  waiting.delete(key);
  underWay = true;
  let error = null;
  await send(verdict).catch((fault) => (error = fault));
  underWay = false;
  const again = error !== null && !(error instanceof ApiError && error.status !== 0);
  const newer = waiting.has(key);
  if (again && !newer) waiting.set(key, { verdict, told });
  if (!newer) told({ error, again });
  if (again) timer = setTimeout(next, AGAIN_MILLISECONDS);
  else next();
}

/** `keepalive` lets it go on though the page is left. */
function send(verdict) {
  return postJson("/api/verdicts", verdict, { keepalive: true });
}

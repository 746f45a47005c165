/** What a reader chose, kept in this browser from one visit to the next. */

import { SCALES } from "./colours.js";

const PLACE = "medxgan-viewer";

/** Kept keys of the store, and what they are at first. */
export const DEFAULTS = Object.freeze({
  theme: "system",
  reader: "",
  shortcuts: true,
  colours: "on-black",
  maps: "on image",
  opacity: 0.85,
  smooth: false,
  outline: true,
  hidden: Object.freeze(["lig-transferred", "lig-published", "occlusion", "mask"]),
});

/**
 * The kept values; without those of another kind than the defaults are.
 * @param {string|null} [text] what the browser kept
 * @returns {Partial<typeof DEFAULTS>}
 */
export function savedPreferences(text = read()) {
  try {
    const entries = Object.entries(JSON.parse(text ?? "{}"));
    return Object.fromEntries(entries.filter(([key, value]) => isKnown(key, value)));
  } catch {
    return {};
  }
}

/**
 * Keep what is to be kept; a browser that refuses loses it at the end of the visit.
 * @param {Record<string, unknown>} state
 */
export function keepPreferences(state) {
  const kept = Object.fromEntries(Object.keys(DEFAULTS).map((key) => [key, state[key]]));
  try {
    localStorage.setItem(PLACE, JSON.stringify(kept));
  } catch {
    return;
  }
}

function read() {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

function isKnown(key, value) {
  const model = DEFAULTS[key];
  if (typeof value !== typeof model || Array.isArray(value) !== Array.isArray(model)) return false;
  return key !== "colours" || Object.hasOwn(SCALES, value);
}

/** The one place where the page remembers things; everything drawn follows from it. */

import { DEFAULTS, keepPreferences, savedPreferences } from "./preferences.js";

/**
 * @typedef {{zoom: number, x: number, y: number}} View what of the image is seen: magnification
 *   over "fits", and the point in the middle, as shares of width and height
 * @typedef {{x: number, y: number}} Place pixel of the image, from its upper left corner
 */

export const WHOLE_IMAGE = Object.freeze({ zoom: 1, x: 0.5, y: 0.5 });
export const FULL_WINDOW = Object.freeze({ width: 2, level: 0 });

/**
 * A store: values by key, and listeners that are told which keys changed.
 * @template {object} State
 * @param {State} initial
 */
export function createStore(initial) {
  let state = Object.freeze({ ...initial });
  const listeners = new Set();
  return {
    /** @returns {Readonly<State>} */
    get state() {
      return state;
    },
    /**
     * Change some values; nobody is told where nothing changed.
     * @param {Partial<State>} patch
     */
    set(patch) {
      const changed = Object.keys(patch).filter((key) => !Object.is(patch[key], state[key]));
      if (changed.length === 0) return;
      state = Object.freeze({ ...state, ...patch });
      for (const { keys, listener } of [...listeners]) {
        if (changed.some((key) => keys.includes(key))) listener(state, changed);
      }
    },
    /**
     * Be told when one of these keys changes.
     * @param {string[]} keys
     * @param {(state: Readonly<State>, changed: string[]) => void} listener
     * @param {AbortSignal} [signal] ends it
     */
    watch(keys, listener, signal) {
      const entry = { keys, listener };
      listeners.add(entry);
      signal?.addEventListener("abort", () => listeners.delete(entry));
    },
  };
}

export const store = createStore({
  server: null,
  columns: [],
  rows: [],
  list: { text: "", class: "", side: "", status: "", verdict: "", sort: "", falling: false },
  session: null,
  direction: null,
  view: WHOLE_IMAGE,
  window: FULL_WINDOW,
  inverted: false,
  gain: 1,
  cursor: null,
  crosshair: false,
  measuring: false,
  ruler: null,
  enlarged: null,
  frame: 0,
  playing: false,
  ...DEFAULTS,
  ...savedPreferences(),
});

store.watch(Object.keys(DEFAULTS), keepPreferences);

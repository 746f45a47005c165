/** "Make this negative": the settings at which the model gives a wanted answer. */

import { postJson } from "./api.js";
import { h } from "./dom.js";

/**
 * Buttons for goals.
 * @param {{address: string, words: import("./words.js").Words, session: object,
 *   settings: () => object, put: (controls: object, alternative: number|string|null) => void,
 *   signal: AbortSignal}} given `address` of the session, its present settings, and what is told
 *   of the found ones
 * @returns {{element: HTMLElement, stop: () => void}} `stop` gives a search up, whose find is no longer
 *   wanted, and takes back what was said of the one before
 */
export function createGoals({ address, words, session, settings, put, signal }) {
  const said = h("p", { class: "said", role: "status" });
  let search = null;
  const stop = () => {
    said.textContent = "";
    search?.abort();
    search = null;
  };
  const go = async (goal) => {
    stop();
    const own = new AbortController();
    search = own;
    said.textContent = "Searching …";
    try {
      const options = { signal: AbortSignal.any([signal, own.signal]) };
      const answer = await postJson(`${address}/goal`, { goal, ...settings() }, options);
      if (search !== own) return;
      search = null;
      said.textContent = answer.sentence ?? "";
      put(answer.controls, answer.alternative ?? null);
    } catch (error) {
      if (search === own) search = null;
      if (error.name !== "AbortError") said.textContent = error.message;
    }
  };
  const refuse = (sentence) => {
    stop();
    said.textContent = sentence;
  };
  const button = (label, goal) =>
    h("button", { type: "button", on: { click: () => go(goal) } }, label);
  const element = h(
    "div",
    { class: "goals" },
    h(
      "div",
      { class: "row" },
      button("Make negative", "negative"),
      button("Make positive", "positive"),
      createWanted(words, session, { go, refuse }),
    ),
    said,
  );
  return { element, stop };
}

function createWanted(words, { output, target_name: name, value_range: range }, { go, refuse }) {
  const graded = output === "value" && range;
  const [low, high] = graded ? range : [0, 1];
  const margin = graded ? 0 : 0.01;
  const [least, most] = [low + margin, high - margin];
  const label = graded ? "Go to" : "To p";
  const wanted = h("input", {
    type: "number",
    min: least,
    max: most,
    step: (high - low) / 100,
    value: (low + high) / 2,
    required: true,
    "aria-label": `Wanted ${words.measure}`,
  });
  const submit = (event) => {
    event.preventDefault();
    const value = wanted.value === "" ? NaN : Number(wanted.value); // nor is half-written 0
    if (value >= least && value <= most) return go(value);
    refuse(`Give a ${graded ? name : "probability"} between ${least} and ${most}.`);
    wanted.focus();
  };
  const button = h(
    "button",
    { type: "submit", "aria-label": `${label}, this ${words.measure}` },
    label,
  );
  return h("form", { class: "wanted", novalidate: true, on: { submit } }, wanted, button);
}

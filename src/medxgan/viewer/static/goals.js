/** "Make this negative": the settings at which the model gives a wanted answer. */

import { postJson } from "./api.js";
import { h } from "./dom.js";

/**
 * Buttons for goals.
 * @param {{address: string, words: import("./words.js").Words, session: object,
 *   settings: () => object, put: (controls: object, alternative: number|string|null) => void,
 *   signal: AbortSignal}} given `address` of the session, its present settings, and what is told
 *   of the found ones
 * @returns {HTMLElement}
 */
export function createGoals({ address, words, session, settings, put, signal }) {
  const said = h("p", { class: "said", role: "status" });
  const go = async (goal) => {
    said.textContent = "Searching …";
    try {
      const answer = await postJson(`${address}/goal`, { goal, ...settings() }, { signal });
      said.textContent = answer.sentence ?? "";
      put(answer.controls, answer.alternative ?? null);
    } catch (error) {
      if (error.name !== "AbortError") said.textContent = error.message;
    }
  };
  const button = (label, goal) =>
    h("button", { type: "button", on: { click: () => go(goal) } }, label);
  return h(
    "div",
    { class: "goals" },
    h(
      "div",
      { class: "row" },
      button("Make negative", "negative"),
      button("Make positive", "positive"),
      createWanted(words, session, go),
    ),
    said,
  );
}

function createWanted(words, { output, value_range: range }, go) {
  const graded = output === "value" && range;
  const [low, high] = graded ? range : [0, 1];
  const margin = graded ? 0 : 0.01;
  const label = graded ? "Go to" : "To p";
  const wanted = h("input", {
    type: "number",
    min: low + margin,
    max: high - margin,
    step: (high - low) / 100,
    value: (low + high) / 2,
    required: true,
    "aria-label": `Wanted ${words.measure}`,
  });
  const submit = (event) => {
    event.preventDefault();
    go(Number(wanted.value));
  };
  const button = h(
    "button",
    { type: "submit", "aria-label": `${label}, this ${words.measure}` },
    label,
  );
  return h("form", { class: "wanted", on: { submit } }, wanted, button);
}

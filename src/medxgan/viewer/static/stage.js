/** The picture that moves, the model's answer to it, and the curve: of the film or of live codes. */

import { announce } from "./announce.js";
import { createCurve } from "./curve.js";
import { h } from "./dom.js";
import { wordsFor } from "./words.js";

/**
 * @typedef {object} Moment
 * @property {import("./api.js").NumberArray} numbers `[C, H, W]`
 * @property {number|null} score
 * @property {number} strength
 * @property {string} title what is seen
 * @property {string[]} details short lines: where in the film, how long it took
 */

/**
 * The stage of an explanation.
 * @param {{facts: object, panes: ReturnType<import("./panes.js").createPanes>, longest?: number,
 *   choose: (frame: number) => void, signal: AbortSignal}} given
 */
export function createStage({ facts, panes, longest, choose, signal }) {
  const words = wordsFor(facts);
  const film = { strengths: facts.strengths, probabilities: facts.probabilities, longest };
  const curve = createCurve(film, words, choose, signal);
  const answer = h("output", { class: "answer", "aria-live": "off" }, "–");
  const side = h("p", { class: "side" });
  const details = h("p", { class: "details" });
  const element = h(
    "div",
    { class: "stage" },
    panes.slot,
    h(
      "div",
      { class: "telling" },
      h("p", { class: "measure" }, words.measure),
      answer,
      side,
      details,
    ),
    curve.element,
  );
  return {
    element,
    /** @param {Moment} moment what is seen now */
    show({ title, numbers, score, strength, details: lines }) {
      const text = words.text(score);
      const positive = score >= words.decision;
      const even = score !== null && text === words.text(words.decision);
      panes.film.rename(title);
      panes.show("film", numbers);
      curve.mark(strength, score);
      answer.textContent = text;
      side.textContent = even ? "at the decision" : sideOf(score, positive);
      side.dataset.side = even ? "even" : positive ? "positive" : "negative";
      details.replaceChildren(...lines.map((line) => h("span", {}, line)));
      announce(`${words.measure} ${text}, ${lines.join(", ")}`);
    },
  };
}

function sideOf(score, positive) {
  if (score === null) return "";
  return positive ? "positive" : "negative";
}

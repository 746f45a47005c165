/** First of all: can this explanation be trusted, and if not, why not. */

import { h } from "./dom.js";
import { capitalized, flipText, problemText } from "./words.js";

const METHODS = { lig: "LIG", "grad-cam": "Grad-CAM", ig: "IG" };

/**
 * The head of an image's view.
 * @param {object} facts as the server tells them
 * @param {import("./words.js").Words} words
 * @param {string|null} caution what every reader must know of the bundle
 * @returns {HTMLElement}
 */
export function createStatus(facts, words, caution) {
  const { ok, problems } = facts.status;
  return h(
    "div",
    { class: ok ? "status" : "status failed" },
    h(
      "div",
      { class: "headline" },
      h("h1", { tabindex: -1, title: facts.name }, facts.name),
      h("span", { class: ok ? "badge ok" : "badge bad" }, ok ? "Status ok" : "Not to be trusted"),
      summary(facts, words),
    ),
    !ok &&
      h(
        "ul",
        { class: "problems", "aria-label": "Why not" },
        ...problems.map((problem) =>
          h("li", {}, h("b", {}, `${capitalized(problem.kind)}: `), problemText(problem)),
        ),
      ),
    notes(facts, caution),
  );
}

function summary(facts, words) {
  const { image, counterfactual, transferred } = facts.scores;
  const part = (label, score) => h("span", {}, `${label} `, h("b", {}, words.text(score)));
  return h(
    "p",
    { class: "summary" },
    h("span", {}, `${capitalized(words.measure)}:`),
    part("original", image),
    part("counterfactual", counterfactual),
    part("transferred", transferred),
    h(
      "span",
      { class: facts.flipped && facts.transfer_flipped ? "" : "attention" },
      `answer ${flipText(facts)}`,
    ),
  );
}

function notes(facts, caution) {
  const skipped = Object.entries(facts.skipped ?? {}).map(
    ([method, reason]) => `${METHODS[method] ?? method} was not computed: ${reason}`,
  );
  const all = [...(facts.notes ?? []), ...skipped];
  if (all.length === 0 && !caution) return null;
  const first = caution && h("li", {}, h("b", {}, caution));
  return h(
    "ul",
    { class: "notes", "aria-label": "Notes" },
    first,
    ...all.map((note) => h("li", {}, capitalized(note))),
  );
}

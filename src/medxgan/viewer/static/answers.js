/** What the model says of every class, as numbers and bars. */

import { h, svg } from "./dom.js";
import { probabilityText, wordsFor } from "./words.js";

const PARTS = ["image", "reconstruction", "counterfactual", "transferred"];

/**
 * Bars of all classes that follow an image; of a model of one value, nothing.
 * @param {{class_names?: string[], target: number, output?: string}} facts
 * @returns {{element: HTMLElement|null, show: (answers: number[]) => void}}
 */
export function createAnswers(facts) {
  const names = facts.output === "value" ? [] : (facts.class_names ?? []);
  const rows = names.map((name, index) => {
    const bar = svg("rect", {
      class: index === facts.target ? "explained" : "",
      width: 0,
      height: 1,
    });
    const gauge = svg(
      "svg",
      { class: "gauge", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" },
      bar,
    );
    const number = h("span", { class: "number" }, "–");
    const label = h("span", { class: "name", title: name }, name);
    return { bar, number, row: h("li", {}, label, gauge, number) };
  });
  const list = h(
    "ul",
    { class: "answers", "aria-label": "Probabilities of all classes" },
    ...rows.map(({ row }) => row),
  );
  return {
    element: rows.length > 0 ? list : null,
    show(answers) {
      rows.forEach(({ bar, number }, index) => {
        number.textContent = probabilityText(answers[index]);
        bar.setAttribute("width", Math.min(Math.max(answers[index] ?? 0, 0), 1));
      });
    },
  };
}

/**
 * A table of all classes on the pictures of an explanation, where there are more than two.
 * @param {object} facts
 * @returns {HTMLElement|null}
 */
export function createClassTable(facts) {
  const names = facts.class_names ?? [];
  if (facts.output === "value" || names.length < 3 || !facts.answers) return null;
  const words = wordsFor(facts);
  const cell = (part, index) => h("td", {}, words.text(facts.answers[part]?.[index] ?? null));
  const rows = names.map((name, index) =>
    h(
      "tr",
      { class: index === facts.target ? "explained" : "" },
      h("th", { scope: "row" }, name),
      ...PARTS.map((part) => cell(part, index)),
    ),
  );
  const heads = ["Class", "Original", "Redrawn", "Counterf.", "Transf."].map((text) =>
    h("th", { scope: "col" }, text),
  );
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  return h("details", { class: "classes" }, h("summary", {}, "All classes"), table);
}

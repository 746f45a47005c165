/** Further positives of a negative image, as they were saved with its explanation. */

import { getArray } from "./api.js";
import { imagePixels } from "./colours.js";
import { h } from "./dom.js";
import { FULL_WINDOW } from "./store.js";
import { wordsFor } from "./words.js";

/**
 * Small pictures to choose from; a chosen one goes on the stage until the film moves.
 * @param {{facts: object, base: string, stage: ReturnType<import("./stage.js").createStage>,
 *   signal: AbortSignal}} given `base` is the explanation's address
 * @returns {Promise<HTMLElement|null>} null where there are none
 */
export async function createOthers({ facts, base, stage, signal }) {
  const scores = facts.alternative_scores ?? [];
  if (scores.length === 0) return null;
  const {
    values,
    shape: [, ...shape],
  } = await getArray(`${base}/arrays/alternatives`, signal);
  const words = wordsFor(facts);
  const length = values.length / scores.length;
  const buttons = scores.map((score, index) => {
    const numbers = { values: values.subarray(index * length, (index + 1) * length), shape };
    const title = `Alternative ${index + 1}`;
    const show = () =>
      stage.show({ title, numbers, score, strength: 1, details: [title.toLowerCase()] });
    const label = `${title}, ${words.measure} ${words.text(score)}`;
    return h(
      "button",
      { type: "button", "aria-label": label, on: { click: show } },
      small(numbers),
      h("span", {}, words.text(score)),
    );
  });
  const heading = h("h2", {}, "Other counterfactuals");
  return h(
    "div",
    { class: "saved-others" },
    heading,
    h(
      "div",
      { class: "alternatives", role: "group", "aria-label": "Other counterfactuals" },
      ...buttons,
    ),
  );
}

function small(numbers) {
  const [height, width] = numbers.shape.slice(-2);
  const canvas = h("canvas", { class: "thumbnail", "aria-hidden": "true", width, height });
  canvas.getContext("2d").putImageData(imagePixels(numbers, FULL_WINDOW, false), 0, 0);
  return canvas;
}

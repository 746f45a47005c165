/** Other positives on the same anatomy: their pathology codes are drawn anew from the prior. */

import { warn } from "./announce.js";
import { postJson } from "./api.js";
import { h } from "./dom.js";

/**
 * A button that draws alternatives, and a row of them to choose from.
 * @param {{address: string, words: import("./words.js").Words, positive: boolean,
 *   choose: (index: number|null) => void, begin: () => void, reset: HTMLElement, offered: boolean,
 *   signal: AbortSignal}} given `address` of the session, on which side its image is, what is told of
 *   a choice (null: the image's own code) and of a draw that begins, a button that stands beside, and
 *   whether the bundle can draw others
 * @returns {{element: HTMLElement, mark: (index: number|string|null) => void}} `mark` shows which
 *   one is drawn
 */
export function createAlternatives(given) {
  const { address, words, positive, choose, begin, reset, offered, signal } = given;
  const name = positive ? "Other positives" : "Other counterfactuals";
  let seed = 0;
  let entries = [];
  const list = h("div", {
    class: "alternatives",
    role: "group",
    "aria-label": name,
    hidden: true,
  });
  const meaning = h(
    "p",
    { class: "meaning", hidden: true },
    "Other pathology codes for the same anatomy, which the model calls positive; ",
    `own code: ${positive ? "this image's" : "the counterfactual of the film"}.`,
  );
  const mark = (chosen) => {
    for (const { index, button } of entries)
      button.setAttribute("aria-pressed", String(index === chosen));
  };
  const entry = (index, label, ...content) => {
    const pick = () => choose(index);
    return {
      index,
      button: h("button", { type: "button", "aria-label": label, on: { click: pick } }, ...content),
    };
  };
  const draw = async () => {
    more.disabled = true;
    begin();
    try {
      const { alternatives, sentence } = await postJson(
        `${address}/resample`,
        { seed },
        { signal },
      );
      seed += 1;
      if (sentence) warn(sentence);
      entries = [
        entry(null, "The image's own code", h("span", { class: "own" }, "own code")),
        ...alternatives.map(({ image, score }, index) => {
          const text = words.text(score);
          const label = `Alternative ${index + 1}, ${words.measure} ${text}`;
          return entry(index, label, h("img", { src: image, alt: "" }), h("span", {}, text));
        }),
      ];
      list.replaceChildren(...entries.map(({ button }) => button));
      list.hidden = meaning.hidden = alternatives.length === 0;
      choose(null);
      list.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (error.name !== "AbortError") warn(error.message);
    } finally {
      more.disabled = false;
    }
  };
  const title = "Draw other pathology codes for the same anatomy";
  const more = h("button", { type: "button", title, on: { click: draw } }, name);
  const element = h(
    "div",
    { class: "others" },
    h("div", { class: "row" }, offered && more, reset),
    meaning,
    list,
  );
  return { element, mark };
}

/** Other counterfactuals of the same image, drawn anew from the prior. */

import { warn } from "./announce.js";
import { postJson } from "./api.js";
import { h } from "./dom.js";

/**
 * A button that draws alternatives, and a row of them to choose from.
 * @param {{address: string, words: import("./words.js").Words, choose: (index: number|null) => void,
 *   reset: HTMLElement, offered: boolean, signal: AbortSignal}} given `address` of the session, what
 *   is told of a choice (null: the image's own code), a button that stands beside, and whether the
 *   bundle can draw others
 * @returns {{element: HTMLElement, mark: (index: number|string|null) => void}} `mark` shows which
 *   one is drawn
 */
export function createAlternatives({ address, words, choose, reset, offered, signal }) {
  let seed = 0;
  let entries = [];
  const list = h("div", {
    class: "alternatives",
    role: "group",
    "aria-label": "Other counterfactuals",
    hidden: true,
  });
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
    try {
      const { alternatives, sentence } = await postJson(
        `${address}/resample`,
        { seed },
        { signal },
      );
      seed += 1;
      if (sentence) warn(sentence);
      entries = [
        entry(null, "The image's own code", h("span", { class: "own" }, "own")),
        ...alternatives.map(({ image, score }, index) => {
          const text = words.text(score);
          const label = `Alternative ${index + 1}, ${words.measure} ${text}`;
          return entry(index, label, h("img", { src: image, alt: "" }), h("span", {}, text));
        }),
      ];
      list.replaceChildren(...entries.map(({ button }) => button));
      list.hidden = alternatives.length === 0;
      choose(null);
      list.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (error.name !== "AbortError") warn(error.message);
    } finally {
      more.disabled = false;
    }
  };
  const more = h("button", { type: "button", on: { click: draw } }, "Other counterfactuals");
  const element = h(
    "div",
    { class: "others" },
    h("div", { class: "row" }, offered && more, reset),
    list,
  );
  return { element, mark };
}

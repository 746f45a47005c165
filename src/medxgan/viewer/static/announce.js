/** What is said to screen readers, and sentences that everyone must see. */

import { h } from "./dom.js";
import { afterRest } from "./newest.js";

const PAUSE = 350;

/**
 * Say something once the reader's hand rests; what came before and was not yet said is dropped.
 * @type {(text: string) => void}
 */
export const announce = afterRest((text) => {
  document.querySelector("#announcer").textContent = text;
}, PAUSE);

/**
 * Show a sentence until it is dismissed.
 * @param {string} sentence
 */
export function warn(sentence) {
  const place = document.querySelector("#alerts");
  const dismiss = () => notice.remove();
  const notice = h(
    "div",
    { class: "notice" },
    h("p", {}, sentence),
    h("button", { type: "button", class: "plain", on: { click: dismiss } }, "Dismiss"),
  );
  place.replaceChildren(notice);
}

/** Take away what {@link warn} showed. */
export function clearWarning() {
  document.querySelector("#alerts").replaceChildren();
}

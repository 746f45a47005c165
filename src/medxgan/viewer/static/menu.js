/** A button that opens a small panel under it. */

import { h } from "./dom.js";

/**
 * @param {string} label of the button
 * @param {() => Node[]} content made anew whenever it opens
 * @param {AbortSignal} signal
 * @returns {{element: HTMLElement, toggle: () => void}}
 */
export function createMenu(label, content, signal) {
  const panel = h("div", { class: "menu", role: "group", "aria-label": label, hidden: true });
  const button = h(
    "button",
    { type: "button", class: "opener", "aria-expanded": "false", on: { click: toggle } },
    label,
  );
  const element = h("div", { class: "menu-place" }, button, panel);

  function open(opened) {
    panel.hidden = !opened;
    button.setAttribute("aria-expanded", String(opened));
    if (opened) panel.replaceChildren(...content());
  }
  function toggle() {
    open(panel.hidden);
    if (!panel.hidden) panel.querySelector("a, button, input, select")?.focus();
  }
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation();
    open(false);
    button.focus();
  });
  document.addEventListener(
    "pointerdown",
    (event) => element.contains(event.target) || open(false),
    { signal },
  );
  element.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !element.contains(event.relatedTarget)) open(false);
  });
  return { element, toggle };
}

/** What can be taken away: a pane, the film, the arrays, the report, all verdicts. */

import { download, h } from "./dom.js";
import { onCommand } from "./keys.js";
import { createMenu } from "./menu.js";
import { store } from "./store.js";

/**
 * The export menu of an explanation.
 * @param {{facts: object, panes: ReturnType<import("./panes.js").createPanes>, base: string,
 *   signal: AbortSignal}} given `base` is the explanation's address
 * @returns {HTMLElement}
 */
export function createExports({ facts, panes, base, signal }) {
  const menu = createMenu("Export", () => entries(facts, panes, base), signal);
  onCommand({ "export.menu": menu.toggle }, signal);
  return menu.element;
}

/**
 * The address of a pane's picture as it is shown now.
 * @param {string} base of the explanation
 * @param {import("./pane.js").Pane} pane
 * @param {Readonly<object>} state of the store
 * @returns {string}
 */
export function paneAddress(base, pane, state) {
  const query = new URLSearchParams();
  if (pane.isMap) {
    query.set("scale", String(pane.scale * state.gain));
  } else if (pane.kind === "intensity") {
    query.set("low", String(state.window.level - state.window.width / 2));
    query.set("high", String(state.window.level + state.window.width / 2));
  }
  query.set("zoom", "4");
  return `${base}/panes/${encodeURIComponent(pane.id)}.png?${query}`;
}

function entries(facts, panes, base) {
  const present = [...panes.still, panes.film].filter((pane) => pane.numbers !== null);
  const choice = h(
    "select",
    { "aria-label": "Pane" },
    ...present.map(({ id, label }) => h("option", { value: id }, label)),
  );
  const enlarged = present.find(({ id }) => id === store.state.enlarged);
  choice.value = (enlarged ?? panes.still[0]).id;
  const chosen = () => present.find(({ id }) => id === choice.value);
  const save = async () => {
    const pane = chosen();
    if (!pane) return;
    const picture = await pane.picture(store.state, panes.still[0]);
    const shown = pane === panes.film ? pane.label.toLowerCase() : pane.id;
    download(picture, `${facts.stem}-${shown}.png`);
  };
  const link = (label, address) => h("a", { href: address, download: "" }, label);
  const plain = h("a", { download: "" }, "in the colours of the report (PNG)");
  const point = () => {
    const pane = chosen();
    plain.hidden = !pane || pane === panes.film;
    if (!plain.hidden) plain.href = paneAddress(base, pane, store.state);
  };
  choice.addEventListener("change", point);
  point();
  return [
    h("label", { class: "stacked" }, "One pane", choice),
    h("button", { type: "button", on: { click: save } }, "as shown here (PNG)"),
    plain,
    h("hr"),
    link("The film (GIF)", `${base}/film.gif`),
    link("All arrays (npz)", `${base}/arrays.npz`),
    link("Report of this image (HTML)", `${base}/report.html`),
  ];
}

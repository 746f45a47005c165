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
  const choice = h(
    "select",
    { "aria-label": "Pane" },
    ...panes.still.map(({ id, label }) => h("option", { value: id }, label)),
  );
  choice.value = store.state.enlarged ?? panes.still[0].id;
  const save = async () => {
    const pane = panes.still.find(({ id }) => id === choice.value);
    download(await pane.picture(store.state, panes.still[0]), `${facts.name}-${pane.id}.png`);
  };
  const link = (label, address) => h("a", { href: address, download: "" }, label);
  const plain = h("a", { download: "" }, "in the colours of the report (PNG)");
  const point = () => {
    const pane = panes.still.find(({ id }) => id === choice.value);
    plain.href = paneAddress(base, pane, store.state);
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

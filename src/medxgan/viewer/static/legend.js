/** What the colours of the maps mean: one line for all panes. */

import { drawLegend } from "./colours.js";
import { h } from "./dom.js";
import { store } from "./store.js";

const NAMES = { difference: "Difference", evidence: "Evidence maps" };

/**
 * @param {ReturnType<import("./panes.js").createPanes>} panes
 * @param {import("./words.js").Words} words
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function createLegend(panes, words, signal) {
  const kinds = Object.keys(NAMES).filter((kind) => panes.still.some((pane) => pane.kind === kind));
  const strips = kinds.map((kind) => ({ kind, canvas: h("canvas", { "aria-hidden": "true" }) }));
  const draw = () => {
    for (const { kind, canvas } of strips) drawLegend(canvas, store.state.colours, kind);
  };
  store.watch(["colours"], draw, signal);
  draw();
  const entries = strips.map(({ kind, canvas }) => {
    const [less] = words.maps[kind][kind === "difference" ? "short" : "long"];
    const [, more] = words.maps[kind].long;
    return h("span", { class: "meant" }, `${NAMES[kind]}: ${less}`, canvas, more);
  });
  return h("p", { class: "colours" }, ...entries);
}

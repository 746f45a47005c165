/** Where the cursor is, how long the ruler, how large the zoom: one line under the panes. */

import { h } from "./dom.js";
import { lengthText } from "./geometry.js";
import { store } from "./store.js";

/**
 * @param {ReturnType<import("./panes.js").createPanes>} panes
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function createReadout(panes, signal) {
  const label = "Cursor, ruler and zoom";
  const element = h("div", { class: "readout", role: "group", "aria-label": label });
  const write = () => {
    const { cursor, ruler, view, measuring, crosshair } = store.state;
    const parts = [
      cursor ? placeText(cursor, panes.spacing) : hint({ measuring }),
      crosshair && "cross: arrow keys move, Enter measures, X or Esc ends",
      ruler && `ruler ${lengthText(ruler.from, ruler.to, panes.spacing)}`,
      view.zoom > 1 && `zoom ${view.zoom.toFixed(1)}×`,
    ];
    element.replaceChildren(...parts.filter(Boolean).map((part) => h("span", {}, part)));
  };
  store.watch(["cursor", "ruler", "view", "measuring", "crosshair"], write, signal);
  write();
  return element;
}

function placeText({ x, y }, spacing) {
  const pixel = `column ${Math.floor(x)}, row ${Math.floor(y)}`;
  return spacing
    ? `${pixel} · ${(x * spacing[1]).toFixed(1)} mm, ${(y * spacing[0]).toFixed(1)} mm`
    : pixel;
}

function hint({ measuring }) {
  return measuring
    ? "Drag on any pane to measure"
    : "Drag: window and level · Shift+drag: pan · Wheel: zoom · ?: all keys";
}

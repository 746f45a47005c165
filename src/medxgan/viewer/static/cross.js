/** The cursor without a mouse: a cross that arrow keys move, whose values are read out. */

import { announce } from "./announce.js";
import { onCommand } from "./keys.js";
import { store } from "./store.js";

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Let X switch the cross on and off, arrow keys move it, and Enter measure.
 * @param {ReturnType<import("./panes.js").createPanes>} panes
 * @param {AbortSignal} signal
 */
export function followCross(panes, signal) {
  let growing = false;
  const stop = () => store.set({ crosshair: false, cursor: null });
  const tell = () => {
    const { cursor } = store.state;
    const values = panes.shown().map((pane) => `${pane.label} ${pane.textAt(cursor)}`);
    announce(`column ${Math.floor(cursor.x)}, row ${Math.floor(cursor.y)}: ${values.join(", ")}`);
  };
  const move = ([across, down]) => {
    const { cursor, ruler } = store.state;
    const { width, height } = panes.still[0].image;
    const clamp = (value, size) => Math.min(Math.max(value, 0.5), size - 0.5);
    const place = { x: clamp(cursor.x + across, width), y: clamp(cursor.y + down, height) };
    store.set({ cursor: place, ...(growing && ruler ? { ruler: { from: ruler.from, to: place } } : {}) });
    tell();
  };

  const rest = ({ crosshair }) => {
    if (!crosshair) growing = false;
  };
  store.watch(["crosshair"], rest, signal);
  onCommand(
    {
      "cross.toggle": () => {
        if (store.state.crosshair) return stop();
        if (!panes.still[0].numbers) return;
        const { width, height } = panes.still[0].image;
        const { x, y } = store.state.view;
        store.set({
          crosshair: true,
          cursor: { x: Math.floor(x * width) + 0.5, y: Math.floor(y * height) + 0.5 },
        });
        tell();
      },
      "cross.measure": () => {
        const { crosshair, cursor } = store.state;
        if (!crosshair || !cursor) return;
        growing = !growing;
        if (growing) store.set({ ruler: { from: cursor, to: cursor } });
      },
    },
    signal,
  );
  document.addEventListener(
    "keydown",
    (event) => {
      const ours = store.state.crosshair && store.state.cursor && MOVES[event.key];
      if (!ours || event.shiftKey || event.target.matches?.("input, select, textarea, [role=tab]"))
        return;
      event.preventDefault();
      move(MOVES[event.key]);
    },
    { signal, capture: true },
  );
  signal.addEventListener("abort", stop);
}

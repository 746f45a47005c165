/** Mouse, pen and fingers on a pane: window and level, pan, zoom, cursor and ruler. */

import { panned, placement, zoomed } from "./geometry.js";
import { FULL_WINDOW, WHOLE_IMAGE, store } from "./store.js";

const GAIN_DISTANCE = 140;
const WHEEL_DISTANCE = 500;
const LINE_HEIGHT = 16;

/**
 * Make a pane follow the pointer. Dragging sets the window (of a map: the range of its colours),
 * with Shift or the middle button it pans, the wheel and two fingers zoom, a double click resets.
 * @param {import("./pane.js").Pane} pane
 * @param {(over: boolean) => void} hover told when a pointer comes and goes
 * @param {AbortSignal} signal ends it
 */
export function followPointer(pane, hover, signal) {
  const { canvas } = pane;
  const pointers = new Map();
  let drag = null;
  const listen = (event, listener, options = {}) => {
    canvas.addEventListener(event, (occurred) => pane.numbers && listener(occurred), {
      signal,
      ...options,
    });
  };

  listen("pointerdown", (event) => {
    if (event.button > 1) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    drag = pointers.size > 1 ? null : dragOf(event, pane);
    event.preventDefault();
  });
  listen("pointermove", (event) => {
    hover(event.pointerType === "mouse");
    const place = inside(pane, pane.placeAt(event, store.state.view));
    if (place || !store.state.crosshair) store.set({ cursor: place });
    if (!pointers.has(event.pointerId)) return;
    if (pointers.size === 2) pinch(pane, pointers, event);
    else drag?.(pane, pointers.get(event.pointerId), event);
    pointers.set(event.pointerId, event);
  });
  for (const ended of ["pointerup", "pointercancel"]) {
    listen(ended, (event) => {
      pointers.delete(event.pointerId);
      drag = null;
    });
  }
  listen("pointerleave", () => {
    hover(false);
    if (!store.state.crosshair) store.set({ cursor: null });
  });
  listen("dblclick", resetDisplay);
  listen(
    "wheel",
    (event) => {
      event.preventDefault();
      const distance =
        event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT : 1);
      zoomAt(pane, event, Math.exp(-distance / WHEEL_DISTANCE));
    },
    { passive: false },
  );
}

/** All of the image, in the full window, with maps in their own range. */
export function resetDisplay() {
  store.set({ view: WHOLE_IMAGE, window: FULL_WINDOW, inverted: false, gain: 1, ruler: null });
}

/**
 * Widen and shift the window.
 * @param {number} wider
 * @param {number} higher
 */
export function moveWindow(wider, higher) {
  const { width, level } = store.state.window;
  store.set({
    window: {
      width: Math.min(Math.max(width + wider, 0.02), 4),
      level: Math.min(Math.max(level + higher, -2), 2),
    },
  });
}

/**
 * Stretch the range of the maps' colours.
 * @param {number} factor more than 1: fainter
 */
export function stretchMaps(factor) {
  store.set({ gain: Math.min(Math.max(store.state.gain * factor, 0.02), 50) });
}

function dragOf(event, pane) {
  if (store.state.measuring) return measure;
  if (event.shiftKey || event.button === 1) return pan;
  return pane.isMap ? stretch : shade;
}

function shade(pane, before, event) {
  moveWindow(
    (2 * (event.clientX - before.clientX)) / pane.size.width,
    (2 * (event.clientY - before.clientY)) / pane.size.height,
  );
}

function stretch(pane, before, event) {
  stretchMaps(Math.exp((event.clientX - before.clientX) / GAIN_DISTANCE));
}

function pan(pane, before, event) {
  const { view } = store.state;
  const { scale } = placement(view, pane.image, pane.size);
  store.set({
    view: panned(
      view,
      (before.clientX - event.clientX) / (scale * pane.image.width),
      (before.clientY - event.clientY) / (scale * pane.image.height),
    ),
  });
}

function measure(pane, before, event) {
  const { view, ruler } = store.state;
  const begins = before.type === "pointerdown" || ruler === null;
  const start = begins ? pane.placeAt(before, view) : ruler.from;
  store.set({ ruler: { from: start, to: pane.placeAt(event, view) } });
}

function pinch(pane, pointers, event) {
  const before = pointers.get(event.pointerId);
  const [other] = [...pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
  const apart = (finger) =>
    Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
  const middle = (finger) => ({
    clientX: (finger.clientX + other.clientX) / 2,
    clientY: (finger.clientY + other.clientY) / 2,
  });
  zoomAt(pane, middle(before), apart(event) / Math.max(apart(before), 1));
  pan(pane, middle(before), middle(event));
}

function zoomAt(pane, point, factor) {
  const { view } = store.state;
  const place = pane.placeAt(point, view);
  const fixed = { x: place.x / pane.image.width, y: place.y / pane.image.height };
  store.set({ view: zoomed(view, factor, fixed) });
}

function inside(pane, place) {
  const { width, height } = pane.image;
  return place.x >= 0 && place.y >= 0 && place.x < width && place.y < height ? place : null;
}

/** How pictures are shown: the window, the maps, smoothing, outline, ruler; and which panes. */

import { SCALES, windowOf } from "./colours.js";
import { h } from "./dom.js";
import { onCommand } from "./keys.js";
import { createMenu } from "./menu.js";
import { toggleEnlarged } from "./panes.js";
import { moveWindow, resetDisplay, stretchMaps } from "./pointer.js";
import { panned, zoomed } from "./geometry.js";
import { FULL_WINDOW, store } from "./store.js";

const MAPS = ["on image", "alone", "off"];
const STEP = 0.1;
const ZOOM_STEP = 1.25;

/**
 * The bar of display controls.
 * @param {{panes: ReturnType<import("./panes.js").createPanes>, exports: HTMLElement,
 *   signal: AbortSignal}} given
 * @returns {HTMLElement}
 */
export function createDisplay({ panes, exports, signal }) {
  const view = createMenu("View", () => viewMenu(panes), signal);
  onCommand(commands(panes), signal);
  return h(
    "div",
    { class: "toolbar", role: "group", "aria-label": "Display" },
    windowControls(panes, signal),
    mapControls(signal),
    h(
      "div",
      { class: "cluster" },
      toggle("Smooth", "smooth", "Blend pixels instead of showing each as a square (S)", signal),
      outlineToggle(panes, signal),
      toggle("Ruler", "measuring", "Measure a distance by dragging (R)", signal),
      h(
        "button",
        {
          type: "button",
          title: "Reset zoom, window and maps (F, or double-click)",
          on: { click: resetDisplay },
        },
        "Reset",
      ),
    ),
    h("div", { class: "cluster end" }, view.element, exports),
  );
}

function windowControls(panes, signal) {
  const field = (label, key, least) => {
    const input = h("input", {
      type: "number",
      step: 0.05,
      min: least,
      max: key === "width" ? 4 : 2,
      title: `Window ${key}; the images go from −1 to 1`,
      "aria-label": `Window ${key}`,
      on: {
        change: () => {
          const value = Number(input.value);
          if (Number.isFinite(value))
            store.set({ window: { ...store.state.window, [key]: Math.max(value, least) } });
        },
      },
    });
    const write = () => {
      input.value = store.state.window[key].toFixed(2);
    };
    store.watch(["window"], write, signal);
    write();
    return h("label", { class: "field" }, h("abbr", { title: `Window ${key}` }, label), input);
  };
  return h(
    "div",
    { class: "cluster" },
    field("W", "width", 0.02),
    field("L", "level", -2),
    h(
      "button",
      {
        type: "button",
        title: "Window over 98 % of the original's values (A)",
        on: { click: () => autoWindow(panes) },
      },
      "Auto",
    ),
    toggle("Invert", "inverted", "Black for white (I)", signal),
  );
}

function mapControls(signal) {
  const mode = h(
    "select",
    {
      "aria-label": "Maps",
      title: "Where maps are drawn (M)",
      on: { change: () => store.set({ maps: mode.value }) },
    },
    ...MAPS.map((name) => h("option", { value: name }, `Maps ${name}`)),
  );
  const opacity = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    "aria-label": "Opacity of the maps",
    title: "Opacity of the maps on the image",
    on: { input: () => store.set({ opacity: Number(opacity.value) }) },
  });
  const write = () => {
    mode.value = store.state.maps;
    opacity.value = store.state.opacity;
    opacity.disabled = store.state.maps !== "on image";
    opacity.setAttribute("aria-valuetext", `${Math.round(100 * store.state.opacity)} %`);
  };
  store.watch(["maps", "opacity"], write, signal);
  write();
  return h("div", { class: "cluster" }, mode, opacity);
}

function viewMenu(panes) {
  const scale = h(
    "select",
    { on: { change: () => store.set({ colours: scale.value }) } },
    ...Object.entries(SCALES).map(([name, { label }]) => h("option", { value: name }, label)),
  );
  scale.value = store.state.colours;
  const boxes = panes.still.map(({ id, label }) => {
    const box = h("input", { type: "checkbox", on: { change: () => setHidden(id, !box.checked) } });
    box.checked = !store.state.hidden.includes(id);
    return h("label", { class: "check" }, box, label);
  });
  return [
    h("label", { class: "stacked" }, "Colours of the maps", scale),
    h("fieldset", {}, h("legend", {}, "Panes"), ...boxes),
  ];
}

function setHidden(id, hide) {
  const others = store.state.hidden.filter((each) => each !== id);
  store.set({ hidden: hide ? [...others, id] : others });
}

function outlineToggle(panes, signal) {
  if (hasMask(panes)) return toggle("Outline", "outline", "Draw the outline of the mask (L)", signal);
  const title = "This image came without a mask to outline";
  return h("button", { type: "button", title, disabled: true }, "Outline");
}

function hasMask(panes) {
  return panes.still.some(({ kind }) => kind === "mask");
}

function toggle(label, key, title, signal) {
  const button = h(
    "button",
    { type: "button", title, on: { click: () => store.set({ [key]: !store.state[key] }) } },
    label,
  );
  const write = () => button.setAttribute("aria-pressed", String(store.state[key]));
  store.watch([key], write, signal);
  write();
  return button;
}

function autoWindow(panes) {
  const { numbers } = panes.still[0];
  if (numbers) store.set({ window: windowOf(numbers.values) });
}

function commands(panes) {
  const flip = (key) => () => store.set({ [key]: !store.state[key] });
  const pan = (across, down) => () => {
    const { view } = store.state;
    store.set({ view: panned(view, (STEP * across) / view.zoom, (STEP * down) / view.zoom) });
  };
  const zoom = (factor) => () => store.set({ view: zoomed(store.state.view, factor) });
  const enlarge = (index) => () => {
    const pane = panes.shown()[index];
    if (pane) toggleEnlarged(pane.id);
  };
  return {
    "window.wider": () => moveWindow(STEP, 0),
    "window.narrower": () => moveWindow(-STEP, 0),
    "window.brighter": () => moveWindow(0, -STEP),
    "window.darker": () => moveWindow(0, STEP),
    "window.auto": () => autoWindow(panes),
    "window.full": () => store.set({ window: FULL_WINDOW }),
    "window.invert": flip("inverted"),
    "maps.next": () =>
      store.set({ maps: MAPS[(MAPS.indexOf(store.state.maps) + 1) % MAPS.length] }),
    "maps.fainter": () => stretchMaps(ZOOM_STEP),
    "maps.stronger": () => stretchMaps(1 / ZOOM_STEP),
    "view.smooth": flip("smooth"),
    "view.outline": hasMask(panes) ? flip("outline") : () => undefined,
    "view.measure": flip("measuring"),
    "view.reset": resetDisplay,
    "view.in": zoom(ZOOM_STEP),
    "view.out": zoom(1 / ZOOM_STEP),
    "view.left": pan(-1, 0),
    "view.right": pan(1, 0),
    "view.up": pan(0, -1),
    "view.down": pan(0, 1),
    "view.all": () => store.set({ enlarged: null }),
    "view.film": () => toggleEnlarged("film"),
    ...Object.fromEntries(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [`view.pane-${digit}`, enlarge(digit - 1)]),
    ),
  };
}

/** The keyboard: what each key does, the dialog that says so, and how parts of the page hear it. */

import { h } from "./dom.js";
import { store } from "./store.js";

const EVENT = "viewer-command";
const ARROWS = { left: "ArrowLeft", right: "ArrowRight", up: "ArrowUp", down: "ArrowDown" };

/**
 * @typedef {{keys: string[], command: string, says?: string, shown?: string[]}} Binding `Shift+` in
 *   front of a name wants that key held; a letter is meant in either case
 */

/** @type {Object<string, Binding[]>} */
export const BINDINGS = {
  Film: [
    { keys: [" "], command: "film.play", says: "Play or pause", shown: ["Space"] },
    { keys: [ARROWS.left], command: "film.previous" },
    { keys: [ARROWS.right], command: "film.next", says: "One frame back or on", shown: ["←", "→"] },
    { keys: ["Home"], command: "film.first" },
    { keys: ["End"], command: "film.last", says: "First or last frame", shown: ["Home", "End"] },
  ],
  "Window and level": [
    { keys: ["w"], command: "window.wider" },
    { keys: ["n"], command: "window.narrower", says: "Wider or narrower", shown: ["W", "N"] },
    { keys: ["b"], command: "window.brighter" },
    { keys: ["d"], command: "window.darker", says: "Brighter or darker", shown: ["B", "D"] },
    { keys: ["a"], command: "window.auto", says: "Fit to the image", shown: ["A"] },
    { keys: ["i"], command: "window.invert", says: "Invert", shown: ["I"] },
  ],
  "Zoom and panes": [
    { keys: ["+", "="], command: "view.in" },
    { keys: ["-"], command: "view.out", says: "Zoom in or out", shown: ["+", "−"] },
    { keys: [`Shift+${ARROWS.left}`], command: "view.left" },
    { keys: [`Shift+${ARROWS.right}`], command: "view.right" },
    { keys: [`Shift+${ARROWS.up}`], command: "view.up" },
    { keys: [`Shift+${ARROWS.down}`], command: "view.down", says: "Pan", shown: ["Shift+arrows"] },
    { keys: ["f"], command: "view.reset", says: "Reset zoom, window and maps", shown: ["F"] },
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => ({
      keys: [String(digit)],
      command: `view.pane-${digit}`,
    })),
    { keys: ["g"], command: "view.film", says: "Enlarge a pane, or the film", shown: ["1–9", "G"] },
    { keys: ["0"], command: "view.all", says: "All panes", shown: ["0"] },
    { keys: ["s"], command: "view.smooth", says: "Smooth or crisp pixels", shown: ["S"] },
  ],
  "Maps and measures": [
    { keys: ["m"], command: "maps.next", says: "Maps on the image, alone, or off", shown: ["M"] },
    { keys: [","], command: "maps.fainter" },
    { keys: ["."], command: "maps.stronger", says: "Maps fainter or stronger", shown: [",", "."] },
    { keys: ["l"], command: "view.outline", says: "Outline of the mask", shown: ["L"] },
    {
      keys: ["x"],
      command: "cross.toggle",
      says: "Cross moved by arrow keys, values read out",
      shown: ["X"],
    },
    {
      keys: ["Enter"],
      command: "cross.measure",
      says: "With the cross: start or end the ruler",
      shown: ["Enter"],
    },
    { keys: ["r"], command: "view.measure", says: "Ruler by dragging", shown: ["R"] },
  ],
  Reading: [
    { keys: ["p"], command: "verdict.plausible", says: "Plausible", shown: ["P"] },
    { keys: ["u"], command: "verdict.implausible", says: "Implausible", shown: ["U"] },
    {
      keys: ["o"],
      command: "verdict.out of distribution",
      says: "Out of distribution",
      shown: ["O"],
    },
    { keys: ["c"], command: "verdict.comment", says: "Comment", shown: ["C"] },
    { keys: ["k", "PageUp"], command: "image.previous" },
    {
      keys: ["j", "PageDown"],
      command: "image.next",
      says: "Previous or next image",
      shown: ["K", "J"],
    },
    {
      keys: ["Escape"],
      command: "escape",
      says: "End the cross; back to all panes; then to the list",
      shown: ["Esc"],
    },
  ],
  Page: [
    { keys: ["e"], command: "export.menu", says: "Export", shown: ["E"] },
    { keys: ["v"], command: "live.toggle", says: "Film or live", shown: ["V"] },
    { keys: ["/"], command: "list.search", says: "Search the list", shown: ["/"] },
    { keys: ["t"], command: "theme.next", says: "Light, dark, or as the system", shown: ["T"] },
    { keys: ["?"], command: "help", says: "This help", shown: ["?"] },
  ],
};

const POINTER = [
  [["Drag right or left"], "Window wider or narrower; on a map, the range of its colours"],
  [["Drag down or up"], "Level up (darker) or down (brighter)"],
  [["Shift + drag"], "Pan"],
  [["Wheel, two fingers"], "Zoom"],
  [["Double-click"], "Reset"],
];

/**
 * Hear commands.
 * @param {Object<string, () => void>} handlers by name of the command
 * @param {AbortSignal} [signal] ends it
 */
export function onCommand(handlers, signal) {
  const hear = (event) => {
    const handler = handlers[event.detail];
    if (!handler) return;
    event.preventDefault();
    handler();
  };
  document.addEventListener(EVENT, hear, { signal });
}

/** Turn keys into commands from now on. */
export function listenToKeys() {
  const commands = new Map(
    Object.values(BINDINGS)
      .flat()
      .flatMap(({ keys, command }) => keys.map((key) => [key, command])),
  );
  document.addEventListener("keydown", (event) => {
    const command = commands.get(keyName(event));
    if (!command || event.defaultPrevented || belongsElsewhere(event)) return;
    if (run(command)) event.preventDefault();
  });
}

/**
 * The dialog that lists all keys.
 * @returns {HTMLDialogElement}
 */
export function createHelp() {
  const enabled = h("input", {
    type: "checkbox",
    on: { change: () => store.set({ shortcuts: enabled.checked }) },
  });
  enabled.checked = store.state.shortcuts;
  const groups = Object.entries(BINDINGS).map(([name, bindings]) => {
    const rows = bindings
      .filter(({ says }) => says)
      .map(({ says, shown }) => [shown.map((key) => h("kbd", {}, key)), says]);
    return group(name, rows);
  });
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys and mouse"),
    h("div", { class: "groups" }, ...groups, group("On a picture", POINTER)),
    h(
      "div",
      { class: "foot" },
      h("label", { class: "check" }, enabled, "Keys without Ctrl or Alt are on"),
      h(
        "button",
        { type: "button", autofocus: true, on: { click: () => dialog.close() } },
        "Close",
      ),
    ),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}

function group(name, rows) {
  const entries = rows.map(([shown, says]) =>
    h("div", {}, h("dt", {}, ...shown), h("dd", {}, says)),
  );
  return h("section", {}, h("h3", {}, name), h("dl", {}, ...entries));
}

function run(command) {
  return !document.dispatchEvent(new CustomEvent(EVENT, { detail: command, cancelable: true }));
}

function keyName(event) {
  const shift = event.shiftKey && event.key.startsWith("Arrow") ? "Shift+" : "";
  return shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

/** Keys that a control of the page needs for itself. */
function belongsElsewhere(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  if (key !== "Escape" && !store.state.shortcuts) return true;
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (key === "Escape") return false;
  if (
    target.matches(
      "textarea, select, input:not([type=range], [type=checkbox], [type=radio], [type=file])",
    )
  )
    return true;
  if (target.matches("[type=range], [type=radio], [role=tab]"))
    return key.length > 1 && key !== "Enter";
  return (key === " " || key === "Enter") && target.matches("button, a, summary, input, label");
}

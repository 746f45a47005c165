/** Linked panes: one zoom and pan, one window, one cursor and one ruler for all pictures. */

import { h } from "./dom.js";
import { tiles } from "./geometry.js";
import { oncePerFrame } from "./newest.js";
import { outlineOf } from "./overlays.js";
import { Pane } from "./pane.js";
import { followPointer } from "./pointer.js";
import { store } from "./store.js";

const GAP = 6;
const CAPTION = 26;
const SMALL = 96;
const LEAST = 88;
/** Where all is one column that scrolls as a whole: phones. */
const SCROLLED = matchMedia("(max-width: 560px)");
const DRAWN_KEYS = [
  "view",
  "window",
  "inverted",
  "gain",
  "cursor",
  "ruler",
  "maps",
  "opacity",
  "colours",
  "smooth",
  "outline",
];

/** The pane beside the probability curve, which shows a frame of the film or a live image. */
export const FILM = Object.freeze({ id: "film", label: "Film", kind: "intensity", scale: null });

/**
 * Panes for an explanation.
 * @param {{facts: object, words: import("./words.js").Words, signal: AbortSignal}} given facts as
 *   the server tells them, and what ends it all
 */
export function createPanes({ facts, words, signal }) {
  const scores = {
    original: "image",
    reconstruction: "reconstruction",
    counterfactual: "counterfactual",
    transferred: "transferred",
  };
  const make = (description) => {
    const score = facts.scores?.[scores[description.id]];
    const enlarge = () => toggleEnlarged(description.id);
    return new Pane(description, score === undefined ? "" : words.text(score), words, enlarge);
  };
  const still = facts.panes.map(make);
  const film = make(FILM);
  const all = [...still, film];
  const grid = h("div", { class: "grid" });
  const gap = h("div", { class: "gap" });
  const slot = h("div", { class: "slot" });
  const shared = { ground: still[0], outline: null, spacing: facts.spacing ?? null, hovered: null };

  const draw = oncePerFrame(() => {
    if (!signal.aborted) for (const pane of all) pane.draw(store.state, shared);
  });
  const shown = () => still.filter((pane) => !store.state.hidden.includes(pane.id));
  const layOut = () => {
    arrange(
      { grid, gap, slot },
      shown(),
      film,
      all.find((pane) => pane.id === store.state.enlarged),
    );
    draw();
  };

  const sizes = new ResizeObserver(oncePerFrame(layOut));
  sizes.observe(grid);
  sizes.observe(slot);
  signal.addEventListener("abort", () => sizes.disconnect());
  store.watch(["hidden", "enlarged"], layOut, signal);
  store.watch(
    DRAWN_KEYS,
    (_, changed) => {
      for (const pane of all) pane.follow(changed);
      draw();
    },
    signal,
  );
  for (const pane of all) {
    const hover = (over) => {
      shared.hovered = over ? pane : null;
    };
    followPointer(pane, hover, signal);
  }
  return {
    grid,
    slot,
    still,
    film,
    shown,
    spacing: shared.spacing,
    /**
     * Show numbers on a pane.
     * @param {string} id
     * @param {import("./api.js").NumberArray} numbers `[C, H, W]`
     */
    show(id, numbers) {
      const pane = all.find((each) => each.id === id);
      pane.show(numbers);
      if (pane.kind === "mask") shared.outline = outlineOf(numbers);
      if (pane === still[0] || grid.childElementCount === 0) layOut();
      draw();
    },
  };
}

/**
 * Enlarge a pane beside the original, or lay all panes out again.
 * @param {string|null} id
 */
export function toggleEnlarged(id) {
  store.set({ enlarged: store.state.enlarged === id ? null : id });
}

function arrange({ grid, gap, slot }, shown, film, enlarged) {
  const focused = document.activeElement;
  const large = enlarged ? [...new Set([shown[0] ?? enlarged, enlarged])] : [];
  const small = shown.filter((pane) => !large.includes(pane));
  const room = { width: grid.clientWidth, height: grid.clientHeight };
  if (SCROLLED.matches) room.height = Infinity;
  const aspect = aspectOf(shown[0] ?? film);
  const sized = (panes, width) => {
    for (const pane of panes) pane.resize({ width, height: Math.round(width / aspect) });
  };
  const measures = { aspect, gap: GAP, caption: CAPTION };
  if (large.length > 0) {
    const strip = small.length > 0 ? SMALL + CAPTION + 2 * GAP : 0;
    sized(
      large,
      tiles({ width: room.width, height: room.height - strip }, large.length, measures).width,
    );
    const across = Math.floor((room.width - GAP * (small.length - 1)) / Math.max(small.length, 1));
    sized(small, Math.max(Math.min(SMALL * aspect, across), 40));
  } else {
    const most = SCROLLED.matches ? Math.floor((room.width - GAP) / 2) : Infinity;
    sized(small, Math.max(Math.min(tiles(room, small.length, measures).width, most), LEAST));
  }
  const order = [
    ...large.map(({ figure }) => figure),
    ...(large.length > 0 ? [gap] : []),
    ...small.map(({ figure }) => figure),
  ];
  if (
    order.some((figure, index) => grid.children[index] !== figure) ||
    order.length !== grid.childElementCount
  ) {
    grid.replaceChildren(...order);
  }
  if (!large.includes(film)) {
    if (film.figure.parentElement !== slot) slot.replaceChildren(film.figure);
    const side = Math.min(slot.clientWidth, (slot.clientHeight - CAPTION) * aspect);
    sized([film], Math.max(Math.floor(side), LEAST));
  }
  slot.classList.toggle("empty", large.includes(film));
  shown.forEach((pane, index) => {
    pane.number.textContent = index < 9 ? String(index + 1) : "";
    pane.figure.classList.toggle("small", large.length > 0 && small.includes(pane));
    pane.figure.classList.toggle("large", large.includes(pane));
  });
  for (const pane of [...shown, film])
    pane.button.setAttribute("aria-pressed", String(pane === enlarged));
  if (focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
}

function aspectOf(pane) {
  if (pane.numbers === null) return 1;
  const { width, height } = pane.image;
  return width / height;
}

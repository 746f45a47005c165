/** One image: its status, its panes, the film or live codes, and the reader's verdict. */

import { warn } from "./announce.js";
import { createClassTable } from "./answers.js";
import { ApiError, getArray } from "./api.js";
import { followCross } from "./cross.js";
import { createDisplay } from "./display.js";
import { h } from "./dom.js";
import { createExports } from "./exports.js";
import { createFilm, firstFrame } from "./film.js";
import { onCommand } from "./keys.js";
import { createLegend } from "./legend.js";
import { createLive } from "./live.js";
import { createDirections, openSaved } from "./opening.js";
import { createOthers } from "./others.js";
import { createPanes } from "./panes.js";
import { createReadout } from "./readout.js";
import { createStage } from "./stage.js";
import { createStatus } from "./status.js";
import { store } from "./store.js";
import { createTabs } from "./tabs.js";
import { createVerdict } from "./verdict.js";
import { wordsFor } from "./words.js";

/**
 * The view of an explanation, saved or live.
 * @param {{facts: object, session: object|null, neighbours: import("./place.js").Neighbours,
 *   signal: AbortSignal}} given `facts` as the server tells them
 * @returns {HTMLElement}
 */
export function createImageView({ facts, session, neighbours, signal }) {
  const words = wordsFor(facts);
  const panes = createPanes({ facts, words, signal });
  const base = session
    ? `/api/live/${encodeURIComponent(session.session)}`
    : `/api/explanations/${encodeURIComponent(facts.id)}`;
  const explanation = session ? session.explanation : facts.id;
  const longest = session?.controls?.find(({ id }) => id === "strength")?.high;
  store.set({ frame: firstFrame(facts), playing: false, ruler: null, cursor: null });
  if (
    store.state.enlarged &&
    ![...panes.still, panes.film].some(({ id }) => id === store.state.enlarged)
  ) {
    store.set({ enlarged: null });
  }

  let tabs = null;
  const toFilm = (frame) => {
    tabs?.select("film");
    store.set({ frame, playing: false });
  };
  const stage = createStage({ facts, panes, longest, choose: toFilm, signal });
  const filmPlace = h("div", { class: "film-place" }, h("p", { class: "quiet" }, "Loading …"));
  const live = session ? createLive({ session, stage, signal }) : null;
  const parts = { film: null };
  const select = (name) => {
    if (name !== "film") store.set({ playing: false });
    live?.rest();
    (name === "live" ? live : parts.film)?.show();
  };
  tabs = createTabs(
    [
      { id: "film", label: "Film", content: [filmPlace, createClassTable(facts)] },
      store.state.server.mode.live && {
        id: "live",
        label: "Live",
        content: [live?.element ?? invitation(facts)],
      },
    ].filter(Boolean),
    session ? "live" : "film",
    select,
  );
  onCommand({ "live.toggle": tabs.next, ...neighbourCommands(neighbours) }, signal);
  followCross(panes, signal);
  load({ facts, base, stage, panes, signal }, (frames, others) => {
    parts.film = createFilm({
      facts,
      frames,
      stage: gated(stage, tabs),
      activate: () => tabs.select("film"),
      signal,
    });
    filmPlace.replaceChildren(parts.film.element, ...[others].filter(Boolean));
    stage.show(parts.film.moment());
    select(tabs.selected());
  });
  return h(
    "div",
    { class: "reading" },
    createStatus(facts, words, session && session.bundle.caution),
    createDisplay({ panes, exports: createExports({ facts, panes, base, signal }), signal }),
    panes.grid,
    h("div", { class: "below" }, createReadout(panes, signal), createLegend(panes, words, signal)),
    h(
      "section",
      { class: "panel", "aria-label": "Film, live codes and verdict" },
      stage.element,
      tabs.element,
      explanation && createVerdict({ explanation, folded: session !== null, signal }),
    ),
  );
}

/** The film moves the stage only while its tab is seen. */
function gated(stage, tabs) {
  return { ...stage, show: (moment) => tabs.selected() === "film" && stage.show(moment) };
}

function invitation(facts) {
  const open = h(
    "button",
    { type: "button", on: { click: () => openSaved(facts) } },
    "Open this image live",
  );
  const { name } = store.state.server.bundle;
  return h(
    "div",
    { class: "invitation" },
    h("p", {}, `Move this image's codes yourself, with the bundle ${name}.`),
    createDirections(),
    open,
  );
}

function neighbourCommands({ previous, next }) {
  const go = (address) => () => {
    if (address) location.hash = address;
  };
  return { "image.previous": go(previous), "image.next": go(next) };
}

async function load({ facts, base, stage, panes, signal }, framesCame) {
  const show = async ({ id, array }) => {
    const numbers = await getArray(array, signal);
    if (!signal.aborted) panes.show(id, numbers);
  };
  try {
    await Promise.all(facts.panes.map(show));
    const frames = await getArray(facts.frames.array, signal);
    const others = await createOthers({ facts, base, stage, signal });
    if (!signal.aborted) framesCame(frames, others);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof ApiError)) throw error;
    warn(error.message);
  }
}

/** The page: its head, and which view is seen at which address. */

import { clearWarning, warn } from "./announce.js";
import { ApiError, getJson } from "./api.js";
import { h } from "./dom.js";
import { createImageView } from "./image.js";
import { createHelp, listenToKeys, onCommand } from "./keys.js";
import { addressOf, createList } from "./list.js";
import { acceptDrops, createChooser, createDirections } from "./opening.js";
import { createPlace } from "./place.js";
import { chosenRows } from "./rows.js";
import { store } from "./store.js";
import { createThemeSwitch } from "./theme.js";

const LIVE = "#/live";

start();

async function start() {
  const help = createHelp();
  document.body.append(help);
  document.querySelector("#tools").append(
    createThemeSwitch(),
    h(
      "button",
      {
        type: "button",
        class: "round",
        "aria-label": "Keys and mouse",
        title: "Keys and mouse (?)",
        on: { click: () => help.showModal() },
      },
      "?",
    ),
  );
  listenToKeys();
  onCommand({ help: () => help.showModal(), escape: back });
  try {
    store.set({ server: await getJson("/api/state") });
  } catch (error) {
    show(failure(error.message));
    return;
  }
  document.title = `${store.state.server.title || "Explanations"} – medxgan`;
  acceptDrops(document.querySelector("#curtain"));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  });
  const route = createRouter();
  addEventListener("hashchange", route);
  store.watch(["session"], () => {
    if (location.hash === LIVE) route();
    else location.hash = LIVE;
  });
  await route();
}

/** A view lives until the next one comes; its signal ends all that it waits for. */
function createRouter() {
  let seen = new AbortController();
  return async () => {
    seen.abort();
    seen = new AbortController();
    const { signal } = seen;
    clearWarning();
    try {
      const { view, place } = await viewAt(location.hash, signal);
      if (!signal.aborted) show(view, place);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      show(failure(error.message));
    }
  };
}

/** What is seen at an address, and what the head of the page says of it. */
async function viewAt(address, signal) {
  const { mode } = store.state.server;
  const [, place, id] = address.split("/");
  if (place === "explanations" && id) return savedView(id, signal);
  if (place === "live" && store.state.session) {
    const { session } = store.state;
    const neighbours = { place: "Live", previous: null, next: null };
    return imageView({ facts: session, session, neighbours, signal });
  }
  if (place === "live" || !mode.saved) return { view: welcome(), place: [] };
  await loadList(signal);
  const { session } = store.state;
  return {
    view: createList(signal),
    place: session ? [h("a", { href: LIVE }, "Back to the live image")] : [],
  };
}

async function savedView(id, signal) {
  const facts = await getJson(`/api/explanations/${encodeURIComponent(id)}`, signal);
  if (store.state.rows.length === 0) await loadList(signal);
  const rows = chosenRows(store.state.rows, store.state.list);
  const index = rows.findIndex((row) => row.id === id);
  const beside = (row) => (row && index >= 0 ? addressOf(row.id) : null);
  const neighbours = {
    place: index < 0 ? "" : `${index + 1} of ${rows.length}`,
    previous: beside(rows[index - 1]),
    next: beside(rows[index + 1]),
  };
  return imageView({ facts, session: null, neighbours, signal });
}

function imageView(given) {
  const { mode } = store.state.server;
  const place = createPlace(given.neighbours, mode.saved);
  if (given.session) place.push(createChooser("Open an image …"));
  return { view: createImageView(given), place };
}

async function loadList(signal) {
  const { columns, rows } = await getJson("/api/explanations", signal);
  store.set({ columns, rows });
}

function welcome() {
  const { bundle, mode } = store.state.server;
  if (!mode.live)
    return failure("This viewer was started without a bundle, so no image can be opened live.");
  return h(
    "div",
    { class: "welcome" },
    h("h1", { tabindex: -1 }, "Open an image"),
    h(
      "p",
      {},
      `Drop a PNG, JPEG, TIFF, DICOM or NIfTI file anywhere, or choose one. The bundle ${bundle.name} redraws it, finds what would have to change for the model's answer, and lets you make that change yourself.`,
    ),
    createDirections(),
    createChooser("Choose a file …", "primary"),
    (bundle.notes ?? []).length > 0 &&
      h("ul", { class: "notes" }, ...bundle.notes.map((note) => h("li", {}, note))),
  );
}

function failure(sentence) {
  return h(
    "div",
    { class: "welcome" },
    h("h1", { tabindex: -1 }, "This cannot be shown"),
    h("p", {}, sentence),
    h("p", {}, h("a", { href: "#/" }, "Back to the start")),
  );
}

function show(view, place = []) {
  document.querySelector("#place").replaceChildren(...place);
  const main = document.querySelector("main");
  main.replaceChildren(view);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function back() {
  const focused = document.activeElement;
  const typed = "textarea, select, input:not([type=range], [type=checkbox], [type=radio])";
  if (focused?.matches(typed)) focused.blur();
  else if (store.state.crosshair) store.set({ crosshair: false, cursor: null });
  else if (store.state.enlarged) store.set({ enlarged: null });
  else if (location.hash.length > 2) location.hash = "#/";
}

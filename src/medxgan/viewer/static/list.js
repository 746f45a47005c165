/** All saved explanations: a table with pictures, filtered and sorted. */

import { h } from "./dom.js";
import { onCommand } from "./keys.js";
import { createChooser } from "./opening.js";
import { chosenRows, different } from "./rows.js";
import { store } from "./store.js";
import { capitalized, counted, figureText, flipText } from "./words.js";

const AT_ONCE = 150;
const MEANINGS = {
  image: "What the model says of the original",
  reconstruction: "What it says of the original as the generator redraws it",
  counterfactual: "What it says of the counterfactual",
  transferred: "What it says of the original with the change made on it",
  change: "How far the answer moves from the original to the counterfactual",
  gap: "How far the answer moves when the original is only redrawn",
  fall: "The largest step back of the answer along the film; 0 where it only rises",
};
const EVERYTHING = Object.freeze({ text: "", class: "", side: "", status: "", verdict: "" });

/**
 * The list.
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function createList(signal) {
  const { server } = store.state;
  const count = h("p", { class: "count", role: "status" });
  const body = h("tbody");
  const heads = columns().map(head);
  const table = h(
    "table",
    {},
    h("caption", { class: "unseen" }, "Explanations; a heading's button sorts by its column"),
    h("thead", {}, h("tr", {}, ...heads.map(({ element }) => element))),
    body,
  );
  const scroller = h(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": "Explanations" },
    table,
  );
  const hint = h(
    "p",
    { class: "sideways", hidden: true },
    "More columns: scroll the table sideways ⟷",
  );
  const wide = new ResizeObserver(() => {
    hint.hidden = scroller.scrollWidth - scroller.clientWidth <= 1;
  });
  wide.observe(scroller);
  wide.observe(table);
  const more = new IntersectionObserver(
    (entries) => entries.some((entry) => entry.isIntersecting) && grow(),
    { root: scroller, rootMargin: "400px" },
  );
  let rows = [];

  function grow() {
    const from = body.childElementCount;
    body.append(...rows.slice(from, from + AT_ONCE).map(createRow));
    more.disconnect();
    if (body.childElementCount < rows.length) more.observe(body.lastElementChild);
  }
  function write() {
    rows = chosenRows(store.state.rows, store.state.list);
    count.textContent =
      rows.length === store.state.rows.length
        ? counted(rows.length, "explanation")
        : `${rows.length} of ${counted(store.state.rows.length, "explanation")}`;
    body.replaceChildren();
    grow();
    if (rows.length === 0) body.append(nothing());
    for (const { mark } of heads) mark();
  }
  store.watch(["rows", "list"], write, signal);
  signal.addEventListener("abort", () => [more, wide].forEach((each) => each.disconnect()));
  const bar = filters(signal);
  onCommand({ "list.search": () => bar.search.focus() }, signal);
  write();
  return h(
    "div",
    { class: "listing" },
    h(
      "div",
      { class: "list-head" },
      h("h1", { tabindex: -1 }, server.title || "Explanations"),
      count,
      h(
        "div",
        { class: "cluster end" },
        h("a", { href: "/api/report.html", download: "" }, "Report (HTML)"),
        h("a", { href: "/api/verdicts.csv", download: "" }, "Verdicts (CSV)"),
        server.mode.live && createChooser("Open an image …", "primary"),
      ),
    ),
    h("div", {}, bar.element, known(server), hint),
    scroller,
  );
}

/** What every reader must know of the folder and of the file of verdicts. */
function known({ notes, verdicts: kept }) {
  const sentences = [...(notes ?? []), kept?.problem].filter(Boolean);
  return (
    sentences.length > 0 &&
    h("ul", { class: "notes" }, ...sentences.map((sentence) => h("li", {}, capitalized(sentence))))
  );
}

/**
 * The address of an explanation within the page.
 * @param {string} id
 * @returns {string}
 */
export function addressOf(id) {
  return `#/explanations/${encodeURIComponent(id)}`;
}

function columns() {
  const figures = store.state.columns.filter(({ kind }) => kind === "number");
  return [
    { key: null, label: "Picture" },
    { key: "name", label: "Name" },
    { key: "class", label: "Prediction" },
    { key: "status", label: "Status" },
    ...figures.map((column) => ({ ...column, number: true })),
    { key: "verdict", label: "Verdict" },
  ];
}

function head({ key, label, number }) {
  if (key === null) return { element: h("td", { class: "thumb" }), mark: () => undefined };
  const button = h(
    "button",
    {
      type: "button",
      class: "sorter",
      title: MEANINGS[key],
      on: { click: () => sortBy(key, number) },
    },
    label,
  );
  const element = h("th", { scope: "col", class: number ? "figure" : "" }, button);
  const mark = () => {
    const { sort, falling } = store.state.list;
    element.setAttribute(
      "aria-sort",
      sort === key ? (falling ? "descending" : "ascending") : "none",
    );
  };
  return { element, mark };
}

function sortBy(key, number) {
  const { sort, falling } = store.state.list;
  store.set({
    list: { ...store.state.list, sort: key, falling: sort === key ? !falling : Boolean(number) },
  });
}

function createRow(row) {
  const address = addressOf(row.id);
  const open = (event) => {
    if (event.target.closest("a") || getSelection()?.toString()) return;
    location.hash = address;
  };
  const figures = store.state.columns.filter(({ kind }) => kind === "number");
  return h(
    "tr",
    { on: { click: open } },
    h(
      "td",
      { class: "thumb" },
      row.thumbnail &&
        h("img", { src: row.thumbnail, alt: "", loading: "lazy", width: 40, height: 40 }),
    ),
    h(
      "th",
      { scope: "row" },
      h("a", { href: address }, row.name),
      row.thumbnail === null && h("p", {}, row.status.sentence),
    ),
    h("td", {}, prediction(row)),
    h("td", {}, status(row.status), row.flip && h("p", { class: "flip" }, flipText(row.flip))),
    ...figures.map(({ key }) => h("td", { class: "figure" }, figureText(row.figures[key]))),
    h("td", { class: "verdicts" }, verdicts(row.verdicts)),
  );
}

function prediction({ class: named, positive }) {
  if (positive === null || positive === undefined) return named ?? "–";
  const side = positive ? "positive" : "negative";
  return h("span", { class: "prediction", "data-side": side }, named ?? side);
}

function status({ ok, kinds }) {
  if (ok) return h("span", { class: "badge ok" }, "ok");
  return h("span", { class: "badge bad" }, kinds.length > 0 ? kinds.join(", ") : "not readable");
}

function verdicts(given) {
  const counted = new Map();
  for (const { verdict, reader } of given)
    if (verdict) counted.set(verdict, [...(counted.get(verdict) ?? []), reader]);
  if (counted.size === 0) return "–";
  const parts = [...counted].map(([verdict, readers]) =>
    given.length > 1 ? `${verdict} (${readers.length})` : verdict,
  );
  return h(
    "span",
    { title: given.map(({ reader, verdict }) => `${reader}: ${verdict}`).join("; ") },
    parts.join(", "),
  );
}

function nothing() {
  const clear = h("button", { type: "button", on: { click: () => wish(EVERYTHING) } }, "Show all");
  return h(
    "tr",
    { class: "nothing" },
    h("td", { colspan: columns().length }, "No explanation fits these filters. ", clear),
  );
}

function wish(patch) {
  store.set({ list: { ...store.state.list, ...patch } });
}

function filters(signal) {
  const { rows } = store.state;
  const search = h("input", {
    type: "search",
    placeholder: "Name",
    "aria-label": "Search by name",
    on: { input: () => wish({ text: search.value }) },
  });
  const choice = (key, label, options) => {
    const select = h(
      "select",
      { "aria-label": label, on: { change: () => wish({ [key]: select.value }) } },
      h("option", { value: "" }, `${label}: all`),
      ...options.map(([value, text]) => h("option", { value }, text)),
    );
    return { key, select };
  };
  const same = (values) => values.map((value) => [value, capitalized(value)]);
  const choices = [
    choice(
      "class",
      "Class",
      different(rows, (row) => (row.class ? [row.class] : [])).map((value) => [value, value]),
    ),
    choice("side", "Prediction", same(["positive", "negative"])),
    choice("status", "Status", [
      ["ok", "Ok"],
      ["failed", "Not ok"],
      ...same(different(rows, (row) => row.status.kinds)),
    ]),
    choice("verdict", "Verdict", [
      ["none", "None yet"],
      ...same(["plausible", "implausible", "out of distribution"]),
    ]),
  ];
  const write = () => {
    const { list } = store.state;
    if (search.value !== list.text) search.value = list.text;
    for (const { key, select } of choices) select.value = list[key];
  };
  store.watch(["list"], write, signal);
  write();
  const element = h(
    "div",
    { class: "filters", role: "search", "aria-label": "Filter the list" },
    search,
    ...choices.map(({ select }) => select),
  );
  return { element, search };
}

/** What readers think of an explanation: saved at once, under the name that they gave. */

import { ApiError, getJson } from "./api.js";
import { h } from "./dom.js";
import { onCommand } from "./keys.js";
import { afterRest } from "./newest.js";
import { isUnanswered, saveVerdict, sendAll } from "./saving.js";
import { store } from "./store.js";
import { capitalized } from "./words.js";

const VERDICTS = ["plausible", "implausible", "out of distribution"];
const TYPING_MILLISECONDS = 500;

/**
 * @typedef {{explanation: string, reader: string, verdict: string|null, text: string}} Verdict
 */

/**
 * The form of an explanation's verdict.
 * @param {{explanation: string, folded: boolean, signal: AbortSignal}} given
 * @returns {HTMLElement}
 */
export function createVerdict({ explanation, folded, signal }) {
  let verdicts = [];
  const element = h("details", { class: "verdict", open: !folded });
  const said = h("span", { class: "said", role: "status" });
  const others = h("ul", { class: "others", "aria-label": "Other readers" });
  const names = h("datalist", { id: "readers" });
  const reader = h("input", {
    type: "text",
    id: "reader",
    list: "readers",
    maxlength: 80,
    autocomplete: "off",
    placeholder: "Your name",
    "aria-label": "Reader",
    value: store.state.reader,
  });
  let chosen = null;
  const choices = VERDICTS.map((name) => {
    const press = () => choose(name);
    return h(
      "button",
      { type: "button", class: "choice", on: { click: press } },
      capitalized(name),
    );
  });
  const text = h("textarea", {
    rows: 1,
    maxlength: 4000,
    placeholder: "Comment",
    "aria-label": "Comment",
  });

  const own = () => verdicts.find((each) => each.reader === reader.value.trim());
  const mark = (name) => {
    chosen = name;
    VERDICTS.forEach((each, index) =>
      choices[index].setAttribute("aria-pressed", String(each === name)),
    );
  };
  const fill = () => {
    const mine = own();
    mark(mine?.verdict ?? null);
    text.value = mine?.text ?? "";
    writeOthers(others, verdicts, reader.value.trim());
  };
  const save = () => {
    const verdict = {
      explanation,
      reader: reader.value.trim(),
      verdict: chosen,
      text: text.value.trim(),
    };
    if (!verdict.reader) {
      said.textContent = "Give your name first; the verdict is saved under it.";
      reader.focus();
      return;
    }
    said.textContent = "Saving …";
    saveVerdict(verdict, ({ error, again }) => {
      if (error) {
        said.textContent = `Not saved: ${error.message}${again ? " It is tried again." : ""}`;
        return;
      }
      verdicts = [...verdicts.filter((each) => each.reader !== verdict.reader), verdict];
      rememberInList(explanation, verdict);
      said.textContent = verdict.verdict || verdict.text ? "Saved" : "Taken back";
    });
  };
  const saveSoon = afterRest(save, TYPING_MILLISECONDS);
  const choose = (name) => {
    element.open = true;
    mark(name === chosen ? null : name);
    save();
  };

  text.addEventListener("input", saveSoon);
  text.addEventListener("blur", saveSoon.now);
  reader.addEventListener("change", () => {
    const anotherCame = store.state.reader !== "";
    store.set({ reader: reader.value.trim() });
    if (anotherCame || own() || !(chosen || text.value.trim())) fill();
    else save();
  });
  signal.addEventListener("abort", saveSoon.now);
  const leave = () => {
    saveSoon.now();
    sendAll();
  };
  const ask = (event) => {
    leave();
    const nameless = !reader.value.trim() && Boolean(chosen || text.value.trim());
    if (nameless || isUnanswered()) event.preventDefault();
  };
  addEventListener("pagehide", leave, { signal });
  addEventListener("beforeunload", ask, { signal });
  document.addEventListener("visibilitychange", () => document.hidden && leave(), { signal });
  onCommand(
    {
      ...Object.fromEntries(VERDICTS.map((name) => [`verdict.${name}`, () => choose(name)])),
      "verdict.comment": () => {
        element.open = true;
        text.focus();
      },
    },
    signal,
  );
  getJson("/api/verdicts", signal).then(
    (answer) => {
      const all = answer.verdicts;
      verdicts = all.filter((each) => each.explanation === explanation);
      names.replaceChildren(
        ...[...new Set(all.map((each) => each.reader))].map((value) => h("option", { value })),
      );
      if (chosen === null && !text.value) fill();
    },
    (error) => {
      if (error instanceof ApiError) said.textContent = error.message;
    },
  );
  mark(null);
  const form = h(
    "form",
    { "aria-label": "Verdict", on: { submit: (event) => event.preventDefault() } },
    reader,
    names,
    h("div", { class: "choices", role: "group", "aria-label": "Verdict" }, ...choices),
    text,
    others,
  );
  const heading = h("summary", {}, h("h2", {}, "Verdict"), said);
  element.append(heading, form);
  return element;
}

function writeOthers(list, verdicts, reader) {
  const entries = verdicts
    .filter((each) => each.reader !== reader && (each.verdict || each.text))
    .map((each) => {
      const words = [each.verdict, each.text].filter(Boolean).join(": ");
      return h("li", {}, h("b", {}, each.reader), ` ${words}`);
    });
  list.replaceChildren(...entries);
}

function rememberInList(explanation, { reader, verdict }) {
  const rows = store.state.rows.map((row) => {
    if (row.id !== explanation) return row;
    const others = row.verdicts.filter((each) => each.reader !== reader);
    return { ...row, verdicts: verdict ? [...others, { reader, verdict }] : others };
  });
  store.set({ rows });
}

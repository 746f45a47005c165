/** Tabs: arrow keys move between them, one panel is seen. */

import { h } from "./dom.js";

/**
 * @param {{id: string, label: string, content: (Node|null)[]}[]} entries
 * @param {string} first id of the one that is seen at first
 * @param {(id: string) => void} changed told when another one is
 * @returns {{element: HTMLElement, select: (id: string) => void, next: () => void,
 *   selected: () => string}} without tabs where there is one entry only
 */
export function createTabs(entries, first, changed) {
  let selected = first;
  const tabs = entries.map(({ id, label }) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${id}`,
        "aria-controls": `panel-${id}`,
        on: { click: () => select(id), keydown: move },
      },
      label,
    ),
  );
  const panels = entries.map(({ id, content }) =>
    h("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}` }, ...content),
  );

  function write() {
    entries.forEach(({ id }, index) => {
      tabs[index].setAttribute("aria-selected", String(id === selected));
      tabs[index].tabIndex = id === selected ? 0 : -1;
      panels[index].hidden = id !== selected;
    });
  }
  function select(id) {
    if (id === selected) return;
    selected = id;
    write();
    changed(id);
  }
  function beside(step) {
    const index = entries.findIndex(({ id }) => id === selected);
    return (index + step + entries.length) % entries.length;
  }
  function move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const index = beside(step);
    select(entries[index].id);
    tabs[index].focus();
  }
  write();
  const bar = h(
    "div",
    { class: "tabs", role: "tablist", "aria-label": "What moves the picture" },
    ...tabs,
  );
  return {
    element: h("div", { class: "tabbed" }, entries.length > 1 && bar, ...panels),
    select,
    next: () => select(entries[beside(1)].id),
    selected: () => selected,
  };
}

/** Light, dark, or as the system is. */

import { h } from "./dom.js";
import { onCommand } from "./keys.js";
import { store } from "./store.js";

const THEMES = { system: "System colours", light: "Light", dark: "Dark" };

/**
 * The switch between light and dark, which also sets what is chosen now.
 * @returns {HTMLElement}
 */
export function createThemeSwitch() {
  const select = h(
    "select",
    {
      "aria-label": "Light or dark",
      title: "Light or dark (T)",
      on: { change: () => store.set({ theme: select.value }) },
    },
    ...Object.entries(THEMES).map(([name, label]) => h("option", { value: name }, label)),
  );
  const write = () => {
    select.value = store.state.theme;
    document.documentElement.dataset.theme = store.state.theme;
  };
  store.watch(["theme"], write);
  write();
  const names = Object.keys(THEMES);
  onCommand({
    "theme.next": () =>
      store.set({ theme: names[(names.indexOf(store.state.theme) + 1) % names.length] }),
  });
  return select;
}

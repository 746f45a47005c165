/** Opening an image live: dropped, chosen, or from a saved explanation. */

import { announce, clearWarning, warn } from "./announce.js";
import { postJson, uploadFile } from "./api.js";
import { h } from "./dom.js";
import { store } from "./store.js";

const MEGABYTE = 1 << 20;

let underWay = null;

/**
 * Let files be dropped anywhere on the page.
 * @param {HTMLElement} curtain shown while a file is held over the page
 */
export function acceptDrops(curtain) {
  let depth = 0;
  const show = (held) => {
    depth = held;
    curtain.hidden = depth === 0;
  };
  const holdsFiles = (event) =>
    store.state.server?.mode.live && event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => holdsFiles(event) && show(depth + 1));
  addEventListener("dragleave", (event) => holdsFiles(event) && show(Math.max(depth - 1, 0)));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(0);
    if (!holdsFiles(event)) return;
    const { files } = event.dataTransfer;
    if (files.length > 1)
      warn(
        `One image at a time: '${files[0].name}' is opened, the other ${files.length - 1} are not.`,
      );
    if (files.length > 0) openFile(files[0]);
  });
}

/**
 * A button that chooses a file.
 * @param {string} label
 * @param {string} [kind] its class
 * @returns {HTMLElement}
 */
export function createChooser(label, kind = "") {
  const input = h("input", {
    type: "file",
    hidden: true,
    tabindex: -1,
    "aria-label": label,
    on: {
      change: () => {
        const [file] = input.files;
        input.value = "";
        if (file) openFile(file);
      },
    },
  });
  const button = h(
    "button",
    { type: "button", class: kind, on: { click: () => input.click() } },
    label,
  );
  return h("span", { class: "chooser" }, button, input);
}

/**
 * Explain an image of a file and go to it.
 * @param {File} file
 * @param {number} [frame] which one, from 1; without it the server chooses
 */
export async function openFile(file, frame) {
  const limit = store.state.server.limits.upload_bytes;
  if (file.size > limit) {
    warn(
      `'${file.name}' has ${megabytes(file.size)}, more than the ${megabytes(limit)} that the viewer takes.`,
    );
    return;
  }
  await open(file.name, async (signal) => ({
    ...(await uploadFile(file, { frame, direction: store.state.direction }, signal)),
    source: file,
  }));
}

/**
 * Open the image of a saved explanation live.
 * @param {{id: string, name: string}} facts
 */
export async function openSaved({ id, name }) {
  await open(name, async (signal) => {
    const wanted = { explanation: id, direction: store.state.direction };
    return { ...(await postJson("/api/live", wanted, { signal })), saved: { id, name } };
  });
}

/**
 * A choice of the explained model, of a bundle with several directions. Beside an open image,
 * another choice opens it again.
 * @param {object} [session] the open image
 * @returns {HTMLElement|null} null where there is nothing to choose
 */
export function createDirections(session) {
  const { choices = [] } = store.state.server.bundle;
  if (choices.length < 2) return null;
  const present = session?.bundle.direction ?? store.state.direction ?? choices[0].id;
  const choose = async () => {
    store.set({ direction: select.value });
    if (!session) return;
    await (session.source
      ? openFile(session.source, session.file.frame)
      : openSaved(session.saved));
    if (store.state.session !== session) return;
    store.set({ direction: present });
    select.value = present;
  };
  const select = h(
    "select",
    { on: { change: choose } },
    ...choices.map(({ id, label }) => h("option", { value: id }, label)),
  );
  select.value = present;
  return h("label", { class: "field directions" }, "Explained", select);
}

/** One image is opened at a time: another one, Cancel and Escape give up what is under way. */
async function open(name, request) {
  underWay?.abort();
  const own = new AbortController();
  underWay = own;
  const dialog = document.querySelector("#busy");
  const cancel = h("button", { type: "button", on: { click: () => own.abort() } }, "Cancel");
  clearWarning();
  const elapsed = createElapsed(own.signal);
  dialog.replaceChildren(h("p", { role: "status" }, `Explaining ${name} …`), elapsed.element, cancel);
  dialog.oncancel = () => own.abort();
  if (!dialog.open) dialog.showModal();
  cancel.focus();
  const close = () => {
    elapsed.stop();
    if (underWay !== own) return;
    underWay = null;
    dialog.close();
  };
  try {
    const session = await request(own.signal);
    close(); // first, as it gives the focus back, which then goes to the new view
    store.set({ session });
    announce(`${name} is open`);
  } catch (error) {
    close();
    if (error.name !== "AbortError") warn(error.message);
  }
}

/** Signs of life: a bar that moves, where motion is wanted, and the seconds gone by. */
function createElapsed(signal) {
  const start = Date.now();
  const seconds = h("span", { class: "seconds" }, "0 s");
  const timer = setInterval(() => {
    seconds.textContent = `${Math.round((Date.now() - start) / 1000)} s`;
  }, 1000);
  const stop = () => clearInterval(timer);
  signal.addEventListener("abort", stop);
  const element = h(
    "div",
    { class: "elapsed", "aria-hidden": "true" },
    h("span", { class: "moving" }),
    seconds,
  );
  return { element, stop };
}

function megabytes(bytes) {
  return `${Math.ceil(bytes / MEGABYTE)} MB`;
}

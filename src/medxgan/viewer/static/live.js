/** Codes under the reader's hand: sliders, and what the model says of what they draw. */

import { createAlternatives } from "./alternatives.js";
import { warn } from "./announce.js";
import { createAnswers } from "./answers.js";
import { render } from "./api.js";
import { h } from "./dom.js";
import { createGoals } from "./goals.js";
import { newestWins } from "./newest.js";
import { createDirections, openFile } from "./opening.js";
import { wordsFor } from "./words.js";

const STRENGTH = "strength";

/**
 * The controls of a live session.
 * @param {{session: object, stage: ReturnType<import("./stage.js").createStage>,
 *   signal: AbortSignal}} given `session` as the server opened it
 * @returns {{element: HTMLElement, show: () => void}} `show` draws at the present settings
 */
export function createLive({ session, stage, signal }) {
  const address = `/api/live/${encodeURIComponent(session.session)}`;
  const words = wordsFor(session);
  const answers = createAnswers(session);
  let alternative = null;
  let shown = false;

  const draw = newestWins(
    async (settings) => {
      const image = await render(session.session, settings, signal);
      if (!shown || signal.aborted) return;
      answers.show(image.answers);
      stage.show({
        title: "Live",
        numbers: image,
        score: image.score,
        strength: settings.controls[STRENGTH] ?? 1,
        details: [
          `strength ${(settings.controls[STRENGTH] ?? 1).toFixed(2)}`,
          `${Math.round(image.milliseconds)} ms`,
        ],
      });
    },
    (error) => warn(error.message),
    signal,
  );
  const moved = () => {
    goals.stop();
    drawIfShown();
  };
  const sliders = (session.controls ?? []).map((control) => createSlider(control, moved));
  const settings = () => ({
    controls: Object.fromEntries(sliders.map((slider) => [slider.id, slider.value()])),
    alternative,
  });
  function show() {
    shown = true;
    drawIfShown();
  }
  function drawIfShown() {
    if (shown) draw(settings());
  }
  function put(controls, index) {
    for (const { id, set } of sliders) if (id in controls) set(controls[id]);
    alternative = index;
    others.mark(index);
    drawIfShown();
  }
  const start = Object.fromEntries(sliders.map(({ id, start: value }) => [id, value]));
  const choose = (index) => {
    goals.stop();
    put(start, index);
  };
  const reset = h(
    "button",
    { type: "button", class: "plain", on: { click: () => choose(null) } },
    "Reset",
  );
  const goals = createGoals({ address, words, session, settings, put, signal });
  const offered = session.bundle.resample;
  const { positive } = session;
  const begin = goals.stop;
  const beside = { positive, choose, begin, reset, offered, signal };
  const others = createAlternatives({ address, words, ...beside });
  const element = h(
    "div",
    { class: "live" },
    createFrames(session),
    createDirections(session),
    goals.element,
    answers.element,
    h(
      "div",
      { class: "sliders", role: "group", "aria-label": "Codes" },
      ...sliders.map(({ row }) => row),
    ),
    others.element,
  );
  return {
    element,
    show,
    /** Draw nothing more until shown again. */
    rest() {
      shown = false;
    },
  };
}

/** A slider steps; what a goal found lies between steps and is kept as it is. */
function createSlider({ id, label, low, high, step, value }, changed) {
  const output = h("output", { for: `control-${id}` });
  let exact = value;
  const write = () => {
    output.textContent = exact.toFixed(2).replace("-", "−");
  };
  const input = h("input", {
    type: "range",
    id: `control-${id}`,
    min: low,
    max: high,
    step,
    value,
    on: {
      input: () => {
        exact = Number(input.value);
        write();
        changed();
      },
    },
  });
  const set = (given) => {
    exact = given;
    input.value = given;
    write();
  };
  const row = h(
    "div",
    { class: "slider" },
    h("label", { for: `control-${id}`, title: label }, label),
    input,
    output,
  );
  write();
  return { id, row, set, start: value, value: () => exact };
}

/** Which image of a file of several is seen; another one is explained anew. */
function createFrames({ file, source }) {
  if (!source || !file || file.frames < 2) return null;
  const input = h("input", {
    type: "number",
    min: 1,
    max: file.frames,
    value: file.frame,
    on: { change: () => input.reportValidity() && openFile(source, Number(input.value)) },
  });
  return h("label", { class: "field frames" }, "Image", input, `of ${file.frames} in the file`);
}

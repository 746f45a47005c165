/** The film from the negative to the positive image: a slider, and play and pause. */

import { h, icon } from "./dom.js";
import { onCommand } from "./keys.js";
import { store } from "./store.js";
import { wordsFor } from "./words.js";

const FRAME_MILLISECONDS = 180;
const CALM_MILLISECONDS = 600;
const PLAY = "M4 2.5v11l9-5.5z";
const PAUSE = "M4 3h3v10H4zM9 3h3v10H9z";

/**
 * The film's controls.
 * @param {{facts: object, frames: import("./api.js").NumberArray,
 *   stage: ReturnType<import("./stage.js").createStage>, activate: () => void,
 *   signal: AbortSignal}} given frames `[T, C, H, W]`; `activate` brings the film on the stage
 * @returns {{element: HTMLElement, show: () => void,
 *   moment: () => import("./stage.js").Moment}} `show` puts the current frame on the stage
 */
export function createFilm({ facts, frames, stage, activate, signal }) {
  const [count, ...shape] = frames.shape;
  const length = shape.reduce((product, side) => product * side, 1);
  const slider = h("input", {
    type: "range",
    id: "frame",
    min: 0,
    max: count - 1,
    step: 1,
    "aria-label": "Frame of the film, from negative to positive",
    on: { input: () => store.set({ frame: Number(slider.value), playing: false }) },
  });
  const button = h("button", { type: "button", class: "round", on: { click: toggle } });

  function moment() {
    const { frame } = store.state;
    const strength = facts.strengths[frame] ?? 0;
    slider.value = frame;
    const where = `strength ${strength.toFixed(2)}`;
    slider.setAttribute("aria-valuetext", `frame ${frame + 1} of ${count}, ${where}`);
    const values = frames.values.subarray(frame * length, (frame + 1) * length);
    return {
      title: "Film",
      numbers: { values, shape },
      score: facts.probabilities[frame],
      strength,
      details: [where, `frame ${frame + 1} of ${count}`],
    };
  }
  const show = () => stage.show(moment());
  function nameButton() {
    const { playing } = store.state;
    button.replaceChildren(icon(playing ? PAUSE : PLAY));
    button.setAttribute("aria-label", playing ? "Pause the film" : "Play the film");
  }

  play(count, signal);
  store.watch(["frame"], show, signal);
  store.watch(["playing"], nameButton, signal);
  nameButton();
  const first = (act) => () => {
    activate();
    act();
  };
  onCommand(
    {
      "film.play": first(toggle),
      "film.next": first(() => seek(store.state.frame + 1, count)),
      "film.previous": first(() => seek(store.state.frame - 1, count)),
      "film.first": first(() => seek(0, count)),
      "film.last": first(() => seek(count - 1, count)),
    },
    signal,
  );
  const ends = h("p", { class: "ends" }, ...wordsFor(facts).ends.map((end) => h("span", {}, end)));
  const element = h("div", { class: "film" }, button, h("div", { class: "track" }, slider, ends));
  return { element, show, moment };
}

/**
 * The frame that looks like the original: the last of a positive image, the first of another.
 * @param {{positive: boolean, strengths: number[]}} facts
 * @returns {number}
 */
export function firstFrame(facts) {
  return facts.positive ? facts.strengths.length - 1 : 0;
}

function toggle() {
  store.set({ playing: !store.state.playing });
}

function seek(frame, count) {
  store.set({ frame: Math.min(Math.max(frame, 0), count - 1), playing: false });
}

function play(count, signal) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let timer = 0;
  let direction = 1;
  const step = () => {
    const { frame } = store.state;
    if (frame + direction < 0 || frame + direction >= count) direction = -direction;
    store.set({ frame: Math.min(Math.max(frame + direction, 0), count - 1) });
  };
  store.watch(
    ["playing"],
    ({ playing }) => {
      clearInterval(timer);
      if (playing) timer = setInterval(step, calm ? CALM_MILLISECONDS : FRAME_MILLISECONDS);
    },
    signal,
  );
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    store.set({ playing: false });
  });
}

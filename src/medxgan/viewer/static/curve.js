/** The model's answer along the film, with the current point. */

import { h, svg } from "./dom.js";

const ROOM = { left: 34, right: 10, top: 8, bottom: 32 };
const TICKS = [0, 0.5, 1];

/**
 * A curve of the score against the strength of the change.
 * @param {{strengths: (number|null)[], probabilities: (number|null)[], longest?: number}} film
 *   points of the curve, and how far the strength can go
 * @param {import("./words.js").Words} words
 * @param {(index: number) => void} choose told which point was clicked or dragged to
 * @param {AbortSignal} signal
 */
export function createCurve(film, words, choose, signal) {
  const points = film.strengths
    .map((strength, index) => ({ strength, score: film.probabilities[index], index }))
    .filter(({ strength, score }) => Number.isFinite(strength) && Number.isFinite(score));
  const last = Math.max(film.longest ?? 0, ...points.map(({ strength }) => strength), 0.001);
  const element = h("div", { class: "curve", "aria-hidden": "true" });
  let place = null;
  let marked = null;

  const mark = () => {
    const marker = element.querySelector(".marker");
    if (!marker || !marked || !Number.isFinite(marked.score)) return;
    const [x, y] = [place.x(marked.strength), place.y(marked.score)];
    marker.querySelector("path").setAttribute("d", `M${x} ${place.top}V${place.bottom}`);
    const dot = marker.querySelector("circle");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
  };
  const draw = () => {
    const size = { width: element.clientWidth, height: element.clientHeight };
    if (size.width < 80 || size.height < 60) return;
    place = placesWithin(size, last);
    element.replaceChildren(picture(size, place, points, last, words));
    mark();
  };
  const sizes = new ResizeObserver(draw);
  sizes.observe(element);
  signal.addEventListener("abort", () => sizes.disconnect());

  const seek = (event) => {
    if (event.buttons !== 1 || !place || points.length === 0) return;
    const x = event.clientX - element.getBoundingClientRect().left;
    const distance = ({ strength }) => Math.abs(place.x(strength) - x);
    choose(points.reduce((best, point) => (distance(point) < distance(best) ? point : best)).index);
  };
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    seek(event);
  });
  element.addEventListener("pointermove", seek);
  return {
    element,
    /**
     * Move the current point.
     * @param {number} strength
     * @param {number|null} score
     */
    mark(strength, score) {
      marked = { strength, score };
      mark();
    },
  };
}

function placesWithin({ width, height }, last) {
  const [left, right] = [ROOM.left, width - ROOM.right];
  const [top, bottom] = [ROOM.top, height - ROOM.bottom];
  const x = (strength) => left + Math.min(Math.max(strength / last, 0), 1) * (right - left);
  const y = (score) => bottom - Math.min(Math.max(score, 0), 1) * (bottom - top);
  return { left, right, top, bottom, x, y };
}

function picture({ width, height }, place, points, last, words) {
  const { left, right, top, bottom, x, y } = place;
  const decision = y(words.decision);
  const line = points.map(
    ({ strength, score }, index) => `${index ? "L" : "M"}${x(strength)} ${y(score)}`,
  );
  const across = last > 1 ? [0, 0.5, 1, last] : [0, last / 2, last];
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height },
    svg("rect", { class: "above", x: left, y: top, width: right - left, height: decision - top }),
    svg("rect", {
      class: "below",
      x: left,
      y: decision,
      width: right - left,
      height: bottom - decision,
    }),
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("path", { class: "decision", d: `M${left} ${decision}H${right}` }),
    ...TICKS.map((tick) =>
      svg(
        "text",
        { class: "y", x: left - 6, y: y(tick) },
        tick === 0.5 ? shortened(words.text(tick)) : ends(words, tick),
      ),
    ),
    ...across.map((tick) => svg("text", { class: "x", x: x(tick), y: bottom + 13 }, trimmed(tick))),
    svg("text", { class: "title", x: (left + right) / 2, y: height - 5 }, "strength of the change"),
    svg("path", { class: "line", d: line.join("") }),
    ...points.map(({ strength, score }) =>
      svg("circle", { class: "dot", cx: x(strength), cy: y(score), r: 2.5 }),
    ),
    svg("g", { class: "marker" }, svg("path", {}), svg("circle", { r: 5, cx: -20, cy: -20 })),
  );
}

function ends(words, tick) {
  const text = words.text(tick);
  return text.startsWith("<") || text.startsWith(">") ? String(tick) : shortened(text);
}

function shortened(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function trimmed(value) {
  return shortened(value.toFixed(2));
}

/** What lies over the pictures: the lesion's outline, the ruler, the linked cross, a scale bar. */

import { lengthText, roundLength, toPane } from "./geometry.js";

const INK = "#ffe14d";
const HALO = "rgb(0 0 0 / 75%)";
const FONT =
  "500 11px -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif";
const LONGEST_BAR = 0.3;

/**
 * The edges of a mask as a path in pixels of the image.
 * @param {import("./api.js").NumberArray} mask `[1, H, W]`, more than 0.5 inside
 * @returns {Path2D}
 */
export function outlineOf({ values, shape }) {
  const [height, width] = shape.slice(-2);
  const inside = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] > 0.5;
  const path = new Path2D();
  for (let y = 0; y <= height; y += 1) {
    for (let x = 0; x <= width; x += 1) {
      if (inside(x, y) !== inside(x - 1, y)) edge(path, x, y, x, y + 1);
      if (inside(x, y) !== inside(x, y - 1)) edge(path, x, y, x + 1, y);
    }
  }
  return path;
}

/**
 * Draw an outline.
 * @param {CanvasRenderingContext2D} context in screen pixels
 * @param {import("./geometry.js").Placement} placed
 * @param {Path2D} path in pixels of the image
 */
export function drawOutline(context, placed, path) {
  context.save();
  context.translate(placed.left, placed.top);
  context.scale(placed.scale, placed.scale);
  context.lineCap = "square";
  twice(context, 1 / placed.scale, () => context.stroke(path));
  context.restore();
}

/**
 * Draw a small cross around the pixel under the cursor.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./geometry.js").Placement} placed
 * @param {import("./store.js").Place} place
 */
export function drawCross(context, placed, place) {
  const { x, y } = toPane(placed, { x: Math.floor(place.x) + 0.5, y: Math.floor(place.y) + 0.5 });
  const [gap, reach] = [4, 10];
  const path = new Path2D();
  for (const sign of [-1, 1]) {
    edge(path, x + sign * gap, y, x + sign * reach, y);
    edge(path, x, y + sign * gap, x, y + sign * reach);
  }
  twice(context, 1, () => context.stroke(path));
}

/**
 * Draw the ruler and its length.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./geometry.js").Placement} placed
 * @param {{from: import("./store.js").Place, to: import("./store.js").Place}} ruler
 * @param {[number, number]|null} spacing
 */
export function drawRuler(context, placed, ruler, spacing) {
  const from = toPane(placed, ruler.from);
  const to = toPane(placed, ruler.to);
  const along = Math.atan2(to.y - from.y, to.x - from.x) + Math.PI / 2;
  const tick = { x: 4 * Math.cos(along), y: 4 * Math.sin(along) };
  const path = new Path2D();
  edge(path, from.x, from.y, to.x, to.y);
  for (const end of [from, to])
    edge(path, end.x - tick.x, end.y - tick.y, end.x + tick.x, end.y + tick.y);
  twice(context, 1, () => context.stroke(path));
  label(context, lengthText(ruler.from, ruler.to, spacing), to.x + 7, to.y - 7, "left");
}

/**
 * Draw a bar of a round number of millimetres in the lower right corner.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./geometry.js").Placement} placed
 * @param {import("./geometry.js").Size} pane
 * @param {[number, number]} spacing
 */
export function drawScaleBar(context, placed, pane, spacing) {
  const pixelsPerMillimetre = placed.scale / spacing[1];
  const length = roundLength((LONGEST_BAR * pane.width) / pixelsPerMillimetre);
  const [right, bottom] = [pane.width - 8, pane.height - 8];
  const left = right - length * pixelsPerMillimetre;
  const path = new Path2D();
  edge(path, left, bottom, right, bottom);
  for (const end of [left, right]) edge(path, end, bottom - 3, end, bottom);
  twice(context, 1, () => context.stroke(path), "rgb(255 255 255 / 80%)");
  label(context, `${length} mm`, right, bottom - 6, "right", "#e8ebee");
}

function edge(path, fromX, fromY, toX, toY) {
  path.moveTo(fromX, fromY);
  path.lineTo(toX, toY);
}

function twice(context, unit, stroke, ink = INK) {
  for (const [style, width] of [
    [HALO, 3],
    [ink, 1.25],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width * unit;
    stroke();
  }
}

function label(context, text, x, y, align, ink = INK) {
  context.font = FONT;
  context.textAlign = align;
  context.lineJoin = "round";
  context.strokeStyle = HALO;
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

/** Where a pixel of the image lies on a pane: zoom, pan, tiles and lengths, as pure functions. */

import { WHOLE_IMAGE } from "./store.js";

const LARGEST_ZOOM = 40;

/**
 * @typedef {{width: number, height: number}} Size
 * @typedef {{scale: number, left: number, top: number}} Placement screen pixels for one pixel of
 *   the image, and where the image's corner lies on the pane
 */

/**
 * Where a view puts the image on a pane; at zoom 1 all of it fits.
 * @param {import("./store.js").View} view
 * @param {Size} image
 * @param {Size} pane
 * @returns {Placement}
 */
export function placement(view, image, pane) {
  const scale = view.zoom * Math.min(pane.width / image.width, pane.height / image.height);
  return {
    scale,
    left: pane.width / 2 - view.x * image.width * scale,
    top: pane.height / 2 - view.y * image.height * scale,
  };
}

/**
 * The place of the image under a point of the pane; may lie outside of the image.
 * @param {Placement} placed
 * @param {{x: number, y: number}} point
 * @returns {import("./store.js").Place}
 */
export function toImage(placed, point) {
  return { x: (point.x - placed.left) / placed.scale, y: (point.y - placed.top) / placed.scale };
}

/**
 * The point of the pane over a place of the image.
 * @param {Placement} placed
 * @param {import("./store.js").Place} place
 * @returns {{x: number, y: number}}
 */
export function toPane(placed, place) {
  return { x: placed.left + place.x * placed.scale, y: placed.top + place.y * placed.scale };
}

/**
 * Magnify about a point that stays where it is.
 * @param {import("./store.js").View} view
 * @param {number} factor
 * @param {{x: number, y: number}} [fixed] as shares of the image; without it, the pane's middle
 * @returns {import("./store.js").View}
 */
export function zoomed(view, factor, fixed = view) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), LARGEST_ZOOM);
  if (zoom === 1) return WHOLE_IMAGE;
  const share = view.zoom / zoom;
  return within({
    zoom,
    x: fixed.x + (view.x - fixed.x) * share,
    y: fixed.y + (view.y - fixed.y) * share,
  });
}

/**
 * Move the view by shares of the image's width and height.
 * @param {import("./store.js").View} view
 * @param {number} across
 * @param {number} down
 * @returns {import("./store.js").View}
 */
export function panned(view, across, down) {
  return within({ ...view, x: view.x + across, y: view.y + down });
}

/**
 * The width of tiles that lets all of them be as large as they can.
 * @param {Size} room
 * @param {number} count how many
 * @param {{aspect: number, gap: number, caption: number}} tile width over height of the picture,
 *   space between tiles, height of what stands above a picture
 * @returns {{columns: number, width: number}}
 */
export function tiles(room, count, { aspect, gap, caption }) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (room.width - gap * (columns - 1)) / columns;
    const down = (room.height - gap * (rows - 1)) / rows - caption;
    const width = Math.floor(Math.min(across, down * aspect));
    if (width > best.width) best = { columns, width };
  }
  return best;
}

/**
 * A length on the image as text: in millimetres where the pixels' distance is known.
 * @param {import("./store.js").Place} from
 * @param {import("./store.js").Place} to
 * @param {[number, number]|null} spacing millimetres between rows and between columns
 * @returns {string}
 */
export function lengthText(from, to, spacing) {
  const [down, across] = spacing ?? [1, 1];
  const length = Math.hypot((to.x - from.x) * across, (to.y - from.y) * down);
  return `${length.toFixed(1)} ${spacing ? "mm" : "px"}`;
}

/**
 * The longest round length, of 1, 2 or 5 times a power of ten, that is not longer than this.
 * @param {number} longest
 * @returns {number}
 */
export function roundLength(longest) {
  const power = 10 ** Math.floor(Math.log10(longest));
  return power * ([5, 2, 1].find((digit) => digit * power <= longest) ?? 1);
}

function within(view) {
  const half = 0.5 / view.zoom;
  const clamp = (value) => Math.min(Math.max(value, half), 1 - half);
  return { zoom: view.zoom, x: clamp(view.x), y: clamp(view.y) };
}

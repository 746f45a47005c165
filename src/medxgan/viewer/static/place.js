/** Where an image stands in the list, and the ways to its neighbours. */

import { h, icon } from "./dom.js";

const BACK = "M10 3L5 8l5 5";
const ON = "M6 3l5 5-5 5";

/**
 * @typedef {{place: string, previous: string|null, next: string|null}} Neighbours where in the
 *   list, and the addresses of the images before and after
 */

/**
 * Links for the head of the page.
 * @param {Neighbours} neighbours
 * @param {boolean} listed whether there is a list to go back to
 * @returns {Node[]}
 */
export function createPlace({ place, previous, next }, listed) {
  const links = [
    neighbour("Previous image (K)", previous, BACK),
    neighbour("Next image (J)", next, ON),
  ];
  return [
    ...(listed ? [h("a", { href: "#/" }, "All explanations")] : []),
    h("span", { class: "where" }, place),
    ...(previous || next ? links : []),
  ];
}

function neighbour(label, address, path) {
  if (!address) return h("span", { class: "round off", "aria-hidden": "true" }, icon(path));
  return h("a", { href: address, class: "round", "aria-label": label, title: label }, icon(path));
}

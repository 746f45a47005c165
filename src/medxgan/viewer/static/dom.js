/**
 * Elements from values. Text always becomes a text node and markup is never parsed, so that the
 * name of a file can not become part of the page.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element.
 * @param {string} tag its name
 * @param {Object<string, unknown>} [properties] attributes; `on` holds listeners by event; true and
 *   false set and leave out an attribute
 * @param {...(Node|string|number|null|undefined|false)} children text or nodes; nothing is skipped
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  return furnish(document.createElement(tag), properties, children);
}

/**
 * Make an SVG element.
 * @param {string} tag its name
 * @param {Object<string, unknown>} [properties] as of {@link h}
 * @param {...(Node|string|number|null|undefined|false)} children as of {@link h}
 * @returns {SVGElement}
 */
export function svg(tag, properties = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), properties, children);
}

/**
 * A drawing of 16 by 16 units that says nothing to a screen reader.
 * @param {string} path its outline
 * @returns {SVGElement}
 */
export function icon(path) {
  const shape = svg("path", { d: path });
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, shape);
}

/**
 * A file under a name for the browser's downloads.
 * @param {Blob} blob the file
 * @param {string} name what to call it
 */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function furnish(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value))
        element.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  const present = children.filter(
    (child) => child !== null && child !== undefined && child !== false,
  );
  element.append(...present.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * Numbers to colours. A signed map has one zero in the middle of its scale; the hues are those of
 * the report: purple to orange for a difference, blue to red for evidence, which readers with any of
 * the common colour deficiencies tell apart.
 */

const ENTRIES = 255;
const ZERO = 127;
const NOT_FINITE = 255;
const NOT_FINITE_COLOUR = [150, 150, 150];
const LUMINANCE = [0.299, 0.587, 0.114];

/** By name, and by kind of map: equally spaced colours from the most negative to the most positive. */
export const SCALES = Object.freeze({
  "on-black": {
    label: "Bright, on black",
    difference: stops("c9b0ff a478f5 7c4ccc 44267a 000000 743808 c8670c faa03e ffe0a0"),
    evidence: stops("bee4ff 61b2f5 2979cc 15427a 000000 7a1818 d0302a f87668 ffd0c8"),
  },
  "on-white": {
    label: "As in the report, on white",
    difference: stops(
      "2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08",
    ),
    evidence: stops("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"),
  },
});

/** What the ends of the scales are called, negative first. */
export const HUES = Object.freeze({ difference: ["purple", "orange"], evidence: ["blue", "red"] });

/**
 * 255 colours, of which entry 127 is zero, and a 256th for numbers that are not finite.
 * @param {string} name of {@link SCALES}
 * @param {"difference"|"evidence"} kind of map
 * @returns {number[][]} red, green and blue of each
 */
export function colourTable(name, kind) {
  const ends = (SCALES[name] ?? SCALES["on-black"])[kind];
  const colours = Array.from({ length: ENTRIES }, (_, entry) => {
    const place = (entry / (ENTRIES - 1)) * (ends.length - 1);
    const before = Math.min(Math.floor(place), ends.length - 2);
    const share = place - before;
    return ends[before].map((start, channel) =>
      Math.round(start + (ends[before + 1][channel] - start) * share),
    );
  });
  return [...colours, NOT_FINITE_COLOUR];
}

/**
 * The same colours as tints: on a ground of the colour of zero they look like the table, on an
 * image they tint only where the map is not zero.
 * @param {string} name of {@link SCALES}
 * @param {"difference"|"evidence"} kind of map
 * @returns {Uint8ClampedArray} red, green, blue and opacity of 256 entries
 */
export function tintTable(name, kind) {
  const table = colourTable(name, kind);
  const zero = table[ZERO];
  const tints = new Uint8ClampedArray(4 * table.length);
  table.forEach((colour, entry) => {
    const reach = (value, channel) =>
      (value - zero[channel]) / (value < zero[channel] ? zero[channel] : 255 - zero[channel] || 1);
    const opacity =
      entry === NOT_FINITE ? 1 : Math.max(...colour.map((v, c) => Math.abs(reach(v, c))));
    const tint = colour.map((v, c) => zero[c] + (v - zero[c]) / (opacity || 1));
    tints.set([...tint, 255 * opacity], 4 * entry);
  });
  return tints;
}

/**
 * The colour of zero, as CSS reads it.
 * @param {string} name of {@link SCALES}
 * @param {"difference"|"evidence"} kind of map
 * @returns {string}
 */
export function zeroColour(name, kind) {
  return `rgb(${colourTable(name, kind)[ZERO].join(" ")})`;
}

/**
 * The entry of a colour table for a number on a scale from `-scale` to `scale`.
 * @param {number} value
 * @param {number} scale
 * @returns {number}
 */
export function colourIndex(value, scale) {
  if (!Number.isFinite(value)) return NOT_FINITE;
  return Math.round(ZERO + ZERO * Math.min(Math.max(value / scale, -1), 1));
}

/**
 * Pixels of an image of one or three channels through a window.
 * @param {import("./api.js").NumberArray} image `[C, H, W]`
 * @param {{width: number, level: number}} window the level becomes mid grey, the width goes from
 *   black to white
 * @param {boolean} inverted
 * @returns {ImageData}
 */
export function imagePixels({ values, shape }, window, inverted) {
  const [channels, height, width] = shape;
  const count = height * width;
  const low = window.level - window.width / 2;
  const factor = 255 / Math.max(window.width, 1e-6);
  const pixels = new ImageData(width, height);
  const { data } = pixels;
  const step = channels === 3 ? count : 0;
  for (let pixel = 0; pixel < count; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const grey = (values[pixel + channel * step] - low) * factor;
      data[4 * pixel + channel] = inverted ? 255 - grey : grey;
    }
    data[4 * pixel + 3] = 255;
  }
  return pixels;
}

/**
 * Pixels of a signed map as tints, to lie on an image or on the colour of zero.
 * @param {Float32Array} values of one channel
 * @param {{width: number, height: number}} size
 * @param {number} scale the value with the last colour
 * @param {Uint8ClampedArray} tints of {@link tintTable}
 * @returns {ImageData}
 */
export function mapPixels(values, size, scale, tints) {
  const pixels = new ImageData(size.width, size.height);
  const whole = new Uint32Array(pixels.data.buffer);
  const entries = new Uint32Array(tints.buffer);
  for (let pixel = 0; pixel < whole.length; pixel += 1)
    whole[pixel] = entries[colourIndex(values[pixel], scale)];
  return pixels;
}

/**
 * A map as one channel: evidence is summed over channels, of a difference the luminance counts.
 * @param {import("./api.js").NumberArray} map `[C, H, W]`
 * @param {"difference"|"evidence"} kind
 * @returns {Float32Array}
 */
export function oneChannel({ values, shape }, kind) {
  const [channels, height, width] = shape;
  if (channels === 1) return values;
  const count = height * width;
  const flat = new Float32Array(count);
  for (let channel = 0; channel < channels; channel += 1) {
    const weight = kind === "difference" ? (LUMINANCE[channel] ?? 0) : 1;
    for (let pixel = 0; pixel < count; pixel += 1) {
      flat[pixel] += weight * values[channel * count + pixel];
    }
  }
  return flat;
}

/**
 * The scale as a strip, one pixel for each colour.
 * @param {HTMLCanvasElement} canvas
 * @param {string} name of {@link SCALES}
 * @param {"difference"|"evidence"} kind of map
 */
export function drawLegend(canvas, name, kind) {
  canvas.width = ENTRIES;
  canvas.height = 1;
  const pixels = new ImageData(ENTRIES, 1);
  colourTable(name, kind)
    .slice(0, ENTRIES)
    .forEach((colour, entry) => pixels.data.set([...colour, 255], 4 * entry));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/**
 * A window that spans the given share of an image's values.
 * @param {Float32Array} values
 * @param {number} [low] lower share
 * @param {number} [high] upper share
 * @returns {{width: number, level: number}}
 */
export function windowOf(values, low = 0.01, high = 0.99) {
  const sorted = values.filter(Number.isFinite).sort();
  if (sorted.length === 0) return { width: 2, level: 0 };
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  return { width: Math.max(at(high) - at(low), 0.01), level: (at(high) + at(low)) / 2 };
}

function stops(colours) {
  const byte = (colour, at) => Number.parseInt(colour.slice(at, at + 2), 16);
  return colours.split(" ").map((colour) => [0, 2, 4].map((at) => byte(colour, at)));
}

/** One picture: its caption, its canvas, and how its numbers become pixels. */

import {
  HUES,
  drawLegend,
  imagePixels,
  mapPixels,
  oneChannel,
  tintTable,
  zeroColour,
} from "./colours.js";
import { h, icon } from "./dom.js";
import { placement, toImage } from "./geometry.js";
import { drawCross, drawOutline, drawRuler, drawScaleBar } from "./overlays.js";
import { capitalized, intensityText, scaleText, signedText } from "./words.js";

const ENLARGE = "M2 6V2h4M14 10v4h-4M2.5 2.5l4 4M13.5 13.5l-4-4";
const MASK_WINDOW = { width: 1, level: 0.5 };

/** Keys of the store from which pixels follow, by kind of pane. */
const PIXELS_FOLLOW = {
  intensity: ["window", "inverted"],
  mask: [],
  difference: ["gain", "colours"],
  evidence: ["gain", "colours"],
};

export class Pane {
  /**
   * @param {{id: string, label: string, kind: "intensity"|"difference"|"evidence"|"mask",
   *   scale: number|null}} description
   * @param {string} score what the model says of this picture; may be empty
   * @param {import("./words.js").Words} words of that score
   * @param {() => void} enlarge what its button does
   */
  constructor(description, score, words, enlarge) {
    const { measure } = words;
    Object.assign(this, description);
    this.isMap = this.kind === "difference" || this.kind === "evidence";
    this.numbers = null;
    this.size = { width: 0, height: 0 };
    this.source = document.createElement("canvas");
    this.stale = true;
    this.grey = document.createElement("canvas");
    this.greyStale = true;
    const labelled = score ? `${this.label}, ${measure} ${score}` : this.label;
    this.canvas = h("canvas", { class: "picture", role: "img", "aria-label": labelled });
    this.button = h(
      "button",
      {
        type: "button",
        class: "enlarge",
        "aria-label": `Enlarge ${this.label}`,
        "aria-pressed": "false",
        on: { click: enlarge },
      },
      icon(ENLARGE),
    );
    this.value = h("span", { class: "value", "aria-hidden": "true" });
    this.name = h("span", { class: "label", title: this.label }, this.label);
    this.number = h("span", { class: "number", "aria-hidden": "true" });
    this.figure = h(
      "figure",
      { class: "pane", "data-pane": this.id, "data-kind": this.kind },
      h(
        "figcaption",
        {},
        this.number,
        this.name,
        this.isMap ? this.#legend(words) : score && h("span", { class: "score", title: measure }, score),
        this.button,
      ),
      h("div", { class: "screen" }, this.canvas, this.value),
    );
  }

  /**
   * Show these numbers from the next painted frame on.
   * @param {import("./api.js").NumberArray} numbers `[C, H, W]`
   */
  show(numbers) {
    this.numbers = this.isMap
      ? { values: oneChannel(numbers, this.kind), shape: [1, ...numbers.shape.slice(1)] }
      : numbers;
    this.stale = this.greyStale = true;
  }

  /** @param {string} label what is seen from now on */
  rename(label) {
    if (label === this.label) return;
    this.label = label;
    this.name.textContent = label;
    this.canvas.setAttribute("aria-label", label);
    this.button.setAttribute("aria-label", `Enlarge ${label}`);
  }

  /** @param {string[]} changed keys of the store */
  follow(changed) {
    if (PIXELS_FOLLOW[this.kind].some((key) => changed.includes(key)))
      this.stale = this.greyStale = true;
  }

  /** @returns {import("./geometry.js").Size} of the image */
  get image() {
    const [height, width] = this.numbers.shape.slice(-2);
    return { width, height };
  }

  /** @param {import("./geometry.js").Size} size of the picture on the screen */
  resize(size) {
    this.size = size;
    this.figure.style.width = `${size.width}px`;
    this.canvas.style.width = `${size.width}px`;
    this.canvas.style.height = `${size.height}px`;
  }

  /**
   * The place of the image at a point of the screen.
   * @param {{clientX: number, clientY: number}} event
   * @param {import("./store.js").View} view
   * @returns {import("./store.js").Place}
   */
  placeAt(event, view) {
    const corner = this.canvas.getBoundingClientRect();
    const point = { x: event.clientX - corner.left, y: event.clientY - corner.top };
    return toImage(placement(view, this.image, this.size), point);
  }

  /**
   * Paint.
   * @param {Readonly<object>} state of the store
   * @param {{ground: Pane, outline: Path2D|null, spacing: [number, number]|null, hovered: Pane|null}} shared
   */
  draw(state, shared) {
    if (this.numbers === null || this.size.width < 1) return;
    const context = this.#context();
    const placed = placement(state.view, this.image, this.size);
    const layer = (source) => {
      const { width, height } = source;
      context.drawImage(
        source,
        placed.left,
        placed.top,
        width * placed.scale,
        height * placed.scale,
      );
    };
    context.imageSmoothingEnabled = state.smooth;
    context.imageSmoothingQuality = "high";
    const alone = this.isMap && state.maps === "alone";
    context.fillStyle = alone ? zeroColour(state.colours, this.kind) : "#000";
    context.fillRect(0, 0, this.size.width, this.size.height);
    if (this.isMap && !alone && shared.ground.numbers !== null) layer(shared.ground.under(state));
    if (!this.isMap || state.maps !== "off") {
      context.globalAlpha = this.isMap && !alone ? state.opacity : 1;
      layer(this.#pixels(state));
      context.globalAlpha = 1;
    }
    this.#drawOver(context, placed, state, shared);
    this.#write(state);
  }

  /**
   * The numbers under a place, as text; empty outside of the image.
   * @param {import("./store.js").Place} place
   * @returns {string}
   */
  textAt(place) {
    if (this.numbers === null) return "";
    const { width, height } = this.image;
    const [x, y] = [Math.floor(place.x), Math.floor(place.y)];
    if (x < 0 || y < 0 || x >= width || y >= height) return "";
    const count = width * height;
    const at = (channel) => this.numbers.values[channel * count + y * width + x];
    if (this.kind === "mask") return at(0) > 0.5 ? "inside" : "outside";
    const channels = Array.from({ length: this.numbers.shape[0] }, (_, channel) => at(channel));
    return channels
      .map(this.isMap ? (value) => signedText(value, this.scale) : intensityText)
      .join(" ");
  }

  /** The picture as it is coloured now, one pixel for each of the image. @returns {Promise<Blob>} */
  picture(state, ground) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, this.image);
    const context = canvas.getContext("2d");
    if (this.isMap) {
      context.fillStyle = zeroColour(state.colours, this.kind);
      context.fillRect(0, 0, canvas.width, canvas.height);
      if (state.maps === "on image") context.drawImage(ground.under(state), 0, 0);
      context.globalAlpha = state.maps === "on image" ? state.opacity : 1;
    }
    context.drawImage(this.#pixels(state), 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /**
   * The picture as it lies under a map: grey, since the map's colours would be lost on others.
   * @param {Readonly<object>} state of the store
   * @returns {HTMLCanvasElement}
   */
  under(state) {
    if (this.numbers.shape[0] === 1) return this.#pixels(state);
    if (this.greyStale) {
      this.greyStale = false;
      Object.assign(this.grey, this.image);
      const luminance = {
        values: oneChannel(this.numbers, "difference"),
        shape: [1, ...this.numbers.shape.slice(1)],
      };
      const pixels = imagePixels(luminance, state.window, state.inverted);
      this.grey.getContext("2d").putImageData(pixels, 0, 0);
    }
    return this.grey;
  }

  #legend(words) {
    this.ways = words.maps[this.kind].short;
    const [less, more] = words.maps[this.kind].long;
    const [low, high] = HUES[this.kind];
    const title = `${capitalized(high)}: ${more}; ${low}: ${less}. Zero lies in the middle`;
    this.strip = h("canvas", { class: "strip" });
    this.ends = {
      low: h("span", { class: "low" }),
      high: h("span", { class: "high" }),
      both: h("span", { class: "both" }),
    };
    return h(
      "span",
      { class: "legend", title },
      this.ends.low,
      h("span", { class: "bar" }, this.strip),
      this.ends.high,
      this.ends.both,
    );
  }

  #write(state) {
    const text = state.cursor ? this.textAt(state.cursor) : "";
    if (this.value.textContent !== text) this.value.textContent = text;
    if (!this.isMap) return;
    const end = scaleText(this.scale * state.gain);
    const both = `±${end}`;
    if (this.ends.both.textContent !== both) {
      const [less, more] = this.ways;
      this.ends.low.textContent = `${less} −${end}`;
      this.ends.high.textContent = `+${end} ${more}`;
      this.ends.both.textContent = both;
    }
    if (this.strip.dataset.colours !== state.colours) {
      this.strip.dataset.colours = state.colours;
      drawLegend(this.strip, state.colours, this.kind);
    }
  }

  #drawOver(context, placed, state, { outline, spacing, hovered }) {
    if (outline && state.outline) drawOutline(context, placed, outline);
    if (spacing && ["original", "film"].includes(this.id))
      drawScaleBar(context, placed, this.size, spacing);
    if (state.ruler) drawRuler(context, placed, state.ruler, spacing);
    if (state.cursor && hovered !== this) drawCross(context, placed, state.cursor);
  }

  #pixels(state) {
    if (this.stale) {
      this.stale = false;
      Object.assign(this.source, this.image);
      this.source.getContext("2d").putImageData(this.#coloured(state), 0, 0);
    }
    return this.source;
  }

  #coloured(state) {
    if (this.isMap) {
      return mapPixels(
        this.numbers.values,
        this.image,
        this.scale * state.gain,
        tintTable(state.colours, this.kind),
      );
    }
    if (this.kind === "mask") return imagePixels(this.numbers, MASK_WINDOW, false);
    return imagePixels(this.numbers, state.window, state.inverted);
  }

  #context() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.size.width * ratio);
    const height = Math.round(this.size.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }
}

/** Scores and figures as people read them; the same wording as in the report. */

const SUPERSCRIPTS = {
  "-": "⁻",
  0: "⁰",
  1: "¹",
  2: "²",
  3: "³",
  4: "⁴",
  5: "⁵",
  6: "⁶",
  7: "⁷",
  8: "⁸",
  9: "⁹",
};

/**
 * How the answers of a model are told.
 * @typedef {object} Words
 * @property {string} measure what a score is
 * @property {(score: number|null) => string} text a score with its units
 * @property {number} decision where the two sides meet, on the scale of scores
 * @property {[string, string]} ends what the negative and the positive end of a film are called
 * @property {Record<"difference"|"evidence", {short: [string, string], long: [string, string]}>} maps
 *   what the negative and the positive end of a map's colours mean
 */

/**
 * Words for the answers of a model.
 * @param {{target_name: string, output?: string, value_range?: [number, number]|null,
 *   positive_from?: number|null}} facts of an explanation or a bundle
 * @returns {Words}
 */
export function wordsFor(facts) {
  const range = facts.output === "value" ? facts.value_range : null;
  if (!range) {
    return {
      measure: `probability of ${facts.target_name}`,
      text: probabilityText,
      decision: 0.5,
      ends: ["negative", "positive"],
      maps: mapWords([`against ${facts.target_name}`, `for ${facts.target_name}`]),
    };
  }
  const [low, high] = range;
  const threshold = facts.positive_from ?? (low + high) / 2;
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(high - low)));
  const value = (score) =>
    threshold + (score - 0.5) * 2 * (score >= 0.5 ? high - threshold : threshold - low);
  const text = (score) =>
    isNumber(score) ? value(score).toFixed(decimals).replace("-", "−") : "not known";
  const ends = range.map((end) => `towards ${facts.target_name} ${end}`);
  return { measure: facts.target_name, text, decision: 0.5, ends, maps: mapWords(ends) };
}

function mapWords(evidence) {
  return {
    difference: {
      short: ["darker", "brighter"],
      long: ["darker in the positive image", "brighter in the positive image"],
    },
    evidence: { short: ["against", "for"], long: evidence },
  };
}

/**
 * A probability with three decimals that never pretends to be certain.
 * @param {number|null} score
 * @returns {string}
 */
export function probabilityText(score) {
  if (!isNumber(score)) return "not known";
  if (score >= 0.9995 && score <= 1) return ">0.999";
  if (score >= 0 && score < 0.0005) return "<0.001";
  return score.toFixed(3);
}

/**
 * The end of a colour scale with two significant digits.
 * @param {number} scale
 * @returns {string}
 */
export function scaleText(scale) {
  const [mantissa, exponent] = scale.toExponential(1).split("e").map(Number);
  if (exponent >= -3 && exponent <= 3) {
    return Number(scale.toPrecision(2)).toFixed(Math.max(0, 1 - exponent));
  }
  const raised = [...String(exponent)].map((digit) => SUPERSCRIPTS[digit]).join("");
  return `${mantissa.toFixed(1)}×10${raised}`;
}

/**
 * A number with three decimals and a true minus sign; it never pretends to be 0 or 1 where it is
 * close. A dash where there is none.
 * @param {number|null|undefined} value
 * @returns {string}
 */
export function figureText(value) {
  if (!isNumber(value)) return "–";
  if (value > 0 && value < 1) return probabilityText(value);
  const size = Math.abs(value);
  const text = size.toFixed(size < 10 ? 3 : size < 1000 ? 1 : 0);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/**
 * An intensity of an image.
 * @param {number} value from -1 to 1
 * @returns {string}
 */
export function intensityText(value) {
  return signedText(value, 1).replace("+", "");
}

/**
 * A value of a map with its sign, to about a hundredth of the map's scale.
 * @param {number} value
 * @param {number} scale
 * @returns {string}
 */
export function signedText(value, scale) {
  if (!isNumber(value)) return "not finite";
  const decimals = Math.min(Math.max(2 - Math.floor(Math.log10(scale)), 0), 9);
  const text = Math.abs(value).toFixed(decimals);
  if (Number(text) === 0) return text;
  return `${value > 0 ? "+" : "−"}${text}`;
}

/**
 * A sentence without the kind that it begins with, since the kind stands before it.
 * @param {{kind: string, sentence: string}} problem
 * @returns {string}
 */
export function problemText({ kind, sentence }) {
  return sentence.startsWith(`${kind}: `) ? sentence.slice(kind.length + 2) : sentence;
}

/**
 * How many there are of something.
 * @param {number} count
 * @param {string} noun of one
 * @returns {string}
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * Where the answer flipped: on the redrawn image, on the original with the change made, or both.
 * @param {{flipped: boolean, transfer_flipped: boolean}} facts
 * @returns {string}
 */
export function flipText({ flipped, transfer_flipped: transferred }) {
  if (flipped) return `flipped when redrawn, ${transferred ? "also" : "not"} on the original`;
  return transferred ? "flipped on the original, not when redrawn" : "not flipped";
}

/**
 * The same text with a capital in front.
 * @param {string} text
 * @returns {string}
 */
export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** The server's answers: JSON, arrays of numbers, or one sentence why not. */

/** What went wrong, as one sentence for the reader. */
export class ApiError extends Error {
  /**
   * @param {string} sentence
   * @param {number} status of HTTP; 0 where no answer came
   */
  constructor(sentence, status) {
    super(sentence);
    this.name = "ApiError";
    this.status = status;
  }
}

/**
 * Numbers as the server sends them.
 * @typedef {{values: Float32Array, shape: number[]}} NumberArray
 */

/**
 * JSON from the server.
 * @param {string} address
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
export async function getJson(address, signal) {
  return (await answer(address, { signal })).json();
}

/**
 * Send JSON, get JSON.
 * @param {string} address
 * @param {unknown} body
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
export async function postJson(address, body, options = {}) {
  return (await answer(address, jsonRequest(body, options))).json();
}

/**
 * An array of the server's.
 * @param {string} address
 * @param {AbortSignal} [signal]
 * @returns {Promise<NumberArray>}
 * @throws {ApiError}
 */
export async function getArray(address, signal) {
  return numbers(await answer(address, { signal }));
}

/**
 * Send an image file to be explained.
 * @param {File} file
 * @param {{frame?: number, direction?: string|null}} chosen which image of a file of several, from
 *   1, and along which direction it is explained; without them the server chooses
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} the opened session
 * @throws {ApiError}
 */
export async function uploadFile(file, { frame, direction }, signal) {
  const body = new FormData();
  body.append("file", file, file.name);
  if (frame !== undefined) body.append("frame", String(frame));
  if (direction) body.append("direction", direction);
  return (await answer("/api/live", { method: "POST", body, signal })).json();
}

/**
 * Draw an image at these settings.
 * @param {string} session
 * @param {{controls: Record<string, number>, alternative: number|"goal"|null}} settings
 * @param {AbortSignal} [signal]
 * @returns {Promise<NumberArray & {answers: number[], score: number, milliseconds: number}>}
 * @throws {ApiError}
 */
export async function render(session, settings, signal) {
  const address = `/api/live/${encodeURIComponent(session)}/render`;
  const response = await answer(address, jsonRequest(settings, { signal }));
  const header = (name) => response.headers.get(name);
  return {
    ...(await numbers(response)),
    answers: JSON.parse(header("X-Answers") ?? "[]"),
    score: Number(header("X-Score")),
    milliseconds: Number(header("X-Milliseconds")),
  };
}

function jsonRequest(body, options) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), ...options };
}

async function numbers(response) {
  const shape = (response.headers.get("X-Shape") ?? "").split(",").map(Number);
  const values = new Float32Array(await response.arrayBuffer());
  if (values.length !== shape.reduce((product, side) => product * side, 1)) {
    throw new ApiError("the server sent an image of another size than it said", response.status);
  }
  return { values, shape };
}

async function answer(address, options) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The viewer's server does not answer; is it still running?", 0);
  }
  if (!response.ok) throw new ApiError(await sentence(response), response.status);
  return response;
}

async function sentence(response) {
  try {
    return (await response.json()).error ?? `The server answered ${response.status}`;
  } catch {
    return `The server answered ${response.status}`;
  }
}

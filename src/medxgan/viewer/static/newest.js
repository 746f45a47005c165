/** Work that follows a moving slider: one piece under way, one waiting, and never a queue. */

/**
 * Run work for the newest request only. Requests are gathered until the next painted frame; while
 * one is worked on, the newest that comes waits and those before it are forgotten. So the picture
 * follows a hand that never rests, and the last request is always served.
 * @template Request
 * @param {(request: Request, signal: AbortSignal) => Promise<void>} work
 * @param {(error: Error) => void} failed told of every error but an abort
 * @param {AbortSignal} signal ends it and what is under way
 * @returns {(request: Request) => void}
 */
export function newestWins(work, failed, signal) {
  let waiting = null;
  let busy = false;
  let scheduled = false;

  const next = async () => {
    scheduled = false;
    if (busy || waiting === null || signal.aborted) return;
    const { request } = waiting;
    waiting = null;
    busy = true;
    try {
      await work(request, signal);
    } catch (error) {
      if (error.name !== "AbortError") failed(error);
    } finally {
      busy = false;
      if (waiting !== null) schedule();
    }
  };
  const schedule = () => {
    if (scheduled || busy) return;
    scheduled = true;
    requestAnimationFrame(next);
  };
  return (request) => {
    waiting = { request };
    schedule();
  };
}

/**
 * Call a function at most once a painted frame.
 * @param {() => void} paint
 * @returns {() => void}
 */
export function oncePerFrame(paint) {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      paint();
    });
  };
}

/**
 * Call a function once calls have ceased for a while, with what the last one gave.
 * @template Given
 * @param {(given: Given) => void} act
 * @param {number} milliseconds
 * @returns {((given: Given) => void) & {now: () => void}} `now` does at once what still waits
 */
export function afterRest(act, milliseconds) {
  let timer = null;
  let last;
  const now = () => {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    act(last);
  };
  const later = (given) => {
    last = given;
    clearTimeout(timer);
    timer = setTimeout(now, milliseconds);
  };
  return Object.assign(later, { now });
}

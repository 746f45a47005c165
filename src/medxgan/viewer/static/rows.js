/** Which explanations the list shows and in which order, as pure functions. */

const COLLATOR = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/**
 * @typedef {{id: string, name: string, class: string|null, positive: boolean|null,
 *   status: {ok: boolean, kinds: string[]},
 *   flip: {flipped: boolean, transfer_flipped: boolean}|null, figures: Object<string, number|null>,
 *   thumbnail: string, verdicts: {reader: string, verdict: string}[]}} Row
 * @typedef {{text: string, class: string, side: string, status: string, verdict: string,
 *   sort: string, falling: boolean}} Wishes empty: all, and in the order of the folder
 */

/**
 * The rows that answer the wishes, in order.
 * @param {Row[]} rows
 * @param {Wishes} wishes
 * @returns {Row[]}
 */
export function chosenRows(rows, wishes) {
  const chosen = rows.filter((row) => answers(row, wishes));
  if (!wishes.sort) return chosen;
  const sign = wishes.falling ? -1 : 1;
  return chosen.sort((first, second) => {
    const [left, right] = [sortValue(first, wishes.sort), sortValue(second, wishes.sort)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return sign * (typeof left === "string" ? COLLATOR.compare(left, right) : left - right);
  });
}

/**
 * The different values of all rows, sorted.
 * @param {Row[]} rows
 * @param {(row: Row) => string[]} values
 * @returns {string[]}
 */
export function different(rows, values) {
  return [...new Set(rows.flatMap(values))].sort(COLLATOR.compare);
}

function answers(row, { text, class: named, side, status, verdict }) {
  const given = row.verdicts.map((each) => each.verdict).filter(Boolean);
  return (
    row.name.toLowerCase().includes(text.trim().toLowerCase()) &&
    (!named || row.class === named) &&
    (!side || row.positive === (side === "positive")) &&
    (!status ||
      (status === "ok"
        ? row.status.ok
        : status === "failed"
          ? !row.status.ok
          : row.status.kinds.includes(status))) &&
    (!verdict || (verdict === "none" ? given.length === 0 : given.includes(verdict)))
  );
}

function sortValue(row, key) {
  if (key === "name") return row.name;
  if (key === "class") return row.class ?? null;
  if (key === "status") return row.status.ok ? 0 : 1 + row.status.kinds.length;
  if (key === "verdict") return row.verdicts[0]?.verdict ?? null;
  const value = row.figures[key];
  return value === undefined ? null : value;
}

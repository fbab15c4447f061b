/** Rounding of a report's numbers, as in Python. */

/** Decimals of probabilities and dimensions. */
export const DECIMALS = 4;

/**
 * Round to four decimals such that the sum stays exactly 1.
 *
 * The largest remainders are rounded up (Hamilton's apportionment method).
 */
export function roundToOne(probabilities: readonly number[]): number[] {
  const units = 10 ** DECIMALS;
  const exact = probabilities.map((p) => p * units);
  const floors = exact.map(Math.floor);
  const missing = Math.round(total(exact)) - total(floors);
  const rest = exact.map((each, i) => each - floors[i]);
  const order = rest.map((_, i) => i).sort((a, b) => rest[b] - rest[a]);
  for (const i of order.slice(0, missing)) floors[i] += 1;
  return floors.map((n) => n / units);
}

/** Round like Python: ties go to the even neighbour. */
export function roundTo(value: number, decimals: number): number {
  const up = Number(value.toFixed(decimals));
  const rest = value.toFixed(60).split(".")[1]?.slice(decimals) ?? "";
  const odd = Math.round(up * 10 ** decimals) % 2 !== 0;
  if (!/^50*$/.test(rest) || !odd) return up;
  return Number((up - Math.sign(value) * 10 ** -decimals).toFixed(decimals));
}

/** Return the sum, added from the first to the last. */
export function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

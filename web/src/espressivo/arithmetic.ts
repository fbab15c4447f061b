/** Small dense matrices, and the gamma function: the arithmetic of `adaptation.ts`. */

/** Rows of numbers. */
export type Matrix = readonly (readonly number[])[];

export function identity(n: number): number[][] {
  return matrix(n, (i, j) => Number(i === j));
}

/** Return a square matrix, or one of `m` columns. */
export function matrix(
  n: number,
  value: (row: number, column: number) => number,
  m = n,
): number[][] {
  const rows: number[][] = [];
  for (let i = 0; i < n; i++) {
    const row: number[] = []; // `Array.from` takes ten times as long
    for (let j = 0; j < m; j++) row.push(value(i, j));
    rows.push(row);
  }
  return rows;
}

export function plus(one: Matrix, other: Matrix): number[][] {
  return one.map((row, i) => row.map((x, j) => x + other[i][j]));
}

export function times(one: Matrix, factor: number): number[][] {
  return one.map((row) => row.map((x) => x * factor));
}

/** Return the matrix product. */
export function product(one: Matrix, other: Matrix): number[][] {
  return matrix(
    one.length,
    (i, j) => one[i].reduce((sum, x, k) => sum + x * other[k][j], 0),
    other[0].length,
  );
}

export function trace(square: Matrix): number {
  return square.reduce((sum, row, i) => sum + row[i], 0);
}

/** Return x' A y. */
export function quadratic(
  x: readonly number[],
  a: Matrix,
  y: readonly number[] = x,
): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < y.length; j++) sum += x[i] * a[i][j] * y[j];
  }
  return sum;
}

/** Return the Kronecker product. */
export function kronecker(one: Matrix, other: Matrix): number[][] {
  const d = other.length;
  return matrix(
    one.length * d,
    (i, j) => one[Math.floor(i / d)][Math.floor(j / d)] * other[i % d][j % d],
  );
}

/** Return the square block of `d` columns at a place on the diagonal. */
export function block(whole: Matrix, at: number, d: number): number[][] {
  return matrix(d, (i, j) => whole[at * d + i][at * d + j]);
}

/** Return L of the Cholesky decomposition L L'; NaN if A is not positive definite. */
export function cholesky(a: Matrix): number[][] {
  const l = matrix(a.length, () => 0);
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = a[i][j];
      for (let k = 0; k < j; k++) rest -= l[i][k] * l[j][k];
      l[i][j] = i > j ? rest / l[j][j] : rest > 0 ? Math.sqrt(rest) : Number.NaN;
    }
  }
  return l;
}

/**
 * Return whether a matrix is symmetric and positive definite.
 *
 * @param slack How far an eigenvalue may be below zero.
 */
export function isCovariance(a: Matrix, slack = 0): boolean {
  const near = (x: number, y: number) => Math.abs(x - y) <= 1e-8 + 1e-5 * Math.abs(y);
  return (
    a.every((row, i) => row.every((x, j) => near(x, a[j][i]))) &&
    cholesky(plus(a, times(identity(a.length), slack))).every((row, i) => row[i] > 0)
  );
}

/** Return the inverse and the logarithm of the determinant of a positive definite matrix. */
export function inverted(a: Matrix): { inverse: number[][]; logDeterminant: number } {
  const l = cholesky(a);
  const n = a.length;
  const m = matrix(n, () => 0); // the inverse of L
  for (let i = 0; i < n; i++) {
    m[i][i] = 1 / l[i][i];
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = j; k < i; k++) sum -= l[i][k] * m[k][j];
      m[i][j] = sum / l[i][i];
    }
  }
  const inverse = matrix(n, () => 0);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += m[k][i] * m[k][j];
      inverse[i][j] = sum;
      inverse[j][i] = sum;
    }
  }
  const logDeterminant = 2 * l.reduce((sum, row, i) => sum + Math.log(row[i]), 0);
  return { inverse, logDeterminant };
}

/** Return the largest eigenvalue of a positive semidefinite matrix. */
export function largestEigenvalue(a: Matrix): number {
  // A power of the matrix keeps of it only what belongs to the largest eigenvalue.
  let power: Matrix = a;
  for (let i = 0; i < 50; i++) {
    const size = trace(power);
    if (!(size > 0)) return 0;
    power = times(power, 1 / size);
    power = product(power, power);
  }
  return trace(product(a, power)) / trace(power);
}

export function softmax(logits: readonly number[]): number[] {
  const highest = Math.max(...logits);
  const raised = logits.map((logit) => Math.exp(logit - highest));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((each) => each / sum);
}

/**
 * Return the logarithm of the gamma function of a positive number.
 *
 * Source: Abramowitz and Stegun (1964), 6.1.41.
 */
export function logGamma(value: number): number {
  let [x, shift] = [value, 0];
  for (; x < 10; x++) shift -= Math.log(x); // the series is of large numbers
  const squared = 1 / x ** 2;
  const series = 1 / 1260 - squared * (1 / 1680 - squared * (1 / 1188));
  const rest = (1 / 12 - squared * (1 / 360 - squared * series)) / x;
  return shift + (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + rest;
}

/**
 * Return the derivative of `logGamma`.
 *
 * Source: Abramowitz and Stegun (1964), 6.3.5 and 6.3.18.
 */
export function digamma(value: number): number {
  let [x, shift] = [value, 0];
  for (let i = 0; i < 6; i++, x++) shift -= 1 / x;
  const squared = 1 / x ** 2;
  const series = 1 / 120 - squared * (1 / 252 - squared / 240);
  return shift + Math.log(x) - 0.5 / x - squared * (1 / 12 - squared * series);
}

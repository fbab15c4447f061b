import { describe, expect, test } from "vitest";
import {
  block,
  digamma,
  identity,
  inverted,
  isCovariance,
  kronecker,
  largestEigenvalue,
  logGamma,
  type Matrix,
  matrix,
  plus,
  product,
  quadratic,
  times,
  trace,
} from "../src/espressivo/arithmetic";
import { Random } from "./random";

/** Draw a covariance. */
function covariance(n: number, random: Random): Matrix {
  const root = matrix(n, () => 2 * random.next() - 1);
  const transposed = matrix(n, (i, j) => root[j][i]);
  return plus(product(root, transposed), times(identity(n), 0.1));
}

describe("a matrix", () => {
  const random = new Random(1);

  test.each([1, 2, 3, 8, 12])("of %i times its inverse is the identity", (n) => {
    const a = covariance(n, random);
    const { inverse, logDeterminant } = inverted(a);
    product(a, inverse).forEach((row, i) => {
      row.forEach((x, j) => {
        expect(x).toBeCloseTo(Number(i === j), 10);
      });
    });
    expect(inverted(inverse).logDeterminant).toBeCloseTo(-logDeterminant, 10);
    expect(inverted(times(a, 2)).logDeterminant).toBeCloseTo(
      logDeterminant + n * Math.log(2),
      10,
    );
  });

  test("has a determinant as in the textbook", () => {
    const { logDeterminant } = inverted([
      [4, 1],
      [1, 3],
    ]);
    expect(logDeterminant).toBeCloseTo(Math.log(11), 14);
  });

  test.each([1, 3, 8])("of %i has its largest eigenvalue", (n) => {
    const a = covariance(n, random);
    const largest = largestEigenvalue(a);
    // A - x 1 loses its positive eigenvalues just there.
    const less = (x: number) => plus(times(identity(n), x), times(a, -1));
    expect(isCovariance(less(largest * (1 + 1e-9)))).toBe(true);
    expect(isCovariance(less(largest * (1 - 1e-9)))).toBe(false);
  });

  test("may have eigenvalues that are equal, or zero", () => {
    expect(largestEigenvalue(times(identity(3), 2))).toBeCloseTo(2, 12);
    expect(largestEigenvalue(times(identity(3), 0))).toBe(0);
  });

  test("is a covariance if it is symmetric and positive definite", () => {
    expect(isCovariance(covariance(4, random))).toBe(true);
    const [flat, odd] = [
      [
        [1, 1],
        [1, 1],
      ],
      [
        [1, 0.5],
        [0, 1],
      ],
    ];
    expect([isCovariance(flat), isCovariance(flat, 1e-6), isCovariance(odd)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("is put together of blocks, and taken apart", () => {
    const [a, b] = [covariance(2, random), covariance(3, random)];
    const both = kronecker(a, b);
    expect(block(both, 1, 3)).toEqual(times(b, a[1][1]));
    expect(trace(both)).toBeCloseTo(trace(a) * trace(b), 12);
    const x = [1, -2, 3];
    expect(quadratic(x, b)).toBeCloseTo(
      product(
        product([x], b),
        x.map((each) => [each]),
      )[0][0],
      12,
    );
  });
});

describe("the gamma function", () => {
  test("of whole numbers is a factorial", () => {
    let factorial = 1;
    for (let n = 1; n < 20; n++) {
      expect(logGamma(n)).toBeCloseTo(Math.log(factorial), 12);
      factorial *= n;
    }
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.PI) / 2, 12);
  });

  test.each([0.1, 0.5, 1, 3.7, 25, 1_000])("has a derivative: %f", (x) => {
    const step = 1e-4 * x;
    const slope = (logGamma(x + step) - logGamma(x - step)) / (2 * step);
    expect(Math.abs(digamma(x) - slope)).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
    expect(digamma(x + 1)).toBeCloseTo(digamma(x) + 1 / x, 9);
  });
});

/** Cross-correlation of two signals by a fast Fourier transform. */

/**
 * Return the sums over t of `one[t + lag] * other[t]`, for lags from -`most` to `most`.
 */
export function crossCorrelation(
  one: Float32Array,
  other: Float32Array,
  most: number,
): Float64Array {
  let size = 1;
  while (size <= one.length + most) size *= 2;
  // One transform serves both signals: one is its real part, the other its imaginary.
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  re.set(one);
  im.set(other);
  transform(re, im);
  const [crossRe, crossIm] = [new Float64Array(size), new Float64Array(size)];
  for (let k = 0; k < size; k++) {
    const j = (size - k) % size;
    const [aRe, aIm] = [(re[k] + re[j]) / 2, (im[k] - im[j]) / 2];
    const [bRe, bIm] = [(im[k] + im[j]) / 2, (re[j] - re[k]) / 2];
    crossRe[k] = aRe * bRe + aIm * bIm;
    crossIm[k] = bRe * aIm - aRe * bIm;
  }
  // The inverse transform is the transform with both parts exchanged.
  transform(crossIm, crossRe);
  return Float64Array.from({ length: 2 * most + 1 }, (_, i) => {
    return crossRe[(i - most + size) % size] / size;
  });
}

/** Transform in place (radix 2, decimation in time); the length is a power of 2. */
export function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let half = 1; half < n; half *= 2) {
    for (let k = 0; k < half; k++) {
      const angle = (-Math.PI * k) / half;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      for (let i = k; i < n; i += 2 * half) {
        const j = i + half;
        const x = re[j] * cos - im[j] * sin;
        const y = re[j] * sin + im[j] * cos;
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

/** Comparison of WebGPU and WebAssembly on this device: speed and probabilities. */

import { type Analyzer, SAMPLE_RATE } from "../espressivo";

/** Largest accepted difference of a probability, as between browser and Python. */
const TOLERANCE = 0.02;
const ROUNDS = 5;

export interface Verdict {
  readonly use: boolean;
  readonly text: string;
}

/** Compare both backends on the same windows, in turn. */
export async function compared(gpu: Analyzer, plain: Analyzer): Promise<Verdict> {
  const ratios: number[] = [];
  let apart = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const signal = probeSignal(round, Math.round(plain.card.window_s * SAMPLE_RATE));
    const [one, other] = [await gpu.probe(signal), await plain.probe(signal)];
    ratios.push(other.ms / one.ms);
    const gaps = one.probabilities.map((p, i) => Math.abs(p - other.probabilities[i]));
    apart = Math.max(apart, ...gaps);
    if (other.ms < one.ms / 2) break; // clearly slower: further rounds cannot change that
  }
  const times = ratios.sort((a, b) => a - b)[ratios.length >> 1];
  const agrees = apart <= TOLERANCE;
  const use = agrees && times > 1;
  const facts = `${times.toFixed(2)} times as fast, at most ${apart.toFixed(3)} apart`;
  return {
    use,
    text: `WebGPU is ${facts}: ${use ? "it is used from now on" : "WebAssembly stays"}.`,
  };
}

/** Return a voice-like signal: gliding harmonics in syllables, different each round. */
export function probeSignal(round: number, n: number): Float32Array {
  const signal = new Float32Array(n);
  let phase = 0;
  for (let i = 0; i < n; i++) {
    const t = i / SAMPLE_RATE;
    phase +=
      (2 * Math.PI * (110 + 40 * round + 30 * Math.sin(2 * Math.PI * 0.7 * t))) /
      SAMPLE_RATE;
    let sum = 0;
    for (let k = 1; k <= 20; k++) sum += Math.sin(k * phase) / k;
    signal[i] = 0.1 * sum * Math.max(0, Math.sin(2 * Math.PI * (2 + round) * t));
  }
  return signal;
}

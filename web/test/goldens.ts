/** What Python makes of fixed inputs, as make-goldens.py wrote it. */

import { readFileSync } from "node:fs";
import path from "node:path";
import type { Adaptation } from "../src/espressivo/report";
import {
  type Dimension,
  EMOTIONS,
  type Estimate,
  estimateOf as named,
  type Segment,
} from "../src/espressivo/types";
import type { WindowStatistics } from "../src/espressivo/window-statistics";

export const FOLDER = path.join(import.meta.dirname, "goldens");

/** Numbers in base 64, little-endian. */
export type Packed = { readonly f32: string } | { readonly f64: string };
export type Span = readonly [number, number];
export interface PackedEstimate {
  readonly segment: Span;
  readonly probabilities: readonly number[];
  readonly dimensions: readonly number[];
}
export interface PackedStatistics
  extends Omit<WindowStatistics, "weights" | "sums" | "mean" | "scatter"> {
  readonly weights: Packed;
  readonly sums: Packed;
  readonly mean: Packed;
  readonly scatter: Packed;
}
export interface PackedAdaptation extends Omit<Adaptation, "without"> {
  readonly without: readonly PackedEstimate[];
}

export function golden<T>(name: string, folder = FOLDER): T {
  return JSON.parse(readFileSync(path.join(folder, `${name}.json`), "utf-8"));
}

export function unpacked(packed: Packed): number[] {
  const [[kind, text]] = Object.entries(packed);
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  const Kind = kind === "f32" ? Float32Array : Float64Array;
  return Array.from(new Kind(bytes.buffer));
}

export function floats(packed: Packed): Float32Array {
  return Float32Array.from(unpacked(packed));
}

export function segmentOf([start, end]: Span): Segment {
  return { start, end };
}

export function estimateOf(
  { segment, probabilities, dimensions }: PackedEstimate,
  names: readonly Dimension[],
): Estimate {
  const columns = { emotions: EMOTIONS, dimensions: names };
  return named(segmentOf(segment), columns, probabilities, dimensions);
}

export function adaptationOf(
  packed: PackedAdaptation,
  names: readonly Dimension[],
): Adaptation {
  return { ...packed, without: packed.without.map((each) => estimateOf(each, names)) };
}

export function statisticsOf(packed: PackedStatistics): WindowStatistics {
  const mean = unpacked(packed.mean);
  return {
    ...packed,
    weights: unpacked(packed.weights),
    sums: rows(packed.sums, packed.nDims),
    mean,
    scatter: rows(packed.scatter, mean.length),
  };
}

/** Unpack numbers row by row. */
export function rows(packed: Packed, width: number): number[][] {
  const values = unpacked(packed);
  return Array.from({ length: values.length / width }, (_, i) =>
    values.slice(i * width, (i + 1) * width),
  );
}

/** 4.5 s of speech with a pause in it. */
export function note(): Float32Array {
  const bytes = Uint8Array.from(readFileSync(path.join(FOLDER, "note.wav")));
  return Float32Array.from(new Int16Array(bytes.buffer, 44), (x) => x / 32_768);
}

/** 18 s in which nobody draws breath. */
export function withoutPause(): Float32Array {
  const piece = note().subarray(0, 24_000);
  return repeated(piece, 12);
}

/** A quarter of a second of speech in silence. */
export function oneWord(): Float32Array {
  const signal = new Float32Array(44_000);
  signal.set(note().subarray(9_000, 13_000), 20_000);
  return signal;
}

export function repeated(piece: Float32Array, times: number): Float32Array {
  const whole = new Float32Array(piece.length * times);
  for (let i = 0; i < times; i++) whole.set(piece, i * piece.length);
  return whole;
}

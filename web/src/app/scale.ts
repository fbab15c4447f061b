/** What drawings over time share: the scale, the colours of the page, the pen. */

import { type Emotion, type Estimate, SAMPLE_RATE } from "../espressivo";

/** Colours of the page, and its font. */
export type Palette = Readonly<
  Record<Emotion | "card" | "ink" | "soft" | "line" | "track" | "accent" | "pause", string>
> & { readonly font: string };

/** What has windows: a report, or the analysis so far. */
export interface Windows {
  readonly emotions: readonly Emotion[];
  readonly estimates: readonly Estimate[];
  isUncertain(estimate: Estimate): boolean | null;
}

/** Part of the recording that is drawn, and where. */
export class Scale {
  constructor(
    readonly from_s: number,
    readonly to_s: number,
    readonly left: number,
    readonly width: number,
  ) {}

  x(at_s: number): number {
    return this.left + ((at_s - this.from_s) / (this.to_s - this.from_s)) * this.width;
  }
}

/** Return the colours of the page as they are now: they follow the system's light or dark. */
export function paletteOf(place: Element): Palette {
  const style = getComputedStyle(place);
  const names = ["anger", "happiness", "neutral", "sadness", "card", "ink", "soft", "line"];
  const colors = [...names, "track", "accent", "pause"].map((name) => [
    name,
    style.getPropertyValue(`--${name}`).trim(),
  ]);
  return { ...Object.fromEntries(colors), font: style.fontFamily } as Palette;
}

/** Size a canvas for the screen's pixels; return its pen, or null while it is not shown. */
export function penOf(
  canvas: HTMLCanvasElement,
  height: number,
): CanvasRenderingContext2D | null {
  const width = canvas.clientWidth;
  const dense = window.devicePixelRatio;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.height = `${height}px`;
  const pen = width ? canvas.getContext("2d") : null;
  pen?.scale(dense, dense);
  return pen;
}

/** Return the windows of which something is seen, and their ends in pixels. */
export function visible({ estimates }: Windows, scale: Scale) {
  return estimates.flatMap((estimate) => {
    const left = scale.x(estimate.segment.start / SAMPLE_RATE);
    const right = scale.x(estimate.segment.end / SAMPLE_RATE);
    const isSeen = right > scale.left && left < scale.left + scale.width;
    return isSeen ? [{ estimate, left, right }] : [];
  });
}

/** A report as a picture, to be shared. */

import type { Report } from "../espressivo";
import { drawReport, heightOf, heightsOf, stripeBox } from "./drawing";
import { type Palette, paletteOf, Scale } from "./scale";
import { headline, length, likeliest, percent } from "./words";

const WIDTH = 600; // of the drawing, whose text is read on phones too
const DENSE = 2; // pixels of the picture to one of the drawing
const MARGIN = 28;
const INNER = WIDTH - 2 * MARGIN;
const ROW = 26; // of the bars
const NAMES = 86; // width of the emotions' names, and of the percentages
const SHARES = 52;

/** Write and draw from top to bottom; without a pen only the height is computed. */
class Page {
  y = MARGIN;

  constructor(
    readonly pen: CanvasRenderingContext2D,
    readonly palette: Palette,
    private readonly isDrawn: boolean,
  ) {}

  /** Write text in as many lines as it takes. */
  write(text: string, size: number, weight: number, color: string): void {
    this.pen.font = `${weight} ${size}px ${this.palette.font}`;
    for (const row of this.broken(text)) {
      this.y += size * 1.3;
      this.draw((pen) => {
        pen.fillStyle = color;
        pen.fillText(row, MARGIN, this.y - size * 0.3);
      });
    }
  }

  draw(action: (pen: CanvasRenderingContext2D) => void): void {
    if (this.isDrawn) action(this.pen);
  }

  private broken(text: string): string[] {
    const rows: string[] = [];
    let row = "";
    // A name can be one word, longer than a line.
    for (const word of text.match(/\S{1,40}\s*/gu) ?? []) {
      if (row && this.pen.measureText(row + word.trimEnd()).width > INNER) {
        rows.push(row);
        row = "";
      }
      row += word;
    }
    return [...rows, row];
  }
}

/** Draw a report, 1200 pixels wide, in the colours of the page: light or dark. */
export function drawPicture(report: Report): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  const palette = paletteOf(document.documentElement);
  const compose = (isDrawn: boolean): number => {
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("this browser cannot draw a picture");
    if (isDrawn) {
      pen.scale(DENSE, DENSE);
      pen.fillStyle = palette.card;
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }
    const page = new Page(pen, palette, isDrawn);
    draw(page, report);
    return page.y + MARGIN;
  };
  canvas.width = WIDTH * DENSE;
  canvas.height = Math.ceil(compose(false)) * DENSE;
  compose(true);
  return canvas;
}

/** Return the picture of a report as a PNG file. */
export function pictureOf(report: Report): Promise<Blob> {
  return new Promise((resolve, reject) => {
    drawPicture(report).toBlob((blob) => {
      if (blob) resolve(blob);
      else reject(new Error("this browser cannot save a picture"));
    }, "image/png");
  });
}

function draw(page: Page, report: Report): void {
  const { palette } = page;
  const spoken = report.probabilities !== null;
  page.write(`${report.recording}, ${length(report.duration_s)}`, 13, 400, palette.soft);
  page.y += 6;
  page.write(report.summary ?? "No speech was found.", 23, 650, palette.ink);
  if (spoken) {
    page.y += 4;
    page.write(headlineOf(report), 15, 500, palette.ink);
    page.y += 12;
    drawBars(page, report);
  }
  page.y += 18;
  drawOverview(page, report);
  page.y += 12;
  drawLegend(page, report);
  page.y += 8;
  const caution = spoken
    ? "An estimate by a model that learned mostly from actors, and is often wrong: how the voice sounds, not what anyone feels."
    : "";
  page.write(`${caution} Made by espressivo.`.trim(), 12, 400, palette.soft);
}

function headlineOf(report: Report): string {
  const { emotion, probabilities, uncertain } = report;
  if (!emotion || !probabilities) return "";
  const share = (each: typeof emotion) => `${each} ${percent(probabilities[each])}`;
  const candidates = likeliest(probabilities);
  return uncertain
    ? `Not sure: ${candidates.map(share).join(" or ")}`
    : `${headline(emotion, probabilities[emotion], uncertain)}, ${percent(probabilities[emotion])}`;
}

function drawBars(page: Page, report: Report): void {
  const { probabilities, emotions, certainty } = report;
  if (!probabilities) return;
  const [left, width] = [MARGIN + NAMES, INNER - NAMES - SHARES];
  for (const emotion of emotions) {
    const { y, palette } = page;
    page.y += ROW;
    page.draw((pen) => {
      pen.font = `14px ${palette.font}`;
      pen.fillStyle = palette.ink;
      pen.fillText(emotion, MARGIN, y + 17);
      pen.textAlign = "right";
      pen.fillText(percent(probabilities[emotion]), MARGIN + INNER, y + 17);
      pen.textAlign = "left";
      const track = new Path2D();
      track.roundRect(left, y + 6, width, 13, 6.5);
      pen.save();
      pen.clip(track);
      pen.fillStyle = palette.track;
      pen.fillRect(left, y, width, ROW);
      pen.fillStyle = palette[emotion];
      pen.fillRect(left, y, width * probabilities[emotion], ROW);
      pen.fillStyle = palette.ink;
      if (certainty) pen.fillRect(left + width * certainty.threshold - 1, y, 2, ROW);
      pen.restore();
    });
  }
}

function drawOverview(page: Page, report: Report): void {
  const { y, palette } = page;
  page.y += heightOf(report);
  page.draw((pen) => {
    pen.save();
    pen.translate(0, y);
    const scale = new Scale(0, Math.max(1, report.duration_s), MARGIN, INNER);
    drawReport(pen, report, heightsOf(report.loudness), scale, palette);
    pen.restore();
  });
}

function drawLegend(page: Page, report: Report): void {
  const { pen, palette } = page;
  const isUnsure = report.estimates.some((each) => report.isUncertain(each));
  const windows = report.estimates.length ? report.emotions : [];
  const { soft, card, pause } = palette;
  const entries: { text: string; fill: string; stripes?: string; slope?: 1 | -1 }[] = [
    ...windows.map((each) => ({ text: each, fill: palette[each] })),
    ...(isUnsure ? [{ text: "striped: not sure", fill: soft, stripes: card }] : []),
    { text: "no speech", fill: pause },
    ...(report.gaps.length
      ? [{ text: "no sound in the file", fill: card, stripes: soft, slope: -1 as const }]
      : []),
  ];
  pen.font = `13px ${palette.font}`;
  let x = MARGIN;
  for (const { text, fill, stripes, slope } of entries) {
    const { width } = pen.measureText(text);
    if (x + 17 + width > MARGIN + INNER) {
      x = MARGIN;
      page.y += 20;
    }
    page.draw(() => {
      const box = { left: x, top: page.y + 2, width: 11, height: 11 };
      pen.fillStyle = fill;
      pen.fillRect(box.left, box.top, box.width, box.height);
      if (stripes) stripeBox(pen, box, stripes, slope);
      pen.fillStyle = palette.soft;
      pen.fillText(text, x + 17, page.y + 12);
    });
    x += 17 + width + 16;
  }
  page.y += 20;
}

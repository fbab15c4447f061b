/** A report as the self-contained page that `espressivo analyze --format html` writes. */

import page from "../../../src/espressivo/assets/report.html?raw";
import type { Report } from "../espressivo";

const EMPTY = '<script type="application/json" id="content">null</script>';

/**
 * Return the page of a report: it contains no sound and contacts nobody.
 *
 * @param date Date that the page shows, such as 2026-11-28.
 */
export function toHtml(report: Report, date: string): string {
  const loudness = report.loudness && Array.from(report.loudness, Math.round);
  const text = JSON.stringify({ report: report.toDict(), loudness, date })
    .replaceAll("<", "\\u003c")
    // ASCII, as Python writes it: half of a surrogate pair cannot be encoded as UTF-8.
    .replace(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  const [before, after] = page.split(EMPTY);
  if (after === undefined) throw new Error("report.html has no place for the report");
  return before + EMPTY.replace("null", () => text) + after;
}

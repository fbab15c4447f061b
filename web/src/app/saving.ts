/** What can be saved or shared of a result besides JSON and CSV: a picture, and a page. */

import type { Report } from "../espressivo";
import { download, stem } from "./download";
import { element, show } from "./elements";
import { toHtml } from "./html-report";
import { pictureOf } from "./picture";
import { attempt } from "./profile-choice";
import { shownReport } from "./result";

/** Connect the buttons that save or share the shown result. */
export function connectSaving(): void {
  const on = (id: string, work: (report: Report, name: string) => Promise<void> | void) =>
    element(id).addEventListener("click", () => {
      const report = shownReport()?.report;
      if (report) void attempt(async () => work(report, stem(report.recording)));
    });
  on("save-html", (report, name) => {
    // The date here, not in Greenwich.
    const date = new Date().toLocaleDateString("sv-SE");
    download(toHtml(report, date), `${name}.html`, "text/html");
  });
  on("save-picture", async (report, name) => {
    download(await pictureOf(report), `${name}.png`, "image/png");
  });
  on("share", async (report, name) => {
    const file = new File([await pictureOf(report)], `${name}.png`, { type: "image/png" });
    const title = `How ${report.recording} sounds`;
    await navigator.share({ files: [file], title, text: report.summary ?? "" });
  });
  const probe = new File([""], "picture.png", { type: "image/png" });
  show("share", navigator.canShare?.({ files: [probe] }) ?? false);
}

import { shortened, toLine } from "../espressivo/text";

/** Save a Blob as a file, without a server. */
export function download(content: Blob | string, name: string, type: string): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the URL after the click, so it is revoked later.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Return a recording's name without its extension, safe as a file name. */
export function stem(recording: string): string {
  const name = toLine(recording.replace(/\.[^.]*$/, ""));
  // File systems take 255 bytes, of which some characters need three each.
  return shortened(name.replace(/^\.+|[/\\:]/g, "-"), 80) || "recording";
}

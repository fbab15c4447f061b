/** Save something as a file, without any server. */
export function download(content: Blob | string, name: string, type: string): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A recording's name without its ending, fit for a file. */
export function stem(recording: string): string {
  return recording.replace(/\.[^.]*$/, "").replace(/[/\\]/g, "-") || "recording";
}

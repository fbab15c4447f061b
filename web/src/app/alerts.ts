/** Alerts on the page: problems, each with its remedy. */

import { shortened, toLine } from "../espressivo/text";
import { element, say, show } from "./elements";
import { MicrophoneError, type MicrophoneProblem } from "./microphone";

const LONGEST_TEXT = 1000; // characters of an alert

const MICROPHONE: Record<MicrophoneProblem, [title: string, text: string]> = {
  refused: [
    "The microphone was refused",
    "This page may not use the microphone. Allow it in the browser's site settings (the icon " +
      "left of the address) and press Record again; or choose a file.",
  ],
  missing: [
    "No microphone was found",
    "Connect one, or allow this browser to use it in the system's settings; or choose a file.",
  ],
  busy: [
    "The microphone is in use",
    "Another program holds it. Close that program and press Record again; or choose a file.",
  ],
  insecure: [
    "No microphone on this address",
    "Browsers give the microphone only to https and localhost. Open the page there; or choose " +
      "a file.",
  ],
};

let retry: (() => void) | null = null;
element("alert-close").addEventListener("click", calm);
element("alert-retry").addEventListener("click", () => {
  const again = retry;
  calm();
  again?.();
});

/** Show an alert. */
export function alarm(
  title: string,
  text: string,
  again: (() => void) | null = null,
): void {
  element("alert-title").textContent = title;
  // Errors name files, whose names may be anything.
  element("alert-text").textContent = shortened(toLine(text), LONGEST_TEXT);
  retry = again;
  show("alert-retry", again !== null);
  show("alert", true);
  element("alert").scrollIntoView({ block: "nearest" });
  say("");
}

/** Remove the alert. */
export function calm(): void {
  show("alert", false);
}

/** Show the alert for an error; an AbortError was requested and shows nothing. */
export function alarmOf(error: unknown): void {
  const { name, message } = error as Error;
  if (name === "AbortError") return;
  if (error instanceof MicrophoneError) {
    alarm(...MICROPHONE[error.problem]);
    return;
  }
  const titles: Record<string, string> = {
    AudioError: "That is no recording that can be read",
    ModelError: "The model cannot be used",
    ProfileError: "The profile cannot be used",
  };
  alarm(titles[name] ?? "Something went wrong", sentence(message));
}

/** End a message with a full stop, unless it ends a sentence already. */
export function sentence(message: string): string {
  return `${message}${/[.?!]$/.test(message) ? "" : "."}`;
}

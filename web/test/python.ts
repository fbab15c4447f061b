/** The Python package beside this one, where it is installed. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished, type TestContext } from "vitest";

export const ROOT = path.resolve(import.meta.dirname, "../..");
const PYTHON = path.join(ROOT, ".venv/bin/python");

/** Skip a test where there is no Python to ask. */
export function needsPython({ skip }: TestContext): void {
  skip(!existsSync(PYTHON), "needs ../.venv with the Python package (make .venv/.dev)");
}

/** Run Python; return what it printed. */
export function python(...args: string[]): string {
  return execFileSync(PYTHON, args, { encoding: "utf-8" });
}

/** Return a folder that is removed after the test. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "espressivo-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A voice's results over days, in the browser's IndexedDB: numbers of each recording as a
 * whole, never sound.
 */

import {
  type Dimensions,
  type Distribution,
  type Emotion,
  ProfileError,
  type Report,
} from "../espressivo";

const DATABASE = "espressivo.history";
const RESULTS = "results";
const DAY_MS = 86_400_000;

/** Numbers of one recording. */
export interface Result {
  /** Profile, time, name and duration, so that the same recording is kept once. */
  readonly id: string;
  readonly profile: string;
  /** ISO 8601, of the file's last change or of the recording. */
  readonly date: string;
  readonly name: string;
  readonly duration_s: number;
  readonly speech_s: number;
  readonly model: string;
  readonly emotion: Emotion;
  readonly uncertain: boolean | null;
  readonly probabilities: Distribution;
  readonly dimensions: Dimensions | null;
}

/** Mean of the results of one or more days, weighted by the duration of the speech. */
export interface Days {
  /** Midnight of the first day, local time. */
  readonly start: Date;
  readonly n: number;
  readonly probabilities: Distribution;
  readonly arousal: number | null;
}

/** Return what is kept of a report; null without speech. */
export function resultOf(profile: string, report: Report, when: Date): Result | null {
  const { emotion, probabilities, uncertain, dimensions, model, recording } = report;
  if (!emotion || !probabilities) return null;
  const date = when.toISOString();
  const duration_s = rounded(report.duration_s, 3);
  return {
    id: JSON.stringify([profile, date, recording, duration_s]),
    profile,
    date,
    name: recording,
    duration_s,
    speech_s: rounded(report.speech_s, 3),
    model: `${model.name} ${model.version}`,
    emotion,
    uncertain,
    probabilities: roundedAll(probabilities),
    dimensions: dimensions && roundedAll(dimensions),
  };
}

/** @throws ProfileError The browser keeps nothing for this page. */
export async function keep(result: Result): Promise<void> {
  await within("readwrite", (store) => store.put(result));
}

/** Return the results of a profile, oldest first. */
export async function resultsOf(profile: string): Promise<Result[]> {
  const all = await within<Result[]>("readonly", (store) =>
    store.index("profile").getAll(profile),
  );
  return all.sort((a, b) => a.date.localeCompare(b.date));
}

export async function forget(id: string): Promise<void> {
  await within("readwrite", (store) => store.delete(id));
}

export async function forgetAll(profile: string): Promise<void> {
  for (const { id } of await resultsOf(profile)) await forget(id);
}

/** Group results by days: by one, or by 7 or 30 where they reach over months or years. */
export function byDays(results: readonly Result[], most = 62): Days[] {
  if (results.length === 0) return [];
  const [first, last] = [results[0], results[results.length - 1]].map(({ date }) =>
    midnight(new Date(date)),
  );
  const n = daysBetween(first, last) + 1;
  const step = [1, 7, 30].find((each) => n <= each * most) ?? Math.ceil(n / most);
  const groups = new Map<number, Result[]>();
  for (const result of results) {
    const at = Math.floor(daysBetween(first, midnight(new Date(result.date))) / step);
    groups.set(at, [...(groups.get(at) ?? []), result]);
  }
  return [...groups].map(([at, group]) => {
    const start = new Date(first);
    start.setDate(first.getDate() + at * step);
    return meanOf(start, group);
  });
}

export function toJson(results: readonly Result[]): string {
  const rows = results.map(({ id: _, ...rest }) => rest);
  return `${JSON.stringify({ schema: "espressivo.history/1", results: rows }, null, 2)}\n`;
}

export function toCsv(results: readonly Result[]): string {
  const emotions = namesOf(results.map(({ probabilities }) => probabilities));
  const dimensions = namesOf(results.map((each) => each.dimensions ?? {}));
  const fixed = ["date", "name", "duration_s", "speech_s", "model", "emotion", "uncertain"];
  const rows = results.map((each) => {
    const all: Record<string, unknown> = {
      ...each,
      ...each.probabilities,
      ...each.dimensions,
    };
    return [...fixed, ...emotions, ...dimensions].map((name) => all[name]);
  });
  return [[...fixed, ...emotions, ...dimensions], ...rows]
    .map((row) => `${row.map(cell).join(",")}\n`)
    .join("");
}

function meanOf(start: Date, group: readonly Result[]): Days {
  const mean = (value: (result: Result) => number) => {
    const weights = group.reduce((sum, each) => sum + each.speech_s, 0);
    return group.reduce((sum, each) => sum + each.speech_s * value(each), 0) / weights;
  };
  const emotions = namesOf(group.map(({ probabilities }) => probabilities));
  const probabilities = Object.fromEntries(
    emotions.map((name) => [
      name,
      mean((each) => each.probabilities[name as Emotion] ?? 0),
    ]),
  ) as Distribution;
  const all = group.every((each) => each.dimensions?.arousal !== undefined);
  const arousal = all ? mean((each) => each.dimensions?.arousal ?? 0) : null;
  return { start, n: group.length, probabilities, arousal };
}

async function within<T>(
  mode: IDBTransactionMode,
  ask: (store: IDBObjectStore) => IDBRequest,
): Promise<T> {
  let database: IDBDatabase | null = null;
  try {
    database = await opened();
    const transaction = database.transaction(RESULTS, mode);
    const answer = answered<T>(ask(transaction.objectStore(RESULTS)));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    return await answer;
  } catch (error) {
    const name = (error as Error | null)?.name ?? "aborted";
    throw new ProfileError(`the browser keeps nothing for this page (${name})`);
  } finally {
    database?.close();
  }
}

function opened(): Promise<IDBDatabase> {
  const asked = indexedDB.open(DATABASE, 1);
  asked.onupgradeneeded = () => {
    const store = asked.result.createObjectStore(RESULTS, { keyPath: "id" });
    store.createIndex("profile", "profile");
  };
  return answered(asked);
}

function answered<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}

function midnight(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

/** Return the number of days; days of 23 or 25 hours, by daylight saving time, count one. */
function daysBetween(first: Date, last: Date): number {
  return Math.round((last.getTime() - first.getTime()) / DAY_MS);
}

function namesOf(rows: readonly object[]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

function roundedAll<T extends object>(values: T): T {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, rounded(value as number, 4)]),
  ) as T;
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

function cell(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Recordings that are analysed in turn, and what became of each. */

import type { Report } from "../espressivo";
import { shortened, toLine } from "../espressivo/text";

/** Characters of a name; file systems take as many. */
const LONGEST_NAME = 255;

export type State = "waiting" | "working" | "done" | "failed" | "cancelled";

/** One recording of the list. */
export interface Item {
  readonly name: string;
  /** A file as the user chose it, of which no copy is kept; or what was recorded here. */
  readonly sound: Blob;
  readonly recorded: boolean;
  state: State;
  /** Share of the recording that is analysed, 0 to 1; null if unknown. */
  progress: number | null;
  /** What was found; null unless `state` is "done". */
  found: Found | null;
  /** Why it failed; null unless `state` is "failed". */
  error: unknown;
}

export interface Found {
  readonly report: Report;
  /** Whether the profile of the speaker has learned from it. */
  readonly learned: boolean;
}

export type Analyse = (item: Item, signal: AbortSignal) => Promise<Found>;

export class Queue {
  readonly items: Item[] = [];
  private current: { item: Item; abort: AbortController } | null = null;

  /**
   * @param analyse Analysis of one recording; it may set `progress`.
   * @param changed Callback, called when the state of an item has changed.
   */
  constructor(
    private readonly analyse: Analyse,
    private readonly changed: (item: Item) => void,
  ) {}

  /** Whether a recording is being analysed or waits. */
  get busy(): boolean {
    return this.items.some(isPending);
  }

  /** Add files, which are analysed after those that wait already. */
  add(files: readonly File[]): Item[] {
    const added = files.map((file) => itemOf(file.name, file, false));
    this.items.push(...added);
    for (const item of added) this.changed(item);
    void this.run();
    return added;
  }

  /** Add what was recorded and analysed while it was. */
  addRecorded(sound: Blob, found: Found): Item {
    const item = itemOf(found.report.recording, sound, true);
    item.found = found;
    this.items.push(item);
    this.set(item, "done");
    return item;
  }

  /** Give up a recording that waits or is being analysed. */
  cancel(item: Item): void {
    if (!isPending(item)) return;
    this.set(item, "cancelled");
    if (this.current?.item === item) this.current.abort.abort();
  }

  cancelAll(): void {
    for (const item of this.items) this.cancel(item);
  }

  /** Remove a recording, and cancel it first. */
  remove(item: Item): void {
    this.cancel(item);
    const at = this.items.indexOf(item);
    if (at >= 0) this.items.splice(at, 1);
  }

  private async run(): Promise<void> {
    if (this.current) return;
    for (let item = this.next(); item; item = this.next()) {
      const abort = new AbortController();
      this.current = { item, abort };
      this.set(item, "working");
      try {
        item.found = await this.analyse(item, abort.signal);
        if (!abort.signal.aborted) this.set(item, "done");
      } catch (error) {
        item.error = error;
        if (!abort.signal.aborted) this.set(item, "failed");
      }
      if (item.state === "cancelled") item.found = item.error = null;
      this.current = null;
    }
  }

  private next(): Item | undefined {
    return this.items.find(({ state }) => state === "waiting");
  }

  private set(item: Item, state: State): void {
    item.state = state;
    this.changed(item);
  }
}

export function isPending({ state }: Item): boolean {
  return state === "waiting" || state === "working";
}

function itemOf(name: string, sound: Blob, recorded: boolean): Item {
  return {
    // Here, since the name goes from here to the page, to its reports and to downloads.
    name: shortened(toLine(name), LONGEST_NAME),
    sound,
    recorded,
    state: "waiting",
    progress: null,
    found: null,
    error: null,
  };
}

/**
 * Profile of a speaker or of a setting: statistics of windows, without labels.
 *
 * The file format is `espressivo.profile/2`, which Python reads and writes too.
 */

import type { Matrix } from "./arithmetic";
import { type ModelCard, requireAdaptation } from "./card";
import { ProfileError } from "./errors";
import type { ModelName } from "./report";
import { sha256Of } from "./sha256";
import { shortened, toLine } from "./text";
import { SAMPLE_RATE } from "./types";
import { VERSION } from "./version";
import {
  asOne,
  emptyStatistics,
  merged,
  requirePossible,
  type WindowStatistics,
} from "./window-statistics";

const FORMAT = "espressivo.profile/";
const FORMAT_VERSION = 2;
const REMEDY = "restore it, or create it anew";
// The same rule as in Python, where the name becomes a file name.
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}_ -]{0,63}$/u;
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d) *$/i; // of Windows
const LONGEST_TEXT = 255; // of names inside of files, which may be those of other files

/** What a profile describes; a setting is what many speakers share, such as a microphone. */
export type Kind = "speaker" | "setting";

const PASSED_AS: Record<Kind, string> = { speaker: "profile", setting: "setting" };

/** Source of statistics for a profile: a report, or another profile of the same kind. */
export interface HasStatistics {
  readonly model: ModelName;
  readonly statistics: WindowStatistics | null;
}

/** Statistics of a speaker, or of a setting, for one model; immutable. */
export class Profile implements HasStatistics {
  /** @param statistics In those of a setting, each recording has the weight of one window. */
  constructor(
    readonly name: string,
    readonly kind: Kind,
    readonly model: ModelName,
    readonly statistics: WindowStatistics,
  ) {}

  /**
   * Return an empty profile.
   *
   * @throws ProfileError The name is not allowed.
   * @throws ModelError The model cannot adapt.
   */
  static create(name: string, card: ModelCard, kind: Kind = "speaker"): Profile {
    const named = name.normalize("NFC"); // macOS hands over accents decomposed
    if (!NAME.test(named) || DEVICE.test(named)) {
      throw new ProfileError(
        `'${name}' is no name for a profile; take letters, digits, spaces, - and _, ` +
          "at most 64",
      );
    }
    const { means, nAxes } = requireAdaptation(card);
    const model = { name: card.name, version: card.version, sha256: card.sha256 };
    return new Profile(named, kind, model, emptyStatistics(means[0].length, nAxes));
  }

  /**
   * Read the file of a profile.
   *
   * @param text Content of the file.
   * @param path Name of the file in error messages.
   * @throws ProfileError The file is damaged, edited, or of a later version.
   */
  static async parse(text: string, path = "profile"): Promise<Profile> {
    let content: Record<string, unknown>;
    let schema: string;
    try {
      content = JSON.parse(text);
      schema = textOf(content, "schema");
    } catch {
      throw new ProfileError(`${path}: is no profile, or was cut off; ${REMEDY}`);
    }
    if (schema !== FORMAT + FORMAT_VERSION) {
      const number = schema.startsWith(FORMAT) ? schema.slice(FORMAT.length) : "";
      const newer = /^\d+$/.test(number) && Number(number) > FORMAT_VERSION;
      throw new ProfileError(
        `${path}: is ${schema}, and this version reads ${FORMAT}${FORMAT_VERSION}; ` +
          (newer ? "update espressivo" : REMEDY),
      );
    }
    const { sha256, ...signed } = content;
    // Nested deeper than the stack, it has no digest.
    const found = await digestOf(signed).catch(() => null);
    if (found === null || sha256 !== found) {
      throw new ProfileError(
        `${path}: was edited or damaged: its sha256 is not what it says; ${REMEDY}`,
      );
    }
    try {
      return fromContent(content);
    } catch (error) {
      throw new ProfileError(
        `${path}: makes no sense (${(error as Error).message}); ${REMEDY}`,
      );
    }
  }

  /** Seconds of speech that the profile was made from. */
  get speech_s(): number {
    return this.statistics.nSamples / SAMPLE_RATE;
  }

  /**
   * Return a profile with further statistics; their order changes only rounding.
   *
   * @throws ProfileError A source is of another model or kind, or a report has no
   *   statistics.
   */
  merged(...sources: HasStatistics[]): Profile {
    let whole = this.statistics;
    for (const each of sources) {
      this.require(each.model);
      if (each.statistics === null) {
        throw new ProfileError(
          `profile '${this.name}' cannot learn from a report that was made without ` +
            "voices; analyse with a profile, if need be an empty one",
        );
      }
      this.requireWidth(each.statistics.nDims, each.statistics.mean.length);
      if (each instanceof Profile) each.requireKind(this.kind);
      const single = this.kind === "setting" && !(each instanceof Profile);
      whole = merged(whole, single ? asOne(each.statistics) : each.statistics);
    }
    return new Profile(this.name, this.kind, this.model, whole);
  }

  /**
   * Check that this profile was made with a model.
   *
   * @throws ProfileError The model is another one.
   * @throws ModelError The model cannot adapt.
   */
  requireModel(card: ModelCard): void {
    this.require(card);
    const { means, nAxes } = requireAdaptation(card);
    this.requireWidth(means[0].length, nAxes);
  }

  /** @throws ProfileError The profile describes something else. */
  requireKind(kind: Kind): void {
    if (this.kind === kind) return;
    throw new ProfileError(
      `'${this.name}' is the profile of a ${this.kind}, not of a ${kind}; pass it as the ` +
        `option \`${PASSED_AS[this.kind]}\``,
    );
  }

  private require({ name, version, sha256 }: ModelName): void {
    if (this.model.sha256 === sha256) return;
    const mine = `${this.model.name} ${this.model.version} (${this.model.sha256.slice(0, 12)}...)`;
    throw new ProfileError(
      `profile '${this.name}' is of ${mine}, not of ${name} ${version} ` +
        `(${sha256.slice(0, 12)}...): what one model hears means nothing to another; ` +
        "choose its own model, or create the profile anew",
    );
  }

  private requireWidth(nDims: number, nAxes: number): void {
    const { nDims: mine, mean } = this.statistics;
    if (mine === nDims && mean.length === nAxes) return;
    throw new ProfileError(
      `profile '${this.name}' has ${mine} dimensions and ${mean.length} axes, not ` +
        `${nDims} and ${nAxes}; create it anew`,
    );
  }

  /** Return the content of the file. */
  async toJson(): Promise<string> {
    const { statistics } = this;
    const content = {
      schema: FORMAT + FORMAT_VERSION,
      espressivo: VERSION,
      kind: this.kind,
      name: this.name,
      model: this.model,
      n_windows: statistics.nWindows,
      n_recordings: statistics.nRecordings,
      n_samples: statistics.nSamples,
      n_dims: statistics.nDims,
      cells: encoded(new Uint8Array(Int8Array.from(statistics.cells.flat()).buffer)),
      weights: toText(statistics.weights),
      sums: toText(statistics.sums.flat()),
      mean: toText(statistics.mean),
      scatter: toText(statistics.scatter.flat()),
    };
    const sha256 = await digestOf(content);
    return `${ascii(JSON.stringify({ ...content, sha256 }, null, 1))}\n`;
  }
}

function fromContent(content: Record<string, unknown>): Profile {
  const [nWindows, nRecordings, nSamples, nDims] = [
    "n_windows",
    "n_recordings",
    "n_samples",
    "n_dims",
  ].map((name) => {
    const value = content[name];
    if (!Number.isInteger(value) || (value as number) < 0)
      throw new Error(`${name} is no whole number of 0 or more`);
    if ((value as number) > 2 ** 53) throw new Error(`${name} is below 0 or above 2^53`);
    return value as number;
  });
  const mean = fromText(content["mean"]);
  const weights = fromText(content["weights"]);
  const cells = Array.from(new Int8Array(decoded(content["cells"]).buffer));
  const statistics: WindowStatistics = {
    nWindows,
    nRecordings,
    nSamples,
    nDims,
    cells: rowsOf(cells, weights.length, nDims),
    weights,
    sums: rowsOf(fromText(content["sums"]), weights.length, nDims),
    mean,
    scatter: rowsOf(fromText(content["scatter"]), mean.length, mean.length),
  };
  requirePossible(statistics);
  const kind = textOf(content, "kind");
  if (kind !== "speaker" && kind !== "setting") throw new Error(`kind: ${kind}`);
  const model = content["model"] as Record<string, unknown>;
  const { name } = content;
  if (typeof name !== "string") throw new Error(`name: ${name}`);
  return new Profile(
    nameOf(name),
    kind,
    {
      name: nameOf(textOf(model, "name")),
      version: nameOf(textOf(model, "version")),
      sha256: nameOf(textOf(model, "sha256")),
    },
    statistics,
  );
}

function rowsOf(values: readonly number[], n: number, width: number): Matrix {
  if (values.length !== n * width) throw new Error("sums of another length");
  return Array.from({ length: n }, (_, i) => values.slice(i * width, (i + 1) * width));
}

function nameOf(text: string): string {
  const name = text.normalize("NFC");
  if (name.length <= LONGEST_TEXT && !/\p{Cs}/u.test(name)) return name; // \ud800
  throw new Error(`${shortened(toLine(name), 40)} is no name`);
}

function textOf(entries: Record<string, unknown>, name: string): string {
  if (entries[name] === undefined) throw new Error(`no ${name}`);
  return String(entries[name]);
}

/** Encode numbers for JSON, exactly: little-endian doubles in base64. */
function toText(values: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  values.forEach((value, i) => {
    view.setFloat64(i * 8, value, true);
  });
  return encoded(new Uint8Array(view.buffer));
}

function encoded(bytes: Uint8Array): string {
  // One by one: engines limit the number of a call's arguments, some to 65,536.
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function fromText(text: unknown): number[] {
  const view = new DataView(decoded(text).buffer);
  const n = view.byteLength / 8;
  if (!Number.isInteger(n)) throw new Error("sums that are no numbers");
  const values = Array.from({ length: n }, (_, i) => view.getFloat64(i * 8, true));
  if (!values.every(Number.isFinite)) throw new Error("sums that are no numbers");
  return values;
}

function decoded(text: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(String(text)), (letter) => letter.charCodeAt(0));
}

/** Return the hash of Python's json.dumps(sort_keys=True, separators=(",", ":")). */
async function digestOf(content: unknown): Promise<string> {
  return sha256Of(new TextEncoder().encode(canonical(content)));
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return ascii(JSON.stringify(value));
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, each]) => `${canonical(key)}:${canonical(each)}`).join(",")}}`;
}

/** Return JSON as Python writes it, which escapes all non-ASCII characters. */
function ascii(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

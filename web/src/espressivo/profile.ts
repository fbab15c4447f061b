/**
 * Speaker profile: sufficient statistics of a speaker's embeddings, without labels.
 *
 * The file format is `espressivo.profile/1`, which Python reads and writes too.
 */

import type { ModelCard } from "./card";
import { ProfileError } from "./errors";
import type { ModelName } from "./report";
import { sha256Of } from "./session";
import { emptyStatistics, merged, type SpeakerStatistics } from "./speaker-statistics";
import { SAMPLE_RATE } from "./types";
import { VERSION } from "./version";

const FORMAT = "espressivo.profile/";
const FORMAT_VERSION = 1;
const REMEDY = "restore it, or create the profile anew";
// The same rule as in Python, where the name becomes a file name.
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}_ -]{0,63}$/u;

/** Source of statistics for a profile: a report, or another profile of the speaker. */
export interface HasSpeakerStatistics {
  readonly model: ModelName;
  readonly speakerStatistics: SpeakerStatistics | null;
}

/** Statistics of one speaker under one model; immutable. */
export class Profile implements HasSpeakerStatistics {
  constructor(
    readonly speaker: string,
    readonly model: ModelName,
    readonly speakerStatistics: SpeakerStatistics,
  ) {}

  /**
   * Return an empty profile.
   *
   * @throws ProfileError The name is not allowed, or the model takes no profiles.
   */
  static create(speaker: string, card: ModelCard): Profile {
    const named = speaker.normalize("NFC"); // macOS hands over accents decomposed
    if (!NAME.test(named)) {
      throw new ProfileError(
        `'${speaker}' is no name for a profile; take letters, digits, spaces, - and _, ` +
          "at most 64",
      );
    }
    const { name, version, sha256 } = card;
    return new Profile(named, { name, version, sha256 }, emptyStatistics(nFeatures(card)));
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
    if (sha256 !== (await digestOf(signed))) {
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

  /** Seconds of speech that the statistics sum up. */
  get speech_s(): number {
    return this.speakerStatistics.nSamples / SAMPLE_RATE;
  }

  /**
   * Return a profile with further statistics; their order changes only rounding.
   *
   * @throws ProfileError A source is of another model, or a report has no statistics.
   */
  merged(...sources: HasSpeakerStatistics[]): Profile {
    let whole = this.speakerStatistics;
    for (const each of sources) {
      this.require(each.model);
      if (each.speakerStatistics === null) {
        throw new ProfileError(
          `profile '${this.speaker}' cannot learn from a report that was made without a ` +
            "profile; analyse with one, if need be an empty one",
        );
      }
      whole = merged(whole, each.speakerStatistics);
    }
    return new Profile(this.speaker, this.model, whole);
  }

  /**
   * Check that this profile was made with a model.
   *
   * @throws ProfileError The model is another one, or takes no profiles.
   */
  requireModel(card: ModelCard): void {
    this.require(card);
    if (this.speakerStatistics.mean.length !== nFeatures(card)) {
      throw new ProfileError(
        `profile '${this.speaker}' holds sums of ${this.speakerStatistics.mean.length} features, not ` +
          `${nFeatures(card)}; create it anew`,
      );
    }
  }

  private require({ name, version, sha256 }: ModelName): void {
    if (this.model.sha256 === sha256) return;
    const mine = `${this.model.name} ${this.model.version} (${this.model.sha256.slice(0, 12)}...)`;
    throw new ProfileError(
      `profile '${this.speaker}' is of ${mine}, not of ${name} ${version} ` +
        `(${sha256.slice(0, 12)}...): what one model hears means nothing to another; ` +
        "choose its own model, or create the profile anew",
    );
  }

  /** Return the content of the file. */
  async toJson(): Promise<string> {
    const { nWindows, nRecordings, nSamples, mean, squares } = this.speakerStatistics;
    const content = {
      schema: FORMAT + FORMAT_VERSION,
      espressivo: VERSION,
      speaker: this.speaker,
      model: this.model,
      n_windows: nWindows,
      n_recordings: nRecordings,
      n_samples: nSamples,
      mean: toText(mean),
      squares: toText(squares),
    };
    const sha256 = await digestOf(content);
    return `${ascii(JSON.stringify({ ...content, sha256 }, null, 1))}\n`;
  }
}

function nFeatures(card: ModelCard): number {
  if (!card.profileHead) {
    throw new ProfileError(`${card.name} ${card.version}: takes no speaker's profile`);
  }
  return card.profileHead.width + card.emotions.length + 1;
}

function fromContent(content: Record<string, unknown>): Profile {
  const [nWindows, nRecordings, nSamples] = ["n_windows", "n_recordings", "n_samples"].map(
    (name) => {
      const value = content[name];
      if (!Number.isInteger(value) || (value as number) < 0)
        throw new Error(`${name}: ${value}`);
      return value as number;
    },
  );
  const mean = fromText(content["mean"]);
  const squares = fromText(content["squares"]);
  if (mean.length !== squares.length || squares.some((square) => square < 0)) {
    throw new Error("sums that cannot be");
  }
  const model = content["model"] as Record<string, unknown>;
  return new Profile(
    textOf(content, "speaker").normalize("NFC"),
    {
      name: textOf(model, "name"),
      version: textOf(model, "version"),
      sha256: textOf(model, "sha256"),
    },
    { nWindows, nRecordings, nSamples, mean, squares } as SpeakerStatistics,
  );
}

function textOf(entries: Record<string, unknown>, name: string): string {
  if (entries[name] === undefined) throw new Error(`no ${name}`);
  return String(entries[name]);
}

/** Encode numbers for JSON, exactly: little-endian doubles in base64. */
function toText(values: Float64Array): string {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  values.forEach((value, i) => {
    view.setFloat64(i * 8, value, true);
  });
  // One by one: engines limit the number of a call's arguments, some to 65,536.
  const bytes = Array.from(new Uint8Array(view.buffer), (byte) =>
    String.fromCharCode(byte),
  );
  return btoa(bytes.join(""));
}

function fromText(text: unknown): Float64Array {
  const bytes = Uint8Array.from(atob(String(text)), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const n = bytes.length / 8;
  const values = Float64Array.from({ length: n }, (_, i) => view.getFloat64(i * 8, true));
  if (!n || !Number.isInteger(n) || !values.every(Number.isFinite)) {
    throw new Error("sums that are no numbers");
  }
  return values;
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
